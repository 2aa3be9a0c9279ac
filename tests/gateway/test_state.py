"""What requests share: the state of a gateway, of a project's own class, filled at start-up; that of one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from django.test import override_settings

from hybrid_gateway import Gateway, Request, Response, State, get
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.test import TestClient


class Shop(msgspec.Struct):
    rate: int = 1
    seen: list[str] = []


class Named(State):
    rate: int


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize(("cls", "make"), [(Shop, lambda: Shop), (Shop, Shop), (Named, lambda: Named({"rate": 1}))])
def test_handlers_ask_for_the_state_by_its_class(serve, cls, make, kind):

    async def waits(state: cls) -> int:
        return state.rate

    def blocks(state: cls) -> int:
        return state.rate

    client = serve(get("/rate")(waits if kind == "async" else blocks), state=make())
    assert client.get("/rate").json() == 1
    client.gateway.state.rate = 7
    assert client.get("/rate").json() == 7


def test_a_state_that_is_one_of_starlettes_is_found_by_both_names(serve):
    @get("/same")
    async def same(plain: State, named: Named) -> bool:
        return plain is named

    assert serve(same, state=Named).get("/same").json() is True


def test_a_class_is_a_state_for_each_gateway():
    assert Gateway([], state=Shop).state is not Gateway([], state=Shop).state


def test_what_starts_the_process_fills_the_state(serve):
    def first(shop: Shop) -> None:
        shop.seen.append("function")

    def second(gateway: Gateway) -> None:
        gateway.state.seen.append("gateway")

    @asynccontextmanager
    async def third(shop: Shop) -> AsyncIterator[dict[str, object]]:
        shop.seen.append("lifespan")
        yield {"rate": 3}
        shop.seen.append("end")

    @get("/shop")
    async def show(shop: Shop) -> Shop:
        return shop

    client = serve(show, state=Shop, on_startup=[first, second], lifespan=[third])
    with client:
        assert client.get("/shop").json() == {"rate": 3, "seen": ["function", "gateway", "lifespan"]}
    assert client.gateway.state.seen[-1] == "end"


def test_what_a_lifespan_yields_is_in_the_state(serve):
    async def lifespan() -> AsyncIterator[dict[str, object]]:
        yield {"pool": "open"}

    @get("/pool")
    def pool(state: State) -> str:
        return state.pool

    client = serve(pool, lifespan=lifespan)
    with client:
        assert client.get("/pool").text == "open"


@pytest.mark.parametrize("given", [{"rate": 1}, dict, [1], "state", 3])
def test_a_state_of_a_built_in_class_is_refused(given):
    with pytest.raises(ConfigurationError, match="class of its own"):
        Gateway([], state=given)


def test_the_setting_names_the_class():
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "STATE": "tests.gateway.test_state.Shop"}):
        assert isinstance(default_gateway().state, Shop)


@dataclass
class Visit:
    """What one request notes, typed."""

    steps: list[str] = field(default_factory=list)


def begin() -> Visit:
    return Visit()


def test_a_component_without_parameters_is_the_typed_state_of_one_request(serve):
    def come(visit: Visit) -> None:
        visit.steps.append("before")

    def guard(visit: Visit) -> bool:
        visit.steps.append("guard")
        return True

    def leave(visit: Visit, response: Response[Any]) -> None:
        response.headers["X-Steps"] = " ".join(visit.steps)

    @get("/steps", before_request=come, guards=[guard], after_request=leave)
    def steps(visit: Visit) -> None:
        visit.steps.append("handler")

    client = serve(steps, components=[begin])
    assert [client.get("/steps").headers["X-Steps"] for _ in range(2)] == ["before guard handler"] * 2


def test_a_request_has_a_state_of_its_own(serve):
    def greet(request: Request) -> None:
        request.state.name = request.headers.get("x-name", "nobody")

    @get("/name", before_request=greet)
    async def name(request: Request) -> str:
        return request.state.name

    client = serve(name)
    assert client.get("/name", headers={"X-Name": "ada"}).text == "ada"
    assert client.get("/name").text == "nobody"


def test_both_clients_run_what_starts_the_process():
    def fill(state: State) -> None:
        state.filled = True

    with TestClient(Gateway([], on_startup=[fill])) as client:
        assert client.gateway.state.filled
