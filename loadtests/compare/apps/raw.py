"""No framework: a dict of fixed answers. What the server alone costs, and so the floor of everybody on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any

from loadtests.compare.apps.common import ROUTES

Messages = tuple[dict[str, Any], dict[str, Any]]


def fixed(status: int, body: bytes) -> Messages:
    """The two messages of an answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


ANSWERS = {
    "/hello": fixed(200, b'{"message":"Hello, World!"}'),
    "/products/17": fixed(200, b'{"product":17,"lang":"de","page":2}'),
    f"/r{ROUTES - 1}/17": fixed(200, b'{"item":17}'),
}
ORDERS = [fixed(201, b'{"lines":%d,"quantity":%d}' % (n, n * (n + 1) // 2)) for n in (17, 170)]
NOT_FOUND = fixed(404, b'{"detail":"Not Found"}')


async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Awaitable[None]]) -> None:
    """Answer by path; read the body of an order and say what it would have held."""
    if scope["method"] == "POST":
        message = await receive()
        size = len(message["body"])
        while message["more_body"]:
            message = await receive()
            size += len(message["body"])
        start, end = ORDERS[size > 5_000]
    else:
        start, end = ANSWERS.get(scope["path"], NOT_FOUND)
    await send(start)
    await send(end)


def as_wsgi(messages: Messages) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    """Status line, headers and body of the same answer."""
    start, end = messages
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return f"{start['status']} {HTTPStatus(start['status']).phrase}", headers, [end["body"]]


WSGI_ANSWERS = {path: as_wsgi(messages) for path, messages in ANSWERS.items()}
WSGI_ORDERS = [as_wsgi(messages) for messages in ORDERS]
WSGI_NOT_FOUND = as_wsgi(NOT_FOUND)


def wsgi_application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Do the same under WSGI."""
    if environ["REQUEST_METHOD"] == "POST":
        status, headers, body = WSGI_ORDERS[len(environ["wsgi.input"].read()) > 5_000]
    else:
        status, headers, body = WSGI_ANSWERS.get(environ["PATH_INFO"], WSGI_NOT_FOUND)
    start_response(status, headers)
    return body
