"""One client for both sides: Django's paths by Django's own test client, the others by the gateway."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast

from django.http import HttpHeaders
from django.test import Client
from django.test.client import REDIRECT_STATUS_CODES

from hybrid_gateway._compat.django_test_internals import BODY_FILE, ScopeClient, complete_environ, reject_redirect_cycle
from hybrid_gateway.auth import Authentication
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.options import GatewayArguments
from hybrid_gateway.test.client_arguments import Call, Options
from hybrid_gateway.test.socket_exchange import ServerHabits
from hybrid_gateway.test.socket_verbs import SocketVerbs
from hybrid_gateway.test.transports import (
    AsyncGatewayHandler,
    ClientResponse,
    GatewayHandler,
    Protocol,
    Target,
    scope_from_environ,
)
from hybrid_gateway.test.websocket_sessions import AsyncWebSocketSession, WebSocketSession

if TYPE_CHECKING:
    from json import JSONEncoder

R = TypeVar("R")


class Verbs(SocketVerbs, Generic[R]):
    """The methods both clients share: verbs in both spellings, and what is added to API requests."""

    if TYPE_CHECKING:
        extra: dict[str, Any]
        headers: Mapping[str, Any]
        json_encoder: type[JSONEncoder]

        def _exchange(self, call: Call, chain: list[tuple[str, int]] | None) -> R: ...

    def generic(
        self,
        method: str,
        path: object,
        data: object = None,
        content_type: str | None = None,
        secure: bool = False,
        *,
        follow: bool = False,
        follow_redirects: bool = False,
        **options: Any,
    ) -> R:
        """Send any method; see :class:`Options`. Other keywords of the async client are header names, as in Django."""
        options = {self._environ_name(name): value for name, value in options.items()}
        call = Call.prepare(method, path, data, content_type, secure, json_encoder=self.json_encoder, **options)
        self.extra, self.headers = dict(call.extra), call.headers
        return self._exchange(call, [] if follow or follow_redirects else None)

    def get(
        self, path: object, data: object = None, follow: bool = False, secure: bool = False, **options: Unpack[Options]
    ) -> R:
        """Send GET; ``data`` is the query, as in Django."""
        return self.generic("GET", path, secure=secure, follow=follow, **with_query(data, options))

    def head(
        self, path: object, data: object = None, follow: bool = False, secure: bool = False, **options: Unpack[Options]
    ) -> R:
        """Send HEAD; ``data`` is the query, as in Django."""
        return self.generic("HEAD", path, secure=secure, follow=follow, **with_query(data, options))

    def trace(
        self, path: object, data: object = None, follow: bool = False, secure: bool = False, **options: Unpack[Options]
    ) -> R:
        """Send TRACE, which has no body: ``data`` is ignored, as in Django."""
        return self.generic("TRACE", path, secure=secure, follow=follow, **options)

    def post(
        self,
        path: object,
        data: object = None,
        content_type: str | None = None,
        follow: bool = False,
        secure: bool = False,
        **options: Unpack[Options],
    ) -> R:
        """Send POST; a dict as ``data`` is a multipart form unless ``content_type`` says otherwise."""
        return self.generic("POST", path, data, content_type, secure, follow=follow, **options)

    def put(
        self,
        path: object,
        data: object = None,
        content_type: str | None = None,
        follow: bool = False,
        secure: bool = False,
        **options: Unpack[Options],
    ) -> R:
        """Send PUT."""
        return self.generic("PUT", path, data, content_type, secure, follow=follow, **options)

    def patch(
        self,
        path: object,
        data: object = None,
        content_type: str | None = None,
        follow: bool = False,
        secure: bool = False,
        **options: Unpack[Options],
    ) -> R:
        """Send PATCH."""
        return self.generic("PATCH", path, data, content_type, secure, follow=follow, **options)

    def delete(
        self,
        path: object,
        data: object = None,
        content_type: str | None = None,
        follow: bool = False,
        secure: bool = False,
        **options: Unpack[Options],
    ) -> R:
        """Send DELETE."""
        return self.generic("DELETE", path, data, content_type, secure, follow=follow, **options)

    def options(
        self,
        path: object,
        data: object = None,
        content_type: str | None = None,
        follow: bool = False,
        secure: bool = False,
        **options: Unpack[Options],
    ) -> R:
        """Send OPTIONS."""
        return self.generic("OPTIONS", path, data, content_type, secure, follow=follow, **options)

    def force_authenticate(self, user: Any, token: object = None) -> None:
        """Let API requests come from ``user`` without credentials, until ``force_authenticate(None)``."""
        self._target.authentication = (
            None
            if user is None
            else Authentication(user=user, scheme=None, token=token, scopes=getattr(token, "scopes", ()))
        )

    def credentials(self, **headers: str) -> None:
        """Send these headers (``Authorization="Bearer …"``) with every API request; none clears them."""
        names = {name: name.upper().removeprefix("HTTP_").replace("_", "-").title() for name in headers}
        self._target.headers = {names[name]: value for name, value in headers.items()}

    def _next_call(self, call: Call, response: ClientResponse, chain: list[tuple[str, int]] | None) -> Call | None:
        """Return the request that follows ``response``, or None when the caller gets it."""
        if chain is None:
            return None
        response.redirect_chain = chain
        if chain:
            reject_redirect_cycle(self, response)
        if response.status_code not in REDIRECT_STATUS_CODES or "Location" not in response.headers:
            return None
        chain.append((response.headers["Location"], response.status_code))
        return call.redirected(*chain[-1])


# The verbs take more than django-stubs let them, and return what Django's client makes of a response.
class TestClient(Verbs[ClientResponse], Client):  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride]
    """Django's test client, which also answers the gateway's paths, on the thread of the test.

    Without ``gateway`` it uses that of the settings, looked up anew for each request. ``protocol`` is what API requests
    travel over. As a context manager it runs the gateway's lifespan.
    """

    __test__ = False  # pytest would take the class for tests
    handler: GatewayHandler

    def __init__(
        self,
        gateway: Gateway | None = None,
        /,
        enforce_csrf_checks: bool = False,
        raise_request_exception: bool = True,
        *,
        protocol: Protocol = "asgi",
        headers: Mapping[str, str] | None = None,
        query_params: Mapping[str, object] | None = None,
        **defaults: object,
    ) -> None:
        super().__init__(
            enforce_csrf_checks, raise_request_exception, headers=headers, query_params=query_params, **defaults
        )
        self._target = Target(gateway)
        self.handler = GatewayHandler(  # pyright: ignore[reportIncompatibleVariableOverride]
            self._target, protocol, enforce_csrf_checks
        )

    def _exchange(self, call: Call, chain: list[tuple[str, int]] | None) -> ClientResponse:
        while True:
            response = self.request(**call.environ(self.cookies))
            following = self._next_call(call, response, chain)
            if following is None:
                return response
            call = following

    def request(  # type: ignore[override]
        self, method: str | None = None, path: object = "/", /, **request: Any
    ) -> ClientResponse:
        """Send ``method`` to ``path`` with a verb's options, or (Django's way) a request of environ keys."""
        if method is not None:
            return self.generic(method, path, **request)
        self.exc_info = None  # a request that raised may have left its own
        response = cast("ClientResponse", super().request(**request))
        self._forget_deleted_cookies(response)
        return response

    def websocket(
        self,
        path: object,
        *,
        subprotocols: Sequence[str] = (),
        timeout: float = 5.0,
        habits: ServerHabits | None = None,
        **options: Unpack[Options],
    ) -> WebSocketSession:
        """Open a websocket in a ``with``; ``params``, ``headers`` and ``cookies`` are those of its handshake.

        ``timeout`` is seconds that :meth:`WebSocketSession.receive` waits for a message. A refused handshake raises
        nothing: see ``refusal``. ``habits`` are those of the server in between.
        """
        environ = self._socket_environ(path, subprotocols, options)
        self.handler.complete(environ)
        scope = scope_from_environ(environ)
        return WebSocketSession(**self._socket_arguments(scope, subprotocols, timeout, habits))

    def logout(self) -> None:
        """Log out of Django's session, and end ``force_authenticate`` and ``credentials``."""
        self.force_authenticate(None)
        self.credentials()
        super().logout()

    def __enter__(self) -> TestClient:
        self._entered = self.gateway, self.handler.loop
        gateway, loop = self._entered
        loop.run(gateway.startup())
        return self

    def __exit__(self, *exc_info: object) -> None:
        gateway, loop = self._entered
        loop.run(gateway.shutdown())


ENVIRON_KEYS = frozenset(
    (
        *("PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REQUEST_METHOD"),
        *("SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"),
    )
)


def environ_name(name: str) -> str:
    """``ACCEPT`` → ``HTTP_ACCEPT``: Django's async client takes header names where its sync one takes environ keys."""
    if name in ENVIRON_KEYS or name in Options.__annotations__ or name.startswith(("HTTP_", "wsgi.")):
        return name
    return HttpHeaders.to_wsgi_name(name)


class AsyncTestClient(  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride]
    Verbs[Coroutine[object, None, ClientResponse]], ScopeClient
):
    """Django's async test client, which also answers the gateway's paths, on the loop of the test.

    Their blocking work runs where asgiref puts it. Inside ``async def`` methods of ``TestCase`` that is the thread of
    the test, and its transaction.
    """

    __test__ = False
    handler: AsyncGatewayHandler
    _environ_name = staticmethod(environ_name)

    def __init__(
        self,
        gateway: Gateway | None = None,
        /,
        enforce_csrf_checks: bool = False,
        raise_request_exception: bool = True,
        *,
        headers: Mapping[str, str] | None = None,
        query_params: Mapping[str, object] | None = None,
        **defaults: object,
    ) -> None:
        super().__init__(
            enforce_csrf_checks, raise_request_exception, headers=headers, query_params=query_params, **defaults
        )
        self._target = Target(gateway)
        self.handler = AsyncGatewayHandler(  # pyright: ignore[reportIncompatibleVariableOverride]
            self._target, enforce_csrf_checks
        )

    async def _exchange(self, call: Call, chain: list[tuple[str, int]] | None) -> ClientResponse:
        while True:
            environ = complete_environ(self, call.environ(self.cookies))
            response = await self.request(**scope_from_environ(environ), **{BODY_FILE: environ["wsgi.input"]})
            following = self._next_call(call, response, chain)
            if following is None:
                return response
            call = following

    async def request(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, method: str | None = None, path: object = "/", /, **request: Any
    ) -> ClientResponse:
        """Send ``method`` to ``path`` with a verb's options, or (Django's way) a request of scope keys."""
        if method is not None:
            return await self.generic(method, path, **request)
        self.exc_info = None
        response = cast("ClientResponse", await super().request(**request))
        self._forget_deleted_cookies(response)
        return response

    def websocket(
        self,
        path: object,
        *,
        subprotocols: Sequence[str] = (),
        timeout: float = 5.0,
        habits: ServerHabits | None = None,
        **options: Unpack[Options],
    ) -> AsyncWebSocketSession:
        """Open a websocket in an ``async with``; see :meth:`TestClient.websocket`."""
        scope = scope_from_environ(self._socket_environ(path, subprotocols, options))
        self.handler.complete(scope)
        return AsyncWebSocketSession(**self._socket_arguments(scope, subprotocols, timeout, habits))

    async def alogout(self) -> None:
        """Log out of Django's session, and end ``force_authenticate`` and ``credentials``."""
        self.force_authenticate(None)
        self.credentials()
        await super().alogout()

    async def __aenter__(self) -> AsyncTestClient:
        self._entered = self.gateway
        await self._entered.startup()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._entered.shutdown()


def create_test_client(
    *handlers: object,
    protocol: Protocol = "asgi",
    enforce_csrf_checks: bool = False,
    raise_request_exception: bool = True,
    headers: Mapping[str, str] | None = None,
    **options: Unpack[GatewayArguments],
) -> TestClient:
    """Return a client of a gateway made for the occasion: ``create_test_client([get_product], guards=[IsStaff])``.

    ``handlers`` are what a gateway lists, one by one or as a list; ``options`` are the gateway's. In a ``with`` the
    gateway starts up, and shuts down at its end.
    """
    gateway = gateway_of(handlers, options)
    return TestClient(gateway, enforce_csrf_checks, raise_request_exception, protocol=protocol, headers=headers)


def create_async_test_client(
    *handlers: object,
    enforce_csrf_checks: bool = False,
    raise_request_exception: bool = True,
    headers: Mapping[str, str] | None = None,
    **options: Unpack[GatewayArguments],
) -> AsyncTestClient:
    """Return an :class:`AsyncTestClient` of a gateway made for the occasion; see :func:`create_test_client`."""
    gateway = gateway_of(handlers, options)
    return AsyncTestClient(gateway, enforce_csrf_checks, raise_request_exception, headers=headers)


def gateway_of(handlers: Sequence[object], options: GatewayArguments) -> Gateway:
    """Return a gateway with ``handlers``, some of which may be lists of them."""
    routes = [entry for given in handlers for entry in (given if isinstance(given, (list, tuple)) else (given,))]
    return Gateway(routes, **options)


def with_query(data: object, options: Options) -> dict[str, Any]:
    """Return ``options`` with Django's spelling of a query, ``get(path, data)``, as ``query_params``."""
    if data and options.get("query_params"):
        raise ValueError("query_params and data arguments are mutually exclusive.")
    return {**options, "query_params": data or options.get("query_params")}
