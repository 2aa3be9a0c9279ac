"""What follows an answer: all of it runs, failures are reported, and the connection goes on."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.core.signals import got_request_exception
from django.http import HttpResponse
from starlette.background import BackgroundTask as PlainTask
from starlette.background import BackgroundTasks

from hybrid_gateway import (
    BackgroundTask,
    Depends,
    FileResponse,
    Gateway,
    HTMLResponse,
    JSONResponse,
    Response,
    StreamingResponse,
    UploadFile,
    get,
    post,
)
from hybrid_gateway.exceptions import Conflict


@pytest.fixture
def reported():
    """What was sent by ``got_request_exception``."""
    import sys

    errors: list[str] = []

    def receive(sender: Any, request: Any, **kwargs: Any) -> None:
        errors.append(str(sys.exc_info()[1]))

    got_request_exception.connect(receive)
    yield errors
    got_request_exception.disconnect(receive)


def tasks(done: list[str], kind: str) -> Any:
    """The task of an answer, of a kind, in the middle of which something fails."""

    def do(name: str) -> None:
        done.append(name)

    async def ado(name: str) -> None:
        done.append(name)

    def fail(name: str) -> None:
        done.append(name)
        raise ValueError(name)

    async def afail(name: str) -> None:
        fail(name)

    return {
        "def": BackgroundTask(fail, "fail"),
        "async": BackgroundTask(afail, "fail"),
        "plain": PlainTask(fail, "fail"),
        "several": BackgroundTasks([BackgroundTask(do, "a"), BackgroundTask(fail, "fail"), BackgroundTask(ado, "b")]),
        "nested": BackgroundTasks([BackgroundTasks([PlainTask(afail, "fail")]), BackgroundTask(do, "b")]),
    }[kind]


KINDS = {"def": [], "async": [], "plain": [], "several": ["a", "b"], "nested": ["b"]}
RESPONSES: dict[str, Any] = {
    "response": lambda task: Response(b"x", background=task),
    "json": lambda task: JSONResponse({}, 201, background=task),
    "stream": lambda task: StreamingResponse(iter([b"x"]), background=task),
    "file": lambda task: FileResponse(__file__, background=task),
}


@pytest.mark.parametrize("color", ["def", "async"])
def test_a_task_that_fails_is_reported_and_the_others_run(serve, reported, caplog, color):
    done: list[str] = []

    def after() -> None:
        done.append("after")

    def failing(error: Exception | None) -> None:
        raise KeyError("after")

    def view(response: str, kind: str) -> Any:
        return RESPONSES[response](tasks(done, kind))

    async def aview(response: str, kind: str) -> Any:
        return view(response, kind)

    route = get("/x", name="ships", after_response=[after, failing, after])(view if color == "def" else aview)
    client = serve(route, raises=False)
    for (kind, others), response in itertools.product(KINDS.items(), RESPONSES):
        done.clear(), reported.clear(), caplog.clear()
        answer = client.get("/x", params={"response": response, "kind": kind})
        assert answer.status_code in (200, 201)
        assert sorted(done) == sorted([*others, "fail", "after", "after"]), (kind, response)
        assert done[-2:] == ["after", "after"]
        assert reported == ["fail", "'after'"]
        records = [record for record in caplog.records if record.name == "django.request"]
        assert [record.levelno for record in records] == [logging.ERROR] * 2
        assert all("ships" in record.getMessage() and "GET /x" in record.getMessage() for record in records)
        assert all(record.exc_info for record in records)


def test_tasks_of_the_answer_and_of_the_response_that_was_asked_for_all_run(serve):
    done: list[str] = []

    def first(response: Response) -> int:
        response.background = BackgroundTask(done.append, "first")
        return 1

    def second(response: Response) -> bool:
        response.background = BackgroundTask(done.append, "second")
        return True

    def depends(number: Annotated[int, Depends(first)], response: Response, kind: str) -> Any:
        response.background = BackgroundTasks([response.background, BackgroundTask(done.append, "third")])
        return KIND[kind](BackgroundTask(done.append, "own"))

    async def adepends(number: Annotated[int, Depends(first)], response: Response, kind: str) -> Any:
        return depends(number, response, kind)

    KIND: dict[str, Any] = {  # noqa: N806
        **RESPONSES,
        "value": lambda task: {"a": 1},
        "django": lambda task: HttpResponse("x"),
        "html": lambda task: HTMLResponse("x", background=task),
    }
    client = serve(get("/x", guards=[second])(depends), get("/y", guards=[second])(adepends))
    for path, kind in itertools.product(("/x", "/y"), KIND):
        done.clear()
        assert client.get(path, params={"kind": kind}).status_code in (200, 201)
        own = [] if kind in ("value", "django") else ["own"]
        assert sorted(done) == sorted([*own, "first", "second", "third"]), (path, kind)


@pytest.mark.parametrize("hook", ["value", "response", "stream", "raises"])
def test_what_a_handler_has_asked_for_is_done_unless_a_hook_fails(serve, hook):
    done: list[str] = []

    def after() -> Any:
        if hook == "raises":
            raise Conflict
        new = BackgroundTask(done.append, "hook")
        made = {
            "value": "hook",
            "response": Response(b"hook", background=new),
            "stream": StreamingResponse(iter([b"hook"]), background=new),
        }
        return made[hook]

    @get("/x", after_request=after)
    def view(kind: str) -> Any:
        return RESPONSES[kind](BackgroundTask(done.append, "own"))

    client = serve(view)
    for kind in RESPONSES:
        done.clear()
        answer = client.get("/x", params={"kind": kind})
        if hook == "raises":
            assert (answer.status_code, done) == (409, [])
        else:
            assert (answer.text.strip('"'), done) == ("hook", ["own"] if hook == "value" else ["own", "hook"])


def test_head_and_304_and_kept_answers_are_followed_as_well(serve):
    done: list[str] = []

    def after(response: Response) -> None:
        done.append(f"after {response.status_code}")

    @get("/stream", after_response=after)
    def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"x"]), background=BackgroundTask(done.append, "task"))

    @get("/tagged", etag=True, after_response=after)
    def tagged() -> str:
        return "tagged"

    @get("/kept", cache=60, after_response=after)
    def kept() -> str:
        done.append("handler")
        return "kept"

    client = serve(stream, tagged, kept)
    assert client.head("/stream").content == b""
    assert done == ["task", "after 200"]
    done.clear()
    tag = client.get("/tagged").headers["ETag"]
    assert client.get("/tagged", headers={"If-None-Match": tag}).status_code == 304
    assert done == ["after 200", "after 304"]
    done.clear()
    assert client.get("/kept").text == client.get("/kept").text == "kept"
    assert done == ["handler", "after 200", "after 200"]


@pytest.mark.parametrize("road", ["lane", "uvicorn"])
def test_the_next_request_on_the_connection_is_answered(road):
    uvicorn = pytest.importorskip("uvicorn")
    from uvicorn.server import ServerState

    from hybrid_gateway.drivers.lane.protocol import LaneProtocol
    from tests.drivers.lane import Transport

    def failing() -> None:
        raise ValueError

    @get("/x", after_response=failing, middleware=[] if road == "lane" else [lambda app: app])
    async def view(kind: str) -> Any:
        return RESPONSES[kind](BackgroundTask(failing))

    async def exchange() -> bytes:
        config = uvicorn.Config(Gateway([view]), log_config=None, access_log=False)
        config.load()
        state, transport = ServerState(), Transport(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
        protocol = LaneProtocol(config, state, {}, asyncio.get_running_loop())
        protocol.connection_made(transport)
        for kind in RESPONSES:
            protocol.data_received(f"GET /x?kind={kind} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while state.tasks:
                await asyncio.wait(state.tasks)
                await asyncio.sleep(0)
            assert not transport.closed, kind
        protocol.connection_lost(None)
        return bytes(transport.written)

    assert asyncio.run(exchange()).count(b"x-content-type-options: nosniff\r\n") == len(RESPONSES)


def test_a_clean_up_that_fails_after_a_stream_is_reported_and_its_task_not_done(serve, reported, caplog):
    done: list[str] = []

    def held() -> Iterator[int]:
        yield 1
        raise ValueError("clean-up")

    @get("/x", name="ships", after_response=lambda: done.append("after"))
    def view(held: Annotated[int, Depends(held)]) -> StreamingResponse:
        return StreamingResponse(iter([b"x"]), background=BackgroundTask(done.append, "task"))

    answer = serve(view, raises=False).get("/x")
    assert (answer.status_code, answer.content) == (200, b"x")
    assert (done, reported) == (["after"], ["clean-up"])
    assert "ships" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_tasks_may_read_what_was_uploaded(serve, size):
    done: list[int] = []
    kept: list[UploadFile] = []

    def read(file: UploadFile) -> None:
        done.append(len(file.file.read()))

    @post("/x", max_upload_size=4_000_000)
    def view(file: UploadFile, kind: str) -> Any:
        kept.append(file)
        return RESPONSES[kind](BackgroundTask(read, file))

    client = serve(view)
    for kind in RESPONSES:
        assert client.post("/x", params={"kind": kind}, files={"file": b"x" * size}).status_code in (200, 201)
    assert done == [size] * len(RESPONSES)
    assert all(file.file.closed for file in kept)
