"""Responses that are written whole to uvicorn's connection."""

from __future__ import annotations

import asyncio

import pytest

from hybrid_gateway.headers import FixedHeaders, add_stamp

uvicorn = pytest.importorskip("uvicorn")

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: E402
from uvicorn.server import ServerState  # noqa: E402

from hybrid_gateway._compat.uvicorn_internals import build_cycle  # noqa: E402
from hybrid_gateway.drivers.response_heads import ResponseHeads  # noqa: E402
from tests.drivers.lane import Transport  # noqa: E402


@pytest.mark.parametrize(
    ("header", "is_written"),
    [
        ((b"X-Server", b"a"), True),
        ((b"Connection", b"close"), False),
        ((b"content-length", b"1"), False),
        ((b"Transfer-Encoding", b"chunked"), False),
    ],
)
@pytest.mark.parametrize("is_stamped", [False, True])
def test_what_uvicorns_own_headers_frame_is_left_to_its_own_method(header, is_written, is_stamped):
    async def main() -> None:
        config = uvicorn.Config(lambda: None, log_config=None, access_log=False)
        config.load()
        state, transport, heads = ServerState(), Transport(), ResponseHeads()
        state.default_headers = [header]
        protocol = HttpToolsProtocol(config, state, {}, asyncio.get_running_loop())
        protocol.connection_made(transport)
        headers = FixedHeaders([(b"x-a", b"1")])
        if is_stamped:
            headers = add_stamp(headers, (b"x-b", b"2"))
        for _ in range(2):  # the second may find what the first has joined
            cycle = build_cycle(protocol, {"method": "GET", "headers": []}, keep_alive=True)
            assert heads.write(cycle.send, 200, headers, b"{}") is is_written
            assert cycle.response_started is is_written
        assert bool(transport.written) is is_written

    asyncio.run(main())
