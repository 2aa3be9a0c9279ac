"""Request ids, server timing and the access log, over every driver."""

import logging
import re

import pytest

from hybrid_gateway import StreamingResponse, get
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.telemetry import AccessLog, RequestID, RequestIDFilter, ServerTiming, request_id

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
    client.get("/")
    assert not caplog.records
    caplog.set_level(logging.INFO, logger="hybrid_gateway.access")
    client.get("/")
    assert '" 200 - ' in caplog.text
