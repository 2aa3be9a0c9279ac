"""Components and providers: one value per request, cleaned up in reverse, checked at start-up."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import pytest

from hybrid_gateway import (
    Body,
    Component,
    Depends,
    Gateway,
    Header,
    HTTPException,
    Query,
    Router,
    StreamingResponse,
    get,
    http,
    post,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.test import TestClient


class Tenant:
    def __init__(self, name: str) -> None:
        self.name = name


class Session:
    def __init__(self, name: str) -> None:
        self.name = name


class AsyncTenant(Component):
    async def resolve(self, host: http.Host) -> Tenant:
        return Tenant(host)


class SyncTenant(Component):
    def resolve(self, x_tenant: Annotated[str, Header()]) -> Tenant:
        return Tenant(x_tenant)


def sync_session(tenant: Tenant) -> Session:
    return Session(f"sync of {tenant.name}")


async def async_session(tenant: Tenant) -> Session:
    return Session(f"async of {tenant.name}")


@pytest.mark.parametrize("components", [[AsyncTenant(), sync_session], [AsyncTenant, async_session]])
def test_components_feed_components_and_handlers_of_both_colours(serve, components):
    @get("/sync")
    def sync_view(session: Session, tenant: Tenant) -> list[str]:
        return [session.name, tenant.name]

    @get("/async")
    async def async_view(session: Session) -> list[str]:
        return [session.name]

    client = serve(sync_view, async_view, components=components)
    assert client.get("/sync", headers={"Host": "acme.test"}).json()[1] == "acme.test"
    assert client.get("/async", headers={"Host": "acme.test"}).json()[0].endswith("of acme.test")


def test_an_inner_layer_overrides_an_outer_one_also_for_outer_components(serve):
    @get("/plain")
    def plain(session: Session) -> str:
        return session.name

    @get("/inner", components=[SyncTenant()])
    def inner(session: Session) -> str:
        return session.name

    client = serve(plain, Router("", [inner]), components=[AsyncTenant(), sync_session])
    assert client.get("/plain", headers={"Host": "outer.test"}).text == "sync of outer.test"
    assert client.get("/inner", headers={"X-Tenant": "inner"}).text == "sync of inner"
    assert client.get("/inner").json()["errors"][0]["loc"] == ["header", "x-tenant"]


def test_a_component_is_resolved_once_per_request_unless_it_opts_out(serve):
    calls: list[str] = []

    def number() -> int:
        calls.append("number")
        return len(calls)

    def doubled(value: Annotated[int, Depends(number)]) -> str:
        return str(value * 2)

    @get("/cached")
    def cached(
        a: Annotated[int, Depends(number)], b: Annotated[int, Depends(number)], c: Annotated[str, Depends(doubled)]
    ) -> list[Any]:
        return [a, b, c]

    @get("/fresh")
    async def fresh(
        a: Annotated[int, Depends(number)], b: Annotated[int, Depends(number, use_cache=False)]
    ) -> list[int]:
        return [a, b]

    client = serve(cached, fresh)
    assert client.get("/cached").json() == [1, 1, "2"]
    assert client.get("/cached").json() == [2, 2, "4"]
    assert client.get("/fresh").json() == [3, 4]


def test_a_class_is_a_provider_of_itself(serve):
    class Pagination:
        def __init__(self, page: Annotated[int, Query(ge=1)] = 1, size: int = 10) -> None:
            self.offset = (page - 1) * size

    @get("/page")
    async def page(pagination: Annotated[Pagination, Depends()]) -> int:
        return pagination.offset

    client = serve(page)
    assert client.get("/page?page=3").json() == 20
    assert client.get("/page?page=0").status_code == 422


def test_a_component_may_see_the_parameter_it_fills(serve):
    class Setting(str): ...

    class Settings(Component):
        def resolve(self, parameter: inspect.Parameter, x: http.Method) -> Setting:
            return Setting(f"{x} {parameter.name}")

    @get("/settings")
    def settings(first: Setting, second: Setting) -> list[str]:
        return [first, second]

    assert serve(settings, components=[Settings()]).get("/settings").json() == ["GET first", "GET second"]


def test_can_handle_parameter_overrides_matching_by_type(serve):
    class ByPrefix(Component):
        def can_handle_parameter(self, parameter: inspect.Parameter) -> bool:
            return parameter.name.startswith("env_")

        def resolve(self, parameter: inspect.Parameter) -> str:
            return parameter.name.removeprefix("env_").upper()

    @get("/env")
    async def env(env_home: str, other: str = "query") -> list[str]:
        return [env_home, other]

    assert serve(env, components=[ByPrefix()]).get("/env?other=x").json() == ["HOME", "x"]


@pytest.mark.parametrize("lifetime", ["request", "app"])
def test_components_of_one_class_with_attributes_of_their_own_are_several(serve, lifetime):
    made: list[str] = []

    class Named(Component):
        def __init__(self, name: str) -> None:
            self.name = name

        def can_handle_parameter(self, parameter: inspect.Parameter) -> bool:
            return parameter.name == self.name

        def resolve(self) -> str:
            made.append(self.name)
            return self.name.upper()

    Named.lifetime = lifetime  # type: ignore[assignment]
    third = Named("three")

    def after(one: str, two: str, three: Annotated[str, Depends(third)]) -> None:
        made.append(one + two + three)

    @get("/x", after_request=after)
    async def view(two: str, one: str, three: Annotated[str, Depends(third)]) -> list[str]:
        return [one, two, three]

    with serve(view, components=[Named("one"), Named("two")]) as client:
        assert client.get("/x").json() == ["ONE", "TWO", "THREE"]
    assert sorted(made) == ["ONETWOTHREE", "one", "three", "two"]


def test_two_classes_of_one_name_are_two_types(serve):
    def make() -> Any:
        class Token:
            pass

        return Token

    first, second = make(), make()

    def provide_first() -> Any:
        return "first"

    def provide_second() -> Any:
        return "second"

    provide_first.__annotations__["return"] = first
    provide_second.__annotations__["return"] = second

    def view(a: Any, b: Any) -> list[str]:
        return [a, b]

    view.__annotations__.update(a=first, b=second)
    assert serve(get("/x")(view), components=[provide_first, provide_second]).get("/x").json() == ["first", "second"]


# --- clean-up ------------------------------------------------------------------------------------------------------


def make_providers(log: list[str]) -> tuple[Any, Any, Any]:
    def sync_resource() -> Iterator[Tenant]:
        log.append("open sync")
        try:
            yield Tenant("t")
        except Exception as error:
            log.append(f"sync saw {error}")
            raise
        finally:
            log.append("close sync")

    async def async_resource(tenant: Tenant) -> AsyncIterator[Session]:
        log.append("open async")
        try:
            yield Session(tenant.name)
        finally:
            log.append("close async")

    class Late(Component):
        def resolve(self, session: Session) -> Iterator[list[str]]:
            log.append("open late")
            yield []
            log.append("close late")

    return sync_resource, async_resource, Late


def test_clean_up_runs_last_in_first_out(serve):
    log: list[str] = []
    sync_resource, async_resource, late = make_providers(log)

    @get("/sync")
    def sync_view(late: list[str]) -> str:
        log.append("handler")
        return ""

    @get("/async")
    async def async_view(late: list[str]) -> str:
        log.append("handler")
        return ""

    client = serve(sync_view, async_view, components=[sync_resource, async_resource, late])
    for path in ("/sync", "/async"):
        log.clear()
        assert client.get(path).status_code == 200
        assert log == ["open sync", "open async", "open late", "handler", "close late", "close async", "close sync"]


def test_clean_up_sees_the_exception_and_cannot_swallow_it(serve):
    log: list[str] = []
    sync_resource, async_resource, _ = make_providers(log)

    def swallows(session: Session) -> Iterator[int]:
        try:
            yield 1
        except HTTPException:
            log.append("swallowed")

    @get("/fails")
    async def fails(number: Annotated[int, Depends(swallows)]) -> None:
        raise HTTPException(409, "no")

    response = serve(fails, components=[sync_resource, async_resource]).get("/fails")
    assert response.status_code == 409
    assert log == ["open sync", "open async", "swallowed", "close async", "sync saw 409 Conflict: no", "close sync"]


def test_a_clean_up_that_fails_is_the_answer_and_stops_no_other(serve):
    log: list[str] = []
    sync_resource, *_ = make_providers(log)

    def bad(tenant: Tenant) -> Iterator[int]:
        yield 1
        raise HTTPException(503, "commit failed")

    @get("/bad")
    def view(number: Annotated[int, Depends(bad)]) -> str:
        return "fine"

    assert serve(view, components=[sync_resource]).get("/bad").status_code == 503
    assert log[-2:] == ["sync saw 503 Service Unavailable: commit failed", "close sync"]


def test_what_a_stream_needs_is_cleaned_up_after_its_last_byte(serve):
    log: list[str] = []
    sync_resource, *_ = make_providers(log)

    @get("/stream")
    def stream(tenant: Tenant) -> Iterator[bytes]:
        for number in range(3):
            log.append(f"chunk {number}")
            yield b"x"

    @get("/astream")
    async def astream(tenant: Tenant) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            log.append("chunk")
            yield b"y"

        return StreamingResponse(chunks(), media_type="text/x")

    client = serve(stream, astream, components=[sync_resource])
    assert client.get("/stream").content == b"xxx"
    assert log == ["open sync", "chunk 0", "chunk 1", "chunk 2", "close sync"]
    log.clear()
    assert client.get("/astream").content == b"y"
    assert log == ["open sync", "chunk", "close sync"]


# --- the life of the process ---------------------------------------------------------------------------------------


class Client:
    opened = 0


def test_an_app_component_is_made_once_and_closed_at_shutdown(serve):
    log: list[str] = []

    class Base(Component):
        lifetime = "app"

        def resolve(self) -> Iterator[Tenant]:
            log.append("open base")
            yield Tenant("base")
            log.append("close base")

    class AppClient(Component):
        lifetime = "app"

        async def resolve(self, tenant: Tenant) -> AsyncIterator[Client]:
            log.append(f"open client of {tenant.name}")
            yield Client()
            log.append("close client")

    @get("/sync")
    def sync_view(client: Client, tenant: Tenant) -> str:
        return tenant.name

    @get("/async")
    async def async_view(client: Client) -> str:
        return "async"

    client = serve(sync_view, async_view, components=[Base, AppClient])
    with client:
        assert client.get("/sync").text == "base"
        assert client.get("/async").text == "async"
        assert client.get("/sync").text == "base"
    assert log == ["open base", "open client of base", "close client", "close base"]


def test_an_app_component_cannot_need_a_request():
    class PerRequest(Component):
        lifetime = "app"

        def resolve(self, host: http.Host) -> Tenant:
            return Tenant(host)

    @get("/x")
    def view(tenant: Tenant) -> str:
        return tenant.name

    with pytest.raises(ConfigurationError, match=r"PerRequest.resolve: 'host' belongs to a request"):
        Gateway([view], components=[PerRequest])


class Filters(msgspec.Struct):
    words: list[str] = []
    size: int = msgspec.field(default_factory=lambda: 20)


def test_a_struct_that_is_a_provider_makes_its_own_defaults(serve):
    @get("/x")
    async def view(filters: Annotated[Filters, Depends()]) -> Filters:
        filters.words.append("end")
        return filters

    client = serve(view, openapi=OpenAPISettings(enabled=True))
    assert [client.get("/x").json() for _ in range(2)] == [{"words": ["end"], "size": 20}] * 2
    assert client.get("/x?words=a&words=b&size=3").json() == {"words": ["a", "b", "end"], "size": 3}
    assert client.get("/x?size=many").status_code == 422
    parameters = client.get("/openapi.json").json()["paths"]["/x"]["get"]["parameters"]
    assert [(entry["name"], entry.get("required", False)) for entry in parameters] == [
        ("words", False),
        ("size", False),
    ]


# --- overrides -----------------------------------------------------------------------------------------------------


def test_tests_put_fakes_in_the_place_of_components_and_providers():
    def number() -> int:
        return 1

    @get("/x")
    async def view(tenant: Tenant, value: Annotated[int, Depends(number)]) -> list[Any]:
        return [tenant.name, value]

    gateway = Gateway([view], components=[AsyncTenant])
    client = TestClient(gateway)
    before = client.get("/x").json()
    with gateway.override({Tenant: Tenant("fake"), number: lambda: 2}):
        assert client.get("/x").json() == ["fake", 2]
        with gateway.override({Tenant: sync_tenant_of_tests}):
            assert client.get("/x").json() == ["from a provider", 2]
        assert client.get("/x").json() == ["fake", 2]
    assert client.get("/x").json() == before


def sync_tenant_of_tests() -> Tenant:
    return Tenant("from a provider")


def test_a_class_that_a_test_puts_in_place_is_the_value_itself():
    class Engine:
        name = "real"

    class FakeEngine(Engine):
        name = "fake"

    def engine() -> type[Engine]:
        return Engine

    @get("/x")
    def view(engine: type[Engine]) -> str:
        return engine.name

    gateway = Gateway([view], components=[engine])
    client = TestClient(gateway)
    with gateway.override({type[Engine]: FakeEngine}):
        assert client.get("/x").text == "fake"
    assert client.get("/x").text == "real"


@pytest.mark.parametrize("key", [Session, AsyncTenant, sync_tenant_of_tests, "tenant"])
def test_a_test_that_overrides_what_nobody_asks_for_is_told(key):
    @get("/x")
    def view(tenant: Tenant) -> str:
        return tenant.name

    gateway = Gateway([view], components=[AsyncTenant])
    with pytest.raises(ConfigurationError, match="nothing here asks for"), gateway.override({key: 1}):
        pass
    with gateway.override({Tenant: Tenant("known")}):
        assert TestClient(gateway).get("/x").text == "known"


def test_guards_hooks_and_components_ask_for_what_a_test_overrides():
    asked: list[str] = []

    def name(tenant: Tenant) -> str:
        return tenant.name

    def guard(name: Annotated[str, Depends(name)]) -> bool:
        asked.append(name)
        return True

    @get("/x", guards=[guard])
    def view() -> None: ...

    gateway = Gateway([view], components=[AsyncTenant])
    with gateway.override({name: "guarded"}), gateway.override({Tenant: Tenant("not asked for any more")}):
        TestClient(gateway).get("/x")
    assert asked == ["guarded"]


# --- mistakes ------------------------------------------------------------------------------------------------------


def _needs_b(session: Session) -> Tenant: ...  # type: ignore[empty-body]
def _needs_a(tenant: Tenant) -> Session: ...  # type: ignore[empty-body]
def _no_return(): ...
def _unknown(thing: threading.Event) -> Tenant: ...  # type: ignore[empty-body]
def _reads_body(data: Annotated[bytes, Body()]) -> Tenant: ...  # type: ignore[empty-body]


@get("/x")
def _view(tenant: Tenant) -> None: ...


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"components": [_needs_a, _needs_b]},
            "_view .* → _needs_b → _needs_a → _needs_b: a component cannot need itself",
        ),
        ({"components": [_no_return]}, "_no_return has no return annotation"),
        ({"components": [_unknown]}, "→ _unknown: nothing provides 'thing' of type Event"),
        ({"components": [_reads_body]}, "GET and HEAD do not have"),
        ({"components": [object()]}, "neither a component nor a provider"),
        ({"components": []}, "nothing provides 'tenant' of type Tenant"),
    ],
)
def test_the_graph_is_checked_at_start_up_and_the_chain_is_told(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Gateway([_view], **options)


def test_a_guard_that_needs_the_body_is_refused():
    def guard(data: dict[str, int]) -> bool:
        return True

    with pytest.raises(ConfigurationError, match="guards and authentication run before the body is read"):
        Gateway([post("/x", guards=[guard])(lambda: None)])


# --- what yields, however it is written -----------------------------------------------------------------------------

LEFT: list[str] = []


def _numbers(n: int = 1) -> Iterator[int]:
    yield n
    LEFT.append("left")


async def _anumbers(n: int = 1) -> AsyncIterator[int]:
    yield n
    LEFT.append("left")


class _Numbers:
    def __call__(self, n: int = 1) -> Iterator[int]:
        yield n
        LEFT.append("left")

    def method(self, n: int = 1) -> Iterator[int]:
        yield n
        LEFT.append("left")


class _ANumbers:
    async def __call__(self, n: int = 1) -> AsyncIterator[int]:
        yield n
        LEFT.append("left")


YIELDING = {
    "function": _numbers,
    "async function": _anumbers,
    "context manager": contextlib.contextmanager(_numbers),
    "async context manager": contextlib.asynccontextmanager(_anumbers),
    "instance": _Numbers(),
    "async instance": _ANumbers(),
    "method": _Numbers().method,
    "method of a context manager": contextlib.contextmanager(_Numbers().method),
    "partial": functools.partial(_numbers, n=1),
}


@pytest.mark.parametrize("provider", YIELDING.values(), ids=YIELDING)
def test_what_yields_is_entered_and_left_however_it_is_written(serve, provider):
    LEFT.clear()

    @get("/sync")
    def sync(value: Annotated[int, Depends(provider)]) -> int:
        return value

    @get("/async")
    async def asynchronous(value: Annotated[int, Depends(provider)]) -> int:
        return value

    client = serve(sync, asynchronous)
    assert client.get("/sync?n=1").json() == client.get("/async?n=1").json() == 1
    assert LEFT == ["left", "left"]
