"""Handshakes as an ASGI server makes them, one after the other or many at a time."""

import asyncio
from contextlib import asynccontextmanager

from asgiref.sync import async_to_sync

from hybrid_gateway.concurrency.caller_threads import AsgirefThread
from hybrid_gateway.drivers.asgi_driver import ASGIDriver


class Opened:
    """A websocket of a gateway: ``status`` is 101, or that of the refusal, whose ``body`` there is then."""

    def __init__(self, gateway, path, headers, client, scheme):
        name, _, query_string = path.partition("?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": scheme,
            "path": name,
            "raw_path": name.encode(),
            "query_string": query_string.encode(),
            "root_path": "",
            "headers": [(b"host", b"testserver")] * (b"host" not in dict(headers)) + list(headers),
            "client": client,
            "server": ("testserver", 80),
            "subprotocols": [],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }
        self._inbox, self._outbox = asyncio.Queue(), asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        gateway.lend_thread = AsgirefThread  # the thread of the test, which sees its rows
        self._task = asyncio.create_task(ASGIDriver(gateway).attend(self.scope, self._inbox.get, self._outbox.put))
        self.status, self.body = 0, b""

    async def begin(self):
        message = await asyncio.wait_for(self._outbox.get(), 20)
        if message["type"] == "websocket.accept":
            self.status = 101
            return
        assert message["type"] == "websocket.http.response.start", message
        self.status = message["status"]
        self.headers = dict(message["headers"])
        self.body = (await asyncio.wait_for(self._outbox.get(), 20)).get("body", b"")
        await asyncio.wait((self._task,), timeout=20)  # seconds

    async def closed(self):
        """Return the code of the close that the server sends, and its reason."""
        while True:
            message = await asyncio.wait_for(self._outbox.get(), 20)
            if message["type"] == "websocket.close":
                await self.end(message["code"])
                return message["code"], message.get("reason", "")

    async def end(self, code=1000):
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": code})
        await asyncio.wait_for(self._task, 20)


@asynccontextmanager
async def open_websocket(gateway, path="/live", *, headers=(), client=("127.0.0.1", 50000), scheme="ws"):
    """Enter an open websocket, or a refused one."""
    opened = Opened(gateway, path, headers, client, scheme)
    await opened.begin()
    try:
        yield opened
    finally:
        await opened.end()


def handshake(gateway, **options):
    """Open a websocket, close it, and return the status of its handshake."""

    async def run():
        async with open_websocket(gateway, **options) as opened:
            return opened.status

    return async_to_sync(run)()
