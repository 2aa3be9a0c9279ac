"""The part of the test clients that opens websockets: handshakes with the client's cookies, and what comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.utils.http import parse_http_date_safe

from hybrid_gateway._compat.django_test_internals import complete_environ
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.test.client_arguments import Call
from hybrid_gateway.test.socket_exchange import ServerHabits, SocketExchange, current_exchange
from hybrid_gateway.test.transports import ClientResponse, Target
from hybrid_gateway.types import Environ, Scope

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

SOCKET_SCHEMES = {"http": "ws", "https": "wss"}

HANDSHAKE = {
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}
"""The headers of a handshake, as in RFC 6455 section 1.2."""


class SocketVerbs:
    """The base of both clients: their handshakes and cookies."""

    if TYPE_CHECKING:
        cookies: SimpleCookie
        raise_request_exception: bool
        _target: Target

    _environ_name: Callable[[str], str] = staticmethod(str)

    @property
    def gateway(self) -> Gateway:
        """The gateway that answers: the one given, else that of the current settings."""
        return self._target.gateway

    def store_exc_info(self, **kwargs: Any) -> None:
        """Note what a request has raised; what a websocket's handler raises is its session's."""
        if current_exchange.get() is None:
            above: Any = super()
            above.store_exc_info(**kwargs)

    def _socket_environ(self, path: object, subprotocols: Sequence[str], options: Mapping[str, Any]) -> Environ:
        options = {self._environ_name(name): value for name, value in options.items()}
        call = Call.prepare("GET", path, **options)
        environ = complete_environ(self, call.environ(self.cookies))
        environ.update(HANDSHAKE)
        if subprotocols:
            environ["HTTP_SEC_WEBSOCKET_PROTOCOL"] = ", ".join(subprotocols)
        return environ

    def _socket_arguments(
        self, scope: Scope, subprotocols: Sequence[str], timeout: float, habits: ServerHabits | None
    ) -> dict[str, Any]:
        habits = habits or ServerHabits()
        scope.update(type="websocket", scheme=SOCKET_SCHEMES[scope["scheme"]], subprotocols=list(subprotocols))
        scope["extensions"] = {"websocket.http.response": {}} if habits.denies else {}
        del scope["method"]
        return {
            "gateway": self.gateway,
            "scope": scope,
            "raises": self.raise_request_exception,
            "timeout": timeout,
            "habits": habits,
            "on_answer": self._keep_cookies,
        }

    def _keep_cookies(self, exchange: SocketExchange) -> None:
        """Keep the cookies that came with the answer to a handshake, as browsers do."""
        for name, value in exchange.headers or ():
            if name.lower() == b"set-cookie":
                self.cookies.load(value.decode("latin-1"))
        if exchange.refusal is not None:
            self.cookies.update(exchange.refusal.cookies)
            self._forget_deleted_cookies(exchange.refusal)

    def _forget_deleted_cookies(self, response: HttpResponse) -> None:
        """Forget what the API deleted, as browsers do; Django's client keeps what Django deletes, as empty values."""
        if isinstance(response, ClientResponse):
            for name, morsel in response.cookies.items():
                expires = parse_http_date_safe(morsel["expires"]) if morsel["expires"] else None
                if str(morsel["max-age"]) == "0" or (expires is not None and expires < time.time()):
                    self.cookies.pop(name, None)
