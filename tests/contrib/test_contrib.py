"""Containers of other packages: what they provide reaches handlers, and is closed when it should be."""

from collections.abc import AsyncIterator, Iterator

import pytest

from hybrid_gateway import Request, StreamingResponse, get
from hybrid_gateway.test import TestClient

pytest.importorskip("dishka", reason="needs dishka, which the extra `dev` brings")
pytest.importorskip("svcs", reason="needs svcs, which the extra `dev` brings")

import dishka
import svcs

from hybrid_gateway.contrib.dishka import DishkaPlugin, FromDishka
from hybrid_gateway.contrib.svcs import FromSvcs, SvcsPlugin


class Pool:
    closed = False


class Session:
    def __init__(self, pool, path="-"):
        self.pool = pool
        self.path = path


@pytest.fixture
def log():
    return []


@pytest.fixture(params=["async", "sync"])
def container(request, log):
    provider = dishka.Provider()

    if request.param == "async":

        async def pool() -> AsyncIterator[Pool]:
            yield Pool()
            log.append("pool closed")

        async def session(pool: Pool, request: Request) -> AsyncIterator[Session]:
            yield Session(pool, request.url.path)
            log.append("session closed")

    else:

        def pool() -> Iterator[Pool]:
            yield Pool()
            log.append("pool closed")

        def session(pool: Pool, request: Request) -> Iterator[Session]:
            yield Session(pool, request.url.path)
            log.append("session closed")

    provider.provide(pool, scope=dishka.Scope.APP)
    provider.provide(session, scope=dishka.Scope.REQUEST)
    provider.from_context(provides=Request, scope=dishka.Scope.REQUEST)
    make = dishka.make_async_container if request.param == "async" else dishka.make_container
    return make(provider)


@pytest.mark.parametrize("kind", ["async", "def"])
def test_dishka(serve, container, log, kind):
    if kind == "async":

        @get("/path/{n:int}")
        async def view(session: FromDishka[Session], again: FromDishka[Session], n: int) -> str:
            return f"{session.path} {session is again} {n}"

    else:

        @get("/path/{n:int}")
        def view(session: FromDishka[Session], again: FromDishka[Session], n: int) -> str:
            return f"{session.path} {session is again} {n}"

    @get("/stream")
    async def stream(session: FromDishka[Session]) -> StreamingResponse:
        async def chunks():
            log.append("streaming")
            yield b"x"

        return StreamingResponse(chunks())

    with TestClient(serve(view, stream, plugins=[DishkaPlugin(container)]).gateway) as client:
        assert client.get("/path/1").text == "/path/1 True 1"
        assert log == ["session closed"]
        assert client.get("/stream").content == b"x"
        assert log[1:] == ["streaming", "session closed"]
    assert log[3:] == ["pool closed"]


@pytest.mark.parametrize("kind", ["async", "def"])
def test_svcs(serve, log, kind):
    registry = svcs.Registry()

    async def session(container: svcs.Container) -> AsyncIterator[Session]:
        yield Session(await container.aget(Pool))
        log.append("session closed")

    registry.register_value(Pool, Pool(), on_registry_close=lambda: log.append("pool closed"))
    registry.register_factory(Session, session)

    if kind == "async":

        @get("/")
        async def view(session: FromSvcs[Session], services: svcs.Container) -> bool:
            return session.pool is services.get(Pool)

    else:

        @get("/")
        def view(session: FromSvcs[Session], services: svcs.Container) -> bool:
            return session.pool is services.get(Pool)

    with TestClient(serve(view, plugins=[SvcsPlugin(registry)]).gateway) as client:
        assert client.get("/").json() is True
        assert log == ["session closed"]
    assert log == ["session closed", "pool closed"]
