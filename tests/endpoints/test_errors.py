"""Exceptions → problem details, on every path and in one shape."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, SuspiciousOperation, ValidationError
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest
from django.test import override_settings
from starlette.exceptions import HTTPException as StarletteHTTPException

from hybrid_gateway import (
    BackgroundTask,
    Gateway,
    HTTPException,
    JSONResponse,
    Request,
    Response,
    Router,
    StreamingResponse,
    exceptions,
    get,
    http,
)
from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.test import TestClient


def raiser(error: Any, *, sync: bool = True) -> Any:
    def sync_view() -> None:
        raise error

    async def async_view() -> None:
        raise error

    return get("/x")(sync_view if sync else async_view)


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (HTTPException(409, "Taken."), 409, {"title": "Conflict", "detail": "Taken."}),
        (exceptions.Conflict("Taken.", extra={"code": 7}), 409, {"detail": "Taken.", "code": 7}),
        (exceptions.BadRequest({"a": ["b"]}), 400, {"detail": {"a": ["b"]}}),
        (exceptions.UnprocessableContent(), 422, {"title": "Unprocessable Content"}),
        (exceptions.ContentTooLarge(), 413, {"title": "Content Too Large"}),
        (exceptions.NotFound(extra=[1]), 404, {"extra": [1]}),
        (StarletteHTTPException(403, "no"), 403, {"title": "Forbidden", "detail": "no"}),
        (Http404("secret model name"), 404, {"title": "Not Found"}),
        (ObjectDoesNotExist("secret query"), 404, {"title": "Not Found"}),
        (PermissionDenied(), 403, {"title": "Forbidden"}),
        (PermissionDenied("Not yours."), 403, {"detail": "Not yours."}),
        (SuspiciousOperation("secret"), 400, {"title": "Bad Request"}),
    ],
)
def test_errors_are_problem_details(serve, error, status, members, sync):
    response = serve(raiser(error, sync=sync)).get("/x")
    document = response.json()
    assert response.status_code == document["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert document["type"] == "about:blank"
    assert members.items() <= document.items()
    assert "secret" not in response.text


def test_djangos_validation_error_is_422_with_the_fields(serve):
    error = ValidationError({"name": ["Too short.", "Too odd."], "__all__": ["Together wrong."]})
    response = serve(raiser(error)).get("/x")
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"loc": ["body", "name"], "msg": "Too short.", "type": "value_error"},
        {"loc": ["body", "name"], "msg": "Too odd.", "type": "value_error"},
        {"loc": ["body"], "msg": "Together wrong.", "type": "value_error"},
    ]
    single = serve(raiser(ValidationError("Wrong: %(x)s", params={"x": 1}))).get("/x")
    assert single.json()["errors"] == [{"loc": ["body"], "msg": "Wrong: 1", "type": "value_error"}]


def test_headers_of_an_error_are_sent(serve):
    response = serve(raiser(exceptions.TooManyRequests("Slow down.", headers={"Retry-After": "7"}))).get("/x")
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert serve(raiser(HTTPException(304, headers={"ETag": '"a"'}))).get("/x").headers["etag"] == '"a"'


def test_unknown_paths_are_problem_details_too(serve):
    response = serve(raiser(exceptions.Gone())).get("/nowhere")
    assert response.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


# --- what nobody expected ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sync", [True, False])
def test_an_unexpected_exception_is_a_bare_500_logged_and_signalled(serve, caplog, sync):
    seen = []

    def receiver(sender: Any, **kwargs: Any) -> None:
        import sys

        seen.append((sender, sys.exc_info()[0]))

    got_request_exception.connect(receiver)
    try:
        response = serve(raiser(ValueError("secret"), sync=sync), raises=False).get("/x")
    finally:
        got_request_exception.disconnect(receiver)
    assert response.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    assert seen == [(Gateway, ValueError)]
    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "Internal Server Error: GET /x")
    assert record.exc_info[0] is ValueError
    assert record.status_code == 500


@pytest.mark.django_db(transaction=True)
def test_whoever_is_told_of_an_exception_gets_a_django_request(serve):
    """As from Django: packages look at its path, put something on it, ask who it was."""
    told = []

    def receiver(sender: Any, request: Any, **kwargs: Any) -> None:
        request._raised_exception = True
        assert isinstance(request, HttpRequest)
        told.append((request.method, request.path, str(request.user)))

    def fail(*args: Any) -> None:
        raise LookupError

    def later() -> Response:
        return Response(b"made", background=BackgroundTask(fail))

    def streamed() -> StreamingResponse:
        return StreamingResponse(iter(fail, None))

    def known(user: User) -> None:
        fail()

    async def known_later(user: User) -> None:
        fail()

    def asks(request: HttpRequest) -> None:
        fail()

    options = {"authentication": [BasicAuthentication()]}
    middleware = ["django.middleware.common.CommonMiddleware"]
    routes = {
        "/def": get("/def")(lambda: fail()),
        "/later": get("/later")(later),
        "/stream": get("/stream")(streamed),
        "/known": get("/known", **options)(known),
        "/aknown": get("/aknown", **options)(known_later),
        "/asks": get("/asks")(asks),
        "/below": get("/below", django_middleware=middleware, **options)(known),
    }
    User.objects.create_user("ada", password="right")
    headers = {"Authorization": "Basic " + b64encode(b"ada:right").decode()}
    client = serve(*routes.values(), raises=False)
    got_request_exception.connect(receiver)
    try:
        for path in routes:
            told.clear()
            with suppress(Exception):  # a stream that breaks off, as each driver tells it
                client.get(path, headers=headers if "known" in path or path == "/below" else {})
            who = "ada" if "known" in path or path == "/below" else "AnonymousUser"
            assert told == [("GET", path, who)], path
    finally:
        got_request_exception.disconnect(receiver)


def test_a_receiver_that_fails_changes_no_answer(serve, caplog):
    def receiver(sender: Any, **kwargs: Any) -> None:
        raise RuntimeError("in the receiver")

    got_request_exception.connect(receiver)
    try:
        for sync in (True, False):
            response = serve(raiser(ValueError("secret"), sync=sync), raises=False).get("/x")
            assert response.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    finally:
        got_request_exception.disconnect(receiver)
    assert "in the receiver" in caplog.text and "secret" in caplog.text


def test_a_stream_that_fails_is_signalled_too(serve):
    seen = []

    def receiver(sender: Any, **kwargs: Any) -> None:
        seen.append(sender)

    @get("/x")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a"
            raise ValueError("too late for an answer")

        return StreamingResponse(chunks())

    got_request_exception.connect(receiver)
    try:
        with suppress(Exception):  # an answer that breaks off, as each driver tells it
            serve(stream, raises=False).get("/x")
    finally:
        got_request_exception.disconnect(receiver)
    assert seen == [Gateway]


def test_the_test_client_raises_it_as_djangos_does(serve):
    with pytest.raises(ValueError, match="secret"):
        serve(raiser(ValueError("secret"))).get("/x")


def test_log_lines_cannot_be_forged_by_a_path(serve, caplog):
    @get("/p/{x:path}")
    def view(x: str) -> None:
        raise ValueError

    client = serve(view, raises=False)
    assert client.get("/p/a%0d%0aERROR%1b[31m forged").status_code == 400
    client.get("/p/a%E2%80%A8ERROR%E2%80%AE forged")  # what some take for the end of a line, and writing from the right
    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert record.getMessage() == r"Internal Server Error: GET /p/a\u2028ERROR\u202e forged"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("there are no words")


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@override_settings(DEBUG=True)
def test_under_debug_an_exception_that_cannot_be_shown_is_told_all_the_same(serve, accept):
    answer = serve(raiser(Unspeakable()), raises=False).get("/x", headers={"Accept": accept})
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Unspeakable: (it cannot be shown)"


@override_settings(DEBUG=True)
def test_under_debug_a_browser_gets_djangos_page_and_a_client_the_traceback(serve):
    client = serve(raiser(ValueError("told under debug")), raises=False)
    page = client.get("/x", headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.status_code == 500
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "told under debug" in page.text
    assert "<title>ValueError" in page.text
    document = client.get("/x", headers={"Accept": "application/json"}).json()
    assert document["detail"] == "ValueError: told under debug"
    assert any("raise error" in line for line in document["traceback"])


# --- handlers of one's own -----------------------------------------------------------------------------------------


class OutOfStock(Exception):
    def __init__(self, left: int) -> None:
        self.left = left


class SoldOut(OutOfStock): ...


def handle_stock(error: OutOfStock, method: http.Method) -> tuple[dict[str, Any], int]:
    return {"left": error.left, "method": method, "kind": type(error).__name__}, 409


async def handle_not_found(request: Request, exception: Exception) -> JSONResponse:
    return JSONResponse({"lost": request.url.path, "why": str(exception)}, status_code=404)


def test_handlers_by_class_follow_the_mro_and_are_injected(serve):
    client = serve(raiser(SoldOut(3)), exception_handlers={OutOfStock: handle_stock})
    response = client.get("/x")
    assert (response.status_code, response.json()) == (409, {"left": 3, "method": "GET", "kind": "SoldOut"})


def test_handlers_by_status_see_every_error_of_that_status(serve):
    client = serve(raiser(Http404()), exception_handlers={404: handle_not_found})
    assert client.get("/x").json() == {"lost": "/x", "why": "404 Not Found"}
    assert client.get("/nowhere").json()["lost"] == "/nowhere"


def test_the_closest_handler_wins(serve):
    def inner(error: OutOfStock) -> tuple[str, int]:
        return "inner", 410

    client = serve(
        Router("/in", [raiser(OutOfStock(1))], exception_handlers={OutOfStock: inner}),
        raiser(OutOfStock(1)),
        exception_handlers={OutOfStock: handle_stock},
    )
    assert client.get("/in/x").text == "inner"
    assert client.get("/x").status_code == 409


def test_a_handler_that_fails_is_a_500(serve, caplog):
    def bad(error: OutOfStock) -> None:
        raise KeyError("in the handler")

    client = serve(raiser(OutOfStock(1)), exception_handlers={OutOfStock: bad}, raises=False)
    assert client.get("/x").status_code == 500
    assert "in the handler" in caplog.text


def test_a_handler_for_500_dresses_what_is_still_logged(serve, caplog):
    def oops(error: Exception) -> tuple[dict[str, str], int]:
        return {"oops": type(error).__name__}, 500

    client = serve(raiser(ValueError("x")), exception_handlers={500: oops}, raises=False)
    response = client.get("/x")
    assert (response.status_code, response.json()) == (500, {"oops": "ValueError"})
    assert "Internal Server Error: GET /x" in caplog.text


def test_every_status_has_a_class_and_rfc_9110s_title():
    for status, title in [
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (409, "Conflict"),
        (410, "Gone"),
        (413, "Content Too Large"),
        (415, "Unsupported Media Type"),
        (422, "Unprocessable Content"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
    ]:
        [cls] = [
            value
            for name, value in vars(exceptions).items()
            if isinstance(value, type) and name in exceptions.__all__ and vars(value).get("status_code") == status
            and value not in (HTTPException,)
        ]  # fmt: skip
        document = TestClient(Gateway([raiser(cls())]), raise_request_exception=False).get("/x").json()
        assert (document["title"], document["status"]) == (title, status)


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_traceback_shows_the_route_and_what_it_was_compiled_to(serve, kind, caplog):
    if kind == "async":

        async def fail() -> None:
            raise ZeroDivisionError

    else:

        def fail() -> None:
            raise ZeroDivisionError

    # Of one shape, so that they share their compiled code, but not its name.
    client = serve(get("/first")(fail), get("/second")(fail), raises=False)
    for path in ("/first", "/second"):
        caplog.clear()
        assert client.get(path).status_code == 500
        assert f'File "<gateway GET {path}' in caplog.text  # with a number where another gateway has the path
        assert "handler()" in caplog.text


def test_a_debugger_opens_where_an_exception_was_raised(serve, monkeypatch):
    seen = []
    monkeypatch.setattr("pdb.post_mortem", lambda traceback: seen.append(traceback))

    @get("/")
    async def handler() -> None:
        raise ZeroDivisionError

    @get("/expected")
    async def expected() -> None:
        raise exceptions.NotFound

    client = serve(handler, expected, raises=False, pdb_on_exception=True)
    assert client.get("/expected").status_code == 404
    assert seen == []
    assert client.get("/").status_code == 500
    assert len(seen) == 1
    assert serve(handler, raises=False).get("/").status_code == 500
    assert len(seen) == 1
