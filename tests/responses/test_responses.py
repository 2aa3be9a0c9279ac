"""Returned values → answers."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from hybrid_gateway import (
    BackgroundTask,
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    Route,
    StreamingResponse,
    delete,
    get,
    patch,
    post,
    put,
)


class Out(msgspec.Struct):
    id: int
    when: datetime.datetime | None = None


@dataclasses.dataclass
class Point:
    x: int


UUID = uuid.UUID(int=1)


def _struct() -> Out:
    return Out(1, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))


def _dataclass() -> Point:
    return Point(2)


def _list() -> list[Out]:
    return [Out(1)]


def _mapping() -> dict[str, Any]:
    return {"price": decimal.Decimal("1.10"), "id": UUID, "lazy": gettext_lazy("Monday"), "safe": mark_safe("<b>")}


def _text() -> str:
    return "grün"


def _bytes() -> bytes:
    return b"\x00"


def _none() -> None:
    return None


def _pair() -> tuple[dict[str, int], int]:
    return {"a": 1}, 202


def _unannotated_text():
    return "plain"


def _unannotated_list():
    return [1, 2]


def _unannotated_none():
    return None


def _optional() -> Out | None:
    return None


def _number() -> int:
    return 5


JSON, TEXT, BYTES = "application/json", "text/plain; charset=utf-8", "application/octet-stream"


@pytest.mark.parametrize(
    ("function", "status", "content_type", "body"),
    [
        (_struct, 200, JSON, b'{"id":1,"when":"2024-01-01T00:00:00Z"}'),
        (_dataclass, 200, JSON, b'{"x":2}'),
        (_list, 200, JSON, b'[{"id":1,"when":null}]'),
        (_mapping, 200, JSON, f'{{"price":"1.10","id":"{UUID}","lazy":"Monday","safe":"<b>"}}'.encode()),
        (_text, 200, TEXT, "grün".encode()),
        (_bytes, 200, BYTES, b"\x00"),
        (_none, 204, None, b""),
        (_pair, 202, JSON, b'{"a":1}'),
        (_unannotated_text, 200, TEXT, b"plain"),
        (_unannotated_list, 200, JSON, b"[1,2]"),
        (_unannotated_none, 204, None, b""),
        (_optional, 204, None, b""),
        (_number, 200, JSON, b"5"),
    ],
)
def test_the_annotation_or_the_value_decides(serve, function, status, content_type, body):
    async def as_async() -> Any:
        return function()

    as_async.__annotations__ = function.__annotations__
    client = serve(Route("/sync", function), Route("/async", as_async))
    for path in ("/sync", "/async"):
        response = client.get(path)
        assert (response.status_code, response.headers.get("content-type"), response.content) == (
            status,
            content_type,
            body,
        )
        assert response.headers.get("content-length") == (None if status == 204 else str(len(body)))


@pytest.mark.parametrize(
    ("verb", "with_value", "without"),
    [(get, 200, 204), (post, 201, 201), (put, 200, 204), (patch, 200, 204), (delete, 200, 204)],
)
def test_every_verb_has_its_status(serve, verb, with_value, without):
    method = verb.__name__
    client = serve(
        verb("/value")(lambda: {"a": 1}), verb("/nothing")(_none), verb("/told", status_code=299)(lambda: "x")
    )
    assert client.generic(method.upper(), "/value").status_code == with_value
    nothing = client.generic(method.upper(), "/nothing")
    assert (nothing.status_code, nothing.content) == (without, b"")
    assert client.generic(method.upper(), "/told").status_code == 299


def test_response_says_what_the_annotation_cannot(serve):
    @get("/x", response=list[Out])
    def view() -> object:
        return [Out(1)]

    assert serve(view).get("/x").json() == [{"id": 1, "when": None}]


@pytest.mark.parametrize(
    ("make", "status", "content_type", "body"),
    [
        (lambda: Response(b"x", 201, media_type="image/png"), 201, "image/png", b"x"),
        (lambda: JSONResponse({"when": datetime.date(2024, 1, 1)}), 200, "application/json", b'{"when":"2024-01-01"}'),
        (lambda: HTMLResponse("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
        (lambda: PlainTextResponse("t", 418), 418, "text/plain; charset=utf-8", b"t"),
        (lambda: HttpResponse("django", status=202, content_type="text/x"), 202, "text/x", b"django"),
    ],
)
@pytest.mark.parametrize("annotation", [Response, dict, None])
def test_ready_responses_are_sent_as_they_are(serve, make, status, content_type, body, annotation):
    def view() -> Any:
        response = make()
        response.set_cookie("a", "1", httponly=True)
        response.delete_cookie("b")
        response.headers["X-Own"] = "yes"
        return response

    if annotation is not None:
        view.__annotations__["return"] = annotation
    response = serve(get("/x", response_headers={"X-Layer": "1"})(view)).get("/x")
    assert (response.status_code, response.headers["content-type"], response.content) == (status, content_type, body)
    assert response.headers["x-own"] == "yes"
    assert response.headers["x-layer"] == "1"
    assert response.cookies["a"].value == "1"
    assert response.cookies["a"]["httponly"]
    assert response.cookies["b"]["max-age"] in (0, "0")


def test_redirects(serve):
    client = serve(get("/old")(lambda: RedirectResponse("/new?a=1")), get("/new")(lambda: "here"))
    response = client.get("/old")
    assert (response.status_code, response.headers["location"]) == (307, "/new?a=1")
    assert client.get("/old", follow_redirects=True).text == "here"


def test_headers_and_cookies_of_layers_are_on_every_answer(serve):
    @get(
        "/x",
        response_headers={"X-Inner": "i"},
        response_cookies=[("inner", "1"), {"key": "k", "value": "v", "path": "/p"}],
    )
    async def view() -> dict[str, int]:
        return {}

    response = serve(view, response_headers={"X-Outer": "o", "X-Inner": "o"}).get("/x")
    assert (response.headers["x-outer"], response.headers["x-inner"]) == ("o", "i")
    assert response.cookies["inner"].value == "1"
    assert response.cookies["k"]["path"] == "/p"


# --- streams -------------------------------------------------------------------------------------------------------


def test_iterators_stream(serve):
    @get("/sync")
    def sync_chunks() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    @get("/async")
    async def async_chunks() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    @get("/response")
    async def response() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), media_type="text/csv", headers={"X-A": "1"})

    @get("/django")
    def django_stream() -> HttpResponse:
        return StreamingHttpResponse(iter([b"a", b"b"]))  # type: ignore[return-value]

    client = serve(sync_chunks, async_chunks, response, django_stream)
    for path in ("/sync", "/async", "/response", "/django"):
        assert client.get(path).content == b"ab", path
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
    assert client.get("/response").headers["content-type"] == "text/csv; charset=utf-8"


def test_a_django_stream_is_closed_once_however_little_of_it_is_sent(serve):
    closed = []

    class Rows:
        def __iter__(self):
            return iter([b"a", b"b"])

        def close(self):
            closed.append("rows")

    async def chunks():
        yield b"a"
        yield b"b"

    @get("/sync")
    def sync_rows() -> HttpResponse:
        return StreamingHttpResponse(Rows())  # type: ignore[return-value]

    @get("/async")
    async def async_rows() -> HttpResponse:
        response = StreamingHttpResponse(chunks())
        response._resource_closers.append(lambda: closed.append("rows"))
        return response  # type: ignore[return-value]

    client = serve(sync_rows, async_rows)
    for path in ("/sync", "/async"):
        for method, body in (("head", b""), ("get", b"ab")):
            closed.clear()
            assert getattr(client, method)(path).content == body
            assert closed == ["rows"], (method, path)


def test_files_are_sent_with_ranges(serve, tmp_path):
    file = tmp_path / "report.txt"
    file.write_bytes(b"0123456789" * 30_000)

    @get("/file")
    def download() -> FileResponse:
        return FileResponse(file, filename="report.txt")

    client = serve(download)
    whole = client.get("/file")
    assert len(whole.content) == 300_000
    assert whole.headers["content-disposition"] == 'attachment; filename="report.txt"'
    part = client.get("/file", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"123")
    assert client.head("/file").headers["content-length"] == "300000"


def test_background_tasks_run_after_the_answer(serve):
    done: list[str] = []

    @get("/sync")
    def sync_view() -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(done.append, "sync"))

    @get("/async")
    async def async_view() -> StreamingResponse:
        async def later() -> None:
            done.append("async")

        return StreamingResponse(iter([b"x"]), background=BackgroundTask(later))

    client = serve(sync_view, async_view)
    assert client.get("/sync").status_code == 200
    assert client.get("/async").content == b"x"
    assert done == ["sync", "async"]


def test_a_value_that_cannot_be_encoded_is_a_500_with_a_reason(serve, caplog):
    client = serve(get("/x")(lambda: {"a": object()}), raises=False)
    assert client.get("/x").status_code == 500
    assert "type object cannot be encoded" in caplog.text


@pytest.mark.django_db
def test_rows_of_a_queryset_are_json_and_model_instances_teach(serve, django_user_model, caplog):
    django_user_model.objects.create(username="ada")

    @get("/rows")
    def rows():
        return django_user_model.objects.values("username")

    @get("/instances")
    def instances():
        return django_user_model.objects.all()

    client = serve(rows, instances, raises=False)
    assert client.get("/rows").json() == [{"username": "ada"}]
    assert client.get("/instances").status_code == 500
    assert "make a Struct of the fields that clients may see" in caplog.text
