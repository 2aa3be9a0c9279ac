"""Uploads: how small they may be, and how they get into a Django storage."""

import threading
from typing import Annotated

import msgspec
import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from hybrid_gateway import BackgroundTasks, ConfigurationError, File, Form, Gateway, UploadFile, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document


def send(client, *files, path="/"):
    return client.post(path, files=[("document", file) for file in files])


# --- how small a file may be


@pytest.mark.parametrize(("size", "status"), [(0, 422), (9, 422), (10, 200), (20, 200), (21, 422)])
def test_a_file_has_from_min_size_to_max_size_bytes(serve, size, status):
    @post("/", status_code=200)
    async def handler(document: Annotated[UploadFile, File(min_size=10, max_size=20)]) -> int:
        return document.size

    answer = send(serve(handler), ("a.txt", b"x" * size))
    assert answer.status_code == status
    if size < 10:
        (error,) = answer.json()["errors"]
        assert error == {
            "loc": ["body", "document"],
            "msg": "Expected a file of at least 10 bytes",
            "type": "file_too_small",
        }


def test_each_of_several_files_is_as_large_as_that(serve):
    class Papers(msgspec.Struct):
        document: Annotated[list[UploadFile], File(min_size=1)] = []

    @post("/", status_code=200)
    def handler(form: Annotated[Papers, Form()]) -> int:
        return len(form.document)

    client = serve(handler)
    assert send(client, ("a.txt", b"1"), ("b.txt", b"2")).json() == 2
    assert send(client, ("a.txt", b"1"), ("b.txt", b"")).status_code == 422
    assert client.post("/", data={"other": "x"}).json() == 0


def test_impossible_sizes_are_told_at_once():
    for rules in ({"min_size": -1}, {"max_size": True}, {"max_files": "3"}, {"min_size": 5, "max_size": 4}):
        with pytest.raises(ConfigurationError, match=r"File\(.*=.*\) (must be a whole number|lets no file pass)"):
            File(**rules)

    @post("/")
    def handler(document: Annotated[UploadFile, File(min_size=2000)]) -> None: ...

    with pytest.raises(ConfigurationError, match="'document' must be a file of 2,000 bytes, but the whole form"):
        Gateway([handler], max_upload_size=1000)


def test_the_document_has_the_sizes():
    @post("/")
    def handler(
        one: Annotated[UploadFile, File(min_size=1, max_size=9)],
        several: Annotated[list[UploadFile] | None, File(min_size=2, max_files=3)] = None,
    ) -> None: ...

    document = build_document(Gateway([handler]).endpoints, OpenAPISettings())
    content = document["paths"]["/"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert content["schema"]["properties"] == {
        "one": {"type": "string", "format": "binary", "minLength": 1, "maxLength": 9},
        "several": {
            "type": "array",
            "items": {"type": "string", "format": "binary", "minLength": 2},
            "maxItems": 3,
        },
    }


# --- into a storage


class Watched(InMemoryStorage):
    """Notes in which pieces files come, and on which thread."""

    def __init__(self):
        super().__init__()
        self.pieces, self.threads = [], set()

    def _save(self, name, content):
        self.threads.add(threading.current_thread())
        self.pieces = [len(piece) for piece in content.chunks()]
        return super()._save(name, content)


@pytest.mark.parametrize("color", ["async", "def"])
def test_a_file_is_saved_in_pieces_and_off_the_loop(serve, color):
    storage, loops = Watched(), set()

    if color == "async":

        @post("/")
        async def handler(document: UploadFile) -> list[object]:
            loops.add(threading.current_thread())
            name = await document.save(storage, "papers/report.txt")
            return [name, (await document.read(4)).decode()]

    else:

        @post("/")
        def handler(document: UploadFile) -> list[object]:
            name = document.save_sync(storage, "papers/report.txt")
            return [name, document.file.read(4).decode()]

    client = serve(handler)
    content = b"abcd" * 50_000
    assert send(client, ("a.txt", content)).json() == ["papers/report.txt", "abcd"]
    assert storage.open("papers/report.txt").read() == content
    assert max(storage.pieces) == 64 * 1024
    assert not storage.threads & loops
    name, _ = send(client, ("a.txt", b"other")).json()
    assert name != "papers/report.txt"
    assert storage.open(name).read() == b"other"
    assert storage.open("papers/report.txt").read() == content


@pytest.mark.parametrize(
    ("given", "saved"),
    [
        ("cat photo.png", "cat_photo.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a:b|c?.txt", "abc.txt"),
        ("ünï.txt", "ünï.txt"),
    ],
)
def test_by_default_the_name_is_the_clients_made_safe(serve, tmp_path, given, saved):
    storage = FileSystemStorage(tmp_path)

    @post("/")
    async def handler(document: UploadFile) -> str:
        return await document.save(storage)

    assert send(serve(handler), (given, b"x")).text == saved
    assert [path.name for path in tmp_path.iterdir()] == [saved]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\..\\..\\out.txt", "a/.."])
def test_a_name_that_leads_out_of_the_storage_is_400(serve, tmp_path, name):
    (tmp_path / "media").mkdir()
    storage = FileSystemStorage(tmp_path / "media")

    @post("/")
    async def handler(document: UploadFile) -> str:
        return await document.save(storage, name)

    assert send(serve(handler), ("a.txt", b"x")).status_code == 400
    assert [path.name for path in tmp_path.rglob("*")] == ["media"]


def test_a_storage_may_be_named_by_its_alias(serve, settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "papers": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }

    @post("/")
    async def handler(document: UploadFile) -> str:
        return await document.save("papers", "a.txt", max_length=20)

    assert send(serve(handler), ("b.txt", b"x")).text == "a.txt"
    assert (tmp_path / "a.txt").read_bytes() == b"x"


def test_the_spelling_of_the_other_color_is_told(serve):
    storage = InMemoryStorage()

    @post("/async")
    async def asynchronous(document: UploadFile) -> str:
        return document.save_sync(storage)

    @post("/def")
    def synchronous(document: UploadFile) -> str:
        return document.save(storage)

    client = serve(asynchronous, synchronous)
    with pytest.raises(RuntimeError, match=r"write `await file.save\(\.\.\.\)`"):
        send(client, ("a.txt", b"x"), path="/async")
    with pytest.raises(RuntimeError, match=r"write file.save_sync\(\.\.\.\)"):
        send(client, ("a.txt", b"x"), path="/def")
    assert storage.listdir("") == ([], [])


def test_a_storage_that_closes_the_file_and_one_that_fails(serve):
    class Closing(InMemoryStorage):
        def _save(self, name, content):
            saved = super()._save(name, content)
            content.close()
            return saved

    class Full(InMemoryStorage):
        def _save(self, name, content):
            raise OSError("No space left on device")

    @post("/closing")
    async def closing(document: UploadFile) -> str:
        return await document.save(Closing())

    @post("/full")
    async def full(document: UploadFile) -> str:
        return await document.save(Full())

    client = serve(closing, full, raises=False)
    assert send(client, ("a.txt", b"x"), path="/closing").text == "a.txt"
    assert send(client, ("a.txt", b"x"), path="/full").status_code == 500


def test_a_task_after_the_answer_may_still_save(serve):
    storage = InMemoryStorage()

    @post("/")
    async def handler(document: UploadFile, tasks: BackgroundTasks) -> str:
        tasks.add(document.save, storage, "a.txt")
        tasks.add(document.save_sync, storage, "b.txt")
        return "x"

    assert send(serve(handler), ("a.txt", b"x")).text == "x"
    assert sorted(storage.listdir("")[1]) == ["a.txt", "b.txt"]
