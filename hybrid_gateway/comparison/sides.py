"""The sides that a request can be sent to: Django's URLconf, a gateway, an application, or a server nearby.

How this works: ``open_side`` reads the words of the command line and gives a ``Side``. Everything but the server runs
on the calling thread, with its database connections, so that one transaction around a request covers what it does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.auth.models import User
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponseBase
from django.test import Client, RequestFactory
from django.test.client import ClientHandler
from django.utils.module_loading import import_string

from hybrid_gateway.comparison.exchanges import Answer, ReplayedRequest
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway, from_settings
from hybrid_gateway.test.client import TestClient
from hybrid_gateway.test.transports import ClientResponse, Exchange, connections_left_alone, scope_from_environ
from hybrid_gateway.types import Environ


class SideError(Exception):
    """A side cannot be found, or cannot be asked."""


class Side(Protocol):
    """One of the two that are compared."""

    name: str

    @property
    def in_process(self) -> bool:
        """Return whether its work is done on this thread, and so can be rolled back from here."""
        ...

    @property
    def gateway(self) -> Gateway | None:
        """Return the gateway behind it, if that is what it is."""
        ...

    def send(self, request: ReplayedRequest) -> Answer:
        """Answer a request, an exception by 500."""
        ...

    def login(self, user: User) -> None:
        """Let requests come from ``user``, as far as this side can be told."""
        ...


class ViewHandler(ClientHandler):
    """Django's handler for tests, which also tells Django REST framework who is calling, where that is installed."""

    user: User | None = None

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        if self.user is not None and apps.is_installed("rest_framework"):
            import_string("rest_framework.test.force_authenticate")(request, user=self.user)
        return super().get_response(request)


class ClientSide:
    """Django's URLconf or a gateway, by the test client of each."""

    in_process = True

    def __init__(self, name: str, client: Client, gateway: Gateway | None = None) -> None:
        self.name, self.client, self.gateway = name, client, gateway
        self._cookies: dict[str, str] = {}
        self._view_handler = ViewHandler(enforce_csrf_checks=False)
        if gateway is None:
            client.handler = self._view_handler

    def send(self, request: ReplayedRequest) -> Answer:
        self.client.cookies.clear()  # what one answer sets is not for the next request
        self.client.cookies.load(self._cookies)
        kind, headers = request_headers(request)
        response: Any = self.client.generic(request.method, request.url, request.body, kind, headers=headers)
        answer = read_response(response)
        by_urlconf = self.gateway is not None and not isinstance(response, ClientResponse)
        return msgspec.structs.replace(answer, by_urlconf=by_urlconf)

    def login(self, user: User) -> None:
        self.client.force_login(user)
        self._cookies = {name: morsel.value for name, morsel in self.client.cookies.items()}
        if isinstance(self.client, TestClient):
            self.client.force_authenticate(user)
        else:
            self._view_handler.user = user


def django_side() -> ClientSide:
    """Return the project's URLconf, with its middleware."""
    return ClientSide("django", Client(raise_request_exception=False))


def gateway_side(name: str, gateway: Gateway) -> ClientSide:
    """Return a gateway, both sides of it."""
    return ClientSide(name, TestClient(gateway, raise_request_exception=False), gateway)


class ApplicationSide:
    """An application of ASGI or WSGI. Only Django's own are known to have no threads beside this one."""

    gateway = None

    def __init__(self, name: str, application: Callable[..., Any]) -> None:
        self.name, self.application = name, application
        self.in_process = isinstance(application, BaseHandler)
        self._cookies = ""
        call = application if inspect.isroutine(application) else type(application).__call__
        self._ask = self._ask_asgi if inspect.iscoroutinefunction(call) else self._ask_wsgi

    def send(self, request: ReplayedRequest) -> Answer:
        kind, headers = request_headers(request)
        headers = {"Host": "testserver", **headers}
        if self._cookies and "cookie" not in {name.lower() for name in headers}:
            headers["Cookie"] = self._cookies
        made = RequestFactory().generic(request.method, request.url, request.body, kind, headers=headers)
        try:
            with connections_left_alone():
                return self._ask(made.environ)
        except Exception as error:  # what a server would answer by 500
            return Answer(500, (), b"", repr(error))

    def login(self, user: User) -> None:
        client = Client()
        client.force_login(user)
        self._cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())

    def _ask_asgi(self, environ: Environ) -> Answer:
        exchange = Exchange(environ["wsgi.input"].read())
        scope = scope_from_environ(environ)
        async_to_sync(self.application)(scope, exchange.receive, exchange.send)
        return read_response(exchange.response(scope["method"], scope["path"]))

    def _ask_wsgi(self, environ: Environ) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        chunks: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            started[:] = [(status, headers)]
            return chunks.append

        body = self.application(environ, start_response)
        try:
            chunks.extend(body)
        finally:
            getattr(body, "close", int)()
        status, headers = started[0]
        return Answer(int(status[:3]), lowered(headers), b"".join(chunks))


class ServerSide:
    """A server on this machine. What it writes cannot be undone from here."""

    in_process = False
    gateway = None

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise SideError(f"{url} is not on this machine: compare with http://127.0.0.1:PORT.")
        self.name, self._host, self._prefix = url, parts.netloc, parts.path.rstrip("/")

    def send(self, request: ReplayedRequest) -> Answer:
        connection = HTTPConnection(self._host, timeout=30)
        try:
            connection.request(request.method, self._prefix + request.url, request.body, dict(request.headers))
            response = connection.getresponse()
            return Answer(response.status, lowered(response.getheaders()), response.read())
        except OSError as error:
            raise SideError(f"{self.name} cannot be reached: {error}") from error
        finally:
            connection.close()

    def login(self, user: User) -> None:
        raise SideError(f"{self.name} has a database of its own: say who calls by --old-header or --new-header.")


class MappedSide:
    """A side where the paths of the requests lie under another prefix."""

    def __init__(self, side: Side, before: str, after: str) -> None:
        self.name, self.in_process, self.gateway = f"{side.name}@{before}={after}", side.in_process, side.gateway
        self.side, self.before, self.after = side, before, after

    def send(self, request: ReplayedRequest) -> Answer:
        """Send the request to the other path; links in the answer are read as if they led to this one."""
        if not request.path.startswith(self.before):
            return self.side.send(request)
        path = self.after + request.path.removeprefix(self.before)
        answer = self.side.send(msgspec.structs.replace(request, path=path))
        headers = tuple(
            (name, value.replace(self.after, self.before) if name in ("link", "location") else value)
            for name, value in answer.headers
        )
        body = answer.body
        if answer.is_json and len(self.after) > 1:
            body = body.replace(self.after.encode(), self.before.encode())
        return msgspec.structs.replace(answer, headers=headers, body=body)

    def login(self, user: User) -> None:
        self.side.login(user)


# --- what the command line says ---------------------------------------------------------------------------------------

_MAPPING = re.compile(r"(?:(?P<side>[^@]+)@)?(?P<before>/[^=→>]*?)\s*(?:=|→|->)\s*(?P<after>/.*)")


def open_side(text: str) -> Side:
    """Return the side that ``text`` names; raises :class:`SideError` where there is none."""
    mapping = _MAPPING.fullmatch(text)
    if mapping is not None:
        return MappedSide(open_side(mapping["side"] or "gateway"), mapping["before"], mapping["after"])
    if text == "django":
        return django_side()
    if "://" in text:
        return ServerSide(text)
    try:
        return gateway_side(text, default_gateway()) if text == "gateway" else _imported(text)
    except ConfigurationError as error:
        raise SideError(f"{text}: {error}") from error


def _imported(text: str) -> Side:
    dotted = text.replace(":", ".")
    try:
        found = import_string(dotted)
    except ImportError as error:
        raise SideError(
            f"{text!r} is no side: {error}. Say django, gateway, /old/=/new/, http://127.0.0.1:8000, or the dotted "
            f"path of an application, a Gateway or a `routes` list."
        ) from error
    if isinstance(found, list):
        module = dotted.rpartition(".")[0]
        return gateway_side(text, from_settings(msgspec.structs.replace(get_settings(), routes=module)))
    if isinstance(found, Gateway):
        return gateway_side(text, found)
    if callable(found):
        return ApplicationSide(text, found)
    raise SideError(f"{text!r} is {type(found).__name__}: neither an application nor a list of routes.")


# --- requests and responses ---------------------------------------------------------------------------------------


def request_headers(request: ReplayedRequest) -> tuple[str, dict[str, str]]:
    """Return the content type of a request, and its other headers."""
    headers = dict(request.headers)
    kinds = [headers.pop(name) for name in list(headers) if name.lower() == "content-type"]
    return kinds[0] if kinds else "application/json", headers


def read_response(response: Any) -> Answer:
    """Return what a response of a test client holds, read to its end."""
    headers = (
        response.raw_headers
        if isinstance(response, ClientResponse)
        else lowered(
            [*response.items(), *(("set-cookie", morsel.OutputString()) for morsel in response.cookies.values())]
        )
    )
    body = b"".join(response) if response.streaming else response.content
    error = getattr(response, "exc_info", None)
    return Answer(response.status_code, headers, body, f"{error[0].__name__}: {error[1]}" if error else "")


def lowered(headers: Mapping[str, str] | list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return headers with their names in lower case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), str(value)) for name, value in pairs)
