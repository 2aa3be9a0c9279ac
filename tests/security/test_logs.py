"""Logs: no client writes a line of its own into them, and none makes many."""

import asyncio
import logging
import re
from time import sleep
from typing import Annotated
from uuid import uuid4

import pytest
from django.test import override_settings
from django.urls import re_path

from hybrid_gateway import Cookie, File, FileResponse, Gateway, Query, UploadFile, get, post
from hybrid_gateway.endpoints.errors import printable

FORGED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]")  # line ends, what terminals obey, what turns text around
SENT = [
    "a%0d%0aforged",
    "a%0aforged",
    "a%1b%5b2Jforged",
    "a%c2%9b2Jforged",
    "a%e2%80%a8forged",
    "a%e2%80%aeforged",
    "a%7f",
]


def broken(request):
    raise LookupError("on purpose")


urlpatterns = [re_path("^django/broken", broken)]


@pytest.mark.parametrize(
    "path", ["/fails/", "/works/", "/nowhere/", "/admin/missing/", "/admin/broken/", "/admin/bad/"]
)
def test_r_log_no_line_is_forged(server, path):
    """In the words of our loggers, of Django's and of uvicorn's; in what records carry for formatters as well."""
    before = len(server.log.read_bytes())
    for text in SENT:
        raw = text.encode().replace(b"%c2%9b", b"\x9b").replace(b"%e2%80%ae", b"\xe2\x80\xae").decode("latin-1")
        for target in (f"{path}{text}", f"{path}?q={text}"):
            server.get(target, f"User-Agent: {raw}")
    lines = logged(server, before).split("\n")
    for line in lines:
        assert not FORGED.search(line) and not line.startswith("forged"), line


def logged(server, start):
    """What the server has logged from there on, until what is asked for last is told of."""
    last = f"/works/{uuid4()}"
    server.get(last)
    for _ in range(500):
        text = server.log.read_bytes()[start:].decode()
        if last in text:
            return text
        sleep(0.01)
    raise AssertionError(text)


@pytest.mark.parametrize("last_chance", [True, False])
def test_r_log_nor_by_the_last_words_of_djangos_side(caplog, last_chance):
    """Where Django's own handler fails, as it does with middleware that cannot be built."""
    middleware = ["tests.security.test_logs.unbuildable"] if last_chance else []
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, ALLOWED_HOSTS=["localhost"]):
        gateway = Gateway([], django_routes=["/django/"])
        assert ask(gateway, "/django/broken/\u2028\u202eforged") == 500
    messages = [record.getMessage() for record in caplog.records if record.name == "django.request"]
    assert messages
    assert not any(map(FORGED.search, messages))


def unbuildable(get_response):
    def fail(request):
        raise SystemError("on purpose")

    fail.is_async = False
    raise ValueError("on purpose")


def ask(gateway, path):
    """The status of a request that a lenient server lets pass as it is."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    sent, messages = [], [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    gateway.loop_thread.run(gateway(scope, receive, send))
    return sent[0]["status"]


def test_r_log_what_is_escaped_stays_readable():
    assert printable("/a b/é\r\n\x1b[2J\u2028") == "/a b/\\xe9\\r\\n\\x1b[2J\\u2028"


# --- how much ------------------------------------------------------------------------------------------------------


@get("/read")
async def read(a: Annotated[str, Cookie()] = "", q: Annotated[list[int], Query()] = []) -> FileResponse:  # noqa: B006
    return FileResponse(__file__)


@post("/upload")
async def upload(file: Annotated[UploadFile | None, File()] = None) -> int:
    return 0


MULTIPART = {"content_type": "multipart/form-data; boundary=b"}
FLOODS = {
    "cookies": ("get", "/read", {"headers": {"Cookie": '; "=\\x' * 300}}),
    "cookies without names": ("get", "/read", {"headers": {"Cookie": "=;" * 900}}),
    "many cookies": ("get", "/read", {"headers": {"Cookie": "a=b;" * 5000}}),
    "many parameters": ("get", "/read?" + "q=x&" * 900, {}),
    "too many parameters": ("get", "/read?" + "q=x&" * 5000, {}),
    "ranges": ("get", "/read", {"headers": {"Range": "bytes=" + "0-x," * 5000}}),
    "what comes after the last boundary": (
        "post",
        "/upload",
        {"content": b"--b--\r\n" + b"x\r\n" * 50_000, **MULTIPART},
    ),
    "headers of parts": ("post", "/upload", {"content": b"--b\r\n" + b"x: y\r\n" * 5000, **MULTIPART}),
    "parts without names": ("post", "/upload", {"content": b"--b\r\n\r\n\r\n" * 5000, **MULTIPART}),
    "broken parts": ("post", "/upload", {"content": b"\r\n--b\r" * 5000, **MULTIPART}),
    "nowhere": ("get", "/nowhere" * 50, {}),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_r_logflood_a_hostile_request_makes_one_line_at_most(serve, caplog, flood):
    caplog.set_level(logging.INFO)
    verb, path, options = flood
    answer = getattr(serve(read, upload), verb)(path, **options)
    assert answer.status_code < 500
    # python-multipart says what is wrong with a body, once.
    assert len(caplog.records) <= 1, [record.getMessage() for record in caplog.records]


def test_r_logflood_nor_are_files_outside_of_djangos(debug_server):
    before = len(debug_server.log.read_bytes())
    for path in ("/static/../x", "/static/../../static/x", "/static/admin/../../../static/x"):
        debug_server.get(path)
    assert b"ERROR" not in debug_server.log.read_bytes()[before:]
