"""What stands around answers: headers, limits, pages."""

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
    from django_ratelimit.decorators import ratelimit
    from django_ratelimit.exceptions import Ratelimited

    from hybrid_gateway import get

    @get("/few")
    def few(request: HttpRequest) -> str:
        if is_ratelimited(request, group="few", key="header:x-who", rate="2/h", increment=True):
            raise Ratelimited
        return "one of few"

    @get("/decorated")
    @ratelimit(key="header:x-who", rate="2/h")
    def decorated(request: HttpRequest, name: str = "one") -> str:
        return f"{name} of few"

    @get("/adecorated")
    @ratelimit(key="header:x-who", rate="2/h")
    async def adecorated(request: HttpRequest, name: str = "one") -> str:
        return f"{name} of few"

    def ask(client: Any) -> bool:
        who = {"X-Who": str(site.number())}
        return all(
            [client.get(path, headers=who).status_code for _ in range(3)] == [200, 200, 403]
            for path in ("/few", "/decorated", "/adecorated")
        )

    return [few, decorated, adecorated], ask


MAINTENANCE = "maintenance_mode.middleware.MaintenanceModeMiddleware"


@row(
    "django-maintenance-mode",
    apps=["maintenance_mode"],
    settings=lambda: {"MAINTENANCE_MODE_STATE_BACKEND": "maintenance_mode.backends.CacheBackend"},
    options=[below(MAINTENANCE)],
)
def maintenance_mode(site: Site) -> Any:
    from maintenance_mode.core import override_maintenance_mode

    def ask(client: Any) -> bool:
        with override_maintenance_mode(True):
            closed = [client.get(path).status_code for path in PATHS]
        return closed == [503, 503] and [client.get(path).status_code for path in PATHS] == [200, 200]

    return hello(), ask


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

    from hybrid_gateway import HTMLResponse, get

    @get("/page", django_middleware=[TOOLBAR])
    def page() -> HTMLResponse:
        return HTMLResponse("<body>page</body>")

    def ask(client: Any) -> bool:
        pages = [client.get(path).text for path in ("/django/page", "/page")]
        return all("djDebug" in text for text in pages) and client.get("/hello").text == "hello"

    return [*hello(), page], ask


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
