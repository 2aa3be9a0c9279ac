"""Endpoints that answer without a wait: which they are, and that nobody can tell their responses from others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar, copy_context
from types import CoroutineType
from typing import Annotated, Any

import msgspec
import pytest

from hybrid_gateway import Component, Controller, Depends, Form, Gateway, Request, Response, exceptions, get, http, post
from hybrid_gateway.concurrency.caller_threads import InlineThread
from hybrid_gateway.request.context import RequestContext

seen: ContextVar[str] = ContextVar("seen", default="nothing")


async def nothing() -> None: ...


# --- which endpoints answer now


class Item(msgspec.Struct):
    name: str


class Clock:
    """A component that is made where it is asked for, for classes are."""


class Slow(Component):
    def resolve(self) -> int:
        return 1


class Thing(Controller):
    path = "/thing"

    @get("/")
    async def show(self) -> int:
        return 1


async def shown(error: Exception) -> Any:
    await asyncio.sleep(0)
    return Response(str(error), status_code=418)


def guard() -> bool:
    return True


def look(response: Response) -> None: ...


class Watch:
    def on_response(self, response: Response) -> None: ...


def _endpoint(*routes: Any, **options: Any) -> Any:
    [endpoint] = [found for found in Gateway(list(routes), **options).endpoints if found.route.path != "/docs"]
    return endpoint


@get("/x", sync_to_thread=False)
def inline() -> str:
    return "x"


@get("/x")
async def with_parts(host: http.Host, q: int = 1) -> int:
    return q


@get("/x")
async def with_class(clock: Annotated[Clock, Depends()]) -> int:
    return 1


@get("/x")
async def whole_request(request: Request, response: Response) -> str:
    response.set_cookie("a", "b")
    return request.url.path


@get("/x")
async def streams() -> AsyncIterator[str]:
    yield "x"


@post("/x")
async def takes(data: Item) -> Item:
    return data


@get("/x", exception_handlers={KeyError: shown})
async def with_handlers() -> None:
    raise KeyError("x")


@pytest.mark.parametrize("route", [inline, Thing, with_parts, with_class, whole_request, streams, takes, with_handlers])
def test_a_route_that_never_waits_answers_now(route):
    endpoint = _endpoint(route)
    assert endpoint.respond_now is not None
    assert endpoint.takes_body is (route is takes)
    assert "endpoint_now" in endpoint.source


@get("/x")
def on_a_thread() -> str:
    return "x"


@get("/x")
async def really_async() -> None:
    await nothing()


@get("/x")
async def asks_for_what_blocks(number: int) -> int:
    return number


@post("/x")
async def takes_form(name: Annotated[str, Form()]) -> str:
    return name


@pytest.mark.parametrize(
    ("route", "options"),
    [
        (on_a_thread, {}),
        (really_async, {}),
        (takes_form, {}),
        (asks_for_what_blocks, {"components": [Slow]}),
        (inline, {"timeout": 5}),
        (inline, {"guards": [guard]}),
        (inline, {"after_request": [look]}),
        (inline, {"event_hooks": [Watch]}),
    ],
)
def test_a_route_that_may_wait_does_not(route, options):
    assert _endpoint(route, **options).respond_now is None


# --- the responses are the same


def _context(query: bytes = b"", method: str = "GET", body: bytes = b"", **headers: str) -> RequestContext:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/x", "query_string": query, "headers": raw}

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    ctx = RequestContext(scope, receive, InlineThread)
    ctx.body = body
    return ctx


def _now(endpoint: Any, ctx: RequestContext) -> Any:
    response = endpoint.respond_now(ctx)
    return asyncio.run(response) if isinstance(response, CoroutineType) else response


@get("/x")
async def answers(q: int, many: int = 1) -> Any:
    if q == 1:
        raise exceptions.NotFound("no such thing")
    if q == 2:
        raise LookupError("nobody expected it")
    if q == 3:
        return Response("early", status_code=202)
    if q == 4:
        raise StopIteration("it stops")
    if q == 5:
        return object()
    return {"q": q, "many": many}


@pytest.mark.parametrize(
    "query", [b"q=0&many=2", b"q=0", b"q=1", b"q=2", b"q=3", b"q=4", b"q=5", b"q=x", b"many=y", b""]
)
@pytest.mark.parametrize("handlers", [{}, {LookupError: shown}, {exceptions.HTTPException: shown}])
def test_the_response_is_that_of_a_task(query, handlers):
    endpoint = _endpoint(answers, exception_handlers=handlers)
    expected = asyncio.run(endpoint.respond(_context(query)))
    given = _now(endpoint, _context(query))
    if isinstance(expected, Response):
        expected, given = ((one.status_code, one.raw_headers, one.body) for one in (expected, given))
    assert given == expected


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"name": "x"}', {"content_type": "application/json"}),
        (b'{"name": "x"}', {"content_type": "text/plain"}),
        (b'{"name": 1}', {}),
        (b"{", {}),
        (b"", {}),
        (b"{" * 200, {}),
        (b"{", {"content_encoding": "gzip", "content_type": "text/plain"}),
        (b"{", {"content_length": "1000", "content_type": "text/plain"}),
        (b"{", {"content_length": "x"}),
    ],
)
def test_a_body_is_checked_like_any_other(body, headers):
    endpoint = _endpoint(takes, max_body_size=100)
    expected = asyncio.run(endpoint.respond(_context(method="POST", body=body, **headers)))
    assert _now(endpoint, _context(method="POST", body=body, **headers)) == expected


def test_a_handler_that_stops_raises_what_a_coroutine_raises():
    def tell(error: Exception) -> str:
        return repr((type(error), error.__cause__))

    endpoint = _endpoint(answers, exception_handlers={StopIteration: tell, RuntimeError: tell})
    _, _, body = _now(endpoint, _context(b"q=4"))
    assert body == b"(<class 'RuntimeError'>, StopIteration('it stops'))"


def test_what_ends_a_task_comes_out():
    @get("/x")
    async def given_up() -> None:
        raise asyncio.CancelledError

    endpoint = _endpoint(given_up)
    for respond in (endpoint.respond, endpoint.respond_now):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(respond(_context()))


def test_an_error_is_being_handled_while_its_handler_runs(serve, caplog):
    async def logs(error: Exception) -> Any:
        logging.getLogger("mine").exception("It failed")
        await asyncio.sleep(0)
        return Response("failed", status_code=500)

    @get("/x")
    async def fails() -> None:
        raise LookupError("here")

    with caplog.at_level(logging.ERROR, "mine"):
        assert serve(fails, exception_handlers={LookupError: logs}).get("/x").text == "failed"
    [record] = caplog.records
    assert record.exc_info is not None
    shown = logging.Formatter().formatException(record.exc_info)
    assert "in fails" in shown
    assert shown.count("in endpoint") == 1
    assert "StopIteration" not in shown


def test_what_cannot_be_encoded_has_no_other_error_behind_it(serve, caplog):
    @get("/x")
    async def odd() -> Any:
        return object()

    with caplog.at_level(logging.ERROR, "django.request"):
        assert serve(odd, raises=False).get("/x").status_code == 500
    assert "StopIteration" not in caplog.text
    assert "TypeError" in caplog.text


@pytest.mark.parametrize("sync", [True, False])
def test_context_variables_are_those_of_one_request(serve, sync):
    async def handle(name: str) -> str:
        before = seen.get()
        seen.set(name)
        return f"{before} {seen.get()}"

    def handle_inline(name: str) -> str:
        before = seen.get()
        seen.set(name)
        return f"{before} {seen.get()}"

    client = serve(get("/x", sync_to_thread=False)(handle_inline) if sync else get("/x")(handle))
    assert [client.get(f"/x?name={name}").text for name in "ab"] == ["nothing a", "nothing b"]
    assert seen.get() == "nothing"


def test_error_handlers_see_the_context_variables_of_the_handler(serve):
    async def tell(error: Exception) -> Any:
        await asyncio.sleep(0)
        return Response(seen.get(), status_code=400)

    @get("/x")
    async def fails(name: str) -> None:
        seen.set(name)
        raise LookupError

    client = serve(fails, exception_handlers={LookupError: tell})
    assert [client.get(f"/x?name={name}").text for name in "ab"] == ["a", "b"]


def test_error_handlers_may_ask_for_their_task(serve):
    async def patient(error: Exception) -> Any:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return Response(type(asyncio.current_task()).__name__, status_code=400)

    @get("/x")
    async def fails() -> None:
        raise LookupError

    assert serve(fails, exception_handlers={LookupError: patient}).get("/x").text == "Task"


def test_what_answers_now_may_start_tasks(serve):
    done: list[str] = []

    async def later() -> None:
        done.append(seen.get())

    @get("/x")
    async def starts() -> str:
        seen.set("its own")
        asyncio.get_running_loop().create_task(later())
        return "x"

    @get("/y")
    async def waits() -> str:
        await asyncio.sleep(0.01)
        return "y"

    client = serve(starts, waits)
    assert client.get("/x").text == "x"
    assert client.get("/y").text == "y"
    assert done == ["its own"]


def test_hooks_and_time_outs_stay_around_handlers_that_never_wait(serve):
    calls: list[str] = []

    def hook(response: Response) -> None:
        calls.append("hook")
        response.headers["x-hook"] = "1"

    @get("/x", after_request=[hook], timeout=5)
    async def handler() -> str:
        calls.append("handler")
        return "x"

    response = serve(handler).get("/x")
    assert response.headers["x-hook"] == "1"
    assert calls == ["handler", "hook"]


def test_a_stream_of_a_handler_that_never_waits_is_sent(serve):
    @get("/x", sync_to_thread=False)
    def handler() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    assert serve(handler).get("/x").content == b"one two"


def test_a_copied_context_keeps_what_is_set_from_the_next_request():
    @get("/x")
    async def sets() -> str:
        before = seen.get()
        seen.set("mine")
        return before

    endpoint = _endpoint(sets)
    bodies = [copy_context().run(endpoint.respond_now, _context())[2] for _ in range(2)]
    assert bodies == [b"nothing", b"nothing"]
