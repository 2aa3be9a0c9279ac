"""Real servers for a row, in a thread of its process, whose clients ask at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

CLIENTS = 6
SERVERS = ("uvicorn", "the lane")


class SocketClient:
    """What questions ask of a client, over a socket."""

    def __init__(self, url: str) -> None:
        import requests

        self._url = url
        self._session = requests.Session()

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda path, data=None, **options: self._session.request(
            verb.upper(), self._url + path, data=data, timeout=30, **options
        )

    def force_login(self, user: Any) -> None:
        """A session of ``user``, and the token that goes with unsafe requests."""
        from django.conf import settings
        from django.test import Client

        visitor, token = Client(), "a" * 32
        visitor.force_login(user)
        key = visitor.cookies[settings.SESSION_COOKIE_NAME].value
        self._session.cookies.update({settings.SESSION_COOKIE_NAME: key, settings.CSRF_COOKIE_NAME: token})
        self._session.headers["X-CSRFToken"] = token


@contextmanager
def serving(gateway: Any, server: str) -> Iterator[str]:
    """The address of a server of ``gateway``."""
    import uvicorn

    from hybrid_gateway.drivers.lane.protocol import LaneProtocol

    http: Any = LaneProtocol if server == "the lane" else "httptools"
    running = uvicorn.Server(uvicorn.Config(gateway, port=0, http=http, log_config=None, lifespan="on"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        while not running.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(30)


def ask_at_once(gateway: Any, server: str, ask: Callable[[Any], bool]) -> bool:
    """Whether the answer is yes for each of several clients, none of which waits for the others."""
    with serving(gateway, server) as url, ThreadPoolExecutor(CLIENTS) as pool:
        return all(pool.map(lambda _: ask(SocketClient(url)), range(CLIENTS)))
