"""Microseconds per call of an ASGI application without any server: what an optimisation of the gateway is judged by.

    python -m loadtests.inprocess --calls 20000 --rounds 7

A hand-made scope goes in, the messages go nowhere; every call is a task of its own, as on a server. The applications
take turns and each shows its best round, since a disturbance can only add time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

if not __package__:  # run as a file: the repository root stands for this directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import django
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from loadtests.apps import hello_raw
from loadtests.tables import print_table

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loadtests.apps.settings")
django.setup()

from hybrid_gateway import Gateway, Query, get, post  # noqa: E402 - as a project does: Django first

Application = Callable[..., Awaitable[None]]


class Order(msgspec.Struct):
    """A small JSON body."""

    product: int
    quantity: int
    note: str = ""


@get("/hello")
async def hello() -> dict[str, str]:
    """Say hello."""
    return {"message": "Hello, World!"}


@get("/hello-sync")
def hello_sync() -> dict[str, str]:
    """Say hello from a pool thread."""
    return {"message": "Hello, World!"}


@get("/products/{product_id:int}")
async def product(product_id: int, lang: str = "en", page: Annotated[int, Query(ge=1)] = 1) -> dict[str, Any]:
    """Read a typed path and query."""
    return {"product": product_id, "lang": lang, "page": page}


@post("/orders")
async def order(data: Order) -> Order:
    """Echo a typed body."""
    return data


async def starlette_hello(request: Request) -> JSONResponse:
    """Say hello under Starlette."""
    return JSONResponse({"message": "Hello, World!"})


GATEWAY = Gateway([hello, hello_sync, product, order], django_routes=["/page/"])
STARLETTE = Starlette(routes=[Route("/hello", starlette_hello)])


class Call(msgspec.Struct, frozen=True):
    """One application and the request it is asked."""

    application: Application
    path: str
    query: bytes = b""
    method: str = "GET"
    body: bytes = b""
    status: int = 200

    def scope(self) -> dict[str, Any]:
        """The scope as uvicorn makes it, with the headers of a usual client."""
        headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"loadtests"), (b"accept", b"*/*")]
        if self.body:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body))]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "root_path": "",
            "headers": headers,
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "state": {},
        }


CALLS: Mapping[str, Call] = {
    "raw ASGI callable": Call(hello_raw.application, "/hello"),
    "Starlette: hello": Call(STARLETTE, "/hello"),
    "gateway: hello": Call(GATEWAY, "/hello"),
    "gateway: path and query": Call(GATEWAY, "/products/17", b"lang=de&page=2"),
    "gateway: JSON body": Call(
        GATEWAY, "/orders", method="POST", body=b'{"product":17,"quantity":2,"note":"soon"}', status=201
    ),
    "gateway: hello on a thread": Call(GATEWAY, "/hello-sync"),
}


async def check(name: str, call: Call) -> None:
    """An application that answers something else is not timed."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await call.application(call.scope(), receive, send)
    if sent[0]["status"] != call.status:
        raise SystemExit(f"{name} answers {sent}")


async def microseconds(call: Call, calls: int) -> float:
    """The time of one call, from ``calls`` in a row."""
    message = {"type": "http.request", "body": call.body, "more_body": False}
    scope = call.scope()

    async def receive() -> dict[str, Any]:
        return message

    async def send(message: dict[str, Any]) -> None:
        pass

    application = call.application
    start = time.perf_counter()
    for _ in range(calls):
        await asyncio.ensure_future(application(scope.copy(), receive, send))  # type: ignore[arg-type]
    return (time.perf_counter() - start) / calls * 1e6


async def run(calls: int, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` for every application."""
    for name, call in CALLS.items():
        await asyncio.create_task(check(name, call))  # in a context of its own
    best = dict.fromkeys(CALLS, float("inf"))
    for _ in range(rounds):
        for name, call in CALLS.items():
            best[name] = min(best[name], await microseconds(call, calls))
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="loadtests.inprocess", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10_000, help="calls in a row (10000)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each application (5)")
    options = parser.parse_args()
    best = asyncio.run(run(options.calls, options.rounds))
    print_table(["call", "µs"], [[name, f"{value:.2f}"] for name, value in best.items()])


if __name__ == "__main__":
    main()
