"""Server-Sent Events: their format, how they stream, and what keeps their connection alive."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from http.client import IncompleteRead
from typing import Annotated

import msgspec
import pytest

from hybrid_gateway import EventSourceResponse, Gateway, Header, ServerSentEvent, get
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document


class Price(msgspec.Struct):
    product: int
    cents: int


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ServerSentEvent(data="hello"), "data: hello\n\n"),
        (ServerSentEvent(data="two\r\nlines\nand\rmore"), "data: two\ndata: lines\ndata: and\ndata: more\n\n"),
        (ServerSentEvent(data=""), "data: \n\n"),
        (ServerSentEvent(data=Price(1, 2)), 'data: {"product":1,"cents":2}\n\n'),
        (ServerSentEvent(data=[1, "ä"]), 'data: [1,"ä"]\n\n'),
        (ServerSentEvent(data="x", event="price", id="7", retry=500), "event: price\nid: 7\nretry: 500\ndata: x\n\n"),
        (ServerSentEvent(id=""), "id: \n\n"),
        (ServerSentEvent(comment="one\ntwo"), ": one\n: two\n\n"),
    ],
)
def test_the_format(event, text):
    assert event.encode().decode() == text


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\ndata: forged", "a\x00"])
def test_names_and_ids_cannot_forge_fields(field, value):
    with pytest.raises(ValueError, match="one line"):
        ServerSentEvent(**{field: value}).encode()


def test_a_handler_streams_events(serve):
    @get("/async")
    async def asynchronous() -> AsyncIterator[ServerSentEvent]:
        for number in range(2):
            await asyncio.sleep(0)
            yield ServerSentEvent(data=number, id=str(number))

    @get("/def")
    def synchronous() -> Iterator[ServerSentEvent]:
        for number in range(2):
            yield ServerSentEvent(data=number, id=str(number))

    @get("/response")
    def response() -> EventSourceResponse:
        return EventSourceResponse((number for number in range(2)), headers={"X-A": "b"}, heartbeat=None)

    client = serve(asynchronous, synchronous, response)
    for path in ("/async", "/def"):
        answer = client.get(path)
        assert answer.text == "id: 0\ndata: 0\n\nid: 1\ndata: 1\n\n"
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-cache"
    assert client.get("/response").text == "data: 0\n\ndata: 1\n\n"
    assert client.get("/response").headers["X-A"] == "b"


def test_a_client_goes_on_where_it_stopped(serve):
    @get("/")
    async def events(last_event_id: Annotated[int, Header()] = 0) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(data="next", id=str(last_event_id + 1))

    assert serve(events).get("/", headers={"Last-Event-ID": "41"}).text == "id: 42\ndata: next\n\n"


def test_a_heartbeat_while_nothing_happens(serve):
    @get("/async")
    async def asynchronous() -> EventSourceResponse:
        async def quiet():
            await asyncio.sleep(0.2)
            yield "late"

        return EventSourceResponse(quiet(), heartbeat=0.05)

    @get("/def")
    def synchronous() -> EventSourceResponse:
        def quiet():
            time.sleep(0.2)
            yield "late"

        return EventSourceResponse(quiet(), heartbeat=0.05)

    client = serve(asynchronous, synchronous)
    for path in ("/async", "/def"):
        text = client.get(path).text
        assert text.startswith(": \n\n")
        assert text.endswith("data: late\n\n")


def test_an_iterator_runs_in_one_task_and_is_closed_with_the_connection():
    tasks, closed = set(), []

    @get("/")
    async def events() -> AsyncIterator[ServerSentEvent]:
        tasks.add(asyncio.current_task())
        try:
            while True:
                tasks.add(asyncio.current_task())
                yield ServerSentEvent(data="x")
                await asyncio.sleep(0.01)
        finally:
            tasks.add(asyncio.current_task())
            closed.append(True)

    async def main():
        gone = asyncio.Event()
        sent = []

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            if len(sent) == 5:
                gone.set()

        scope = {
            "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
            "headers": [(b"host", b"testserver")], "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        await asyncio.wait_for(Gateway([events])(scope, receive, send), 2)

    asyncio.run(main())
    assert closed == [True]
    assert len(tasks) == 1


def test_an_error_in_the_midst_of_events_is_no_quiet_end(serve):
    @get("/")
    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(data="x")
        raise ValueError("broken")

    with pytest.raises((ValueError, IncompleteRead)):  # on the lane, what is written ends without an end
        serve(events).get("/")


def test_events_in_the_document():
    @get("/events")
    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent()

    answer = build_document(Gateway([events]).endpoints, OpenAPISettings())["paths"]["/events"]["get"]["responses"][
        "200"
    ]
    assert list(answer["content"]) == ["text/event-stream"]


def test_a_heartbeat_is_a_time():
    with pytest.raises(ValueError, match="heartbeat"):
        EventSourceResponse([], heartbeat=0)
