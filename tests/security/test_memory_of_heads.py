"""What is remembered of a head's judgement: never more than it is worth, and nothing secret."""

from __future__ import annotations

from hybrid_gateway import Gateway, get
from hybrid_gateway.binding.call import Call
from hybrid_gateway.gateway import screening


@get("/x")
async def x() -> str:
    return "x"


def judged(gateway: Gateway, headers: list[tuple[bytes, bytes]], port: int = 1):
    scope = {
        "type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "headers": headers, "http_version": "1.1",
        "client": ("127.0.0.1", port),
    }  # fmt: skip
    call = Call(scope, lambda: None, gateway.lend_thread)  # type: ignore[arg-type]
    return gateway.screening.judge(call, "/x"), call


def test_what_follows_on_a_connection_is_judged_for_itself():
    gateway = Gateway([x])
    good = [(b"host", b"testserver"), (b"accept", b"*/*")]
    for _ in range(2):
        refusal, call = judged(gateway, list(good))
        assert refusal is None and call.header(b"accept") == b"*/*"
    for bad, status in (
        ([*good, (b"x", b"a\x01")], 400),
        ([*good, (b"host", b"other")], 400),
        ([*good, *[(b"x-%d" % number, b"") for number in range(120)]], 431),
    ):
        refusal, _ = judged(gateway, bad)
        assert refusal is not None and refusal.status_code == status
    _, call = judged(gateway, [*good, (b"x_user", b"root")])
    assert call.raw_headers == good
    changing = list(good)
    judged(gateway, changing)
    changing.append((b"x", b"a\x01"))  # by whoever owns the list
    assert judged(gateway, changing)[0] is not None


def test_secrets_and_large_heads_are_not_remembered_and_all_are_bounded(monkeypatch):
    monkeypatch.setattr(screening, "_MAX_KNOWN", 10)
    gateway = Gateway([x])
    for number in range(100):
        judged(gateway, [(b"host", b"testserver"), (b"x", b"%d" % number)], port=number)
    assert 0 < len(gateway.screening._known) <= 10
    gateway.screening._known.clear()
    for name in (b"cookie", b"authorization", b"x-api-key"):
        judged(gateway, [(b"host", b"testserver"), (name, b"secret")])
    judged(gateway, [(b"host", b"testserver"), (b"x", b"y" * 5000)])
    assert not gateway.screening._known
