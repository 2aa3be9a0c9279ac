"""Multipart forms: parts, their headers, files and their names, and uploads that leave the event loop alone."""

import asyncio
import tempfile
import threading
import time
import tracemalloc
from itertools import pairwise

import pytest
from django.http import HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_gateway import Gateway
from hybrid_gateway.test import TestClient
from tests.security.site_readers import read_checked, read_parts

BOUNDARY = b"boundary"
TYPE = "multipart/form-data; boundary=boundary"
MIB = 1024 * 1024


def part(name, data=b"", filename=None, headers=b""):
    given = b"" if filename is None else b'; filename="%b"' % filename
    head = b'Content-Disposition: form-data; name="%b"%b\r\n%b\r\n' % (name, given, headers)
    return b"--%b\r\n%b%b\r\n" % (BOUNDARY, head, data)


def form(*parts):
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY


def send(client, *parts, path="/"):
    return client.post(path, content=form(*parts), content_type=TYPE)


# --- how many, how large -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filename", [None, b"a.txt"], ids=["fields", "files"])
def test_r_mp1_parts_are_counted(serve, filename):
    client = serve(read_parts)
    most = 1000 if filename is None else 100
    assert send(client, *[part(b"x", b"1", filename)] * most).status_code == 201
    assert send(client, *[part(b"x", b"1", filename)] * (most + 1)).status_code == 400
    assert send(client, *[part(b"x", b"1", filename)] * 100_000).status_code == 400


def test_r_mp1_refused_parts_take_no_memory():
    client = TestClient(Gateway([read_parts]))
    content = form(*[part(b"files", b"1", b"a.txt")] * 100_000)
    client.post("/", content=content, content_type=TYPE)
    tracemalloc.start()
    try:
        assert client.post("/", content=content, content_type=TYPE).status_code == 400
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert used - len(content) < 20 * MIB


@pytest.mark.parametrize(
    "content",
    [
        part(b"x", b"1", headers=b"X-Long: " + b"x" * 5000 + b"\r\n"),
        part(b"x", b"1", headers=b"X-One: 1\r\n" * 20),
        part(b"x" * 5000, b"1"),
        b"preamble" * 100_000,
    ],
    ids=["a long header", "many headers", "a long name", "a preamble"],
)
def test_r_mp2_the_heads_of_parts_are_bounded(serve, content):
    assert send(serve(read_parts), content).status_code == 400


def test_r_mp2_a_boundary_is_bounded(serve):
    content_type = f"multipart/form-data; boundary={'x' * 300}"
    assert serve(read_parts).post("/", content=b"--" + b"x" * 300, content_type=content_type).status_code == 400


def test_r_mp2_a_large_part_without_a_name_of_a_file_ends_early():
    """As Django's own forms: 2.5 MiB of text, however much of files."""
    taken = []

    async def receive():
        taken.append(64 * 1024)
        head = part(b"name").removesuffix(b"\r\n") if len(taken) == 1 else b""
        return {"type": "http.request", "body": head + b"x" * taken[-1], "more_body": True}

    assert answer(Gateway([read_parts]), receive) == 413
    assert sum(taken) < 3 * MIB


def answer(gateway, receive, path="/"):
    """The status of a form whose messages come from ``receive``."""
    sent = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", TYPE.encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip

    async def send(message):
        sent.append(message)

    gateway.loop_thread.run(gateway(scope, receive, send))
    return sent[0]["status"] if sent else None


# --- whatever comes ------------------------------------------------------------------------------------------------

WHOLE = form(part(b"name", b"Ada"), part(b"files", b"\r\n--boundar\r\n" * 3, b"a.txt"), part(b"x", b"--"))


def test_r_mp3_every_truncation_ends_with_a_400(serve):
    client = serve(read_parts)
    complete = len(WHOLE) - 2  # the last line may lack its end
    for end in range(complete):
        assert client.post("/", content=WHOLE[:end], content_type=TYPE).status_code == 400, end
    assert client.post("/", content=WHOLE, content_type=TYPE).json() == ["Ada", "a.txt"]


def test_r_mp3_byte_by_byte_it_is_the_same_form():
    left = [WHOLE[start : start + 1] for start in range(len(WHOLE))]

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    assert answer(Gateway([read_parts]), receive) == 201


FRAGMENTS = [
    b"--boundary", b"--boundary--", b"\r\n", b"\n", b"\r", b"--", b"-", b"Content-Disposition: form-data",
    b'; name="name"', b"; name=", b'; filename="a"', b"; filename*=utf-8''%00", b"Content-Type: image/png",
    b"Content-Transfer-Encoding: base64", b":", b";", b'"', b"\\", b"\x00", b"\xff", b"x", b"x" * 5000,
]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join))
def test_r_mp4_no_form_is_a_500(content):
    for path in ("/", "/checked"):
        client = TestClient(Gateway([read_parts, read_checked]), raise_request_exception=False)
        assert client.post(path, content=content, content_type=TYPE).status_code < 500


# --- files ---------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_r_up1_every_file_of_a_list_is_checked(serve, position):
    client = serve(read_checked)
    good = [part(b"files", PNG, b"a.png")] * 3
    assert send(client, *good, path="/checked").json() == [8, 8, 8]
    for bad in (b"<html>", PNG + b"x" * 100):
        parts = [*good]
        parts[position] = part(b"files", bad, b"a.png")
        assert send(client, *parts, path="/checked").status_code == 422


@pytest.mark.parametrize(
    "given",
    [
        b"../../etc/passwd",
        b"/etc/passwd",
        b"..\\\\..\\\\passwd",
        b"C:\\\\passwd",
        b"\\\\\\\\host\\\\passwd",
        b"a/\x00passwd",
    ],
)
def test_r_up2_the_name_of_a_file_is_no_path(serve, given):
    assert send(serve(read_parts), part(b"files", b"x", given)).json() == ["", "passwd"]


@pytest.mark.parametrize("given", [b"..", b".", b"a/..", b"\x00", b"/", b"", b"a/"])
def test_r_up2_what_is_no_name_is_no_file(serve, given):
    assert send(serve(read_parts), part(b"files", b"x", given)).json() == [""]


# --- the event loop ------------------------------------------------------------------------------------------------


class Watched(tempfile.SpooledTemporaryFile):
    """Notes which threads do what to a file once it is on disk."""

    seen: set[tuple[str, int]]

    def _note(self, what):
        if self._rolled and not self.closed:
            self.seen.add((what, threading.get_ident()))

    def rollover(self):
        super().rollover()
        self._note("open")

    def write(self, data):
        super().write(data)
        self._note("write")

    def seek(self, *place):
        self._note("seek")
        return super().seek(*place)

    def close(self):
        self._note("close")
        super().close()


def large_upload(beats, size=200 * MIB, step=256 * 1024):
    """``receive`` of one file; each message is a beat: the thread, and how long it has worked so far."""
    left = [size // step]

    async def receive():
        if not left[0]:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        left[0] -= 1
        body = part(b"files", filename=b"large").removesuffix(b"\r\n") if not beats else b""
        beats.append((threading.get_ident(), time.thread_time()))
        end = b"\r\n" + form() if not left[0] else b""
        return {"type": "http.request", "body": body + b"x" * step + end, "more_body": left[0] > 0}

    return receive


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(Watched, "seen", set(), raising=False)
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Watched)
    return Watched.seen


def assert_apart(watched, beats):
    assert {what for what, _ in watched} >= {"open", "write", "close"}
    assert not {thread for _, thread in watched} & {thread for thread, _ in beats}


@pytest.mark.parametrize("fate", ["read", "refused"])
def test_r_loop_an_upload_touches_no_disk_on_the_event_loop(watched, fate):
    """200 MiB in one file; all but the beginning goes to disk, and away again, on the thread of the request."""
    beats = []
    gateway = Gateway([read_parts], max_upload_size=(300 if fate == "read" else 100) * MIB)
    assert answer(gateway, large_upload(beats)) == (201 if fate == "read" else 413)
    assert_apart(watched, beats)


urlpatterns = [re_path("^django/", csrf_exempt(lambda request: HttpResponse(str(len(request.read(MIB))))))]


@pytest.mark.parametrize("fate", ["read", "left"])
def test_r_loop_nor_does_one_to_djangos_side(watched, settings, fate):
    settings.ROOT_URLCONF = __name__
    beats = []
    upload = large_upload(beats)

    async def receive():
        return {"type": "http.disconnect"} if fate == "left" and len(beats) > 100 else await upload()

    assert answer(Gateway([], django_routes=["/django/"]), receive, "/django/") == (200 if fate == "read" else None)
    assert_apart(watched, beats)


def test_r_loop_between_two_messages_the_loop_works_for_milliseconds_only():
    beats = []
    assert answer(Gateway([read_parts], max_upload_size=300 * MIB), large_upload(beats)) == 201
    assert len({thread for thread, _ in beats}) == 1
    assert max(later - sooner for (_, sooner), (_, later) in pairwise(beats)) < 0.05
