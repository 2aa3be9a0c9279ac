"""The same raw bytes down both roads: uvicorn's own protocol and the lane. What comes back must be the same.

python -m tests.drivers.lane_fuzz --requests 100000
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

import msgspec
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hybrid_gateway import (
    Gateway,
    Header,
    JSONResponse,
    PlainTextResponse,
    Query,
    Request,
    StreamingResponse,
    get,
    post,
    route,
)
from hybrid_gateway.concurrency.caller_threads import InlineThread
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.drivers.lane.request import LaneRequest
from hybrid_gateway.exceptions import Conflict
from tests.drivers.lane import Transport

# --- an application that tells what it sees ---------------------------------------------------------------------------

counter = {"lane": 0}


class Item(msgspec.Struct):
    """A body."""

    name: str
    count: int = 1


@route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
async def echo(request: Request) -> dict[str, Any]:
    """The whole scope and the body."""
    scope = {name: value for name, value in request.scope.items() if name not in ("app", "router", "endpoint")}
    return {"scope": repr(sorted(scope.items())), "body": repr(await request.body())}


@get("/")
def root() -> str:
    return "root"


@get("/hello")
async def hello(x: str = "", n: Annotated[int, Query(ge=0)] = 0) -> dict[str, str]:
    return {"message": "Hello", "x": x}


@get("/items/{item_id:int}")
def item(item_id: int, accept: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    return {"id": item_id, "accept": accept}


@get("/files/{name:path}")
async def file(name: str) -> str:
    await asyncio.sleep(0)
    return name


@post("/items")
async def create(data: Item) -> Item:
    return data


@post("/sync")
def create_sync(data: list[int]) -> dict[str, int]:
    return {"sum": sum(data)}


@get("/nothing")
async def nothing() -> None:
    return None


@get("/close")
async def close() -> PlainTextResponse:
    return PlainTextResponse("bye", headers={"Connection": "close"})


@get("/closing", response_headers={"Connection": "close", "X-Fixed": "1"})
async def closing() -> dict[str, int]:
    return {"a": 1}


@get("/not-modified", status_code=304)
async def not_modified() -> dict[str, int]:
    return {"a": 1}


@get("/conflict")
async def conflict() -> None:
    raise Conflict("no", headers={"X-Why": "because"})


@get("/split")
async def split() -> None:
    raise Conflict("no", headers={"X-Split": "a\r\nX-Injected: 1"})


@get("/broken")
def broken() -> None:
    raise ValueError("broken")


@get("/cancelled")
async def cancelled() -> None:
    raise asyncio.CancelledError


@get("/exit")
async def leave() -> None:
    await asyncio.sleep(0)
    raise SystemExit(3)


@get("/strange")
async def strange() -> tuple[str, int]:
    return "strange", 799


@get("/stream")
async def stream() -> AsyncIterator[bytes]:
    for part in (b"one", b"two"):
        await asyncio.sleep(0)
        yield part


@get("/blocks")
def blocks() -> Iterator[bytes]:
    yield b"one"
    yield b"two"


@get("/response")
async def response(request: Request) -> JSONResponse:
    return JSONResponse({"length": len(await request.body())}, status_code=202, headers={"X-A": "b"})


@get("/length")
async def wrong_length() -> StreamingResponse:
    return StreamingResponse(iter([b"12345"]), headers={"Content-Length": "3"})


ROUTES = [
    echo, root, hello, item, file, create, create_sync, nothing, close, closing, not_modified, conflict, split, broken,
    cancelled, leave,
    strange, stream, blocks, response, wrong_length,
]  # fmt: skip


class CountedRequest(LaneRequest):
    """Counts what did not go through ASGI, so that a run shows that it compared two roads."""

    def __init__(self, *args: Any) -> None:
        counter["lane"] += 1
        super().__init__(*args)
        names = (b"host", b"x", b"connection", b"accept", b"x-empty", b"x-utf8", b"content-type", b"x-long", b"cookie")
        found = [self.header(name) for name in names]  # in the bytes
        assert found == [dict(self.raw_headers).get(name) for name in names], self._data  # by the parser


class CountingLane(LaneProtocol):
    request_class = CountedRequest


# --- two roads --------------------------------------------------------------------------------------------------------


def make_config(gateway: Gateway) -> uvicorn.Config:
    """A server's configuration that trusts every proxy, so that what it makes of its headers is compared."""
    config = uvicorn.Config(gateway, log_config=None, access_log=False, ws="none", forwarded_allow_ips="*")
    config.load()
    return config


async def talk(kind: Any, config: uvicorn.Config, chunks: list[bytes], patient: bool) -> tuple[bytes, bool]:
    """What a connection answers to ``chunks``, and whether it was closed; ``patient`` clients wait between them."""
    state = ServerState()
    state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"uvicorn")]
    protocol = kind(config, state, {"key": "value"}, asyncio.get_running_loop())
    transport = Transport(peername=("192.0.2.1", 4321), sockname=("192.0.2.2", 80))
    protocol.connection_made(transport)
    for chunk in chunks:
        if transport.closed:
            break
        protocol.data_received(chunk)
        await settle(state, turns=80 if patient else 3)
    await settle(state)
    transport_closed = transport.closed
    protocol.connection_lost(None)
    await settle(state)
    for task in list(state.tasks):
        task.cancel()
    await asyncio.sleep(0)
    return bytes(transport.written), transport_closed


async def settle(state: ServerState, turns: int = 80) -> None:
    """Let the loop turn until no request is being answered, or those left wait for bytes that did not come."""
    for _ in range(turns):
        if not state.tasks:
            return
        await asyncio.sleep(0)


# --- requests, many of them wrong -------------------------------------------------------------------------------------

METHODS = [b"GET"] * 6 + [b"POST"] * 4 + [b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"get", b"FOO"]
TARGETS = [
    b"/", b"/hello", b"/hello?x=1", b"/hello?x=%20&n=-1", b"/hello?n=2#part", b"/items/5", b"/items/x", b"/items/5/",
    b"/files/a/b%2Fc", b"/files/%ff", b"/items", b"/sync", b"/nothing", b"/close", b"/closing", b"/not-modified",
    b"/conflict", b"/split", b"/broken", b"/strange", b"/stream", b"/blocks", b"/response", b"/length", b"/echo",
    b"/echo?", b"/echo?a=b?c", b"/%65cho", b"//echo", b"/echo#", b"/echo/../hello", b"/nope", b"*", b"",
    b"http://example.org/echo", b"http://example.org", b"echo", b"/ec\xc3\xa9", b"/page/", b"/page", b"/%70age/",
    b"/hello\t", b"/he llo", b"?x=1", b"/echo;x=1", b"/echo%", b"/echo%zz", b"/echo%00",
]  # fmt: skip
ODD_TARGETS = [
    b"/hello?x=\x7f", b'/hello?x="', b"/hello?x=1#", b"/hello?x=\xff", b"/hello?x=1 HTTP/1.1", b"/hello?x=1\r",
    b"/hello\x0b", b"/hello\n", b"/items//5", b"/items/./5", b"/files/../hello", b"/files/a/.b", b"/items/5;x",
    b"/items/\\5", b"/HELLO", b"/PAGE/", b"/hello??x=1", b"/hello?x=%zz", b"/hello?x=a;b", b"/files/" + b"x" * 9000,
    b"/items/5?" + b"y" * 9000, b"/items/-5", b"/items/+5", b"/files/a:b@c", b"/files/a b", b"/files/a|b",
    b"/files/{a}", b"/hello/", b"hello", b"//",
]  # fmt: skip
ANSWERED = [
    (b"GET", b"/"), (b"GET", b"/hello"), (b"GET", b"/hello?x=1&n=3"), (b"GET", b"/hello?n=x"), (b"HEAD", b"/hello"),
    (b"GET", b"/items/5"), (b"HEAD", b"/items/5"), (b"GET", b"/files/a/b%2Fc"), (b"POST", b"/items"),
    (b"POST", b"/sync"), (b"GET", b"/nothing"), (b"GET", b"/close"), (b"GET", b"/closing"),
    (b"GET", b"/not-modified"), (b"GET", b"/conflict"), (b"GET", b"/cancelled"), (b"GET", b"/exit"),
    (b"GET", b"/split"), (b"GET", b"/broken"), (b"GET", b"/strange"), (b"GET", b"/stream"), (b"HEAD", b"/stream"),
    (b"GET", b"/blocks"), (b"GET", b"/response"), (b"GET", b"/length"), (b"POST", b"/echo?a=b"), (b"GET", b"/echo"),
    (b"PUT", b"/echo"), (b"GET", b"/echo?a=%20"), (b"GET", b"/%65cho"), (b"POST", b"/echo"), (b"DELETE", b"/echo"),
]  # fmt: skip
ONE_IN_FOUR = st.sampled_from([False, False, False, True])
VERSIONS = [b"HTTP/1.1"] * 24 + [b"HTTP/1.0"] * 2 + [b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 "]
HEADERS = [
    b"Host: example.org", b"host:example.org", b"HOST:\texample.org \t", b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive, Upgrade", b"Upgrade: h2c", b"Upgrade: websocket", b"Expect: 100-continue",
    b"EXPECT: 100-Continue", b"Expect: 200-ok", b"Accept: */*", b"accept: application/json",
    b"X-Long: " + b"x" * 300,
    b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Proto: https", b"Cookie: a=b; c=d", b"X: 100-x", b"X-Empty:",
    b"X-Utf8: \xc3\xa9", b"X-Bad: a\x00b", b"X Bad: a", b"X-Fold: a\r\n b", b": nameless", b"No-Colon",
    b"Content-Type: application/json", b"Content-Type: text/plain", b"Authorization: Bearer x",
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: +5", b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"X-CR: a\rb",
]  # fmt: skip
BODIES = [
    b"",
    b'{"name":"x"}',
    b'{"name":1}',
    b"[1,2,3]",
    b"[" * 3,
    b"\x00\xff" * 10,
    b'{"name":"' + b"y" * 2000 + b'"}',
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request, right more often than not."""
    method, target = draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS))
    if draw(st.sampled_from([True, True, False])):
        method, target = draw(st.sampled_from(ANSWERED))
    lines = [method + b" " + target + b" " + draw(st.sampled_from(VERSIONS))]
    lines += draw(st.lists(st.sampled_from(HEADERS), max_size=4)) if draw(ONE_IN_FOUR) else [b"Host: example.org"]
    body = draw(st.sampled_from(BODIES)) if method not in (b"GET", b"HEAD") or draw(st.integers(0, 5)) == 0 else b""
    framing = draw(st.sampled_from(["length", "length", "length", "chunked", "none"])) if body else "none"
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        middle = draw(st.integers(0, len(body)))
        parts = [part for part in (body[:middle], body[middle:]) if part]
        trailer = draw(st.sampled_from([b"", b"", b"X-Trailer: 1\r\n"]))
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"
    raw = b"\r\n".join(lines) + b"\r\n\r\n" + body
    if draw(ONE_IN_FOUR) and draw(ONE_IN_FOUR):  # a wrong byte somewhere
        position = draw(st.integers(0, len(raw) - 1))
        raw = raw[:position] + draw(st.binary(max_size=3)) + raw[position + draw(st.integers(0, 2)) :]
    return raw


@st.composite
def first_lines(draw: st.DrawFn) -> bytes:
    """The first line of a request, often one that only a parser may judge."""
    method, target = draw(st.sampled_from(ANSWERED))
    if draw(ONE_IN_FOUR):
        method = draw(st.sampled_from(METHODS))
    if draw(ONE_IN_FOUR):
        target = draw(st.sampled_from(TARGETS + ODD_TARGETS))
    line = method + b" " + target + b" " + (draw(st.sampled_from(VERSIONS)) if draw(ONE_IN_FOUR) else b"HTTP/1.1")
    if draw(ONE_IN_FOUR):  # a byte too much, or another one
        at = draw(st.integers(0, len(line)))
        line = line[:at] + bytes([draw(st.integers(0, 255))]) + line[at + draw(st.integers(0, 1)) :]
    return line if draw(st.integers(0, 9)) else draw(st.sampled_from([b"\r\n", b"\n", b" ", b"\t", b"\0"])) + line


@st.composite
def repeated_heads(draw: st.DrawFn) -> list[bytes]:
    """Requests that differ in their first lines and bodies alone, whose lengths are not always those announced."""
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=3)) if draw(ONE_IN_FOUR) else []
    body = draw(st.sampled_from(BODIES[1:])) if draw(st.booleans()) else b""
    framing = draw(st.sampled_from([b"Content-Length: %d" % len(body)] * 6 + [b"Transfer-Encoding: chunked"]))
    lines = [b"Host: example.org", *headers, *([framing] if body or draw(ONE_IN_FOUR) else [])]
    rest = b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"
    sent = [(b"POST /items" if body else b"GET /hello") + b" HTTP/1.1" + rest + body]
    for line in draw(st.lists(first_lines(), min_size=1, max_size=4)):
        content = body
        if draw(ONE_IN_FOUR):
            content = draw(
                st.sampled_from([body[:-1], body + b"x", body[::-1], b"", b"0\r\n\r\n", rest, body + sent[0]])
            )
        sent.append(line + rest + content)
    return sent


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], bool, int]:
    """What a client writes, in pieces; whether it waits for answers; how many requests that are."""
    sent = draw(repeated_heads() if draw(st.booleans()) else st.lists(requests(), min_size=1, max_size=4))
    cut = draw(st.sampled_from(["request"] * 7 + ["together", "anywhere", "bytes"]))
    if cut == "request":
        chunks = sent
    elif cut == "together":
        chunks = [b"".join(sent)]
    elif cut == "bytes":
        first = sent[0][:200]
        chunks = [first[i : i + 1] for i in range(len(first))] + [sent[0][200:], *sent[1:]]
    else:
        whole = b"".join(sent)
        cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
        chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    return [chunk for chunk in chunks if chunk], draw(st.booleans()), len(sent)


# --- the comparison ---------------------------------------------------------------------------------------------------


class StricterProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the lane's rules: trailers are no headers, a target has no fragment."""

    is_body = False

    def on_message_begin(self) -> None:
        self.is_body = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        LaneProtocol._check_target(self)  # type: ignore[arg-type]
        self.is_body = True
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_body:
            super().on_header(name, value)


class Comparison:
    """Both roads to one gateway, and how many requests went down each."""

    def __init__(self) -> None:
        self.gateway = Gateway(ROUTES, django_routes=["/page/"])
        self.gateway.lend_thread = InlineThread  # type: ignore[assignment]  # no thread's pace decides what comes first
        self.config = make_config(self.gateway)
        self.requests = 0
        self.loop = asyncio.new_event_loop()

    def run(self, chunks: list[bytes], patient: bool, count: int) -> None:
        """Send ``chunks`` down both roads; ``AssertionError`` when the answers differ."""
        self.requests += count
        logging.disable(logging.CRITICAL)
        try:
            expected = self.loop.run_until_complete(talk(StricterProtocol, self.config, chunks, patient))
            if not patient and b"400 Bad Request" in expected[0]:  # it cuts off what is on its way, somewhere
                self.run(chunks, True, 0)
                return
            answer = self.loop.run_until_complete(talk(CountingLane, self.config, chunks, patient))
        finally:
            logging.disable(logging.NOTSET)
        assert answer == expected, f"{chunks}\nlane:    {answer}\nuvicorn: {expected}"

    def close(self) -> None:
        """Give the loop back."""
        self.loop.close()


def main() -> None:
    """Compare until so many requests went down both roads."""
    parser = argparse.ArgumentParser(prog="tests.drivers.lane_fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    comparison = Comparison()
    start = time.monotonic()
    while comparison.requests < options.requests:

        @settings(
            max_examples=2000, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(conversations())
        def compare(conversation: tuple[list[bytes], bool, int]) -> None:
            comparison.run(*conversation)

        compare()
        print(
            f"{comparison.requests} requests down both roads without a difference, {counter['lane']} of them on the "
            f"lane, {time.monotonic() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
