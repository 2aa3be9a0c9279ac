"""Events: listeners run after the answer, where they belong, and none is lost silently."""

import asyncio
import gc
import logging
import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.test import RequestFactory, override_settings

from hybrid_gateway import (
    BackgroundTasks,
    ConfigurationError,
    Controller,
    Emitter,
    Gateway,
    Router,
    emit,
    get,
    on,
    post,
)
from hybrid_gateway.events import UnknownEvent
from hybrid_gateway.test import AsyncTestClient, TestCase, TestClient


class OrderPaid(msgspec.Struct):
    number: int
    total: float = 0.0


@dataclass
class Shipped:
    number: int


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.mark.parametrize("color", ["def", "async"])
@pytest.mark.parametrize("injected", [True, False])
def test_listeners_hear_by_name_and_by_class_after_the_answer(serve, heard, color, injected):
    @on("order.paid")
    def by_name(number: int, total: float = 0.0) -> None:
        heard.append(("name", number, total))

    @on(OrderPaid)
    async def by_class(event: OrderPaid) -> None:
        heard.append(("class", event.number))

    @on("order.shipped")
    async def typed(event: OrderPaid) -> None:
        heard.append(("typed", event.number))

    def tell(emit: Any) -> str:
        emit("order.paid", number=1, total=2.0)
        emit(OrderPaid(3))
        emit("order.shipped", OrderPaid(4))
        emit("order.shipped", number=5)
        heard.append("handler")
        return "x"

    def view(emitter: Emitter) -> str:
        return tell(emitter if injected else emit)

    async def aview(emitter: Emitter) -> str:
        return tell(emitter if injected else emit)

    client = serve(get("/")(view if color == "def" else aview), listeners=[by_name, by_class, typed])
    assert client.get("/").text == "x"
    assert heard == ["handler", ("name", 1, 2.0), ("class", 3), ("typed", 3), ("typed", 4), ("typed", 5)]


def test_any_layer_lists_listeners_and_each_hears_once(serve, heard):
    @on("done")
    def listener() -> None:
        heard.append("done")

    @on("done")
    def other() -> None:
        heard.append("other")

    class Things(Controller):
        path = "/things"
        listeners = [listener]

        @get("/")
        def view(self) -> str:
            emit("done")
            return "x"

    @get("/plain", listeners=[other, listener])
    def plain() -> str:
        emit("done")
        return "x"

    client = serve(Router("", [Things, plain], listeners=[listener]))
    client.get("/things/")
    client.get("/plain")
    assert heard == ["done", "other"] * 2


def test_a_class_above_hears_too(serve, heard):
    class Event:
        pass

    class Special(Event):
        pass

    @on(Event)
    def listener(event: Event) -> None:
        heard.append(type(event).__name__)

    @on(Shipped)
    def shipped(event: Shipped) -> None:
        heard.append(event.number)

    @get("/")
    def view(emit: Emitter) -> str:
        emit(Special())
        emit(Shipped(2))
        return "x"

    serve(view, listeners=[listener, shipped]).get("/")
    assert heard == ["Special", 2]


def test_a_listener_that_fails_is_logged_and_the_others_run(serve, heard, caplog):
    @on("order.paid")
    def failing() -> None:
        raise ValueError("the printer is on fire")

    @on("order.paid")
    async def other() -> None:
        heard.append("other")

    @get("/")
    def view(emit: Emitter) -> str:
        emit("order.paid")
        return "x"

    with caplog.at_level(logging.ERROR, "hybrid_gateway.events"):
        assert serve(view, listeners=[failing, other], raises=False).get("/").text == "x"
    assert heard == ["other"]
    assert "failing" in caplog.text
    assert "order.paid" in caplog.text
    assert "the printer is on fire" in caplog.text
    with pytest.raises(ValueError, match="the printer is on fire"):
        serve(view, listeners=[failing, other]).get("/")


def test_events_are_facts_whatever_becomes_of_the_request(serve, heard):
    @on("tried")
    def listener() -> None:
        heard.append("tried")

    @get("/")
    def view(emit: Emitter) -> str:
        emit("tried")
        raise LookupError

    assert serve(view, listeners=[listener], raises=False).get("/").status_code == 500
    assert heard == ["tried"]


@pytest.mark.parametrize(
    ("event", "arguments", "keywords", "error", "message"),
    [
        ("order.payed", (), {"number": 1}, UnknownEvent, "Nobody listens to 'order.payed'. Did you mean 'order.paid'"),
        (Shipped(1), (), {}, UnknownEvent, "Nobody listens to Shipped"),
        ("order.paid", (), {"numbr": 1}, TypeError, "the listener .*plain.* takes .*: missing a required argument"),
        ("order.paid", (1, 2), {}, TypeError, "too many positional arguments"),
        ("typed", (), {"number": 1, "colour": 2}, TypeError, "colour"),
        ("typed", (Shipped(1),), {}, TypeError, "takes one OrderPaid"),
        (OrderPaid, (), {"number": 1}, TypeError, "an instance of the class"),
        (OrderPaid(1), (2,), {}, TypeError, "takes the event alone"),
    ],
)
def test_what_nobody_listens_to_and_what_does_not_fit_raises_where_it_is_emitted(
    event, arguments, keywords, error, message
):
    @on("order.paid")
    def plain(number: int) -> None: ...

    @on("typed")
    def typed(event: OrderPaid) -> None: ...

    gateway = Gateway([], listeners=[plain, typed])
    for tell in (gateway.emit, emit):
        with pytest.raises(error, match=message):
            tell(event, *arguments, **keywords)


def test_mistakes_in_listeners_are_told_at_start_up():
    def unmarked() -> None: ...

    @on("a")
    def wants_x(x: int) -> None: ...

    @on("a")
    def wants_y(y: int) -> None: ...

    @on("b")
    def typed(event: OrderPaid) -> None: ...

    @on("b")
    def plain(number: int) -> None: ...

    @on(OrderPaid)
    def too_many(event: OrderPaid, more: int) -> None: ...

    @on(OrderPaid)
    def wrong(event: Shipped) -> None: ...

    @on("c")
    def generator() -> Any:
        yield

    for listeners, message in [
        ([unmarked], "listens to nothing"),
        ([wants_x, wants_y], "No event 'a' fits both"),
        ([typed, plain], "take different things"),
        ([too_many], "has one parameter, the event"),
        ([wrong], "has one parameter, the event"),
        ([generator], "has a `yield`"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            Gateway([], listeners=listeners)
    for given in (5, "", None):
        with pytest.raises(ConfigurationError, match="an event is a name"):
            on(given)
    with pytest.raises(ConfigurationError, match="are of Django's signals"):
        on("x", on_commit=True)


def test_outside_of_requests_listeners_run_before_emit_returns(heard):
    @on("done")
    def plain() -> None:
        heard.append(threading.current_thread())

    @on("done")
    async def asynchronous() -> None:
        heard.append("async")

    gateway = Gateway([], listeners=[plain, asynchronous])
    gateway.emit("done")
    assert heard == [threading.current_thread(), "async"]
    thread = threading.Thread(target=emit, args=("done",))
    thread.start()
    thread.join()
    assert heard[2:] == [thread, "async"]


def test_a_signal_of_djangos_reaches_listeners_with_what_they_ask_for(serve, heard):
    signal = Signal()

    @on(signal, sender=OrderPaid)
    async def some(number: int) -> None:
        heard.append(("some", number))

    @on(signal)
    def everything(sender: object, **kwargs: object) -> None:
        heard.append(("all", sender, sorted(kwargs)))

    @get("/")
    def view() -> str:
        signal.send(OrderPaid, number=1, more=2)
        signal.send(Shipped, number=3)
        heard.append("handler")
        return "x"

    client = serve(view, listeners=[some, everything])
    client.get("/")
    assert heard == [
        "handler",
        ("some", 1),
        ("all", OrderPaid, ["more", "number", "signal"]),
        ("all", Shipped, ["number", "signal"]),
    ]


def test_a_gateway_that_is_gone_hears_no_signal(heard):
    signal = Signal()

    @on(signal)
    def listener() -> None:
        heard.append("heard")

    def live() -> None:
        gateway = Gateway([], listeners=[listener])
        signal.send(None)
        gateway.register()
        signal.send(None)
        assert heard == ["heard"] * 2

    live()
    gc.collect()
    signal.send(None)
    assert heard == ["heard"] * 2


@pytest.mark.django_db(transaction=True)
def test_on_commit_tells_once_it_is_committed_and_not_at_all_otherwise(serve, heard):
    @on("saved")
    def listener(name: str) -> None:
        heard.append((name, get_user_model().objects.filter(username=name).exists()))

    @on(post_save, sender="auth.User", on_commit=True)
    def model_saved(instance: Any, created: bool) -> None:
        heard.append(("signal", instance.username, created))

    @post("/{name}")
    def view(name: str, fails: bool = False) -> str:
        with transaction.atomic():
            get_user_model().objects.create_user(name)
            emit("saved", name=name, on_commit=True)
            if fails:
                raise LookupError
        heard.append("handler")
        return "x"

    @get("/async")
    async def asynchronous() -> str:
        emit("saved", name="x", on_commit=True)
        return "x"

    client = serve(view, asynchronous, listeners=[listener, model_saved], raises=False)
    assert client.post("/ada").text == "x"
    assert client.post("/bob?fails=true").status_code == 500
    assert client.get("/async").status_code == 500
    assert heard == ["handler", ("signal", "ada", True), ("ada", True)]


def test_with_background_tasks_of_the_same_handler(serve, heard):
    @on("done")
    def listener() -> None:
        heard.append("listener")

    @get("/")
    async def view(tasks: BackgroundTasks, emit: Emitter) -> str:
        def later() -> None:
            emit("done")
            heard.append("task")

        tasks.add(later)
        emit("done")
        return "x"

    serve(view, listeners=[listener]).get("/")
    assert heard == ["task", "listener", "listener"]


def test_a_listener_may_emit(serve, heard):
    @on("first")
    def first() -> None:
        heard.append("first")
        emit("second")

    @on("second")
    async def second() -> None:
        heard.append("second")

    @get("/")
    def view() -> str:
        emit("first")
        return "x"

    serve(view, listeners=[first, second]).get("/")
    assert heard == ["first", "second"]


class TestListenersInATestCase(TestCase):
    def test_they_see_the_rows_of_the_test(self) -> None:
        heard: list[object] = []

        @on("counted")
        def plain() -> None:
            heard.append(get_user_model().objects.count())

        @on("counted")
        async def asynchronous() -> None:
            heard.append(await get_user_model().objects.acount())

        @get("/")
        async def view(emit: Emitter) -> str:
            emit("counted")
            return "x"

        get_user_model().objects.create_user("ada")
        client = TestClient(Gateway([view], listeners=[plain, asynchronous]))
        self.assertEqual(client.get("/").text, "x")
        self.assertEqual(heard, [1, 1])

    async def test_they_do_so_in_async_tests(self) -> None:
        heard: list[object] = []

        @on("counted")
        def plain() -> None:
            heard.append(get_user_model().objects.count())

        @on("counted")
        async def asynchronous() -> None:
            heard.append(await get_user_model().objects.acount())

        @get("/")
        def view(emit: Emitter) -> str:
            emit("counted")
            return "x"

        await get_user_model().objects.acreate(username="ada")
        client = AsyncTestClient(Gateway([view], listeners=[plain, asynchronous]))
        self.assertEqual((await client.get("/")).text, "x")
        self.assertEqual(heard, [1, 1])


def test_on_a_loop_without_a_request_they_run_in_a_task_and_shutdown_waits_for_them(heard, caplog):
    @on("done")
    async def slow(seconds: float) -> None:
        await asyncio.sleep(seconds)
        heard.append(seconds)

    async def live(seconds: float) -> None:
        gateway = Gateway([], listeners=[slow], graceful_timeout=0.5)
        await gateway.startup()
        gateway.emit("done", seconds=seconds)
        assert heard == []
        await gateway.shutdown()

    asyncio.run(live(0.05))
    assert heard == [0.05]
    heard.clear()
    with caplog.at_level(logging.ERROR, "hybrid_gateway.events"):
        asyncio.run(live(30))
    assert heard == []
    assert "The process ends before these listeners have: " in caplog.text
    assert "slow" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_over_a_server_they_run_when_the_request_has_ended(heard):
    """Without a test client: scopes as a server gives them, and the worker's call under WSGI."""
    order: list[str] = []

    @on("done")
    def plain(color: str) -> None:
        order.append(f"plain {color}")

    @on("done")
    async def asynchronous(color: str) -> None:
        order.append(f"async {color}")

    @get("/def")
    def view() -> str:
        emit("done", color="def")
        order.append("handler")
        return "x"

    @get("/async")
    async def aview(emit: Emitter) -> str:
        emit("done", color="async")
        order.append("handler")
        return "x"

    gateway = Gateway([view, aview], listeners=[plain, asynchronous])

    async def ask(path: str) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [(b"host", b"localhost")],
            "query_string": b"",
            "scheme": "http",
            "root_path": "",
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                order.append("sent")

        await gateway(scope, receive, send)

    async def live() -> None:
        await gateway.startup()
        await ask("/def")
        await ask("/async")
        await gateway.shutdown()

    with override_settings(ALLOWED_HOSTS=["*"]):
        asyncio.run(live())
    assert order[:2] == ["handler", "sent"]
    assert sorted(order[2:]) == ["async async", "async def", "handler", "plain async", "plain def", "sent"]
    for color in ("def", "async"):
        assert order.index(f"plain {color}") < order.index(f"async {color}")

    order.clear()
    environ = RequestFactory().get("/def", HTTP_HOST="localhost").environ
    with override_settings(ALLOWED_HOSTS=["*"]):
        body = gateway.wsgi(environ, lambda *head: None)
    assert (b"".join(body), order[0]) == (b"x", "handler")
    gateway.loop_thread.run(gateway.shutdown())
    assert order == ["handler", "plain def", "async def"]


def test_a_login_of_django_is_an_event_too():
    assert on(user_logged_in)(lambda user: None)
