"""What would be wrong with each request is told when a gateway is built, or is right."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any

import pytest
from django.http import HttpResponse, HttpResponseRedirect
from django.http import JsonResponse as DjangoJSON
from starlette import responses as starlette

from hybrid_gateway import (
    ASGIMiddleware,
    Component,
    ConfigurationError,
    Controller,
    EventSourceResponse,
    FileResponse,
    Gateway,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    Route,
    Router,
    State,
    StreamingResponse,
    delete,
    get,
    post,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document

# --- the status of a response object is that of its route, unless it names one

UNNAMED: dict[str, Any] = {
    "Response": lambda: Response(b"made"),
    "Response of nothing": Response,
    "JSONResponse": lambda: JSONResponse({"a": 1}),
    "HTMLResponse": lambda: HTMLResponse("<p>"),
    "PlainTextResponse": lambda: PlainTextResponse("a"),
    "StreamingResponse": lambda: StreamingResponse(iter([b"a"])),
    "FileResponse": lambda: FileResponse(__file__),
    "Starlette's": lambda: starlette.JSONResponse({"a": 1}),
    "Django's": lambda: HttpResponse(b"a"),
    "Django's JSON": lambda: DjangoJSON({"a": 1}),
    "a value": lambda: {"a": 1},
}
NAMED: dict[str, tuple[int, Any]] = {
    "Response": (200, lambda: Response(b"made", 200)),
    "JSONResponse": (200, lambda: JSONResponse({"a": 1}, status_code=200)),
    "HTMLResponse": (200, lambda: HTMLResponse("<p>", 200)),
    "FileResponse": (200, lambda: FileResponse(__file__, 200)),
    "StreamingResponse": (200, lambda: StreamingResponse(iter([b"a"]), 200)),
    "Django's": (200, lambda: HttpResponse(b"a", status=200)),
    "another": (418, lambda: Response(b"a", 418)),
    "Starlette's": (206, lambda: starlette.Response(b"a", 206)),
    "RedirectResponse": (307, lambda: RedirectResponse("/x")),
}
VERBS = {"get": (get, 200), "post": (post, 201), "delete": (delete, 200)}
WAYS = [(None, False), (None, True), (202, True)]  # of a route: its status_code, and whether it is `async def`


def routes(make: Any) -> list[Any]:
    found = []
    for name, (verb, _) in VERBS.items():
        for status, is_async in WAYS:

            def respond() -> Any:
                return make()

            async def arespond() -> Any:
                return make()

            options = {} if status is None else {"status_code": status}
            handler: Any = arespond if is_async else respond
            found.append(verb(f"/{name}/{status}/{is_async}", **options)(handler))
    return found


def statuses(client: Any) -> dict[str, int]:
    paths = [(name, f"/{name}/{status}/{is_async}") for name in VERBS for status, is_async in WAYS]
    return {path: getattr(client, name)(path).status_code for name, path in paths}


@pytest.mark.parametrize("kind", UNNAMED)
def test_a_response_without_a_status_has_that_of_its_route(serve: Any, kind: str) -> None:
    client = serve(*routes(UNNAMED[kind]))
    for path, status in statuses(client).items():
        assert status == (202 if "202" in path else VERBS[path.split("/")[1]][1]), path


@pytest.mark.parametrize("kind", NAMED)
def test_a_response_with_a_status_keeps_it(serve: Any, kind: str) -> None:
    status, make = NAMED[kind]
    assert set(statuses(serve(*routes(make))).values()) == {status}


KINDS: dict[Any, Any] = {
    Response[Any]: Response,
    JSONResponse: lambda: JSONResponse(1),
    HttpResponse: HttpResponse,
    RedirectResponse: lambda: RedirectResponse("/x"),
    HttpResponseRedirect: lambda: HttpResponseRedirect("/x"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("verb", "status"), [("get", None), ("post", None), ("post", 202), ("get", 303)])
def test_the_document_says_the_same(serve: Any, kind: Any, verb: str, status: int | None) -> None:
    def made() -> Any:
        return KINDS[kind]()

    made.__annotations__["return"] = kind
    client = serve(VERBS[verb][0]("/made", **({} if status is None else {"status_code": status}))(made))
    document: Any = build_document(client.gateway.endpoints, OpenAPISettings())
    assert str(getattr(client, verb)("/made").status_code) in document["paths"]["/made"][verb]["responses"]


def test_a_status_without_content_is_given_to_what_has_none(serve: Any) -> None:
    empty = delete("/empty", status_code=204)(lambda: Response())
    full = delete("/full", status_code=204)(lambda: Response(b"full"))
    client = serve(empty, full)
    answer = client.delete("/empty")
    assert (answer.status_code, answer.content, answer.headers.get("content-length")) == (204, b"", None)
    assert client.delete("/full").text == "full"


def test_exception_handlers_and_hooks_keep_theirs(serve: Any) -> None:
    def handled(error: ValueError) -> Any:
        return JSONResponse({"handled": True})

    def first() -> Any:
        return PlainTextResponse("first")

    def fail() -> str:
        raise ValueError

    client = serve(
        post("/fails", exception_handlers={ValueError: handled})(fail), post("/first", before_request=first)(fail)
    )
    assert client.post("/fails").status_code == 200
    assert client.post("/first").status_code == 200


# --- cookies


def morsel() -> Morsel[str]:
    made: Morsel[str] = Morsel()
    made.set("id", "7", "7")
    return made


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"id": "7"}, ["id=7"]),
        ({"id": "7", "theme": "dark"}, ["id=7", "theme=dark"]),
        ([("id", "7")], ["id=7"]),
        ((("id", 7),), ["id=7"]),
        ([["ab", "c"]], ["ab=c"]),
        ([{"key": "id", "value": "7", "httponly": True}], ["id=7; HttpOnly; Path=/; SameSite=lax"]),
        ({"key": "id", "value": "7"}, ["id=7; Path=/; SameSite=lax"]),
        ([morsel()], ["id=7"]),
    ],
)
@pytest.mark.parametrize("place", ["handler", "gateway"])
def test_cookies_of_a_layer_are_what_they_say(serve: Any, given: Any, sent: list[str], place: str) -> None:
    route, options = get("/")(lambda: "x"), {"response_cookies": given}
    client = serve(get("/", **options)(lambda: "x")) if place == "handler" else serve(route, **options)
    assert [value for name, value in client.get("/").raw_headers if name == "set-cookie"] == sent


@pytest.mark.parametrize(
    "given", ["id=7", ["id"], ["ab"], [("id",)], [("id", "7", "x")], [{"name": "id"}], [5], [("i d", "7")], 5,
              [("id", None)], [{"key": "id", "http_only": True}]],
)  # fmt: skip
def test_what_is_no_cookie_is_told(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="cookie"):
        Gateway([get("/", response_cookies=given)(lambda: "x")])


# --- one thing where there must be a list

LISTS = ["components", "authentication", "guards", "middleware", "django_middleware", "event_hooks", "tags", "security"]
LISTS += ["media_types"]
DICTS = ["exception_handlers", "response_headers", "type_encoders", "type_decoders", "parameters", "opt"]
PLACES: dict[str, Any] = {
    "handler": lambda options: [get("/", **options)(lambda: "x")],
    "Route": lambda options: [Route("/", lambda: "x", **options)],
    "Router": lambda options: [Router("/a", [get("/")(lambda: "x")], **options)],
    "Controller": lambda options: [type("C", (Controller,), {"shown": get("/")(lambda self: "x"), **options})],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_a_list(place: str, name: str) -> None:
    for wrong in ("text", 5, {"a": 1}, len):
        with pytest.raises(ConfigurationError, match=f"{name}=.* must be a list"):
            Gateway(PLACES[place]({name: staticmethod(wrong) if wrong is len and place == "Controller" else wrong}))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", DICTS)
def test_a_dict_is_a_dict(place: str, name: str) -> None:
    for wrong in ("text", ["a"], 5):
        with pytest.raises(ConfigurationError, match=f"{name}=.* must be a dict"):
            Gateway(PLACES[place]({name: wrong}))


# --- middleware


class Marking(ASGIMiddleware):
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None:
        async def mark(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-marked", b"1")]}
            await send(message)

        await next_app(scope, receive, mark)


@pytest.mark.parametrize("exclude", ["^/b|/c$", ["^/b", "/c$"], ("^/b", "c")])
@pytest.mark.parametrize("place", ["handler", "gateway"])
def test_middleware_may_exclude_several_patterns(serve: Any, exclude: Any, place: str) -> None:
    listed = {"middleware": [Marking(exclude=exclude)]}
    options, around = (listed, {}) if place == "handler" else ({}, listed)
    client = serve(*(get(path, **options)(lambda: "x") for path in ("/a", "/b", "/c")), **around)
    assert [("x-marked" in client.get(path).headers) for path in ("/a", "/b", "/c")] == [True, False, False]


@pytest.mark.parametrize(
    "attributes", [{"exclude": "("}, {"exclude": ["("]}, {"exclude": 5}, {"exclude": [5]}, {"scopes": "http"},
                   {"scopes": ("htp",)}, {"exclude_opt": ["a"]}],
)  # fmt: skip
@pytest.mark.parametrize("place", ["handler", "gateway"])
def test_middleware_that_would_fail_is_told(attributes: dict[str, Any], place: str) -> None:
    listed = {"middleware": [Marking(**attributes)]}
    options, around = (listed, {}) if place == "handler" else ({}, listed)
    with pytest.raises(ConfigurationError, match=r"Marking"):
        Gateway([get("/", **options)(lambda: "x")], **around)


# --- start-up hooks


class Pool(Component):
    lifetime = "app"

    def resolve(self, state: State) -> Pool:
        return self


class Brief(Component):
    def resolve(self) -> Brief:
        return self


def hooks(seen: list[Any]) -> dict[str, Any]:
    def nothing() -> None:
        seen.append(())

    def untyped(gateway) -> None:  # type: ignore[no-untyped-def]
        seen.append((gateway,))

    def state(state: State) -> None:
        seen.append((state,))

    async def several(state: State, gateway: Gateway, pool: Pool) -> None:
        seen.append((state, gateway, pool))

    def positional(gateway: Gateway, /, pool: Pool, *, state: State) -> None:
        seen.append((gateway, pool, state))

    def optional(gateway: Gateway, seconds: int = 5) -> None:
        seen.append((gateway, seconds))

    async def context(state: State, pool: Pool):  # type: ignore[no-untyped-def]
        seen.append((state, pool))
        yield

    return dict(locals()) | {"append": seen.append}


@pytest.mark.parametrize(
    "name", ["nothing", "untyped", "state", "several", "positional", "optional", "context", "append"]
)
@pytest.mark.parametrize("when", ["on_startup", "on_shutdown", "lifespan"])
def test_start_up_hooks_are_given_what_they_ask_for(name: str, when: str) -> None:
    if (name == "context") is not (when == "lifespan"):
        pytest.skip("A context is no hook.")
    seen: list[Any] = []
    gateway = Gateway([get("/")(lambda: "x")], components=[Pool()], **{when: [hooks(seen)[name]]})
    gateway.loop_thread.run(gateway.startup())
    gateway.loop_thread.run(gateway.shutdown())
    [given] = seen
    kinds = {"nothing": (), "untyped": (Gateway,), "state": (State,), "several": (State, Gateway, Pool)}
    kinds |= {"positional": (Gateway, Pool, State), "optional": (Gateway, int), "context": (State, Pool)}
    expected = kinds.get(name, (Gateway,))
    assert tuple(map(type, given if isinstance(given, tuple) else (given,))) == expected
    assert (
        all(entry is gateway.state for entry in given if isinstance(entry, State)) if isinstance(given, tuple) else True
    )


def two(a, b) -> None:  # type: ignore[no-untyped-def]
    pass


def typed_twice(a: Gateway, b: Gateway) -> None:
    pass


def unknown(number: int) -> None:
    pass


def brief(component: Brief) -> None:
    pass


async def context(number: int):  # type: ignore[no-untyped-def]
    yield


@pytest.mark.parametrize("hook", [two, typed_twice, unknown, brief])
@pytest.mark.parametrize("when", ["on_startup", "on_shutdown"])
def test_hooks_that_ask_for_what_there_is_not_are_told(hook: Any, when: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the hook .*{hook.__name__}"):
        Gateway([get("/")(lambda: "x")], components=[Pool(), Brief()], **{when: [hook]})


def test_contexts_too() -> None:
    with pytest.raises(ConfigurationError, match="asks for 'number'"):
        Gateway([], lifespan=[context])


def test_a_server_sent_stream_is_still_one(serve: Any) -> None:
    stream = post("/")(lambda: EventSourceResponse(iter(["a"]), 200))
    assert serve(stream).post("/").status_code == 200
