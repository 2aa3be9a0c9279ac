"""Logs, ids of requests, measures, reports."""

from typing import Any

from tests.packages.answers import PATHS, hello
from tests.packages.site import Site, row
from tests.packages.users import below


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

    @get("/broken")
    def broken(user: User) -> None:
        raise LookupError

    def ask(client: Any) -> bool:
        token = site.token(site.person())
        bound = [client.get(path, headers=token).json() for path in ("/bound", "/abound")]
        return bound == [True, True] and client.get("/broken", headers=token).json()["status"] == 500

    return [bound, abound, broken], ask


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


def metrics() -> dict[str, Any]:
    from hybrid_gateway.telemetry.metrics import Prometheus

    return {"plugins": [Prometheus(None)]}


@row("django-prometheus", apps=["django_prometheus"], options=[below(BEFORE, AFTER), metrics])
def django_prometheus(site: Site) -> Any:
    from prometheus_client import REGISTRY

    def count(route: str) -> float:
        """How often it was asked, as the package's metrics have it, or ours in the same registry."""
        samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
        return sum(
            sample.value for sample in samples if sample.labels.get(LABELS.get(sample.name, "")) in (route, f"/{route}")
        )

    def ask(client: Any) -> bool:
        before = [count("hello"), count("ahello")]
        statuses = [client.get(path).status_code for path in PATHS]
        return statuses == [200, 200] and [count("hello"), count("ahello")] == [before[0] + 1, before[1] + 1]

    return hello(), ask


LABELS = {
    "django_http_requests_total_by_view_transport_method_total": "view",
    "hybrid_gateway_requests_total": "route",
}


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
