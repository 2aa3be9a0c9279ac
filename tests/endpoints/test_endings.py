"""How requests end: whatever is answered and whatever hooks make of it, what was entered is left once, in its place."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.http import HttpResponse, StreamingHttpResponse
from starlette.responses import StreamingResponse as PlainStream

from hybrid_gateway import (
    CORS,
    ASGIResponse,
    BackgroundTask,
    Component,
    Depends,
    EventSourceResponse,
    FileResponse,
    Gateway,
    Header,
    HTMLResponse,
    HTTPException,
    JSONResponse,
    RedirectResponse,
    Response,
    Route,
    Router,
    StreamingResponse,
    TemplateResponse,
    get,
    http,
    post,
)
from hybrid_gateway.exceptions import ConfigurationError, Conflict, Forbidden
from hybrid_gateway.telemetry import AccessLog, DatabaseTiming, RequestID

STREAMS = {"stream", "astream", "plain_stream", "iterator", "aiterator", "events", "file", "asgi", "django_stream"}


@pytest.fixture(autouse=True)
def templates(settings):
    backend = {**settings.TEMPLATES[0], "APP_DIRS": False}
    loaders = [("django.template.loaders.locmem.Loader", {"page.html": "{{ title }}"})]
    backend["OPTIONS"] = {**backend["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [backend]


class Log(list[str]):
    """What has happened, in order; what is opened in one thread is closed there."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: dict[str, int] = {}

    def open(self, name: str) -> None:
        self.append(f"open {name}")
        self.threads[name] = threading.get_ident()

    def close(self, name: str) -> None:
        assert self.threads[name] == threading.get_ident(), f"{name} was closed in another thread"
        self.append(f"close {name}")


class Held:
    def __init__(self) -> None:
        self.is_open = True


def components(log: Log, kind: str) -> Any:
    def held() -> Iterator[Held]:
        log.open("component")
        value = Held()
        try:
            yield value
        finally:
            value.is_open = False
            log.close("component")

    async def aheld() -> AsyncIterator[Held]:
        log.open("component")
        value = Held()
        try:
            yield value
        finally:
            value.is_open = False
            log.close("component")

    return held if kind == "def" else aheld


def answers(log: Log, path: Any) -> dict[str, Any]:
    """By name, what a handler may return, and what it is annotated with."""

    def chunks() -> Iterator[bytes]:
        try:
            log.append("chunk")
            yield b"chunk"
            log.append("last chunk")
        finally:
            log.append("chunks closed")

    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    async def app(scope, receive, send):
        log.append("last chunk")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"app"})

    return {
        "none": (None, lambda: None),
        "text": (str, lambda: "text"),
        "json": (dict[str, int], lambda: {"a": 1}),
        "pair": (tuple[dict[str, int], int], lambda: ({"a": 1}, 202)),
        "response": (Response, lambda: Response(b"made", 201)),
        "json_response": (JSONResponse, lambda: JSONResponse({"a": 1}, 201)),
        "html": (HTMLResponse, lambda: HTMLResponse("<p>")),
        "redirect": (RedirectResponse, lambda: RedirectResponse("/elsewhere")),
        "template": (TemplateResponse, lambda: TemplateResponse("page.html", {"title": "x"})),
        "django": (HttpResponse, lambda: HttpResponse(b"django")),
        "django_stream": (StreamingHttpResponse, lambda: StreamingHttpResponse(chunks())),
        "stream": (StreamingResponse, lambda: StreamingResponse(chunks())),
        "astream": (StreamingResponse, lambda: StreamingResponse(achunks())),
        "plain_stream": (PlainStream, lambda: PlainStream(achunks())),
        "iterator": (Iterator[bytes], lambda: chunks()),
        "aiterator": (AsyncIterator[bytes], lambda: achunks()),
        "events": (EventSourceResponse, lambda: EventSourceResponse(achunks())),
        "file": (FileResponse, lambda: FileResponse(path)),
        "asgi": (ASGIResponse, lambda: ASGIResponse(app)),
    }


def options(log: Log) -> dict[str, dict[str, Any]]:
    """By name, what stands around a handler."""

    def nothing(response: Response) -> None:
        log.append("hook")

    async def header(response: Response) -> None:
        response.headers["X-Hook"] = "1"
        log.append("hook")

    def value() -> dict[str, str]:
        log.append("hook")
        return {"hook": "value"}

    async def another(response: Response) -> Response:
        log.append("hook")
        return JSONResponse({"was": response.status_code})

    def same(response: Response) -> Response:
        log.append("hook")
        return response

    def streams() -> StreamingResponse:
        log.append("hook")
        return StreamingResponse(iter([b"hook"]))

    def raises() -> None:
        log.append("hook")
        raise Conflict

    def crashes() -> None:
        log.append("hook")
        raise ValueError("hook")

    class Event:
        def on_request(self) -> None: ...

        def on_response(self, response: Response) -> None:
            log.append("hook")

        def on_error(self, response: Response) -> None:
            log.append("hook")

    class Replacing:
        async def on_response(self) -> Response:
            log.append("hook")
            return Response(b"replaced")

    class Raising:
        def on_response(self) -> None:
            log.append("hook")
            raise Conflict

    return {
        "nothing": {},
        "after None": {"after_request": nothing},
        "after header": {"after_request": header},
        "after value": {"after_request": value},
        "after another": {"after_request": another},
        "after same": {"after_request": same},
        "after stream": {"after_request": streams},
        "after raises": {"after_request": raises},
        "after crashes": {"after_request": crashes},
        "two replace": {"after_request": [another, value]},
        "value, then raises": {"after_request": [raises, value]},
        "stream, then value": {"after_request": [value, streams]},
        "event": {"event_hooks": [Event]},
        "event replaces": {"event_hooks": [Event, Replacing]},
        "event raises": {"event_hooks": [Event, Raising]},
        "telemetry": {"event_hooks": [RequestID, DatabaseTiming, AccessLog]},
        "features": {"etag": True, "compression": True, "throttle": ["1000/second"], "cors": CORS(["*"]), "cache": 60},
        "after response": {"after_response": lambda: log.append("after response")},
        "both": {"event_hooks": [RequestID], "after_response": lambda: log.append("after response")},
        "timeout": {"timeout": 60},
    }


def view(log: Log, color: str, provider: Any, annotation: Any, make: Any) -> Any:
    """A handler that asks for what ``provider`` gives, and answers what ``make`` makes."""

    def handler(held: Annotated[Held, Depends(provider)]) -> Any:
        assert held.is_open
        log.append("handler")
        return make()

    async def ahandler(held: Annotated[Held, Depends(provider)]) -> Any:
        return handler(held)

    chosen = handler if color == "def" else ahandler
    chosen.__annotations__["return"] = annotation
    return chosen


def slug(text: str) -> str:
    return text.replace(" ", "-").replace(",", "")


@pytest.mark.parametrize(("color", "component"), [("def", "def"), ("async", "async")])
@pytest.mark.django_db
def test_what_was_entered_is_left_once_whatever_is_answered_and_hooked(serve, tmp_path, color, component):
    log = Log()
    (tmp_path / "file").write_bytes(b"file")
    provider, kinds, around = components(log, component), answers(log, tmp_path / "file"), options(log)
    routes = [
        Route(f"/{kind}/{slug(name)}", view(log, color, provider, *kinds[kind]), name=f"{kind} {name}", **layer)
        for kind in kinds
        for name, layer in around.items()
    ]
    client = serve(*routes, raises=False)
    some = 7 if client.handler.protocol == "lane" else 1  # whose every request is a connection of its own here
    for kind, name in itertools.islice(itertools.product(kinds, around), 0, None, some):
        log.clear()
        answer = client.get(f"/{kind}/{slug(name)}")
        told = f"{kind}, {name}: {answer.status_code} {answer.content!r} {log}"
        assert log.count("open component") == log.count("close component") == log.count("handler") == 1, told
        assert log.index("handler") < log.index("close component"), told
        assert ("chunk" in log) <= ("chunks closed" in log), told
        if "after response" in log:
            assert log.index("close component") < log.index("after response"), told
        elif name in ("after response", "both"):
            pytest.fail(told)
        if kind in STREAMS and "last chunk" in log:
            assert log.index("last chunk") < log.index("close component"), told
        if kind not in STREAMS and "hook" in log:
            assert log.index("close component") < log.index("hook"), told
        assert answer.status_code == (409 if "raises" in name else 500 if "crashes" in name else answer.status_code), (
            told
        )
        assert log.count("hook") == {"two replace": 2, "value, then raises": 2, "stream, then value": 2}.get(
            name, log.count("hook")
        ), told


# --- commits --------------------------------------------------------------------------------------------------------


def in_transaction() -> Iterator[None]:
    with transaction.atomic():
        yield


def own_transaction() -> Iterator[None]:
    with transaction.atomic():
        yield


class Unit:
    """A transaction that fails to commit where it is told to."""

    fails = ""


def unit() -> Iterator[Unit]:
    made = Unit()
    with transaction.atomic():
        yield made
        if made.fails:
            raise IntegrityError(made.fails)


def conflict(error: IntegrityError) -> tuple[dict[str, str], int]:
    return {"conflict": str(error)}, 409


def hooks_on_response() -> dict[str, Any]:
    def replaces() -> Response:
        return JSONResponse({}, 202)

    def raises() -> None:
        raise Conflict

    class Looks:
        def on_response(self, made: Annotated[Unit, Depends(unit)]) -> None:
            assert isinstance(made, Unit)

    return {
        "none": {},
        "request id": {"event_hooks": [RequestID]},
        "timing": {"event_hooks": [DatabaseTiming, RequestID]},
        "replaces": {"after_request": replaces},
        "raises": {"after_request": raises},
        "looks": {"event_hooks": [RequestID, Looks]},
        "after response": {"after_response": lambda: None},
        "etag": {"etag": True, "compression": True, "event_hooks": [AccessLog]},
    }


MADE = {
    "raw": lambda: "made",
    "pair": lambda: ("made", 201),
    "response": lambda: Response(b"made", 201),
    "json": lambda: JSONResponse({"made": 1}, 201),
    "background": lambda: Response(b"made", 201, background=BackgroundTask(len, "")),
    "template": lambda: TemplateResponse("page.html", {"title": "x"}, 201),
    "stream": lambda: StreamingResponse(iter([b"made"]), 201),
    "django": lambda: HttpResponse(b"made", status=201),
}


@pytest.mark.parametrize("color", ["def", "async"])
@pytest.mark.django_db(transaction=True)
def test_a_component_commits_and_a_commit_that_fails_is_the_answer(serve, color):
    around = hooks_on_response()

    def route(kind: str, name: str) -> Route:
        def handler(made: Annotated[Unit, Depends(unit)], fails: str = "") -> Any:
            Group.objects.create(name=f"{kind} {name} {fails}")
            made.fails = fails
            return MADE[kind]()

        async def ahandler(made: Annotated[Unit, Depends(unit)], fails: str = "") -> Any:
            made.fails = fails
            return MADE[kind]()

        chosen = handler if color == "def" else ahandler
        return Route(f"/{kind}/{slug(name)}", chosen, methods=["POST"], name=f"{kind} {name}", **around[name])

    routes = [route(kind, name) for kind in MADE for name in around]
    client = serve(*routes, exception_handlers={IntegrityError: conflict}, raises=False)
    for kind, name in itertools.product(MADE, around):
        told = f"{kind}, {name}"
        path = f"/{kind}/{slug(name)}"
        answer = client.post(path)
        assert answer.status_code == {"replaces": 202, "raises": 409}.get(name, 201), told
        # A stream that a hook has failed was never sent: its component has seen that.
        is_kept = (kind, name) != ("stream", "raises")
        assert Group.objects.filter(name=f"{kind} {name} ").exists() == (is_kept and color == "def"), told
        failed = client.post(path, params={"fails": "late"})
        if kind == "stream" and name not in ("replaces", "raises"):
            assert failed.status_code == 201, told  # it has begun
        elif name == "replaces" and kind != "stream":
            assert failed.status_code == 202, told  # what the hook makes of the error
        else:
            assert failed.status_code == 409, told
            if name != "raises":
                assert failed.json() == {"conflict": "late"}, told
        assert not Group.objects.filter(name=f"{kind} {name} late").exists(), told
        assert ("X-Request-ID" in failed.headers) == (name in ("request id", "timing", "looks")), told


# --- once per request, whoever asks ---------------------------------------------------------------------------------


class Session:
    made = 0


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


def sessions(log: list[str], kind: str) -> Any:
    """A component of a kind, which says when it is made and closed."""

    def make(number: int = 0) -> Session:
        session = Session()
        session.is_open = True
        log.append("open")
        return session

    def close(session: Session) -> None:
        session.is_open = False
        log.append("close")

    def generator() -> Iterator[Session]:
        session = make()
        try:
            yield session
        finally:
            close(session)

    async def agenerator() -> AsyncIterator[Session]:
        session = make()
        try:
            yield session
        finally:
            close(session)

    def function() -> Session:
        return make()

    async def afunction() -> Session:
        return make()

    class Resolving(Component):
        def resolve(self, number: int, method: http.Method) -> Iterator[Session]:
            yield from generator()

    class AResolving(Component):
        async def resolve(self, number: int, x_name: Annotated[str, Header()]) -> Session:
            return make(number)

    return {
        "generator": generator,
        "agenerator": agenerator,
        "function": function,
        "afunction": afunction,
        "component": Resolving,
        "acomponent": AResolving,
    }[kind]


KINDS = ["generator", "agenerator", "function", "afunction", "component", "acomponent"]


def repository(session: Session) -> Repository:
    return Repository(session)


async def arepository(session: Session) -> Repository:
    return Repository(session)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inner", [repository, arepository])
def test_a_component_is_made_once_whoever_asks_and_closed_last(serve, kind, inner):
    log: list[str] = []
    seen: list[Session] = []

    def see(name: str, session: Session) -> None:
        assert session.is_open, name
        log.append(name)
        seen.append(session)

    def guard(session: Session) -> bool:
        see("guard", session)
        return True

    def before(repository: Repository) -> None:
        see("before", repository.session)

    async def after(repository: Repository, response: Response) -> None:
        see("after", repository.session)

    def sent(session: Session) -> None:
        see("sent", session)

    class Event:
        def on_request(self, session: Session) -> None:
            see("in", session)

        async def on_response(self, repository: Repository) -> None:
            see("out", repository.session)

        def on_error(self, session: Session, error: Exception) -> None:
            see("error", session)

    class Lost(Exception): ...

    async def lost(error: Lost, repository: Repository) -> tuple[str, int]:
        see("lost", repository.session)
        return "lost", 410

    @get("/x/{number:int}", guards=[guard])
    def handler(number: int, session: Session, fails: str = "") -> str:
        see("handler", session)
        if fails == "crash":
            raise ValueError
        if fails:
            raise Lost
        return "found"

    @get("/y/{number:int}", guards=[guard])
    async def ahandler(number: int, repository: Repository, fails: str = "") -> str:
        return handler(number, repository.session, fails)

    layer = {"before_request": before, "after_request": after, "event_hooks": [Event]}
    layer |= {"exception_handlers": {Lost: lost}, "components": [sessions(log, kind), inner]}
    client = serve(handler, ahandler, raises=False, **layer)
    later = serve(handler, ahandler, raises=False, after_response=sent, **layer)
    closes = ["close"] if "open" in kind or "generator" in kind or kind == "component" else []
    way_in = ["in", "before", "guard", "handler"]
    for path, (fails, way_out) in itertools.product(
        ("/x/3", "/y/3"),
        {"": ["after", "out"], "yes": ["lost", "after", "out"], "crash": ["after", "error"]}.items(),
    ):
        for asked, more in ((client, []), (later, ["sent"])):
            log.clear()
            seen.clear()
            answer = asked.get(path, params={"fails": fails}, headers={"X-Name": "x"})
            assert answer.status_code == {"": 200, "yes": 410, "crash": 500}[fails]
            assert log == ["open", *way_in, *way_out, *more, *closes], (path, fails)
            assert len(set(map(id, seen))) == 1


@pytest.mark.parametrize("kind", ["generator", "agenerator"])
def test_what_no_hook_asks_for_is_closed_before_hooks_and_what_one_asks_for_after_it(serve, kind):
    log: list[str] = []
    own, provider = [], sessions(log, kind)

    def mine() -> Iterator[int]:
        yield 1
        own.append(len(log))

    def inner(session: Annotated[Session, Depends(provider)]) -> None:
        log.append("inner")

    def outer() -> None:
        log.append("outer")

    @get("/x", after_request=inner)
    async def handler(session: Annotated[Session, Depends(provider)], mine: Annotated[int, Depends(mine)]) -> str:
        log.append("handler")
        return ""

    assert serve(Router("", [handler], after_request=[outer])).get("/x").status_code == 200
    assert log == ["open", "handler", "inner", "close", "outer"]
    assert own == [2]


def test_a_component_that_has_failed_fails_once(serve, caplog):
    made = []

    def failing() -> Session:
        made.append(1)
        raise Forbidden("no session")

    def after(session: Session, response: Response) -> None:
        response.headers["X-After"] = "1"

    def explain(error: Forbidden, session: Session) -> str:
        return "never"

    def also() -> None:
        made.append(2)

    @get("/x", components=[failing], after_request=[also, after], exception_handlers={Forbidden: explain})
    async def handler(session: Session) -> None: ...

    answer = serve(handler).get("/x")
    assert (answer.status_code, answer.json()["detail"], made) == (403, "no session", [1, 2])
    assert "X-After" not in answer.headers
    assert not caplog.records


def test_who_asks_first_has_it_made_where_the_plan_did_not_come_so_far(serve):
    log: list[str] = []

    def refuse() -> bool:
        return False

    def after(session: Session, again: Session) -> None:
        log.append("after")
        assert session is again

    class Event:
        def on_response(self, session: Session) -> None:
            log.append("event")

    @get("/x", guards=[refuse], components=[sessions(log, "generator")], after_request=after, event_hooks=[Event])
    async def handler(session: Session) -> None: ...

    assert serve(handler).get("/x").status_code == 403
    assert log == ["open", "after", "event", "close"]


def test_use_cache_opts_out_and_what_only_that_needs_lasts_as_long(serve):
    log: list[str] = []

    def connection() -> Iterator[int]:
        log.append("connect")
        yield len(log)
        log.append("disconnect")

    def session(number: Annotated[int, Depends(connection, use_cache=False)]) -> Iterator[Session]:
        log.append("open")
        yield Session()
        log.append("close")

    def after(session: Annotated[Session, Depends(session)]) -> None:
        log.append("after")

    def fresh(number: Annotated[int, Depends(connection, use_cache=False)]) -> None:
        log.append("fresh")

    @get("/x", after_request=[fresh, after])
    def handler(session: Annotated[Session, Depends(session)]) -> str:
        log.append("handler")
        return ""

    assert serve(handler).get("/x").status_code == 200
    assert log == [
        "connect", "open", "handler", "after", "close", "disconnect", "connect", "fresh", "disconnect",
    ]  # fmt: skip


def test_routes_without_hooks_keep_their_components_to_themselves():
    @get("/x")
    def handler(session: Annotated[Session, Depends(sessions([], "generator"))]) -> str:
        return ""

    def after() -> None: ...

    for options in ({}, {"after_request": after}, {"event_hooks": [RequestID]}):
        (route,) = Gateway([handler], **options).routes
        assert "share" not in route.source


# --- other ends -----------------------------------------------------------------------------------------------------


def answer_on_a_loop(gateway: Gateway, path: str, *, method: str = "GET", gone: bool = False) -> list[Any]:
    """What a gateway sends to a server whose blocking work goes to the gateway's own threads."""
    sent: list[Any] = []

    async def receive() -> Any:
        if sent and gone:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)
        if gone and message["type"] == "http.response.body":
            raise OSError("gone")

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"localhost")], "query_string": b""}
    scope["asgi"] = {"spec_version": "2.4"}
    with suppress(OSError):  # of an answer that does not stream it is the server's to take
        asyncio.run(gateway(scope, receive, send))
    return sent


@pytest.mark.parametrize("color", ["def", "async"])
def test_what_was_entered_on_a_thread_of_the_pool_is_left_on_the_same(tmp_path, color):
    log = Log()
    (tmp_path / "file").write_bytes(b"file")
    provider, kinds, around = components(log, "def"), answers(log, tmp_path / "file"), options(log)
    kinds.pop("template"), around.pop("features")  # which need a database, and a cache
    routes = [
        Route(f"/{kind}/{slug(name)}", view(log, color, provider, *kinds[kind]), name=f"{kind} {name}", **layer)
        for kind in kinds
        for name, layer in around.items()
    ]
    gateway = Gateway(routes, threads=3)
    for number, (kind, name) in enumerate(itertools.product(kinds, around)):
        for gone in ((False, True)[number % 2],):
            log.clear()
            answer_on_a_loop(gateway, f"/{kind}/{slug(name)}", gone=gone)
            assert log.count("open component") == log.count("close component") == 1, (kind, name, gone, log)
            assert ("chunk" in log) <= ("chunks closed" in log), (kind, name, gone, log)


@pytest.mark.parametrize("kind", ["stream", "astream", "iterator", "events", "django_stream"])
def test_a_hook_may_make_another_stream_of_the_chunks(serve, kind):
    log = Log()

    def shout(response: StreamingResponse) -> StreamingResponse:
        async def louder() -> AsyncIterator[bytes]:
            async for chunk in response.body_iterator:
                yield bytes(chunk).upper()

        return StreamingResponse(louder())

    route = Route("/x", view(log, "def", components(log, "def"), *answers(log, "")[kind]), after_request=shout)
    assert serve(route).get("/x").content == b"CHUNK"
    assert log == ["open component", "handler", "chunk", "last chunk", "chunks closed", "close component"]


def test_what_a_replaced_stream_holds_is_closed_before_what_it_needs(serve):
    log: list[str] = []

    class Chunks:
        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            log.append(f"close {self.name}")

    def held() -> Iterator[int]:
        yield 1
        log.append("left")

    def second() -> StreamingResponse:
        return StreamingResponse(Chunks("second"))

    def last() -> str:
        return "whole"

    @get("/x", after_request=[last, second])
    def handler(held: Annotated[int, Depends(held)]) -> StreamingResponse:
        return StreamingResponse(Chunks("first"))

    @get("/y", after_request=[last, second])
    def django(held: Annotated[int, Depends(held)]) -> StreamingHttpResponse:
        response = StreamingHttpResponse(iter([b"x"]))
        response._resource_closers.append(lambda: log.append("close first"))
        return response

    client = serve(handler, django)
    for path in ("/x", "/y"):
        log.clear()
        assert client.get(path).text == "whole"
        assert log == ["close second", "close first", "left"]


def test_handlers_of_errors_where_no_route_answers_leave_what_they_have_entered(serve):
    log: list[str] = []

    def held() -> Iterator[int]:
        log.append("open")
        yield 404
        log.append("close")

    def lost(number: Annotated[int, Depends(held)], again: Annotated[int, Depends(held)]) -> tuple[str, int]:
        log.append("lost")
        return "lost", number

    def refused(number: Annotated[int, Depends(held)]) -> Iterator[bytes]:
        yield b"streamed"
        log.append("streamed")

    client = serve(exception_handlers={404: lost, 405: refused}, raises=False)
    assert client.get("/nowhere").text == "lost"
    assert log == ["open", "lost", "close"]
    log.clear()
    client = serve(get("/x")(lambda: None), exception_handlers={404: lost, 405: refused}, raises=False)
    assert client.post("/x").content == b"streamed"
    assert log == ["open", "streamed", "close"]


def test_a_handler_of_errors_that_raises_the_same_leaves_it_to_the_gateway(serve, caplog):
    def unable(error: Exception) -> None:
        raise error

    @get("/x/{number:int}")
    def handler(number: int) -> None:
        raise [Conflict("taken"), ValueError("bug")][number]

    client = serve(handler, exception_handlers={Conflict: unable, ValueError: unable}, raises=False)
    assert client.get("/x/0").json()["detail"] == "taken"
    assert not caplog.records
    assert client.get("/x/1").status_code == 500
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["bug"]


def test_clean_ups_that_keep_failing_end_in_a_plain_500(serve, caplog):
    log: list[str] = []

    def bad() -> Iterator[int]:
        log.append("open")
        yield 1
        raise ValueError(f"close {len(log)}")

    def explain(number: Annotated[int, Depends(bad)]) -> str:
        return "explained"

    @get("/x", exception_handlers={ValueError: explain})
    def handler(number: Annotated[int, Depends(bad)]) -> str:
        return ""

    assert serve(handler, raises=False).get("/x").status_code == 500
    assert 2 <= len(log) <= 3
    assert [str(record.exc_info[1]) for record in caplog.records] == [f"close {len(log)}"]


@pytest.mark.parametrize("shared", [False, True])
def test_who_answers_for_a_handler_that_takes_too_long_does_not_wait_for_it(shared):
    log: list[str] = []
    go_on = threading.Event()

    def held() -> Iterator[list[str]]:
        log.append("open")
        try:
            yield log
        finally:
            log.append("close")

    def after(response: Response, held: Annotated[list[str], Depends(held)]) -> None:
        log.append(f"after {response.status_code}")

    def plain(response: Response) -> None:
        log.append(f"after {response.status_code}")

    class Event:
        def on_error(self) -> None:
            log.append("event")

    def slow(held: Annotated[list[str], Depends(held)]) -> str:
        go_on.wait(10)
        log.append("slow")
        return ""

    route = get("/x", timeout=0.05, after_request=after if shared else plain, event_hooks=[Event])(slow)
    sent: list[Any] = []
    gateway = Gateway([route], threads=2)

    async def serve() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "headers": [(b"host", b"localhost")],
            "query_string": b"",
        }
        await gateway(scope, receive, send)
        log.append("answered")
        go_on.set()
        while log[-1] != "close":
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(serve(), 10))
    assert sent[0]["status"] == 504
    of_answer = ["open", "after 504", "close"] if shared else ["after 504"]
    assert log == ["open", *of_answer, "event", "answered", "slow", "close"]


@pytest.mark.parametrize("place", ["handler", "hook", "error handler"])
def test_a_request_that_is_cancelled_leaves_everything_wherever_it_is(place):
    log: list[str] = []
    waits = asyncio.Event

    def held() -> Iterator[int]:
        log.append("open")
        try:
            yield 1
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        finally:
            log.append("close")

    async def wait() -> None:
        log.append("waiting")
        await waits().wait()

    async def hook(held: Annotated[int, Depends(held)]) -> None:
        if place == "hook":
            await wait()

    async def lost(held: Annotated[int, Depends(held)]) -> None:
        await wait()

    @get("/x", after_request=hook, exception_handlers={Conflict: lost})
    async def handler(held: Annotated[int, Depends(held)]) -> Any:
        if place == "handler":
            await wait()
        if place == "error handler":
            raise Conflict
        return StreamingResponse(iter([b""]))

    async def run() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "headers": [(b"host", b"localhost")],
            "query_string": b"",
        }
        serving = asyncio.create_task(Gateway([handler])(scope, None, None))
        while "waiting" not in log:
            await asyncio.sleep(0.001)
        serving.cancel()
        await asyncio.wait((serving,))
        assert serving.cancelled()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert log == ["open", "waiting", "CancelledError", "close"]


def test_a_hook_cannot_ask_for_the_body_and_is_told_what_to_do():
    def order(data: dict[str, int]) -> Session:
        return Session()

    def after(session: Session) -> None: ...

    @post("/x", components=[order], after_request=after)
    def handler(session: Session) -> None: ...

    with pytest.raises(ConfigurationError, match=r"after .* → .*order: 'data' would be the JSON body.*request\.state"):
        Gateway([handler])


@pytest.mark.parametrize("color", ["def", "async"])
def test_components_of_the_process_are_the_same_everywhere(serve, color):
    log: list[str] = []

    class Pool(Component):
        lifetime = "app"

        def resolve(self) -> Iterator[Session]:
            log.append("open")
            yield Session()
            log.append("close")

    seen = []

    def after(session: Session) -> None:
        seen.append(session)

    class Event:
        async def on_response(self, session: Session) -> None:
            seen.append(session)

    def handler(session: Session) -> str:
        seen.append(session)
        return ""

    async def ahandler(session: Session) -> str:
        return handler(session)

    route = get("/x", after_request=after, after_response=after, event_hooks=[Event])(
        handler if color == "def" else ahandler
    )
    with serve(route, components=[Pool]) as client:
        assert client.get("/x").status_code == client.get("/x").status_code == 200
        assert log == ["open"]
    assert (log, len(seen), len(set(map(id, seen)))) == (["open", "close"], 8, 1)


@pytest.mark.django_db(transaction=True)
def test_what_answers_an_error_keeps_what_it_has_written(serve):
    """What an exception handler or a hook opens itself has no part in the error that it answers."""

    def refused(block: Annotated[Any, Depends(in_transaction)]) -> tuple[str, int]:
        Group.objects.create(name="refused")
        return "refused", 409

    def after(response: Response, block: Annotated[Any, Depends(own_transaction)]) -> None:
        Group.objects.create(name=f"after {response.status_code}")

    @get("/x", exception_handlers={Conflict: refused}, after_request=after)
    def handler() -> None:
        Group.objects.create(name="handler")
        raise Conflict

    @get("/y", exception_handlers={Conflict: refused})
    def shares(block: Annotated[Any, Depends(in_transaction)]) -> None:
        Group.objects.create(name="undone")
        raise Conflict

    client = serve(handler, shares)
    assert client.get("/x").status_code == 409
    assert sorted(Group.objects.values_list("name", flat=True)) == ["after 409", "handler", "refused"]
    Group.objects.all().delete()
    assert client.get("/y").status_code == 409
    assert not Group.objects.exists()  # one transaction, of the handler and of who answers for it


@pytest.mark.django_db(transaction=True)
def test_work_that_fails_undoes_what_it_has_entered_itself_and_nothing_else(serve, caplog):
    def after(block: Annotated[Any, Depends(own_transaction)]) -> None:
        Group.objects.create(name="after")
        raise ValueError

    def shares(block: Annotated[Any, Depends(in_transaction)]) -> None:
        Group.objects.create(name="shared")
        raise ValueError

    def then(block: Annotated[Any, Depends(own_transaction)]) -> None:
        Group.objects.create(name="then")

    @get("/own", after_response=[then, after])
    def own(block: Annotated[Any, Depends(in_transaction)]) -> str:
        Group.objects.create(name="handler")
        return ""

    @get("/shared", after_response=shares)
    def shared(block: Annotated[Any, Depends(in_transaction)]) -> Response:
        Group.objects.create(name="handler")
        return Response(b"")

    client = serve(own, shared, raises=False)
    for path, kept in (("/own", ["handler", "then"]), ("/shared", ["handler", "shared"])):
        Group.objects.all().delete()
        caplog.clear()
        assert client.get(path).status_code == 200
        assert sorted(Group.objects.values_list("name", flat=True)) == kept
        assert len(caplog.records) == 1


@pytest.mark.parametrize("answer", ["value", "response", "stream", "raises"])
@pytest.mark.django_db(transaction=True)
def test_an_error_undoes_what_was_done_before_it_whatever_answers(serve, answer):
    def explain(error: Conflict, block: Annotated[Any, Depends(in_transaction)]) -> Any:
        Group.objects.create(name="shared")
        return {"value": "x", "response": Response(b"x"), "stream": StreamingResponse(iter([b"x"]))}[answer]

    def own(error: Conflict, block: Annotated[Any, Depends(own_transaction)]) -> Any:
        Group.objects.create(name="own")
        return {"value": "x", "response": Response(b"x"), "stream": StreamingResponse(iter([b"x"]))}[answer]

    def handler(block: Annotated[Any, Depends(in_transaction)]) -> None:
        Group.objects.create(name="handler")
        raise Conflict

    routes = [
        get("/shared", exception_handlers={Conflict: explain})(handler),
        get("/own", exception_handlers={Conflict: own})(handler),
        get("/after", exception_handlers={Conflict: explain}, after_response=lambda: None)(handler),
    ]
    client = serve(*routes, raises=False)
    for path in ("/shared", "/own", "/after"):
        Group.objects.all().delete()
        client.get(path)
        kept = ["own"] if path == "/own" and answer != "raises" else []
        assert list(Group.objects.values_list("name", flat=True)) == kept, path


@pytest.mark.parametrize("key", [ValueError, Exception, 500, 418, HTTPException])
def test_every_exception_handler_sees_the_components_of_the_handler_open(serve, key):
    log: list[str] = []

    async def explain(session: Session, error: Exception) -> tuple[str, int]:
        assert session.is_open
        log.append("explain")
        return "explained", 599

    error: Exception = HTTPException(418) if key in (418, HTTPException) else ValueError()

    @get("/x", components=[sessions(log, "generator")], exception_handlers={key: explain}, event_hooks=[RequestID])
    def handler(session: Session) -> None:
        raise error

    answer = serve(handler, raises=False).get("/x")
    assert (answer.status_code, log) == (599, ["open", "explain", "close"])
    assert "X-Request-ID" in answer.headers
