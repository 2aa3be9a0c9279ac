"""Canaries of ``hybrid_gateway/_compat/server_internals.py``."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from hybrid_gateway._compat import server_internals as internals
from tests.compat import canary
from tests.drivers.lane import Transport


@canary("hold_shutdown")
@pytest.mark.parametrize("kind", ["websockets_sansio", "wsproto"])
def test_a_websocket_of_uvicorn_is_not_closed_until_it_is_released(kind: str) -> None:
    module = pytest.importorskip(f"uvicorn.protocols.websockets.{kind}_impl", reason=f"uvicorn has no {kind} here.")
    protocol = {"websockets_sansio": "WebSocketsSansIOProtocol", "wsproto": "WSProtocol"}[kind]
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(receive)
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    async def run() -> None:
        config = uvicorn.Config(app, log_config=None)
        config.load()
        connection = getattr(module, protocol)(config, ServerState(), {}, asyncio.get_running_loop())
        transport = Transport()
        connection.connection_made(transport)
        connection.data_received(
            b"GET / HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await asyncio.sleep(0.01)
        release = internals.hold_shutdown(found[0])
        assert release is not None
        connection.shutdown()
        assert not transport.is_closing()
        release()
        assert transport.is_closing()
        for task in connection.tasks:
            task.cancel()

    asyncio.run(run())


class SlowTransport(Transport):
    unread = 0

    def get_write_buffer_size(self) -> int:
        return self.unread


@canary("unread_transport")
def test_what_a_client_has_not_read_is_known_of_uvicorn_alone() -> None:
    module = pytest.importorskip("uvicorn.protocols.websockets.websockets_sansio_impl")

    async def run() -> None:
        config = uvicorn.Config(Transport, log_config=None)
        connection = module.WebSocketsSansIOProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        connection.connection_made(transport := SlowTransport())
        assert internals.unread_transport(connection.receive) is None
        transport.unread = 1
        assert internals.unread_transport(connection.receive) is transport
        assert internals.unread_transport(transport.write) is None

    asyncio.run(run())


@canary("hold_shutdown")
def test_whoever_else_receives_is_left_alone() -> None:
    async def receive() -> None: ...

    assert internals.hold_shutdown(receive) is None
    assert internals.hold_shutdown(Transport().write) is None


@canary("shutdown_tasks")
def test_hypercorns_worker_waits_for_its_end_in_tasks_of_a_known_name() -> None:
    run = pytest.importorskip("hypercorn.asyncio.run", reason="hypercorn is not installed.")

    async def main() -> None:
        told = asyncio.Event()
        task = asyncio.create_task(run.raise_shutdown(told.wait))
        assert internals.shutdown_tasks() == [task]
        told.set()
        await asyncio.wait((task,))
        assert type(task.exception()).__name__ == "ShutdownError"

    asyncio.run(main())


@canary("stops_at_once")
def test_a_signal_handler_of_twisted_is_known() -> None:
    base = pytest.importorskip("twisted.internet.base", reason="daphne is not installed.")
    assert internals.stops_at_once(base.ReactorBase.sigTerm)
    assert not internals.stops_at_once(signal.default_int_handler)
    assert not internals.stops_at_once(signal.SIG_DFL)
