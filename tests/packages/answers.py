"""What stands around answers: headers, limits, logs, measures, pages."""

import logging
from typing import Any

from tests.packages.site import Site, row
from tests.packages.users import below


def hello() -> list[Any]:
    """A route in ``def`` and one in ``async def``, which say hello."""
    from hybrid_gateway import get

    @get("/hello")
    def hello() -> str:
        return "hello"

    @get("/ahello")
    async def ahello() -> str:
        return "hello"

    return [hello, ahello]


PATHS = ("/hello", "/ahello")


# --- headers -------------------------------------------------------------------------------------------------------


def cors() -> dict[str, Any]:
    from hybrid_gateway import CORS

    return {"cors": CORS(["https://shop.example"])}


@row(
    "django-cors-headers",
    apps=["corsheaders"],
    settings=lambda: {"CORS_ALLOWED_ORIGINS": ["https://shop.example"]},
    options=[cors, below("corsheaders.middleware.CorsMiddleware")],
)
def corsheaders(site: Site) -> Any:
    origin = {"Origin": "https://shop.example"}

    def allows(answer: Any) -> bool:
        return answer.headers.get("access-control-allow-origin") == "https://shop.example"

    def ask(client: Any) -> bool:
        simple = all(allows(client.get(path, headers=origin)) for path in PATHS)
        asked = {**origin, "Access-Control-Request-Method": "GET"}
        preflights = [client.options(path, headers=asked) for path in PATHS]
        return simple and all(allows(a) and "GET" in a.headers["access-control-allow-methods"] for a in preflights)

    return hello(), ask


def headers(**given: str) -> Any:
    return lambda: {"response_headers": {name.replace("_", "-"): value for name, value in given.items()}}


def stamped(name: str, value: str) -> Any:
    """Whether answers have the header."""
    return lambda client: all(client.get(path).headers.get(name) == value for path in PATHS)


POLICY = "default-src 'self'"


@row(
    "django-csp",
    apps=["csp"],
    settings=lambda: {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"default-src": ["'self'"]}}},
    options=[headers(Content_Security_Policy=POLICY), below("csp.middleware.CSPMiddleware")],
)
def csp(site: Site) -> Any:
    return hello(), stamped("content-security-policy", POLICY)


@row(
    "django-permissions-policy",
    settings=lambda: {"PERMISSIONS_POLICY": {"camera": []}},
    options=[
        headers(Permissions_Policy="camera=()"),
        below("django_permissions_policy.PermissionsPolicyMiddleware"),
    ],
)
def permissions_policy(site: Site) -> Any:
    return hello(), stamped("permissions-policy", "camera=()")


# --- limits --------------------------------------------------------------------------------------------------------


@row("django-ratelimit", settings=lambda: {"RATELIMIT_ENABLE": True})
def ratelimit(site: Site) -> Any:
    from django.http import HttpRequest
    from django_ratelimit.core import is_ratelimited
    from django_ratelimit.exceptions import Ratelimited

    from hybrid_gateway import get

    @get("/few")
    def few(request: HttpRequest) -> str:
        if is_ratelimited(request, group="few", key="header:x-who", rate="2/h", increment=True):
            raise Ratelimited
        return "one of few"

    def ask(client: Any) -> bool:
        who = {"X-Who": str(site.number())}
        return [client.get("/few", headers=who).status_code for _ in range(3)] == [200, 200, 403]

    return [few], ask


MAINTENANCE = "maintenance_mode.middleware.MaintenanceModeMiddleware"


@row("django-maintenance-mode", apps=["maintenance_mode"], options=[below(MAINTENANCE)])
def maintenance_mode(site: Site) -> Any:
    from maintenance_mode.core import override_maintenance_mode

    def ask(client: Any) -> bool:
        with override_maintenance_mode(True):
            closed = [client.get(path).status_code for path in PATHS]
        return closed == [503, 503] and [client.get(path).status_code for path in PATHS] == [200, 200]

    return hello(), ask


# --- logs and measures ---------------------------------------------------------------------------------------------


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def kept(name: str) -> Kept:
    handler = Kept()
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler


@row(
    "django-structlog",
    at_once=True,
    apps=["django_structlog"],
    options=[below("django_structlog.middlewares.RequestMiddleware")],
)
def structlog(site: Site) -> Any:
    from django.contrib.auth.models import User
    from structlog.contextvars import get_contextvars

    from hybrid_gateway import get

    @get("/bound")
    def bound(user: User) -> bool:
        return "request_id" in get_contextvars()

    @get("/abound")
    async def abound(user: User) -> bool:
        return "request_id" in get_contextvars()

    def ask(client: Any) -> bool:
        token = site.token(site.person())
        return client.get("/bound", headers=token).json() and client.get("/abound", headers=token).json()

    return [bound, abound], ask


def request_ids() -> dict[str, Any]:
    from hybrid_gateway.telemetry import RequestIDs

    return {"plugins": [RequestIDs()]}


def identified(current: Any, header: str) -> Any:
    """Whether a handler finds the id of its request, by the package or by ours, and the answer has it."""
    from hybrid_gateway import get
    from hybrid_gateway.telemetry import request_id

    @get("/id")
    def id() -> str:
        return current() or request_id.get() or ""

    @get("/aid")
    async def aid() -> str:
        return current() or request_id.get() or ""

    def ask(client: Any) -> bool:
        answers = [client.get(path) for path in ("/id", "/aid")]
        return all(answer.text and answer.headers.get(header) == answer.text for answer in answers)

    return [id, aid], ask


@row(
    "django-guid",
    at_once=True,
    apps=["django_guid"],
    options=[below("django_guid.middleware.guid_middleware"), request_ids],
    settings=lambda: {"DJANGO_GUID": {"GUID_HEADER_NAME": "X-Request-ID"}},
)
def guid(site: Site) -> Any:
    from django_guid import get_guid

    return identified(get_guid, "x-request-id")


@row(
    "django-log-request-id",
    at_once=True,
    apps=["log_request_id"],
    settings=lambda: {"REQUEST_ID_RESPONSE_HEADER": "X-Request-ID", "GENERATE_REQUEST_ID_IF_NOT_IN_HEADER": True},
    options=[below("log_request_id.middleware.RequestIDMiddleware"), request_ids],
)
def log_request_id(site: Site) -> Any:
    from log_request_id import local

    return identified(lambda: getattr(local, "request_id", None), "x-request-id")


BEFORE = "django_prometheus.middleware.PrometheusBeforeMiddleware"
AFTER = "django_prometheus.middleware.PrometheusAfterMiddleware"


@row("django-prometheus", apps=["django_prometheus"], options=[below(BEFORE, AFTER)])
def django_prometheus(site: Site) -> Any:
    from prometheus_client import REGISTRY

    def count(view: str) -> float:
        name = "django_http_requests_total_by_view_transport_method"
        samples = [s for m in REGISTRY.collect() for s in m.samples if s.name == f"{name}_total" or s.name == name]
        return sum(s.value for s in samples if view == s.labels.get("view"))

    def ask(client: Any) -> bool:
        before = [count("hello"), count("ahello")]
        statuses = [client.get(path).status_code for path in PATHS]
        return statuses == [200, 200] and [count("hello"), count("ahello")] == [before[0] + 1, before[1] + 1]

    return hello(), ask


@row("django-silk", apps=["silk"], options=[below("silk.middleware.SilkyMiddleware")])
def silk(site: Site) -> Any:
    from silk.models import Request

    from hybrid_gateway import get

    @get("/counted")
    def counted() -> int:
        from django.contrib.auth.models import User

        return User.objects.count()

    def ask(client: Any) -> bool:
        Request.objects.all().delete()
        statuses = [client.get(path).status_code for path in (*PATHS, "/counted")]
        seen = {request.path: request.num_sql_queries for request in Request.objects.all()}
        return statuses == [200] * 3 and seen == {"/hello": 0, "/ahello": 0, "/counted": 1}

    return [*hello(), counted], ask


@row("sentry-sdk")
def sentry(site: Site) -> Any:
    import sentry_sdk
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.transport import Transport

    from hybrid_gateway import get

    events: list[Any] = []

    class Keeping(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            events.extend(item.payload.json for item in envelope.items if item.type == "event")

    sentry_sdk.init(dsn="http://key@localhost/1", transport=Keeping, integrations=[DjangoIntegration()])

    @get("/broken")
    def broken() -> str:
        raise LookupError("def")

    @get("/abroken")
    async def abroken() -> str:
        raise LookupError("async def")

    def ask(client: Any) -> bool:
        events.clear()
        statuses = [client.get(path).status_code for path in ("/broken", "/abroken")]
        told = [event["exception"]["values"][-1]["value"] for event in events]
        return statuses == [500, 500] and told == ["def", "async def"]

    return [broken, abroken], ask


# --- pages of Django's side ----------------------------------------------------------------------------------------


@row(
    "whitenoise",
    settings=lambda: {
        "MIDDLEWARE": ["whitenoise.middleware.WhiteNoiseMiddleware"],
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": True,
    },
)
def whitenoise(site: Site) -> Any:
    def ask(client: Any) -> bool:
        answer = client.get("/static/admin/css/base.css")
        return (
            answer.status_code == 200
            and "max-age" in answer.headers["cache-control"]
            and all(client.get(path).text == "hello" for path in PATHS)
        )

    return hello(), ask


TOOLBAR = "debug_toolbar.middleware.DebugToolbarMiddleware"


@row(
    "django-debug-toolbar",
    apps=["debug_toolbar"],
    settings=lambda: {
        "DEBUG": True,
        "MIDDLEWARE": [TOOLBAR],
        "DEBUG_TOOLBAR_CONFIG": {"SHOW_TOOLBAR_CALLBACK": lambda request: True, "IS_RUNNING_TESTS": False},
    },
)
def debug_toolbar(site: Site) -> Any:

    def ask(client: Any) -> bool:
        return "djDebug" in client.get("/django/page").text and client.get("/hello").text == "hello"

    return hello(), ask


@row("django-htmx", apps=["django_htmx"], options=[below("django_htmx.middleware.HtmxMiddleware")])
def htmx(site: Site) -> Any:
    from django.http import HttpRequest

    from hybrid_gateway import get

    @get("/part")
    def part(request: HttpRequest) -> bool:
        return bool(request.htmx)

    def ask(client: Any) -> bool:
        asked = [client.get("/part", headers=headers).json() for headers in ({}, {"HX-Request": "true"})]
        return asked == [False, True]

    return [part], ask


@row("django-unfold", apps=["unfold"])
def unfold(site: Site) -> Any:
    return admin_page(site)


def admin_page(site: Site) -> Any:
    """Whether the admin of Django's side is there for staff."""
    from django.contrib import admin
    from django.urls import path

    site.urls(path("admin/", admin.site.urls))

    def ask(client: Any) -> bool:
        client.force_login(site.person(is_staff=True, is_superuser=True))
        return client.get("/admin/").status_code == 200 and client.get("/admin/auth/user/").status_code == 200

    return hello(), ask


@row("django-health-check", apps=["health_check"])
def health_check(site: Site) -> Any:
    from django.urls import path
    from health_check.views import HealthCheckView

    site.urls(path("django/health/", HealthCheckView.as_view(checks=["health_check.Database"])))

    def ask(client: Any) -> bool:
        return client.get("/django/health/").status_code == 200

    return hello(), ask


@row("django-waffle", apps=["waffle"], options=[below("waffle.middleware.WaffleMiddleware")])
def waffle(site: Site) -> Any:
    from django.http import HttpRequest
    from waffle import flag_is_active, switch_is_active
    from waffle.models import Flag, Switch

    from hybrid_gateway import get

    Flag.objects.create(name="everybody", everyone=True)
    Flag.objects.create(name="tested", testing=True)
    Switch.objects.create(name="on", active=True)

    @get("/flags")
    def flags(request: HttpRequest) -> list[bool]:
        return [flag_is_active(request, "everybody"), flag_is_active(request, "tested"), switch_is_active("on")]

    def ask(client: Any) -> bool:
        answer = client.get("/flags?dwft_tested=1")
        return answer.json() == [True, True, True] and answer.cookies["dwft_tested"].value == "True"

    return [flags], ask
