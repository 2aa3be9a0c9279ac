"""The site under every server that speaks ASGI, and clients of its websockets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.security.servers import COMMANDS as OF_HTTP
from tests.security.servers import Server, serving

_UVICORN = "-m uvicorn hybrid_gateway.asgi:application --host 127.0.0.1 --port {port}"
_GUNICORN = "-m gunicorn hybrid_gateway.asgi:application -b 127.0.0.1:{port} --log-level warning --graceful-timeout 6"
COMMANDS = {
    "httptools": f"{_UVICORN} --http httptools",
    "h11": f"{_UVICORN} --http h11",
    "legacy": f"{_UVICORN} --http httptools --ws websockets",
    "wsproto": f"{_UVICORN} --http httptools --ws wsproto",
    "lane": OF_HTTP["lane"],
    "granian": OF_HTTP["granian"],
    "hypercorn": "-m hypercorn hybrid_gateway.asgi:get_asgi_application() -b 127.0.0.1:{port} --graceful-timeout 6",
    "daphne": "-m daphne hybrid_gateway.asgi:application -b 127.0.0.1 -p {port} -v 1",
    "gunicorn": f"{_GUNICORN} -k asgi",
    "uvicorn-worker": f"{_GUNICORN} -k uvicorn_worker.UvicornWorker",
    "gunicorn-lane": OF_HTTP["gunicorn-lane"],
}
NEEDS = {
    "httptools": "websockets", "h11": "h11", "legacy": "websockets", "wsproto": "wsproto", "lane": "websockets",
    "gunicorn-lane": "uvicorn_worker", "uvicorn-worker": "uvicorn_worker",
}  # fmt: skip


class WebSocketServer(Server):
    """The site under one server."""

    def open(self, target: str, **options: Any) -> ClientConnection:
        """A connection of a client that sends the ``Host`` it connects to."""
        options.setdefault("close_timeout", 3)
        return connect(f"ws://127.0.0.1:{self.port}{target}", open_timeout=5, compression=None, **options)

    def told(self, *words: object) -> list[str]:
        """What the site has told of itself, of the lines that begin with ``words``: the rest of each."""
        start = " ".join(map(str, ("event", *words)))
        return re.findall(f"^{re.escape(start)}(?: (.*))?$", self.log.read_text(), re.MULTILINE)

    def wait_told(self, *words: object, count: int = 1, timeout: float = 8) -> list[str]:
        """The same, once there are ``count`` of them."""
        end = monotonic() + timeout
        while len(found := self.told(*words)) < count:
            assert monotonic() < end, f"{words} was told {len(found)} times:\n{self.log.read_text()[-3000:]}"
            sleep(0.02)
        return found


@contextmanager
def serving_websockets(name: str, **environ: str) -> Iterator[WebSocketServer]:
    """The site under the server called ``name``."""
    known = {"DJANGO_SETTINGS_MODULE": "tests.websockets.server_site", **environ}
    needs = NEEDS.get(name, name)
    with serving(name, WebSocketServer, COMMANDS[name], needs, **known) as server:
        assert isinstance(server, WebSocketServer)
        yield server
