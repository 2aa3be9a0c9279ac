"""Server-Sent Events of channels: ids, gaps, presence, and browsers that come back."""

import asyncio
import re

import msgspec

from hybrid_gateway import EventSourceResponse, Gateway, Request, get
from hybrid_gateway.channels import Channel, channels
from tests.channels.conftest import using
from tests.channels.test_channels import run, until


class Said(msgspec.Struct):
    text: str


room = Channel("sse:{room_id}", Said, history=5, presence=True)
unkept = Channel("sse", int)


@get("/rooms/{room_id}/events")
async def events(room_id: int, request: Request, user: str | None = None) -> EventSourceResponse:
    return room.events(request, room_id=room_id, user=user)


@get("/unkept")
async def unkept_events(request: Request) -> EventSourceResponse:
    return unkept.events(request)


@get("/wrong")
async def wrong(request: Request) -> EventSourceResponse:
    return room.events(request)


class Browser:
    """One request for events, over ASGI, and what has come of it so far."""

    def __init__(self, gateway, path, since=None):
        path, _, query = path.partition("?")
        headers = [(b"host", b"testserver"), *([(b"last-event-id", since)] if since is not None else [])]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }
        self.text, self.status, self._is_gone = "", None, asyncio.Event()
        self.task = asyncio.ensure_future(gateway(scope, self._receive, self._send))
        self._has_asked = False

    async def _receive(self):
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()

    @property
    def events(self):
        return [event for event in self.text.split("\n\n") if event and not event.startswith(":")]

    async def leave(self):
        self._is_gone.set()
        await self.task


def test_events_have_offsets_and_a_browser_goes_on_after_its_last(shared):
    gateway = Gateway([events])

    async def main():
        browser = Browser(gateway, "/rooms/1/events")
        await until(lambda: browser.events)
        begin = re.fullmatch(r"id: (\S+-0)", browser.events[0])[1]
        offset = await room.apublish(Said("a\nb"), room_id=1)
        await until(lambda: len(browser.events) == 2)
        assert browser.events[1] == f'id: {offset}\ndata: {{"text":"a\\nb"}}'
        await browser.leave()
        last = await room.apublish(Said("c"), room_id=1)
        for since in (offset, begin):
            browser = Browser(gateway, "/rooms/1/events", since.encode())
            await until(lambda browser=browser: browser.events and last in browser.events[-1])
            await browser.leave()
            assert len(browser.events) == (1 if since == offset else 2)
            assert "gap" not in browser.text

    run(main())


def test_what_cannot_be_recovered_is_an_event(shared):
    gateway = Gateway([events, unkept_events])

    async def main():
        offset = await room.apublish(Said("a"), room_id=1)
        browser = Browser(gateway, "/rooms/1/events", b"foreign-1")
        await until(lambda: len(browser.events) == 2)
        await browser.leave()
        assert browser.events == [
            'event: gap\ndata: {"missed":null,"recovered":false}',
            f'id: {offset}\ndata: {{"text":"a"}}',
        ]
        browser = Browser(gateway, "/unkept", b"x-1")
        await until(lambda: browser.events)
        await browser.leave()
        assert browser.events == ['event: gap\ndata: {"missed":null,"recovered":false}']
        for number in range(9):
            await room.apublish(Said(str(number)), room_id=1)
        browser = Browser(gateway, "/rooms/1/events", offset.encode())
        await until(lambda: len(browser.events) == 6)
        await browser.leave()
        assert browser.events[0] == 'event: gap\ndata: {"missed":4,"recovered":false}'

    run(main())


def test_users_come_and_go_as_events(shared):
    gateway = Gateway([events])

    async def main():
        watcher = Browser(gateway, "/rooms/1/events")
        await until(lambda: watcher.events)
        browser = Browser(gateway, "/rooms/1/events?user=ada")
        await until(lambda: "joined" in watcher.text)
        await browser.leave()
        await until(lambda: "left" in watcher.text)
        await watcher.leave()
        assert watcher.events[1:] == ['event: joined\ndata: {"user":"ada"}', 'event: left\ndata: {"user":"ada"}']

    run(main())


def test_a_wrong_name_is_an_error_before_anything_is_sent(shared, caplog):
    async def main():
        browser = Browser(Gateway([wrong]), "/wrong")
        await browser.task
        assert browser.status == 500

    run(main())
    assert "misses 'room_id'" in caplog.text


def test_while_the_back_end_is_away_the_stream_ends_and_browsers_come_back(hubs):
    (hub,) = hubs()

    async def main():
        await unkept.apublish(1)
        hub.backend.cut()
        browser = Browser(Gateway([unkept_events]), "/unkept")
        await browser.task
        assert (browser.status, browser.events) == (200, [])

    with using(hub):
        run(main())


def test_an_event_is_encoded_once_for_all_browsers(shared, monkeypatch):
    gateway, encoded = Gateway([unkept_events]), []
    from hybrid_gateway.channels import channel_events

    encode = channel_events._encode_event

    def counted(message):
        encoded.append(message)
        return encode(message)

    monkeypatch.setattr(channel_events, "_encode_event", counted)

    async def main():
        browsers = [Browser(gateway, "/unkept") for _ in range(5)]
        await until(lambda: sum(group_sizes()) == 5 and all(local.is_open for local in channels.hub._locals.values()))
        await unkept.apublish(7)
        await until(lambda: all(browser.events for browser in browsers))
        for browser in browsers:
            await browser.leave()

    def group_sizes():
        return [len(group.attachments) for local in channels.hub._locals.values() for group in local.groups]

    run(main())
    assert len(encoded) == 1
