"""Canaries of ``hybrid_gateway/_compat/uvicorn_internals.py``."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import ChangeReload, Multiprocess

from hybrid_gateway._compat import uvicorn_internals as internals
from hybrid_gateway.drivers.start_lines import start_line
from tests.compat import canary
from tests.drivers.lane import Transport

GET = b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


class Timed(internals.UvicornConnection):
    arrivals = 0

    def on_bytes(self) -> None:
        self.arrivals += 1


def connect(kind: type[HttpToolsProtocol] = Timed, app: Any = answer, **options: Any) -> Any:
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", **options)
    config.load()
    state = internals.ServerState()
    protocol = kind(config, state, {"key": 1}, asyncio.get_running_loop())
    protocol.connection_made(Transport(peername=("192.0.2.1", 4321), sockname=("192.0.2.2", 80)))
    return protocol


async def finish(protocol: Any) -> bytes:
    while protocol.tasks:
        await asyncio.wait(protocol.tasks)
        await asyncio.sleep(0)
    return bytes(protocol.transport.written)


@canary("run_on")
def test_sockets_that_are_bound_are_served_by_one_process_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    started = uvicorn.Server.run

    def run(server: Any, sockets: Any = None) -> None:
        served.append((type(server), sockets))
        server.started = True

    monkeypatch.setattr(uvicorn.Server, "run", run)
    for kind in (ChangeReload, Multiprocess):
        monkeypatch.setattr(kind, "run", lambda it: served.append((type(it), it.sockets)))
    sockets: list[Any] = [object()]
    name = f"{__name__}:answer"
    for options in ({}, {"workers": 2}, {"reload": True}):
        internals.run_on(uvicorn.Config(name, log_config=None, **options), sockets)
    kinds = [uvicorn.Server, Multiprocess, ChangeReload]
    assert served == [(kind, sockets) for kind in kinds]
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: None)  # the application does not start
    with pytest.raises(SystemExit) as ended:
        internals.run_on(uvicorn.Config(name, log_config=None), sockets)
    assert ended.value.code == 3
    assert list(inspect.signature(started).parameters) == ["self", "sockets"]


@canary("UvicornConnection")
def test_a_connection_has_its_attributes_and_tells_of_bytes() -> None:
    async def main() -> None:
        protocol = connect()
        for name in ("headers", "url", "tasks", "pipeline", "timeout_keep_alive", "limit_concurrency", "access_logger"):
            assert name == "url" or hasattr(protocol, name), name
        assert (protocol.server, protocol.client, protocol.scheme) == (("192.0.2.2", 80), ("192.0.2.1", 4321), "http")
        assert (protocol.app_state, protocol.asgi_version, protocol.access_log) == ({"key": 1}, "3.0", False)
        assert (protocol.flow.write_paused, protocol.flow.read_paused) == (False, False)
        await protocol.flow.drain()
        protocol.flow.resume_reading()
        before = protocol.server_state.total_requests
        protocol.data_received(GET)
        assert protocol.arrivals == 1
        assert protocol.url == b"/a?b=c" and protocol.headers == [(b"host", b"example.org")]
        cycle = protocol.cycle
        assert not (cycle.response_started or cycle.response_complete or cycle.disconnected or cycle.more_body)
        assert cycle.keep_alive and cycle.body == b"" and cycle.message_event.is_set()
        assert (await finish(protocol)).endswith(b"\r\n\r\n/a")
        assert cycle.response_started and cycle.response_complete
        assert protocol.server_state.total_requests == before + 1 and protocol.arrivals >= 2

    asyncio.run(main())


@canary("UvicornConnection", "build_parser")
def test_parser_and_event_of_a_connection_are_made_when_they_are_needed() -> None:
    async def main() -> None:
        protocol = connect()
        assert "parser" not in vars(protocol) and "_is_writable_event" not in vars(protocol.flow)
        protocol.pause_writing()
        drained = asyncio.ensure_future(protocol.flow.drain())
        await asyncio.sleep(0)
        assert not drained.done()
        protocol.resume_writing()
        await drained
        protocol.data_received(GET * 2)
        assert len(protocol.pipeline) == 1
        theirs: Any = connect(HttpToolsProtocol)
        assert type(protocol.parser) is type(theirs.parser)
        assert set(vars(theirs)) - set(vars(protocol)) == set()
        assert set(vars(theirs.flow)) == set(vars(protocol.flow))
        protocol.cycle.keep_alive = False
        protocol.connection_lost(None)
        assert protocol.parser is None
        fresh = connect()
        fresh.connection_lost(None)
        assert fresh.parser is None
        await finish(protocol)

    asyncio.run(main())


@canary("RequestResponseCycle", "build_cycle")
def test_a_cycle_that_is_built_by_hand_answers() -> None:
    async def main() -> None:
        protocol = connect()
        scope = {"type": "http", "method": "GET", "path": "/x", "http_version": "1.1", "headers": []}
        cycle = internals.build_cycle(protocol, scope, keep_alive=False)
        assert isinstance(cycle, internals.RequestResponseCycle) and not cycle.more_body
        cycle.message_event.set()
        await cycle.run_asgi(answer)
        assert protocol.transport.written.endswith(b"\r\nconnection: close\r\n\r\n/x") and protocol.transport.closed

    asyncio.run(main())


@canary("start_cycle")
def test_a_cycle_that_waited_is_started_as_a_task_of_the_connection() -> None:
    async def main() -> None:
        protocol = connect()
        cycle = internals.build_cycle(
            protocol,
            {"type": "http", "method": "GET", "path": "/y", "http_version": "1.1", "headers": []},
            keep_alive=True,
        )
        cycle.message_event.set()
        internals.start_cycle(protocol, cycle, answer)
        assert len(protocol.tasks) == 1
        assert (await finish(protocol)).endswith(b"/y")

    asyncio.run(main())
    assert list(inspect.signature(HttpToolsProtocol._start_asgi_task).parameters) == ["self", "cycle", "app"]


class Head:
    """A head that is joined when it is asked for."""

    head, stamp = b"", None

    def renew(self, head: Head, status: int, defaults: Any) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % header for header in (*defaults, (b"x-a", b"1")))
        return start_line(status, ()) + lines + b"content-length: "


Ended = tuple[bytes, bool, dict[str, Any], int, list[str]]


def ended(data: bytes, status: int, body: bytes, *, access_log: bool, whole: bool) -> Ended:
    """What is left of a connection after ``data``: bytes, whether it is closed, state, count, and log."""
    cycles, lines, head = list[Any](), list[str](), Head()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        cycles.append(send.__self__)
        if scope["method"] == "POST":
            await receive()
        if whole:
            end = b"%d\r\n\r\n" % len(body)
            assert internals.write_whole(send, head, status, end, body, head.renew)
            return
        headers = [(b"x-a", b"1"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def main() -> Ended:
        protocol = connect(HttpToolsProtocol, app, proxy_headers=False)
        protocol.access_log = access_log
        protocol.access_logger = Logger(lines)
        protocol.server_state.default_headers = [(b"date", b"today"), (b"server", b"uvicorn")]
        protocol.data_received(data)
        written = await finish(protocol)
        states = {}
        for number, cycle in enumerate(cycles):
            states.update({f"{number}.{name}": value for name, value in vars(cycle).items() if name in STATE})
            states[f"{number}.event"] = cycle.message_event.is_set()
        waits = protocol.timeout_keep_alive_task is not None
        states.update(waits=waits, pipeline=len(protocol.pipeline), reads=not protocol.flow.read_paused)
        return written, protocol.transport.closed, states, protocol.server_state.total_requests, lines

    return asyncio.run(main())


class Logger:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def info(self, message: str, *arguments: object) -> None:
        self.lines.append(message % arguments)


STATE = (
    *("response_started", "response_complete", "keep_alive", "chunked_encoding", "expected_content_length"),
    *("waiting_for_100_continue", "disconnected", "body", "more_body"),
)
REQUESTS = {
    "GET": GET,
    "HEAD": GET.replace(b"GET", b"HEAD"),
    "POST": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    "closing": GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "closing HEAD": b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "pipelined": GET * 3,
    "expecting": b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    "expecting, unread": b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    "chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
}


@canary("write_whole")
@pytest.mark.parametrize("access_log", [False, True])
@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (201, b""), (404, b"x" * 70_000)])
@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS)
def test_a_response_that_is_written_whole_is_that_of_uvicorns_own_method(
    data: bytes, status: int, body: bytes, access_log: bool
) -> None:
    expected = ended(data, status, body, access_log=access_log, whole=False)
    assert expected[0].startswith(b"HTTP/1.1 ") and len(expected[4]) == access_log * expected[3]
    assert ended(data, status, body, access_log=access_log, whole=True) == expected


class OtherCycle(internals.RequestResponseCycle):
    pass


@canary("write_whole")
def test_whatever_stands_before_uvicorns_method_sees_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        protocol, head = connect(proxy_headers=False), Head()
        scope: Any = {"type": "http", "method": "GET", "path": "/x", "http_version": "1.1", "headers": []}

        def fresh() -> Any:
            return internals.build_cycle(protocol, scope, keep_alive=True)

        def is_written(send: Any) -> bool:
            return internals.write_whole(send, head, 200, b"1\r\n\r\n", b"x", head.renew)

        async def wrapper(message: Any) -> None:
            await fresh().send(message)

        class Proxy:
            """As of wrapt: all attributes are those of what is inside."""

            def __init__(self, inside: Any) -> None:
                self.__func__, self.__self__ = inside.__func__, inside.__self__

        other, started, gone, full, chunked = fresh(), fresh(), fresh(), fresh(), fresh()
        other.__class__ = OtherCycle
        started.response_started = gone.disconnected = chunked.chunked_encoding = True
        for send in (wrapper, Proxy(fresh().send), other.send, started.send, gone.send, chunked.send, fresh().receive):
            assert not is_written(send), send
        protocol.flow.pause_writing()
        assert not is_written(full.send)
        protocol.flow.resume_writing()
        assert not protocol.transport.written and not full.response_started
        assert is_written(full.send) and not is_written(full.send)
        monkeypatch.setattr(internals.RequestResponseCycle, "send", wrapper)
        assert not is_written(fresh().send)

    asyncio.run(main())


@canary("ServerState", "server_headers")
def test_a_server_makes_another_list_of_default_headers_each_second() -> None:
    async def main() -> None:
        config = uvicorn.Config(answer, log_config=None)
        config.load()
        server = uvicorn.Server(config)
        found = []
        for counter in (0, 10):
            await server.on_tick(counter)
            found.append(internals.server_headers(server.server_state))
        assert found[0] is not found[1] and [name for name, _ in found[0]] == [b"date", b"server"]
        assert server.server_state.total_requests == 0

    asyncio.run(main())


@canary("unwrap_proxy_headers")
def test_what_is_wrapped_for_proxies_is_found_and_its_headers_are_trusted() -> None:
    config = uvicorn.Config(answer, log_config=None, forwarded_allow_ips="192.0.2.1")
    config.load()
    assert type(config.loaded_app) is ProxyHeadersMiddleware
    app, trust_proxy = internals.unwrap_proxy_headers(config)
    assert app is answer
    headers = [(b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"198.51.100.7")]
    scope = {"type": "http", "client": ("192.0.2.1", 1), "scheme": "http", "headers": headers}
    trust_proxy(scope)
    assert (scope["scheme"], scope["client"][0]) == ("https", "198.51.100.7")
    bare = uvicorn.Config(answer, log_config=None, proxy_headers=False)
    bare.load()
    assert internals.unwrap_proxy_headers(bare)[0] is answer
