"""What answers say about themselves: tags, conditions, cache control, compression, and whether they keep their word."""

import gzip
import logging
from email.utils import formatdate
from typing import Annotated, Any

import brotli
import msgspec
import pytest

from hybrid_gateway import (
    Compression,
    ConfigurationError,
    FileResponse,
    Gateway,
    JSONResponse,
    Response,
    Route,
    Router,
    StreamingResponse,
    get,
    post,
)
from hybrid_gateway.headers import write_cache_control
from hybrid_gateway.responses.conditional_requests import matches


@pytest.fixture(params=["async", "def"])
def numbers(request):
    """A handler, asynchronous or not, with an answer of as many bytes as one asks for."""

    def handler(count: int = 3) -> list[int]:
        return list(range(count))

    async def asynchronous(count: int = 3) -> list[int]:
        return list(range(count))

    return asynchronous if request.param == "async" else handler


# --- tags and conditions -------------------------------------------------------------------------------------------


def test_an_answer_that_a_client_has_is_304(serve, numbers):
    client = serve(Route("/", numbers, etag=True, response_headers={"X-A": "b"}))
    first = client.get("/")
    tag = first.headers["ETag"]
    assert (first.status_code, first.json()) == (200, [0, 1, 2])
    assert tag.startswith('W/"')
    again = client.get("/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"], again.headers["X-A"]) == (304, b"", tag, "b")
    assert "Content-Type" not in again.headers
    assert client.get("/", headers={"If-None-Match": f'"other", {tag.removeprefix("W/")}'}).status_code == 304
    assert client.get("/?count=4", headers={"If-None-Match": tag}).json() == [0, 1, 2, 3]
    assert client.head("/").headers["ETag"] == tag
    assert client.head("/", headers={"If-None-Match": tag}).status_code == 304


def test_only_successful_reads_have_tags(serve):
    @get("/absent")
    def absent() -> tuple[dict[str, str], int]:
        return {}, 404

    @post("/")
    def write() -> dict[str, str]:
        return {}

    client = serve(Router("", [absent, write], etag=True))
    assert "ETag" not in client.get("/absent").headers
    assert "ETag" not in client.post("/").headers


@pytest.mark.parametrize(
    ("wanted", "tag", "fits"),
    [
        (b"*", b'"a"', True), (b'"a"', b'"a"', True), (b'W/"a"', b'"a"', True), (b'"a"', b'W/"a"', True),
        (b'"b", "a"', b'"a"', True), (b'"b"', b'"a"', False), (b"", b'"a"', False), (b"a", b'"a"', False),
    ],
)  # fmt: skip
def test_tags_are_compared_weakly(wanted, tag, fits):
    assert matches(wanted, tag) is fits


def test_files_have_ranges_and_conditions(serve, tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("0123456789")

    @get("/")
    async def file() -> FileResponse:
        return FileResponse(path, filename="digits.txt")

    client = serve(file)
    first = client.get("/")
    assert (first.text, first.headers["Content-Length"]) == ("0123456789", "10")
    part = client.get("/", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.text, part.headers["Content-Range"]) == (206, "234", "bytes 2-4/10")
    assert client.get("/", headers={"Range": "bytes=20-"}).status_code == 416
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert client.get("/", headers=since).status_code == 304
    assert client.get("/", headers={"If-Modified-Since": formatdate(0, usegmt=True)}).status_code == 200
    assert client.get("/", headers={"If-Modified-Since": "yesterday"}).status_code == 200
    assert client.get("/", headers={**since, "If-None-Match": '"other"'}).status_code == 200  # which takes precedence


# --- cache control -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no-store", "no-store"),
        ({"public": True, "max_age": 60}, "public, max-age=60"),
        ({"private": True, "no_store": False, "stale-if-error": 5}, "private, stale-if-error=5"),
    ],
)
def test_cache_control(serve, numbers, value, text):
    inner = Route("/inner", numbers, cache_control=value)
    client = serve(Router("", [inner, Route("/outer", numbers)], cache_control="no-cache"))
    assert client.get("/inner").headers["Cache-Control"] == text
    assert client.get("/outer").headers["Cache-Control"] == "no-cache"


def test_an_unknown_directive_is_told():
    with pytest.raises(ConfigurationError, match="'maxage' is none of"):
        write_cache_control({"maxage": 3})


# --- compression ---------------------------------------------------------------------------------------------------


def test_answers_are_compressed_where_that_is_worth_it(serve, numbers):
    client = serve(Route("/", numbers, compression=True, etag=True))
    small = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers
    plain = client.get("/?count=1000")
    assert (plain.headers["Vary"], "Content-Encoding" in plain.headers) == ("Accept-Encoding", False)
    zipped = client.get("/?count=1000", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.content) == plain.content
    assert int(zipped.headers["Content-Length"]) == len(zipped.content) < len(plain.content)
    smallest = client.get("/?count=1000", headers={"Accept-Encoding": "gzip, br"})
    assert brotli.decompress(smallest.content) == plain.content
    assert smallest.headers["ETag"] == plain.headers["ETag"]
    again = client.get("/?count=1000", headers={"Accept-Encoding": "br", "If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip;q=0", None), ("identity", None), ("*", "br"), ("br;q=0, *;q=0.5", "gzip"), ("GZIP ; q=0.5", "gzip"),
        ("gzip;q=x", None), ("deflate, gzip", "gzip"),
    ],
)  # fmt: skip
def test_the_client_chooses(serve, numbers, accepted, chosen):
    client = serve(Route("/", numbers, compression=Compression(["br", "gzip"], minimum_size=1)))
    assert client.get("/", headers={"Accept-Encoding": accepted}).headers.get("Content-Encoding") == chosen


def test_what_is_no_text_or_is_compressed_already_is_left_alone(serve):
    @get("/image")
    def image() -> bytes:
        return bytes(2000)

    @get("/own")
    def own() -> Response:
        return Response(gzip.compress(bytes(100)), headers={"Content-Encoding": "gzip"}, media_type="text/plain")

    @get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["x" * 2000]), media_type="text/plain")

    client = serve(image, own, stream, compression=Compression(minimum_size=1))
    for path, encoding in (("/image", None), ("/own", "gzip"), ("/stream", None)):
        assert client.get(path, headers={"Accept-Encoding": "br, gzip"}).headers.get("Content-Encoding") == encoding


def test_zstandard(serve, numbers):
    client = serve(Route("/", numbers, compression=Compression(["zstd"], levels={"zstd": 5})))
    answer = client.get("/?count=1000", headers={"Accept-Encoding": "zstd"})
    assert answer.headers["Content-Encoding"] == "zstd"
    assert answer.content.startswith(b"\x28\xb5\x2f\xfd")
    assert len(answer.content) < 2000


def test_a_layer_may_switch_compression_off(serve, numbers):
    routes = [Route("/on", numbers), Route("/off", numbers, compression=False)]
    client = serve(Router("", routes, compression=Compression(["gzip"], minimum_size=1)))
    for path, encoding in (("/on", "gzip"), ("/off", None)):
        assert client.get(path, headers={"Accept-Encoding": "gzip"}).headers.get("Content-Encoding") == encoding


def test_unknown_algorithms_are_told():
    with pytest.raises(ConfigurationError, match="not 'lzma'"):
        Compression(["lzma"])


# --- validation ----------------------------------------------------------------------------------------------------


class Product(msgspec.Struct):
    id: int
    price: Annotated[int, msgspec.Meta(ge=0)]


def test_an_answer_that_breaks_its_annotation_is_a_logged_500(serve, caplog):
    @get("/")
    def product(price: int = 1) -> Product:
        return Product(id="x" if price == 7 else 1, price=price)  # type: ignore[arg-type]

    @get("/response")
    def response() -> Product:
        return JSONResponse({"anything": 1})  # type: ignore[return-value]

    client = serve(product, response, validate_response=True, raises=False)
    assert client.get("/").json() == {"id": 1, "price": 1}
    assert client.get("/response").json() == {"anything": 1}
    with caplog.at_level(logging.ERROR, "django.request"):
        assert client.get("/?price=-1").status_code == 500
        assert client.get("/?price=7").status_code == 500
    messages = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert messages == [
        "response: Expected `int` >= 0 - at `$.price`",
        "response: Expected `int`, got `str` - at `$.id`",
    ]


def test_answers_are_validated_under_debug_unless_told_otherwise(serve, settings):
    async def product() -> dict[str, int]:
        return {"a": "b"}  # type: ignore[dict-item]

    def status(**options: Any) -> int:
        return serve(Route("/", product, **options), raises=False).get("/").status_code

    assert status() == 200
    settings.DEBUG = True
    assert status() == 500
    assert status(validate_response=False) == 200


def test_routes_without_any_of_it_pay_nothing(numbers):
    (route,) = [route for route in Gateway([Route("/", numbers)]).routes if route.path == "/"]
    assert "change" not in route.source


# --- files below a folder


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_name_from_a_client_stays_below_its_folder(serve, tmp_path, kind):
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("inside")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "files-2").mkdir()
    (tmp_path / "files-2" / "b.txt").write_text("neighbour")
    (files / "link.txt").symlink_to(tmp_path / "secret.txt")

    if kind == "async":

        @get("/files/{name:path}")
        async def view(name: str) -> FileResponse:
            return FileResponse(name, root=files)

    else:

        @get("/files/{name:path}")
        def view(name: str) -> FileResponse:
            return FileResponse(name, root=files)

    client = serve(view)
    assert client.get("/files/a.txt").content == b"inside"
    for name in (
        "../secret.txt",
        "%2e%2e/secret.txt",
        "/etc/passwd",
        "link.txt",
        "../files-2/b.txt",
        "b.txt",
        ".",
    ):
        assert client.get(f"/files/{name}").status_code == 404, name
    assert client.get("/files/a%00").status_code == 400
