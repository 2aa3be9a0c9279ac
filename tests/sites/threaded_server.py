"""An application under uvicorn, in a thread of the process that runs the tests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hybrid_gateway.types import ASGIApp


@contextmanager
def serve_in_thread(application: ASGIApp) -> Iterator[str]:
    """Its URL, while it is served."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        [socket] = server.servers[0].sockets
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
