"""What is remembered of a head's judgement: never more than it is worth, and nothing secret."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from django.test import override_settings

from hybrid_gateway import Gateway, get
from hybrid_gateway.dispatch import request_checks as screening
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
