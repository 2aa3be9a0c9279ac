"""Tasks that handlers, components and hooks add by a parameter."""

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model
from starlette.background import BackgroundTasks as StarletteTasks

from hybrid_gateway import (
    BackgroundTask,
    BackgroundTasks,
    Component,
    Depends,
    Gateway,
    JSONResponse,
    Response,
    Router,
    WebSocket,
    get,
    websocket,
)
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.test import AsyncTestClient, TestClient


@pytest.fixture
def done() -> list[object]:
    return []


def note(done: list[object], what: object) -> None:
    done.append(what)


async def anote(done: list[object], what: object) -> None:
    done.append(what)


def fail(done: list[object]) -> None:
    done.append("failed")
    raise ValueError("the printer is on fire")


@pytest.mark.parametrize("color", ["def", "async"])
@pytest.mark.parametrize("kind", [BackgroundTasks, StarletteTasks])
def test_tasks_run_in_order_after_the_answer(serve, done, color, kind):
    def add(tasks: Any) -> None:
        tasks.add(note, done, "first")
        tasks.add(anote, done, what="second")
        tasks.add_task(note, done, what="third")

    def view(tasks: kind) -> dict[str, int]:
        add(tasks)
        done.append("handler")
        return {"n": 1}

    async def aview(tasks: kind) -> dict[str, int]:
        return view(tasks)

    answer = serve(get("/")(view if color == "def" else aview)).get("/")
    assert answer.json() == {"n": 1}
    assert done == ["handler", "first", "second", "third"]


def test_a_task_that_fails_is_logged_and_the_others_run(serve, done, caplog):
    @get("/")
    def view(tasks: BackgroundTasks) -> str:
        tasks.add(note, done, "before")
        tasks.add(fail, done)
        tasks.add(note, done, "after")
        return "x"

    with caplog.at_level(logging.ERROR, "django.request"):
        assert serve(view, raises=False).get("/").text == "x"
    assert done == ["before", "failed", "after"]
    assert ["view" in record.getMessage() for record in caplog.records] == [True]
    assert str(caplog.records[0].exc_info[1]) == "the printer is on fire"


def test_tasks_of_components_guards_and_hooks_run_with_those_of_the_handler(serve, done):
    class Mailer(Component):
        def resolve(self, tasks: BackgroundTasks) -> "Outbox":
            tasks.add(note, done, "component")
            return Outbox()

    class Hook:
        def on_request(self, tasks: BackgroundTasks) -> None:
            tasks.add(note, done, "on_request")

        def on_response(self, tasks: BackgroundTasks) -> None:
            tasks.add(note, done, "on_response")

    def guard(tasks: BackgroundTasks) -> bool:
        tasks.add(note, done, "guard")
        return True

    def after_request(tasks: BackgroundTasks) -> None:
        tasks.add(note, done, "after_request")

    def after_response(tasks: BackgroundTasks) -> None:
        tasks.add(note, done, "added after the response")
        done.append("after_response")

    @get(
        "/",
        event_hooks=[Hook],
        guards=[guard],
        components=[Mailer()],
        after_request=after_request,
        after_response=after_response,
    )
    def view(outbox: "Outbox", tasks: BackgroundTasks) -> Response:
        tasks.add(note, done, "handler")
        return Response(b"x", background=BackgroundTask(note, done, "of the response"))

    assert serve(view).get("/").text == "x"
    assert done == [
        *("of the response", "on_request", "guard", "component", "handler", "after_request", "on_response"),
        *("after_response", "added after the response"),
    ]


class Outbox:
    pass


@pytest.mark.parametrize("where", ["after_request", "after_response"])
def test_only_a_hook_takes_tasks(serve, done, where):
    def hook(tasks: BackgroundTasks) -> None:
        tasks.add(anote, done, where)

    def other() -> None:
        done.append("other")

    @get("/other", **{where: other})
    def without() -> str:
        return "x"

    @get("/", **{where: hook})
    def view() -> str:
        return "x"

    client = serve(without, view)
    assert (client.get("/other").text, client.get("/").text) == ("x", "x")
    assert done == ["other", where]


def test_a_component_that_a_hook_and_the_handler_share_adds_its_task_once(serve, done):
    def outbox(tasks: BackgroundTasks) -> Iterator[Outbox]:
        tasks.add(note, done, "component")
        yield Outbox()
        done.append("closed")

    def hook(outbox: Annotated[Outbox, Depends(outbox)], tasks: BackgroundTasks) -> None:
        tasks.add(note, done, "hook")

    @get("/", after_request=hook)
    def view(outbox: Annotated[Outbox, Depends(outbox)]) -> str:
        return "x"

    assert serve(view).get("/").text == "x"
    assert done == ["closed", "component", "hook"]


def test_an_error_drops_what_was_added_before_it(serve, done):
    def told(error: Exception, tasks: BackgroundTasks) -> tuple[str, int]:
        tasks.add(note, done, "told")
        return "sorry", 409

    @get("/", exception_handlers={Conflict: told})
    def view(tasks: BackgroundTasks) -> str:
        tasks.add(note, done, "of a handler that failed")
        raise Conflict

    assert serve(view).get("/").status_code == 409
    assert done == ["told"]


def test_a_clean_up_that_fails_drops_them(serve, done):
    def transaction() -> Iterator[Outbox]:
        yield Outbox()
        raise Conflict("The commit failed.")

    @get("/")
    def view(outbox: Annotated[Outbox, Depends(transaction)], tasks: BackgroundTasks) -> str:
        tasks.add(note, done, "mail")
        return "x"

    assert serve(view).get("/").status_code == 409
    assert done == []


def test_a_stream_may_add_while_it_streams(serve, done):
    @get("/")
    async def view(tasks: BackgroundTasks) -> AsyncIterator[str]:
        yield "a"
        tasks.add(note, done, "mid-stream")
        yield "b"
        done.append("streamed")

    assert serve(view).get("/").text == "ab"
    assert done == ["streamed", "mid-stream"]


def test_the_tasks_may_be_the_background_of_the_response_too(serve, done):
    @get("/")
    def view(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add(note, done, "once")
        return JSONResponse({}, background=tasks)

    assert serve(view).get("/").json() == {}
    assert done == ["once"]


def test_a_task_may_add_another(serve, done):
    @get("/")
    def view(tasks: BackgroundTasks) -> str:
        def first() -> None:
            done.append("first")
            tasks.add(anote, done, "second")

        tasks.add(first)
        return "x"

    serve(view).get("/")
    assert done == ["first", "second"]


def test_where_no_route_answers_a_handler_of_errors_may_add(serve, done):
    def lost(tasks: BackgroundTasks) -> tuple[str, int]:
        tasks.add(note, done, "lost")
        return "?", 404

    @get("/")
    def view() -> str:
        return "x"

    assert serve(view, exception_handlers={404: lost}).get("/nowhere").text == "?"
    assert done == ["lost"]


def test_what_is_no_function_is_refused_at_once(serve, done):
    @get("/")
    def view(tasks: BackgroundTasks) -> str:
        tasks.add(note(done, "called"))  # the parentheses are one pair too many
        return "x"

    assert serve(view, raises=False).get("/").status_code == 500


@pytest.mark.django_db
def test_a_task_of_a_def_handler_finds_the_rows_of_the_test(serve, done):
    def count() -> None:
        done.append((get_user_model().objects.count(), threading.current_thread() is threading.main_thread()))

    @get("/")
    def view(tasks: BackgroundTasks) -> str:
        get_user_model().objects.create_user("ada")
        tasks.add(count)
        return "x"

    assert serve(view).get("/").text == "x"
    assert done == [(1, True)]


def test_tasks_of_a_websocket_run_at_its_end(done):
    @websocket("/")
    async def talk(socket: WebSocket, tasks: BackgroundTasks) -> None:
        tasks.add(anote, done, "after")
        await socket.send_text("hello")
        done.append("said")

    with TestClient(Gateway([talk])).websocket("/") as socket:
        assert socket.receive(str) == "hello"
    assert done == ["said", "after"]


def test_the_same_from_asynchronous_tests(done):
    import asyncio

    @get("/")
    async def view(tasks: BackgroundTasks) -> str:
        tasks.add(anote, done, "after")
        return "x"

    async def ask() -> str:
        return (await AsyncTestClient(Gateway([Router("/v1", [view])])).get("/v1/")).text

    assert asyncio.run(ask()) == "x"
    assert done == ["after"]


def test_a_health_check_cannot_take_tasks():
    from hybrid_gateway import ConfigurationError

    def check(tasks: BackgroundTasks) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="asks for something of a request"):
        Gateway([], health_checks=[check])
