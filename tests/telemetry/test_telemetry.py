"""Request ids, server timing and the access log, over every driver."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from contextvars import copy_context
from decimal import Decimal
from uuid import RFC_4122, UUID

import pytest

from hybrid_gateway import Gateway, Response, StreamingResponse, get
from hybrid_gateway.exceptions import ConfigurationError, Conflict
from hybrid_gateway.telemetry import (
    AccessLog,
    JSONFormatter,
    RequestID,
    RequestIDFilter,
    RequestIDs,
    ServerTiming,
    request_id,
)
from hybrid_gateway.test import TestClient

LINE = r'[\w.]+ "GET /things/1\?q=%22x%0D%0A HTTP/1.1" 200 \d+ \d+\.\dms'


@pytest.fixture(params=["async", "def"])
def view(request):
    if request.param == "async":

        @get("/things/{number:int}")
        async def handler(number: int, q: str = "") -> str:
            return request_id.get() or "none"

    else:

        @get("/things/{number:int}")
        def handler(number: int, q: str = "") -> str:
            return request_id.get() or "none"

    return handler


def test_every_request_has_an_id(serve, view):
    client = serve(view, event_hooks=[RequestID])
    answer = client.get("/things/1", headers={"X-Request-ID": "abc-1"})
    assert (answer.text, answer.headers["X-Request-ID"]) == ("abc-1", "abc-1")
    made = client.get("/things/1")
    assert re.fullmatch("[0-9a-f]{32}", made.text) and made.headers["X-Request-ID"] == made.text
    assert client.get("/things/1").text != made.text
    for forged in ("a b", "x" * 129, 'x"', ""):
        assert client.get("/things/1", headers={"X-Request-ID": forged}).text != forged
    assert request_id.get() is None


def test_the_id_of_errors_and_of_another_header(serve):
    class TraceID(RequestID):
        header = "X-Trace"

    @get("/")
    async def view() -> None:
        raise Conflict

    answer = serve(view, event_hooks=[TraceID]).get("/", headers={"X-Trace": "t"})
    assert (answer.status_code, answer.headers["X-Trace"]) == (409, "t")


def test_log_records_carry_the_id(serve, caplog):
    caplog.handler.addFilter(RequestIDFilter())

    @get("/")
    def view() -> str:
        logging.getLogger("shop").warning("sold out")
        return ""

    serve(view, event_hooks=[RequestID]).get("/", headers={"X-Request-ID": "r1"})
    logging.getLogger("shop").warning("outside")
    assert [record.request_id for record in caplog.records] == ["r1", "-"]


def test_server_timing_is_milliseconds(serve, view):
    answer = serve(view, event_hooks=[ServerTiming]).get("/things/1")
    assert re.fullmatch(r"app;dur=\d+\.\d", answer.headers["Server-Timing"])


def test_the_access_log_tells_and_cannot_be_forged(serve, view, caplog):
    caplog.set_level(logging.INFO, logger="hybrid_gateway.access")
    client = serve(view, event_hooks=[AccessLog])
    client.get('/things/1?q="x%0D%0A')
    [record] = caplog.records
    assert re.fullmatch(LINE, record.getMessage()), record.getMessage()
    assert (record.status_code, record.method, record.user_agent) == (200, "GET", "")
    caplog.clear()
    client.get("/things/1", headers={"User-Agent": "x"})
    assert caplog.records[0].user_agent == "x"


def test_the_access_log_knows_streams_and_is_silent_when_it_is_off(serve, caplog):
    @get("/")
    def view() -> StreamingResponse:
        return StreamingResponse(iter([b"a"]))

    client = serve(view, event_hooks=[AccessLog])
    caplog.set_level(logging.WARNING, logger="hybrid_gateway.access")
    client.get("/")
    assert not caplog.records
    caplog.set_level(logging.INFO, logger="hybrid_gateway.access")
    client.get("/")
    assert '" 200 - ' in caplog.text


def test_the_access_log_may_have_an_adapter_for_a_logger(serve, view, caplog):
    class Adapted(AccessLog):
        logger = logging.LoggerAdapter(logging.getLogger("shop.access"), {"shop": "north"})

    caplog.set_level(logging.INFO, logger="shop.access")
    assert serve(view, event_hooks=[Adapted]).get("/things/1").status_code == 200
    [record] = caplog.records
    assert '"GET /things/1 HTTP/1.1" 200 ' in record.getMessage() and record.shop == "north"


# --- ids on every road


class Shop(RequestID):
    header = "X-Shop"


def test_with_the_plugin_what_no_route_answers_has_an_id_too(serve, view, caplog):
    caplog.handler.addFilter(RequestIDFilter())

    def missing(error: Exception) -> str:
        logging.getLogger("shop").warning("nothing there")
        return "nothing"

    client = serve(view, plugins=[RequestIDs], exception_handlers={404: missing})
    assert client.get("/things/1", headers={"X-Request-ID": "r0"}).text == "r0"
    answers = [
        client.get("/nowhere", headers={"X-Request-ID": "r1"}),
        client.post("/things/1", headers={"X-Request-ID": "r2"}),
        client.options("/things/1", headers={"X-Request-ID": "r3"}),
        client.get("/things/1/", headers={"X-Request-ID": "r4"}),
    ]
    assert [answer.status_code for answer in answers] == [500, 405, 204, 308]
    assert [answer.headers["X-Request-ID"] for answer in answers] == ["r1", "r2", "r3", "r4"]
    assert [record.request_id for record in caplog.records if record.name == "shop"] == ["r1"]
    assert re.fullmatch("[0-9a-f]{32}", client.get("/nowhere").headers["X-Request-ID"])
    refused = client.get("/things/%0a", headers={"X-Request-ID": "r5"})
    assert (refused.status_code, refused.headers["X-Request-ID"]) == (400, "r5")


def test_the_plugin_takes_the_place_of_the_hook(serve, view):
    client = serve(view, plugins=[RequestIDs(Shop)], event_hooks=[RequestID])
    answer = client.get("/things/1", headers={"X-Shop": "s"})
    assert (answer.text, answer.headers["X-Shop"], "X-Request-ID" in answer.headers) == ("s", "s", False)
    assert client.get("/x", headers={"X-Shop": "t"}).headers["X-Shop"] == "t"
    with pytest.raises(ConfigurationError):
        RequestIDs(view)


@pytest.mark.parametrize("path", ["/sync/", "/async/"])
def test_django_views_share_the_id(settings, caplog, path):
    caplog.handler.addFilter(RequestIDFilter())
    settings.MIDDLEWARE = ["hybrid_gateway.telemetry.RequestIDMiddleware", *settings.MIDDLEWARE]
    settings.ROOT_URLCONF = "tests.sites.request_id_urls"
    gateway = Gateway([], django_routes=["/sync/", "/async/"])
    answer = asyncio.run(ask(gateway, path, [(b"x-request-id", b"d1")]))
    assert answer == (200, "d1", b"d1 d1")
    assert [record.request_id for record in caplog.records if record.name == "shop"] == ["d1"]
    client = TestClient(gateway)  # which calls Django's view right here, in the context of the test
    answer = copy_context().run(client.get, path, headers={"X-Request-ID": "d2"})
    assert answer.headers["X-Request-ID"] == "d2"


async def ask(gateway, path, headers):
    """Status, id and body, as a server asks: on the gateway's own threads."""
    sent = []
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers], "scheme": "http", "root_path": "",
        "server": ("testserver", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return next(messages, None) or await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await gateway(scope, receive, send)
    found = {name.lower(): value for name, value in sent[0]["headers"]}
    return (
        sent[0]["status"],
        found.get(b"x-request-id", b"-").decode(),
        b"".join(part.get("body", b"") for part in sent[1:]),
    )


# --- logs as JSON


def logged(**record):
    made = logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "sold %s", "args": ("out",), **record})
    line = JSONFormatter().format(made)
    assert "\n" not in line
    return json.loads(line)


def test_a_record_is_a_line_of_json_with_its_fields():
    line = logged(created=0.5, product=7, price=Decimal("1.50"), name="shop\nforged")
    assert line == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "logger": "shop\nforged",
        "message": "sold out",
        "product": 7,
        "price": "1.50",
    }


def test_a_line_of_json_has_the_id_and_the_exception(serve, monkeypatch):
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(self.format(record)))

    handler = Keep()
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "propagate", False)  # what is no text, others need not be able to write

    @get("/")
    def broken() -> None:
        raise ValueError("\ud800")

    try:
        serve(broken, plugins=[RequestIDs], raises=False).get("/", headers={"X-Request-ID": "r1"})
    finally:
        logger.removeHandler(handler)
    [line] = lines
    assert (line["request_id"], line["status_code"], line["message"]) == ("r1", 500, "Internal Server Error: GET /")
    assert line["exception"].splitlines()[0].startswith("Traceback") and "\\ud800" in line["exception"]


def test_a_field_cannot_take_the_place_of_another():
    assert logged(level="forged", time="never")["level"] == "INFO"


# --- hooks of ours, which see complete responses as they are ----------------------------------------------------------


def test_a_hook_with_a_method_of_its_own_is_asked_as_others_are(serve):
    class Loud(RequestID):
        def on_response(self, response: Response) -> None:
            super().on_response(response)
            response.headers["X-Loud"] = self.id.upper()

    class Sure(RequestID):
        def on_request(self) -> None:
            self.take("sure")

    @get("/loud", event_hooks=[Loud])
    async def loud() -> str:
        return ""

    @get("/sure", event_hooks=[Sure])
    async def sure() -> str:
        return request_id.get() or "none"

    client = serve(loud, sure)
    assert client.get("/loud", headers={"X-Request-ID": "id"}).headers["X-Loud"] == "ID"
    answer = client.get("/sure", headers={"X-Request-ID": "id"})
    assert (answer.text, answer.headers["X-Request-ID"]) == ("sure", "sure")


def test_the_id_of_a_handler_gives_way_and_each_timing_stays(serve):
    @get("/", response_headers={"X-Request-ID": "fixed", "Server-Timing": "db;dur=1"})
    async def fixed() -> str:
        return ""

    @get("/own")
    async def own() -> Response[str]:
        return Response("", headers={"X-Request-Id": "own"})

    client = serve(fixed, own, event_hooks=[RequestID, ServerTiming])
    for path in ("/", "/own"):
        answer = client.get(path, headers={"X-Request-ID": "id"})
        assert answer.headers["X-Request-ID"] == "id"  # two would be joined by a comma
    assert re.fullmatch(r"db;dur=1, app;dur=\d+\.\d", client.get("/").headers["Server-Timing"])


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b", "a\x7fb"])
@pytest.mark.parametrize("hook", [RequestID, ServerTiming])
def test_what_could_be_another_header_is_never_sent(serve, hook, value):
    class Careless(hook):
        header = "X-Request-ID"

        def take(self, given: str) -> None:
            self.id = value

        def _timing(self) -> str:
            return value

    @get("/json")
    async def as_json() -> dict[str, int]:  # whose headers are fixed, and written once
        return {"a": 1}

    @get("/text")
    async def as_text() -> str:
        return "fine"

    client = serve(as_json, as_text, event_hooks=[Careless], raises=False)
    for path in ("/json", "/text"):
        try:
            answer = client.get(path)
        except ValueError as error:  # as servers see it
            assert "is no value of the header" in str(error)
        else:
            assert answer.status_code == 500
            assert "X-Injected" not in answer.headers and value not in answer.headers.values()


def test_a_hook_that_fails_is_answered_and_those_around_it_see_that(serve):
    class Broken(AccessLog):
        def observe(self, ctx, response):
            raise Conflict

    @get("/")
    async def view() -> str:
        return "fine"

    @get("/def")
    def blocking() -> str:
        return "fine"

    client = serve(view, blocking, event_hooks=[RequestID, Broken])
    for path in ("/", "/def"):
        answer = client.get(path, headers={"X-Request-ID": "id"})
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (409, "id")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_was_forked_makes_other_ids():
    code = """
import os
from hybrid_gateway.telemetry import RequestID
child = os.fork()
if child:
    os.waitpid(child, 0)  # both write to one pipe
hook = RequestID()
hook.take("")
print(hook.id, flush=True)
"""
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(set(made)) == 2
    assert all(UUID(text).version == 4 and UUID(text).variant == RFC_4122 for text in made)
