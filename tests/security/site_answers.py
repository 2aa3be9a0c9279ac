"""Routes and views whose answers have in their heads what a client sent. The site serves them, too."""

from collections.abc import AsyncIterator
from urllib.parse import unquote_to_bytes

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from hybrid_gateway import (
    ASGIResponse,
    EventSourceResponse,
    FileResponse,
    JSONResponse,
    Mount,
    PlainTextResponse,
    RedirectResponse,
    Response,
    ServerSentEvent,
    StreamingResponse,
    get,
)
from hybrid_gateway.exceptions import Conflict


@get("/response")
def response(value: str) -> PlainTextResponse:
    return PlainTextResponse("", headers={"X-Value": value})


@get("/name")
async def name(value: str) -> JSONResponse:
    return JSONResponse({}, headers={f"X-{value}": "1"})


@get("/outgoing")
async def outgoing(value: str, response: Response) -> dict[str, int]:
    response.headers["X-Value"] = value
    return {}


@get("/cookie")
async def cookie(value: str, response: Response) -> dict[str, int]:
    response.set_cookie("name", value)
    return {}


@get("/cookie-path")
async def cookie_path(value: str, response: Response) -> dict[str, int]:
    response.set_cookie("name", "x", path=value)
    return {}


@get("/redirect")
async def redirect(value: str) -> RedirectResponse:
    return RedirectResponse("/" + value)


@get("/error")
def error(value: str) -> str:
    raise Conflict("No.", headers={"X-Value": value})


@get("/stream")
async def stream(value: str) -> StreamingResponse:
    return StreamingResponse(iter([b"x"]), headers={"X-Value": value})


@get("/events")
async def events(value: str) -> EventSourceResponse:
    async def one() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(data="x")

    return EventSourceResponse(one(), headers={"X-Value": value})


@get("/file")
def file(value: str) -> FileResponse:
    return FileResponse(__file__, headers={"X-Value": value})


@get("/filename")
def filename(value: str) -> FileResponse:
    return FileResponse(__file__, filename=value)


@get("/media-type")
def media_type(value: str) -> FileResponse:
    return FileResponse(__file__, media_type=value)


@get("/django-response")
def django_response(value: str) -> HttpResponse:
    return forged(HttpResponse("x"), value)


@get("/app")
async def app(value: str) -> ASGIResponse:
    return ASGIResponse(raw_app)


def forged(response, value):
    """A Django response with a header that its own check has not seen, as one made by other means may have."""
    response.headers._store["x-value"] = ("X-Value", value)
    return response


async def raw_app(scope, receive, send):
    value = value_of(scope["query_string"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-value", value)]})
    await send({"type": "http.response.body", "body": b"x"})


def raw_wsgi_app(environ, start_response):
    start_response("200 OK", [("X-Value", value_of(environ["QUERY_STRING"].encode()).decode("latin-1"))])
    return [b"x"]


def value_of(query):
    return unquote_to_bytes(query.partition(b"=")[2])


def adding(app):
    async def wrapped(scope, receive, send):
        async def add(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-value", value_of(scope["query_string"]))]
            await send(message)

        await app(scope, receive, add)

    return wrapped


@get("/middleware", middleware=[adding])
async def below_middleware(value: str) -> str:
    return "x"


ROUTES = [
    response, name, outgoing, cookie, cookie_path, redirect, error, stream, events, file, filename, media_type,
    django_response, app, below_middleware, Mount("/asgi", raw_app), Mount("/wsgi", raw_wsgi_app),
]  # fmt: skip


# --- on Django's side


async def async_view(request):
    return forged(HttpResponse("x"), request.GET["value"])


views = [
    path("sync", lambda request: forged(HttpResponse("x"), request.GET["value"])),
    path("async", async_view),
    path("stream", lambda request: forged(StreamingHttpResponse([b"x"]), request.GET["value"])),
]
