"""Forms: urlencoded and multipart, fields and files, on every method and driver, within bounds."""

import io
import os
from datetime import date
from typing import Annotated

import msgspec
import pytest
from django.core.files.base import File as DjangoFile

from hybrid_gateway import Body, ConfigurationError, File, Form, Gateway, UploadFile, delete, get, patch, post, put
from hybrid_gateway.binding.uploads import file_name, sniff

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
URLENCODED = "application/x-www-form-urlencoded"


class Login(msgspec.Struct):
    username: Annotated[str, msgspec.Meta(min_length=2)]
    password: str
    remember: bool = False
    age: int | None = None
    born: date | None = None
    tags: list[str] = []


class Profile(msgspec.Struct):
    name: str
    avatar: Annotated[UploadFile, File(max_size=1000, content_types=["image/*"])]
    papers: list[UploadFile] = []


def urlencoded(client, path, body, method="POST"):
    return client.generic(method, path, body, content_type=URLENCODED)


def multipart(*parts, boundary="xx", end=True):
    """A body of (headers, content) pairs, as a careless client might write it."""
    body = b"".join(b"--xx\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return body + (b"--xx--\r\n" if end else b"")


def send(client, body, path="/", method="POST"):
    return client.generic(method, path, body, content_type="multipart/form-data; boundary=xx")


def text(name, value):
    return f'Content-Disposition: form-data; name="{name}"', value


def upload(name, content, filename="a.txt", kind="text/plain"):
    return f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}', content


@pytest.fixture(params=["async", "def"])
def login(request):
    if request.param == "async":

        @post("/")
        async def handler(form: Annotated[Login, Form()]) -> Login:
            return form

    else:

        @post("/")
        def handler(form: Annotated[Login, Form()]) -> Login:
            return form

    return handler


# --- fields --------------------------------------------------------------------------------------------------------


def test_a_struct_of_fields_from_either_kind_of_form(serve, login):
    client = serve(login)
    expected = {
        "username": "ada",
        "password": "a&b=c",
        "remember": True,
        "age": 36,
        "born": "1815-12-10",
        "tags": ["x", "y"],
    }
    answer = urlencoded(client, "/", "username=ada&password=a%26b%3Dc&remember=on&age=36&born=1815-12-10&tags=x&tags=y")
    assert (answer.status_code, answer.json()) == (201, expected)
    data = {**expected, "remember": "on", "age": "36"}
    assert client.post("/", data=data).json() == expected  # Django's client sends multipart


def test_inputs_left_empty_are_left_out_where_they_are_no_text(serve, login):
    answer = urlencoded(serve(login), "/", "username=ada&password=&age=&born=&remember=off")
    assert answer.json() == {
        "username": "ada",
        "password": "",
        "remember": False,
        "age": None,
        "born": None,
        "tags": [],
    }


def test_every_error_is_told_with_its_place(serve, login):
    answer = urlencoded(serve(login), "/", "username=a&age=old")
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["errors"]] == [
        ["body", "username"],
        ["body", "password"],
        ["body", "age"],
    ]


def test_single_fields(serve):
    @post("/")
    def handler(
        name: Annotated[str, Form(min_length=2)],
        amount: Annotated[int, Form(ge=1, alias="n")] = 1,
        tags: Annotated[list[int], Form()] = [],  # noqa: B006
    ) -> list[object]:
        return [name, amount, tags]

    client = serve(handler)
    assert urlencoded(client, "/", "name=ada&n=3&tags=1&tags=2").json() == ["ada", 3, [1, 2]]
    assert urlencoded(client, "/", "name=ada").json() == ["ada", 1, []]
    answer = urlencoded(client, "/", "name=a&n=0&tags=x&tags=2")
    assert [error["loc"][:2] for error in answer.json()["errors"]] == [
        ["body", "name"],
        ["body", "n"],
        ["body", "tags"],
    ]
    assert urlencoded(client, "/", "").json()["errors"] == [
        {"loc": ["body", "name"], "msg": "Field required", "type": "missing"}
    ]


@pytest.mark.parametrize("verb", [put, patch, delete])
def test_forms_on_every_method(serve, verb):
    @verb("/")
    def handler(name: Annotated[str, Form()]) -> str:
        return name

    client, method = serve(handler), verb.__name__.upper()
    assert urlencoded(client, "/", "name=ada", method).text == "ada"
    assert send(client, multipart(text("name", b"ada")), method=method).text == "ada"


def test_no_body_at_all_is_an_empty_form(serve):
    @post("/")
    def handler(name: Annotated[str, Form()] = "nobody") -> str:
        return name

    assert serve(handler).generic("POST", "/").text == "nobody"


def test_other_content_types_are_415(serve, login):
    answer = serve(login).post("/", json={"username": "ada"})
    assert answer.status_code == 415
    assert answer.headers["Accept"] == f"multipart/form-data, {URLENCODED}"


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_struct_with_files(serve):
    @post("/")
    async def profile(form: Annotated[Profile, Form()]) -> dict[str, object]:
        papers = [[paper.filename, (await paper.read()).decode()] for paper in form.papers]
        return {"name": form.name, "size": form.avatar.size, "type": form.avatar.detected_type, "papers": papers}

    client = serve(profile)
    papers = [upload("papers", b"one", "1.txt"), upload("papers", b"two", "2.txt")]
    answer = send(client, multipart(text("name", b"Ada"), upload("avatar", PNG, "a.png", "image/png"), *papers))
    assert answer.json() == {
        "name": "Ada", "size": 108, "type": "image/png", "papers": [["1.txt", "one"], ["2.txt", "two"]],
    }  # fmt: skip


def test_a_file_by_its_type_alone_in_def_and_async_handlers(serve):
    @post("/async")
    async def asynchronous(document: UploadFile) -> str:
        return f"{document.filename} {document.content_type} {(await document.read()).decode()}"

    @post("/def")
    def synchronous(document: UploadFile, more: list[UploadFile] = []) -> str:  # noqa: B006
        return f"{document.filename} {document.content_type} {document.file.read().decode()}"

    client = serve(asynchronous, synchronous)
    for path in ("/async", "/def"):
        answer = client.post(path, files={"document": ("näme.txt", b"hello", "text/x-special")})
        assert answer.text == "näme.txt text/x-special hello"


def test_an_optional_file_may_be_absent_or_an_empty_input(serve):
    @post("/")
    def handler(avatar: UploadFile | None = None) -> str:
        return "none" if avatar is None else str(avatar.size)

    client = serve(handler)
    assert send(client, multipart(upload("avatar", b"", filename=""))).text == "none"
    assert send(client, multipart(text("other", b"x"))).text == "none"
    assert send(client, multipart(upload("avatar", b""))).text == "0"


def test_the_rules_of_files(serve):
    @post("/")
    def handler(
        image: Annotated[UploadFile, File(max_size=200, content_types=["image/png"])],
        papers: Annotated[list[UploadFile], File(max_files=2)] = [],  # noqa: B006
    ) -> int:
        return len(papers)

    client = serve(handler)
    assert send(client, multipart(upload("image", PNG))).text == "0"
    text_as_image = upload("image", b"<svg onload=alert(1)>", "a.png", "image/png")
    answer = send(client, multipart(text_as_image, *[upload("papers", b"x")] * 3))
    assert [(error["loc"], error["type"]) for error in answer.json()["errors"]] == [
        (["body", "image"], "content_type"),
        (["body", "papers"], "too_many_files"),
    ]
    answer = send(client, multipart(upload("image", PNG + bytes(200))))
    assert answer.json()["errors"] == [
        {"loc": ["body", "image"], "msg": "Expected a file of at most 200 bytes", "type": "file_too_large"}
    ]
    answer = send(client, multipart(upload("image", PNG), upload("image", PNG)))
    assert answer.json()["errors"][0]["type"] == "too_many_files"
    assert send(client, multipart(text("image", b"x"))).json()["errors"][0]["type"] == "missing"


def test_a_field_where_a_file_is_wanted_and_the_other_way_round(serve):
    @post("/")
    def handler(name: Annotated[str, Form()], avatar: UploadFile) -> str:
        return name

    answer = send(serve(handler), multipart(upload("name", b"x"), text("avatar", b"x")))
    assert [error["type"] for error in answer.json()["errors"]] == ["missing", "missing"]


def test_large_files_go_to_disk_and_are_closed_with_the_request(serve, settings, tmp_path):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    seen = []

    @post("/")
    def handler(document: UploadFile) -> bool:
        seen.append(document)
        document.file.seek(0, os.SEEK_END)
        assert document.file.tell() == document.size == 300_000
        return document.file._rolled

    client = serve(handler)
    assert send(client, multipart(upload("document", bytes(300_000)))).json() is True
    assert seen[0].file.closed
    assert not list(tmp_path.iterdir())


def test_files_are_closed_when_the_handler_never_runs(serve, settings, monkeypatch):
    made = []
    init = UploadFile.__init__

    def remember(self, file, **kwargs):
        made.append(file)
        init(self, file, **kwargs)

    monkeypatch.setattr(UploadFile, "__init__", remember)

    @post("/")
    def handler(name: Annotated[str, Form()], document: UploadFile) -> None:
        raise AssertionError

    assert send(serve(handler), multipart(upload("document", b"x"))).status_code == 422
    assert [file.closed for file in made] == [True]


def test_a_django_file(serve):
    @post("/")
    def handler(document: UploadFile) -> list[object]:
        file = document.as_django_file()
        assert isinstance(file, DjangoFile)
        return [file.name, file.size, file.content_type, file.read().decode()]

    assert serve(handler).post("/", files={"document": ("a.txt", b"hi")}).json() == ["a.txt", 2, "text/plain", "hi"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a.txt", "a.txt"), (b"../../etc/passwd", "passwd"), (b"C:\\x\\y.doc", "y.doc"), (b"..", ""), (b"/", ""),
        (b"a\x00b\r\n.txt", "ab.txt"), ("ünï.txt".encode(), "ünï.txt"), (b"  ", ""),
    ],
)  # fmt: skip
def test_names_of_files_are_no_paths(raw, name):
    assert file_name(raw) == name


@pytest.mark.parametrize(
    ("start", "claimed", "kind"),
    [
        (PNG, "text/plain", "image/png"),
        (b"RIFF0000WEBPVP8", "", "image/webp"),
        (b"0000WEBP", "", "text/plain"),
        (b"PK\x03\x04..", "application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
        (b"PK\x03\x04..", "image/png", "application/zip"),
        (b"a,b\n1,2", "text/csv; charset=utf-8", "text/csv"),
        (b"hello", "image/png", "text/plain"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg>", "image/png", "image/svg+xml"),
        (b"<html><script>", "text/plain", "text/html"),
        (b"\x00\x01\x02", "text/plain", "application/octet-stream"),
        ("ä".encode() * 300 + b"\xc3", "text/plain", "text/plain"),
        (b"\xff\xfe", "text/plain", "application/octet-stream"),
    ],
)
def test_what_the_first_bytes_say(start, claimed, kind):
    assert sniff(start, claimed) == kind


# --- bounds and malformed bodies -----------------------------------------------------------------------------------


@pytest.fixture
def lenient(serve):
    @post("/", max_upload_size=5000)
    def handler(name: Annotated[str, Form()] = "", document: UploadFile | None = None) -> str:
        return name

    return serve(handler)


def test_forms_are_bounded_by_djangos_settings(lenient, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 3
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    parts = [text("a", b"x")] * 3 + [upload("b", b"x")] * 2
    assert send(lenient, multipart(*parts)).status_code == 201
    assert send(lenient, multipart(*parts, text("a", b"x"))).status_code == 400
    assert send(lenient, multipart(*parts, upload("b", b"x"))).status_code == 400
    assert send(lenient, multipart(text("a", bytes(101)))).status_code == 413
    assert send(lenient, multipart(upload("document", bytes(101)))).status_code == 201


def test_the_whole_form_is_bounded(lenient):
    assert send(lenient, multipart(upload("document", bytes(4000)))).status_code == 201
    assert send(lenient, multipart(upload("document", bytes(5000)))).status_code == 413
    assert send(lenient, multipart(upload("unknown", bytes(5000)))).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nonsense", multipart(text("a", b"x"), end=False), multipart(("X: y", b"x")),
        multipart(('Content-Disposition: attachment; name="a"', b"x")), multipart(("no colon at all", b"x")),
        multipart(text("a", b"x") if False else ("X-Long: " + "x" * 100_000, b"x")),
    ],
)  # fmt: skip
def test_a_malformed_multipart_body_is_400(lenient, body):
    lenient_answer = send(lenient, body)
    assert lenient_answer.status_code in ((400,) if len(body) < 5000 else (400, 413))


def test_a_multipart_body_without_a_boundary_is_400(lenient):
    assert lenient.generic("POST", "/", b"x", content_type="multipart/form-data").status_code == 400


def test_a_body_in_pieces(serve):
    """A large body comes in many messages; a boundary may be cut anywhere."""

    @post("/")
    def handler(document: UploadFile) -> int:
        return sum(document.file.read())

    content = bytes(range(256)) * 1200 + b"\r\n--x" * 1000
    assert send(serve(handler), multipart(upload("document", content))).json() == sum(content)


# --- mistakes at start-up ------------------------------------------------------------------------------------------


def test_what_cannot_be_a_form_is_told_at_start_up():
    @get("/")
    def on_get(name: Annotated[str, Form()]) -> None: ...

    @post("/")
    def json_and_form(data: dict, name: Annotated[str, Form()]) -> None: ...

    @post("/")
    def form_and_json(name: Annotated[str, Form()], data: dict) -> None: ...

    @post("/")
    def form_and_raw(name: Annotated[str, Form()], raw: Annotated[bytes, Body()]) -> None: ...

    @post("/")
    def no_file(name: Annotated[str, File()]) -> None: ...

    class Renamed(msgspec.Struct):
        name: Annotated[str, Form(alias="x")]

    @post("/")
    def renamed(form: Annotated[Renamed, Form()]) -> None: ...

    for handler, message in [
        (on_get, "GET and HEAD"), (json_and_form, "something else"), (form_and_json, "two things at once"),
        (form_and_raw, "two things at once"), (no_file, "is no file"), (renamed, "rename"),
    ]:  # fmt: skip
        with pytest.raises(ConfigurationError, match=message):
            Gateway([handler])
    with pytest.raises(ConfigurationError, match="image"):
        File(content_types="image/png")


def test_forms_in_the_document(serve):
    from hybrid_gateway.conf import OpenAPISettings
    from hybrid_gateway.openapi.document import build_document

    @post("/login")
    def login(form: Annotated[Login, Form()]) -> None: ...

    @post("/profile")
    def profile(form: Annotated[Profile, Form()]) -> None: ...

    paths = build_document(Gateway([login, profile]).endpoints, OpenAPISettings())["paths"]
    body = paths["/login"]["post"]["requestBody"]
    assert list(body["content"]) == ["multipart/form-data", URLENCODED]
    assert body["content"][URLENCODED]["schema"]["required"] == ["username", "password"]
    form = paths["/profile"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["properties"]["avatar"] == {
        "type": "string",
        "format": "binary",
        "maxLength": 1000,
    }
    assert form["schema"]["properties"]["papers"]["items"] == {"type": "string", "format": "binary"}
    assert form["encoding"] == {"avatar": {"contentType": "image/*"}}
    assert {"400", "413", "415", "422"} <= paths["/login"]["post"]["responses"].keys()


def test_a_client_that_leaves_in_the_midst_of_a_form_leaves_no_file_open(settings):
    import asyncio

    closed = []

    class Spy(io.BytesIO):
        def close(self):
            closed.append(True)
            super().close()

    import hybrid_gateway.binding.forms as forms

    @post("/")
    async def handler(document: UploadFile) -> None: ...

    gateway = Gateway([handler])
    messages = [
        {"type": "http.request", "body": multipart(upload("document", b"x"), end=False), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def nothing(message):
        raise AssertionError(message)

    scope = {
        "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"multipart/form-data; boundary=xx")],
    }  # fmt: skip
    original = forms.tempfile.SpooledTemporaryFile
    forms.tempfile.SpooledTemporaryFile = lambda *args, **kwargs: Spy()
    try:
        asyncio.run(gateway(scope, receive, nothing))
    finally:
        forms.tempfile.SpooledTemporaryFile = original
    assert closed
