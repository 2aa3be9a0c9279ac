"""One request, one ``request.state``: for middleware, hooks, handlers, exception handlers, and what follows."""

import asyncio
from typing import Annotated, Any

import pytest
from starlette.requests import Request as StarletteRequest

from hybrid_gateway import BackgroundTask, Depends, Gateway, JSONResponse, Request, get
from hybrid_gateway.test import AsyncTestClient


class Lost(Exception): ...


def noting(seen: list[str]) -> dict[str, Any]:
    """A layer whose every part writes its name into the state, and tells what it has found there."""

    def note(name: str, request: Request) -> None:
        request.state.names = [*getattr(request.state, "names", []), name]
        seen[:] = request.state.names

    def before(request: Request) -> None:
        note("before", request)

    async def after(request: Request) -> None:
        note("after", request)

    def sent(request: Request) -> None:
        note("sent", request)

    def guard(request: Request) -> bool:
        note("guard", request)
        return True

    class Event:
        async def on_request(self, request: Request) -> None:
            note("in", request)

        def on_response(self, request: Request) -> None:
            note("out", request)

    def lost(error: Lost, request: Request) -> tuple[list[str], int]:
        note("lost", request)
        return request.state.names, 410

    return {
        "guards": [guard], "before_request": before, "after_request": after, "after_response": sent,
        "event_hooks": [Event], "exception_handlers": {Lost: lost},
    }  # fmt: skip


def component(request: Request) -> list[str]:
    request.state.names.append("component")
    return request.state.names


@get("/x")
def handler(request: Request, names: Annotated[list[str], Depends(component)], fails: bool = False) -> list[str]:
    names.append("handler")
    if fails:
        raise Lost
    return request.state.names


@get("/y")
async def ahandler(request: Request, names: Annotated[list[str], Depends(component)], fails: bool = False) -> list[str]:
    return handler(request, names, fails)


WAY_IN = ["in", "before", "guard", "component", "handler"]


@pytest.mark.parametrize("path", ["/x", "/y"])
def test_all_of_a_route_share_one_state_and_requests_do_not(serve, path):
    seen: list[str] = []
    client = serve(handler, ahandler, **noting(seen))
    for _ in range(2):
        assert client.get(path).json() == WAY_IN
        assert seen == [*WAY_IN, "after", "out", "sent"]
        assert client.get(path, params={"fails": "1"}).json() == [*WAY_IN, "lost"]
        assert seen == [*WAY_IN, "lost", "after", "out", "sent"]


def test_middleware_has_the_same_state_before_and_after(serve):
    seen: list[str] = []
    found: list[list[str]] = []

    def copying(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            StarletteRequest(scope).state.names = ["middleware"]
            await app({**scope}, receive, send)
            found.append(StarletteRequest(scope).state.names)

        return wrapped

    def looking(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            found.append(StarletteRequest(scope).state.names)

        return wrapped

    client = serve(handler, middleware=[looking], **noting(seen))
    assert client.get("/x").json() == WAY_IN
    inner = serve(get("/x", middleware=[copying])(handler.handler), middleware=[looking], **noting(seen))
    assert inner.get("/x").json() == ["middleware", *WAY_IN]
    way_out = ["after", "out", "sent"]
    assert found == [[*WAY_IN, *way_out], *[["middleware", *WAY_IN, *way_out]] * 2]


def test_the_path_is_the_same_for_hooks(serve):
    seen: list[Any] = []

    def after(request: Request, number: int) -> None:
        seen.append((request.path_params, number))

    @get("/x/{number:int}", after_request=after)
    def view(number: int) -> None: ...

    client = serve(view)
    assert client.get("/x/3").status_code == 204
    assert client.get("/x/4").status_code == 204
    assert seen == [({"number": 3}, 3), ({"number": 4}, 4)]


def test_tasks_see_it_after_the_answer(serve):
    seen: list[str] = []

    def work(request: Request) -> None:
        seen.append(request.state.user)

    @get("/x")
    def view(request: Request) -> JSONResponse:
        request.state.user = "ada"
        return JSONResponse({}, background=BackgroundTask(work, request))

    assert serve(view).get("/x").status_code == 200
    assert seen == ["ada"]


def test_what_a_lifespan_has_left_is_there_and_belongs_to_each_request():
    @get("/x")
    def view(request: Request) -> list[Any]:
        request.state.count += 1
        return [request.state.pool, request.state.count]

    gateway = Gateway([view])
    kept = {"pool": "pool", "count": 0}
    for _ in range(2):
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", b"localhost")]}
        asyncio.run(gateway({**scope, "query_string": b"", "state": dict(kept)}, receive, send))  # as servers copy it
        assert sent[1]["body"] == b'["pool",1]'
    assert kept == {"pool": "pool", "count": 0}


def test_the_asynchronous_client_gives_one_too():
    seen: list[str] = []
    answer = asyncio.run(AsyncTestClient(Gateway([ahandler], **noting(seen))).get("/y"))
    assert answer.json() == WAY_IN
    assert seen == [*WAY_IN, "after", "out", "sent"]
