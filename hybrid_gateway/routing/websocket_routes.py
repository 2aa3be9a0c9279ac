"""Declarations of websockets: sockets, listeners, streams. None is compiled here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar, Unpack, cast

from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.routing.declare import Controller, Route
from hybrid_gateway.types import Handler

F = TypeVar("F", bound=Handler)

WEBSOCKET = "WEBSOCKET"
"""The name of websockets among methods: that of none of HTTP."""

Kind = Literal["socket", "listener", "stream"]


class WebSocketOptions(LayerOptions, total=False):
    """The options of one websocket handler, on top of those of a layer."""

    name: str
    """Name for ``reverse_url``; defaults to the function's name."""
    channel: object
    """A ``Channel`` that a stream sends: the handler authorises, and the messages follow."""
    sync_to_thread: bool
    """``False`` runs a ``def`` listener on the event loop: only for code that never blocks."""
    subprotocols: Sequence[str]
    """Subprotocols that the handler speaks, the first one that the client offers is taken."""
    receives: object
    """The type of messages of clients, for the document of a ``@websocket``, whose signature does not say."""
    sends: object
    """The type of messages to clients, for the document of a ``@websocket``."""
    summary: str
    description: str
    deprecated: bool


WEBSOCKET_OPTIONS = frozenset(WebSocketOptions.__annotations__) | LAYER_OPTIONS


class WebSocketRoute(Route):
    """A handler of websockets at one or several paths. Calling it calls the handler as the plain function it is."""

    known_methods = (WEBSOCKET,)
    known_options = WEBSOCKET_OPTIONS

    def __init__(
        self, path: str | Sequence[str], handler: Handler, *, kind: Kind = "socket", **options: Unpack[WebSocketOptions]
    ) -> None:
        super().__init__(path, handler, methods=(WEBSOCKET,), **options)  # type: ignore[misc]
        self.kind: Kind = kind


class FallbackWebSocketRoute(WebSocketRoute):
    """A route of websockets at a prefix, and at any path below it that nothing else answers."""


class ChannelStream(WebSocketRoute):
    """A stream of a channel: a route as it is, and a decorator for a function that says who may follow."""

    def __init__(self, path: str | Sequence[str], **options: Unpack[WebSocketOptions]) -> None:
        async def follow() -> None:  # PERF: a `def` would take a thread for each handshake
            """Follow the channel."""

        follow.__name__ = options.get("name") or "follow"
        super().__init__(path, follow, kind="stream", **options)
        self._options = options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and callable(args[0]) and not kwargs:
            return WebSocketRoute(self.paths, args[0], kind="stream", **self._options)
        return super().__call__(*args, **kwargs)


class Listener(Controller):
    """A listener with a state of its own: one instance per connection, made without arguments.

    ``path`` is where it is, layer options are class attributes. ``on_connect`` runs before the handshake is accepted,
    and rejects it by raising; ``on_message`` gets each message as ``data``, and what it returns is sent;
    ``on_disconnect`` runs once when the connection has ended, with its ``code``; ``on_drain`` when the process is told
    to end. Parameters are injected, once per connection; methods may be ``def`` or ``async def``.
    """

    name: str = ""
    subprotocols: Sequence[str] = ()


def websocket(path: str | Sequence[str] = "", **options: Unpack[WebSocketOptions]) -> Callable[[F], F]:
    """A route for websockets whose handler has the :class:`~hybrid_gateway.websockets.socket.WebSocket` itself."""
    return _decorator("socket", path, options)


def listener(path: str | Sequence[str] = "", **options: Unpack[WebSocketOptions]) -> Callable[[F], F]:
    """A route for websockets whose handler is called with each message as ``data``; what it returns is sent."""
    return _decorator("listener", path, options)


class StreamDecorator(Protocol):
    """The result of :func:`stream`: it decorates a function; with ``channel=`` it is a route as well."""

    def __call__(self, handler: F, /) -> F: ...


def stream(path: str | Sequence[str] = "", **options: Unpack[WebSocketOptions]) -> StreamDecorator:
    """A route for websockets whose handler is an asynchronous generator: what it yields is sent.

    With ``channel=`` the messages of a channel are sent; then it is a route as it is, or decorates a function that says
    who may follow: it runs before the handshake is accepted, and rejects it by raising.
    """
    return _decorator("stream", path, options) if options.get("channel") is None else ChannelStream(path, **options)


def _decorator(kind: Kind, path: str | Sequence[str], options: WebSocketOptions) -> Callable[[F], F]:
    if kind != "stream" and options.get("channel") is not None:
        raise RouteError(f"Route {path!r}: channel= is for @stream.", id="R026")
    if kind != "socket" and options.keys() & {"receives", "sends"}:
        raise RouteError(
            f"Route {path!r}: receives= and sends= are for @websocket; here the signature says it.", id="R026"
        )

    def decorate(handler: F) -> F:
        return cast("F", WebSocketRoute(path, handler, kind=kind, **options))

    return decorate
