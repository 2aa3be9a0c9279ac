"""How requests end: whatever is answered and whatever hooks make of it, what was entered is left once, in its place."""

import itertools
import threading
from collections.abc import AsyncIterator, Iterator
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
    JSONResponse,
    RedirectResponse,
    Response,
    Route,
    Router,
    StreamingResponse,
    TemplateResponse,
    get,
    http,
)
from hybrid_gateway.exceptions import Conflict, Forbidden
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
    for kind, name in itertools.product(kinds, around):
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


def in_transaction() -> Iterator[transaction.Atomic]:
    with transaction.atomic() as block:
        yield block


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
