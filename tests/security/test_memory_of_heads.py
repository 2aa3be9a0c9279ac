"""What is remembered of a head's judgement: never more than it is worth, and nothing secret."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from django.test import override_settings

from hybrid_gateway import Gateway, get
from hybrid_gateway.dispatch import request_checks as screening
from hybrid_gateway.headers import _checked as remembered
from hybrid_gateway.headers import checked_start_response
from hybrid_gateway.request.context import RequestContext

GOOD = [(b"host", b"testserver"), (b"accept", b"*/*")]


@get("/x")
async def x() -> str:
    return "x"


class Judged(NamedTuple):
    status: int | None  # of a refusal
    was_known: bool
    call: Any


def judged(
    gateway: Gateway, headers: list[tuple[bytes, bytes]], port: int = 1, *, path: str = "/x", method: str = "GET"
) -> Judged:
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": headers,
        "http_version": "1.1", "client": ("127.0.0.1", port),
    }  # fmt: skip
    call = RequestContext(scope, lambda: None, gateway.lend_thread)  # type: ignore[arg-type]
    if gateway.dispatcher.validator.is_known_good(call, scope, path):
        return Judged(None, True, call)
    refusal = gateway.dispatcher.validate(call, path)
    return Judged(None if refusal is None else refusal.status_code, False, call)


@pytest.fixture
def gateway() -> Gateway:
    """One that has seen two requests with :data:`GOOD` headers: the first made the host known, the second itself."""
    gateway = Gateway([x])
    for _ in range(2):
        assert judged(gateway, list(GOOD))[:2] == (None, False)
    return gateway


def test_what_a_connection_repeats_is_known(gateway):
    found = judged(gateway, list(GOOD))
    assert found.was_known and found.call.header(b"accept") == b"*/*"
    assert not judged(gateway, list(GOOD), port=2).was_known


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([(b"x", b"a\x01")], 400),
        ([(b"host", b"other")], 400),
        ([(b"x-%d" % number, b"") for number in range(120)], 431),
    ],
)
def test_other_headers_of_a_connection_are_judged(gateway, more, status):
    assert judged(gateway, [*GOOD, *more])[:2] == (status, False)


def test_names_with_underscores_are_dropped_from_other_headers(gateway):
    assert judged(gateway, [*GOOD, (b"x_user", b"root")]).call.raw_headers == GOOD


def test_a_list_that_somebody_changes_is_not_what_was_judged():
    gateway = Gateway([x])
    changing = list(GOOD)
    for _ in range(2):
        judged(gateway, changing)
    changing.append((b"x", b"a\x01"))
    assert judged(gateway, changing)[:2] == (400, False)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/x\\y", "GET", 400),
        ("/x%2fy", "GET", 400),
        ("/" + "x" * 9000, "GET", 414),
        ("x", "GET", 400),
        ("/X", "GET", None),
        ("/x", "FOO", None),  # which the routes answer, with 405
    ],
)
def test_known_headers_excuse_no_path_and_no_method(gateway, path, method, status):
    assert judged(gateway, list(GOOD), path=path, method=method)[:2] == (status, False)


def test_a_hidden_slash_is_looked_for_in_the_path_as_it_was_sent(gateway):
    scope = {
        "type": "http", "method": "GET", "path": "/x/y", "raw_path": b"/x%2fy", "headers": list(GOOD),
        "http_version": "1.1", "client": ("127.0.0.1", 1),
    }  # fmt: skip
    call = RequestContext(scope, lambda: None, gateway.lend_thread)  # type: ignore[arg-type]
    assert not gateway.dispatcher.validator.is_known_good(call, scope, "/x/y")


def test_other_settings_forget_hosts(gateway):
    with override_settings(ALLOWED_HOSTS=["other"]):
        assert judged(gateway, list(GOOD))[:2] == (400, False)


def test_secrets_and_large_heads_are_not_remembered_and_all_are_bounded(gateway, monkeypatch):
    monkeypatch.setattr(screening, "MAX_KNOWN_HEADS", 10)
    for number in range(100):
        judged(gateway, [(b"host", b"testserver"), (b"x", b"%d" % number)], port=number)
    assert 0 < len(gateway.dispatcher.validator._known) <= 10
    gateway.dispatcher.validator._known.clear()
    for name in (b"cookie", b"authorization", b"x-api-key"):
        judged(gateway, [(b"host", b"testserver"), (name, b"secret")])
    judged(gateway, [(b"host", b"testserver"), (b"x", b"y" * 5000)])
    assert not gateway.dispatcher.validator._known


# --- heads of WSGI requests


def environ_of(**changes: Any) -> dict[str, Any]:
    """An environ as gunicorn would make it; ``None`` takes a key away."""
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/x", "RAW_URI": "/x?a=1", "QUERY_STRING": "a=1", "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "testserver", "HTTP_ACCEPT": "*/*", "CONTENT_TYPE": "text/plain",
        **changes,
    }  # fmt: skip
    return {key: value for key, value in environ.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"RAW_URI": None},
        {"RAW_URI": None, "REQUEST_URI": "/x?a=1"},
        {"CONTENT_TYPE": None, "HTTP_ACCEPT": None},
        {"HTTP_COOKIE": "a=b; c=\xe9\t"},
        {"REQUEST_METHOD": "HEAD"},
    ],
)
def test_a_usual_head_of_wsgi_is_in_order_at_once(gateway, changes):
    for _ in range(2):
        assert gateway.dispatcher.validator.find_plain_path(environ_of(**changes)) == "/x"


@pytest.mark.parametrize(
    "changes",
    [
        {"PATH_INFO": "/x/y", "RAW_URI": "/x%2Fy?a=1"},
        {"RAW_URI": "http://other/x?a=1"},
        {"RAW_URI": "/x#y?a=1"},
        {"RAW_URI": "/x?a=1#y", "QUERY_STRING": "a=1#y"},
        {"PATH_INFO": "/X", "RAW_URI": "/X?a=1"},
        {"PATH_INFO": "/x//y", "RAW_URI": "/x//y?a=1"},
        {"PATH_INFO": "/x/../y", "RAW_URI": "/x/../y?a=1"},
        {"PATH_INFO": "/" + "x" * 9000, "RAW_URI": None},
        {"REQUEST_METHOD": "get"},
        {"HTTP_HOST": "other"},
        {"HTTP_HOST": None},
        {"SCRIPT_NAME": "/sub"},
        {"SCRIPT_URL": "/sub/x"},
        {"REDIRECT_URL": "/sub/x"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_CONTENT_TYPE": "text/html"},
        {"HTTP_CONTENT_LENGTH": "3"},
        {"HTTP_ACCEPT": "a\x01"},
        {"CONTENT_TYPE": "a\x7f"},
        {"HTTP_ACCEPT": "x" * 5000},
        {f"HTTP_X_{number}": "" for number in range(120)},
    ],
)
def test_any_other_head_of_wsgi_is_judged(gateway, changes):
    for _ in range(2):
        assert gateway.dispatcher.validator.find_plain_path(environ_of(**changes)) is None


def test_headers_of_wsgi_responses_are_checked_however_often_they_are_sent():
    sent: list[Any] = []
    start = checked_start_response(lambda *head: sent.append(head))  # type: ignore[arg-type, return-value]
    good = [("Content-Type", "text/html"), ("Set-Cookie", "a=secret")]
    for _ in range(2):
        start("200 OK", good)
        for bad in (("Content-Type", "text/html\r\nX: y"), ("Set-Cookie", "a\n"), ("", "a"), ("X y", "a")):
            with pytest.raises(ValueError):
                start("200 OK", [*good, bad])
        with pytest.raises(ValueError):
            start("200 OK\r\nX: y", good)
    assert sent == [("200 OK", good)] * 2
    assert not [header for header in remembered if "secret" in header[1]]
