"""The recipes of docs/observability.md, with the SDKs they are for."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import sentry_sdk
from django.db.backends.utils import CursorWrapper
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span

from hybrid_gateway import Gateway, get, post
from hybrid_gateway.exceptions import NotFound
from tests.telemetry.test_telemetry import ask

PAGE = Path(__file__).resolve().parents[2] / "docs" / "observability.md"
SECRET = "hunter2"


def recipe(heading):
    """The names that the first block of code below ``heading`` defines, with those of the blocks it builds on."""
    text = PAGE.read_text(encoding="utf-8")
    names = {"__name__": "docs.recipe"}
    wanted = ("## OpenTelemetry", heading)
    for title in dict.fromkeys(wanted):
        block = re.search(r"^```python\n(.*?)^```", text[text.index(title) :], re.MULTILINE | re.DOTALL)
        exec(compile(block[1], str(PAGE), "exec"), names)
    return names


@get("/orders/{number:int}")
async def order(number: int, token: str = "") -> str:
    if number == 404:
        raise NotFound
    if number == 500:
        password = SECRET  # noqa: F841  (what a debugger would show)
        raise ValueError("no such thing")
    return "Oats"


@post("/login")
def login(data: dict[str, str]) -> str:
    raise RuntimeError("the directory is down")


# --- OpenTelemetry


@pytest.fixture
def spans():
    """What was exported, and the hook that makes it."""
    names, exporter, provider = recipe("## OpenTelemetry"), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    names["tracer"] = provider.get_tracer("shop")  # as the recipe's is, once a project has set its provider
    return exporter, names["Tracing"]


def test_spans_are_named_by_the_template_and_hold_nothing_of_the_client(serve, spans):
    exporter, tracing = spans
    client = serve(order, event_hooks=[tracing])
    client.get(f"/orders/7?token={SECRET}", headers={"Authorization": SECRET, "Cookie": f"a={SECRET}"})
    client.get("/orders/404")
    found = [(span.name, span.attributes["http.response.status_code"]) for span in exporter.get_finished_spans()]
    assert found == [("GET /orders/{number:int}", 200), ("GET /orders/{number:int}", 404)]
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert SECRET not in told and "/orders/7" not in told
    assert [span.status.status_code for span in exporter.get_finished_spans()] == [StatusCode.UNSET] * 2


def test_an_unexpected_exception_is_in_its_span(serve, spans):
    exporter, tracing = spans
    serve(order, event_hooks=[tracing], raises=False).get("/orders/500")
    [span] = exporter.get_finished_spans()
    [event] = span.events
    assert span.status.status_code is StatusCode.ERROR
    assert (event.name, event.attributes["exception.type"]) == ("exception", "ValueError")


def test_a_span_carries_on_the_trace_of_its_caller_and_is_current_in_handlers(serve, spans):
    exporter, tracing = spans
    seen = []

    @get("/async")
    async def later() -> None:
        seen.append(get_current_span().get_span_context().span_id)

    @get("/sync")
    def at_once() -> None:
        seen.append(get_current_span().get_span_context().span_id)

    client = serve(later, at_once, event_hooks=[tracing])
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for path in ("/async", "/sync"):
        client.get(path, headers={"traceparent": parent})
    assert [f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()] == [parent[3:35]] * 2
    assert [span.context.span_id for span in exporter.get_finished_spans()] == seen


# --- Sentry


class Kept(sentry_sdk.Transport):
    """A transport that keeps what it is given."""

    def __init__(self, options=None):
        super().__init__(options)
        self.events = []

    def capture_envelope(self, envelope):
        if envelope.get_event() is not None:
            self.events.append(envelope.get_event())


@pytest.fixture
def sentry(monkeypatch):
    """The events, and the hook."""
    for name in ("execute", "executemany"):  # Sentry replaces them once for each process; other tests want Django's
        monkeypatch.setattr(CursorWrapper, name, getattr(CursorWrapper, name))
    names, transport = recipe("## Sentry"), Kept()
    names["report_to_sentry"]("https://key@localhost/1", transport=transport)
    yield transport.events, names["Sentry"]
    sentry_sdk.get_global_scope().set_client(None)  # init() would leave Sentry's integration of Django at work


def test_sentry_hears_of_exceptions_by_the_template_and_of_nobody(serve, sentry):
    events, hook = sentry
    client = serve(order, login, event_hooks=[hook], raises=False)
    client.get(f"/orders/500?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}", "Cookie": f"a={SECRET}"})
    client.post("/login", json={"password": SECRET})
    assert [event["transaction"] for event in events] == ["GET /orders/{number:int}", "POST /login"]
    assert [event["exception"]["values"][-1]["type"] for event in events] == ["ValueError", "RuntimeError"]
    told = json.dumps(events, default=str)
    assert SECRET not in told and "127.0.0.1" not in told


def test_sentry_does_not_hear_of_errors_of_the_client(serve, sentry):
    events, hook = sentry
    client = serve(order, event_hooks=[hook])
    assert [client.get(path).status_code for path in ("/orders/404", "/orders/x", "/nowhere")] == [404, 404, 404]
    assert events == []


def test_what_one_request_notes_is_not_in_the_event_of_another(serve, sentry):
    events, hook = sentry

    @get("/tag")
    async def tag(note: str = "mine") -> None:
        sentry_sdk.set_tag("note", note)

    client = serve(tag, order, event_hooks=[hook], raises=False)
    client.get("/tag")
    client.get("/orders/500")
    assert "note" not in events[0].get("tags", {})


def test_pages_of_django_answer_with_sentry_around_its_handlers(settings, sentry):
    events, _ = sentry
    settings.ROOT_URLCONF = "tests.sites.observed_urls"
    gateway = Gateway([], django_routes=["/sync/", "/stream/", "/later/", "/broken/"])
    for path, body in (("/sync/", b"whole"), ("/stream/", b"ab"), ("/later/", b"cd")):
        assert asyncio.run(ask(gateway, path, [])) == (200, "-", body)
    assert asyncio.run(ask(gateway, "/broken/", []))[0] == 500
    assert [event["transaction"] for event in events] == ["/broken/"]
