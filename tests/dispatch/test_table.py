"""What a gateway answers with is replaced whole: requests beside register() and override() see the old or the new."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.urls import NoReverseMatch

from hybrid_gateway import ConfigurationError, Gateway, Mount, Route, get
from hybrid_gateway.test import TestClient

ROUNDS = 12


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def numbered(number: int) -> Route:
    def handler(step: int = 0) -> dict[str, int]:
        return {"number": number + step}

    return Route(f"/numbers/{number}", handler, name=f"number-{number}")


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"mounted"})


def watch(gateway: Gateway, protocol: str, faults: list[str], done: threading.Event) -> None:
    """Wait for each name; as soon as it is there, so must be its route and what was registered with it."""
    client = TestClient(gateway, protocol=protocol)  # type: ignore[arg-type]
    number = 0
    while number < ROUNDS and not done.is_set():
        try:
            path = gateway.reverse_url(f"number-{number}")
        except NoReverseMatch:
            continue
        if gateway.dispatcher.side(f"/mounts/{number}/x") == "":
            faults.append(f"{path} has a name, and its mount is not there")
        if client.get(path).status_code != 200:
            faults.append(f"{path} has a name and no answer")
        if client.get(f"/mounts/{number}/x").text != "mounted":
            faults.append(f"{path} is there, and its mount does not answer")
        number += 1


def run(*functions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_a_request_beside_register_sees_all_of_it_or_nothing(protocol: str, switching: None) -> None:
    gateway = Gateway([])
    faults: list[str] = []
    done = threading.Event()

    def change() -> None:
        try:
            for number in range(ROUNDS):
                gateway.register(numbered(number), Mount(f"/mounts/{number}", mounted))
                with gateway.override({int: number}):
                    pass
        finally:
            done.set()

    run(change, *(lambda: watch(gateway, protocol, faults, done) for _ in range(2)))
    assert faults == []
    assert len(gateway.routes) == ROUNDS


def test_nothing_is_lost_where_several_threads_register(switching: None) -> None:
    for _ in range(20):
        gateway = Gateway([])
        run(*(partial(gateway.register, numbered(number)) for number in range(4)))
        assert {route.name for route in gateway.routes} == {f"number-{number}" for number in range(4)}


def test_the_table_is_one_value_that_nobody_changes() -> None:
    gateway = Gateway([numbered(1)])
    before = gateway.dispatcher.table
    with pytest.raises(AttributeError):
        before.tree = gateway.dispatcher.table.tree  # type: ignore[misc]
    gateway.register(numbered(2))
    assert gateway.dispatcher.table is not before
    assert before.tree.find("/numbers/2", "GET") is None
    assert [route.path for route in before.routes] == ["/numbers/1"]


class Unknown:
    pass


@get("/broken")
def broken(thing: Unknown) -> None: ...


@get("/unresolved")
def unresolved(thing: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("route", [broken, unresolved, get("/numbers/1")(lambda: None), "no route"])
def test_what_cannot_be_built_changes_nothing(route: Any) -> None:
    gateway = Gateway([numbered(1)])
    before = gateway.dispatcher.table
    with pytest.raises((ConfigurationError, NameError)):
        gateway.register(route)
    assert gateway.dispatcher.table is before
    gateway.register(numbered(2))
    assert [route.path for route in gateway.routes] == ["/numbers/1", "/numbers/2"]


def test_overrides_that_overlap_end_each_on_its_own() -> None:
    @get("/")
    def read(text: Text, number: Number) -> list[str]:
        return [text.value, number.value]

    gateway = Gateway([read], components=[lambda_of(Text), lambda_of(Number)])
    client = TestClient(gateway)
    first, second = gateway.override({Text: Text("a")}), gateway.override({Number: Number("b")})
    first.__enter__()
    second.__enter__()
    assert client.get("/").json() == ["a", "b"]
    first.__exit__(None, None, None)
    assert client.get("/").json() == ["Text", "b"]
    second.__exit__(None, None, None)
    assert client.get("/").json() == ["Text", "Number"]


class Text:
    def __init__(self, value: str) -> None:
        self.value = value


class Number(Text):
    pass


def lambda_of(kind: Any) -> Callable[..., Any]:
    def provide() -> Any:
        return kind(kind.__name__)

    provide.__annotations__["return"] = kind
    return provide
