"""The rules of dispatch on real servers, by raw requests: R-PATH, R-CTRL, R-HOST, R-HDR, R-VERB, R-SMUG, R-ALLPATHS."""

from __future__ import annotations

import asyncio
import io
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_gateway import Gateway
from tests.security.servers import Answer


def by_django(answer: Answer, path: str) -> bool:
    return answer.status == 200 and answer.text.startswith(f"django GET {path!r}")


# --- R-PATH, R-CTRL


@pytest.mark.parametrize(
    ("target", "path"), [("/admin/", "/admin/"), ("/%61dmin/", "/admin/"), ("/admin/a%20b", "/admin/a b")]
)
def test_r_path_django_sees_the_path_that_was_classified(server, target, path):
    assert by_django(server.get(target), path)


def test_r_path_the_bare_prefix_is_djangos_to_redirect(server):
    answer = server.get("/admin")
    assert (answer.status, answer.headers["location"]) == (301, "/admin/")


@pytest.mark.parametrize("target", ["/administrator", "/adminx/", "/internal/", "/internal/x", "/%69nternal/"])
def test_r_path_what_is_not_allowed_is_the_routers_404(server, target):
    answer = server.get(target)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "target",
    [
        "//admin/", "/admin/../api/x", "/admin/../internal/", "/api/../admin/", "/x/..;/admin/", "/Admin/", "/ADMIN/x",
        "/%2561dmin/", "/admin/%2e%2e/internal/", "/./admin/", "/%EF%BD%81dmin/", "/static/../internal/",
        "/items/%2e%2e%2fadmin", "/%5cadmin/", "/files/..%5cadmin",
    ],
)  # fmt: skip
def test_r_path_what_two_readers_could_read_differently_is_refused(server, target):
    assert server.get(target).status == 400


@pytest.mark.parametrize("target", ["/admin%2f", "/%2fadmin/", "/files/a%2Fb", "/admin%5c"])
def test_r_path_a_hidden_slash_is_refused_where_the_server_shows_it(server, target):
    if server.name == "granian-wsgi":
        pytest.skip("granian tells WSGI applications nothing of the target as it was sent.")
    assert server.get(target).status == 400


@pytest.mark.parametrize(
    "target",
    ["/admin/%0a", "/api/x%0a", "/admin/%00", "/files/%1b[31m", "/api/x%0d%0aX: y", "/files/%7f", "/files/%c2%85",
     "/files/%ff", "/admin/%ed%a0%80"],
)  # fmt: skip
def test_r_ctrl_control_characters_and_bytes_that_are_no_text_are_refused(server, target):
    assert server.get(target).status == 400


@pytest.mark.parametrize(
    "target", ["/files/..", "/files/a;b", "/files/a//b", "/files/.hidden", "/files/%C3%A9", "/files/100%25"]
)
def test_r_path_unusual_paths_of_one_meaning_pass(server, target):
    assert server.get(target).status == 200


def test_r_path_targets_that_are_no_paths(server):
    for target in ("@google.com", "admin/", "?x=1"):
        assert server.get(target).status in (400, 404, 0), target
    absolute = server.get("http://evil.test/admin/")
    # RFC 9112 wants the authority of the target to win; a server that drops it has us see the Host header alone.
    assert absolute.status == 400 or (by_django(absolute, "/admin/") and server.name not in ("h11", "lane"))
    same = server.get("http://ex.test/admin/")
    assert same.status == 400 if server.name == "h11" else by_django(same, "/admin/")
    assert server.get("*", method="OPTIONS").status in (204, 400)
    assert server.get("ex.test:80", method="CONNECT").status in (400, 404, 405, 501)


def test_r_path_a_long_path_is_414(server):
    for prefix in ("/admin/", "/files/"):
        assert server.get(prefix + "a" * (8000 if not server.name.startswith("gunicorn") else 4000)).status == 200
        assert server.get(prefix + "a" * 9000).status == 414


# --- R-HOST


def test_r_host_missing_doubled_malformed_and_unknown_hosts_are_400(server):
    for path in (b"/admin/", b"/api/x"):
        assert server.send(b"GET %b HTTP/1.1\r\n\r\n" % path).status == 400
        twice = b"GET %b HTTP/1.1\r\nHost: ex.test\r\nHost: evil.test\r\n\r\n" % path
        assert server.send(twice).status == 400
        for host in ("evil.test", "ex.test/abc?x=", "ex.test@evil.test", "ex.test:80:80", "exxtest", "", "[::1", "a b"):
            assert server.get(path, host=host).status == 400, host
        for host in ("ex.test", "EX.test:8000", "127.0.0.1:1"):
            assert server.get(path, host=host).status == 200, host


def test_r_host_probes_come_by_address(server):
    assert server.get("/probe", host="10.1.2.3").text == "alive"
    assert server.get("/probe%0a", host="10.1.2.3").status == 400


# --- R-HDR1, R-HDR2, R-HDR3


def test_r_hdr1_names_with_an_underscore_reach_neither_side(server):
    if server.name == "granian-wsgi":
        pytest.skip("An environ has one spelling for both names; which of them it holds is the server's to say.")
    for path in ("/admin/", "/headers"):
        answer = server.get(path, "X_User: root", "X-User: bob")
        assert answer.status == 200
        assert "x_user" not in answer.text.lower().replace("http_x_user", "")
    text = server.get("/headers", "X_User: root").text
    assert "user" not in text.replace("user-agent", "")


def test_r_hdr2_many_or_large_headers_are_431(server):
    for path in ("/admin/", "/api/x"):
        assert server.get(path, *[f"X-{number}: y" for number in range(90)]).status == 200
        assert server.get(path, *[f"X-{number}: y" for number in range(110)]).status in (400, 431)
        assert server.get(path, *["X-Same: y"] * 1000).status in (400, 431)
        assert server.get(path, *[f"X-{number}: {'y' * 7000}" for number in range(11)]).status in (400, 431, 0)


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x0B, 0x0C, 0x1B, 0x1C, 0x7F])
def test_r_hdr3_controls_in_values_are_400(server, byte):
    assert server.get("/api/x", f"X-A: a{chr(byte)}b").status in (400, 0)


def test_headers_that_may_be_sent_once_are_400_when_doubled(server):
    if server.is_wsgi:
        pytest.skip("An environ has each header once.")
    lines = ("Content-Type: application/json", "Content-Type: text/plain")
    assert server.get("/length", *lines, "Content-Length: 0", method="POST").status == 400


# --- R-VERB


@pytest.mark.parametrize("method", ["FOO", "__INIT__", "get", "TRACE"])
def test_r_verb_only_known_methods_in_capitals_are_dispatched(server, method):
    for path in ("/admin/", "/api/x"):
        answer = server.get(path, "X-Secret: hush", method=method)
        assert answer.status in (400, 405, 501)
        assert "hush" not in answer.text


def test_r_verb_nobody_can_override_the_method(server):
    answer = server.get("/items/a", "X-HTTP-Method-Override: DELETE", "X-Method-Override: PUT")
    assert answer.text == "typed 'a'"
    assert server.get("/items/a?_method=DELETE").text == "typed 'a'"


def test_head_is_get_without_its_body(server):
    whole, head = server.get("/api/x"), server.get("/api/x", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers.get("content-length", "7") == whole.headers["content-length"] == "7"


# --- R-WS1, R-WS3: there are no websockets here, so R-WS2 has nothing to limit

HANDSHAKE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
HANDSHAKE.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize("target", ["/", "/api/x", "/nowhere", "/admin/", "/static/x"])
def test_r_ws1_a_handshake_that_nobody_waits_for_is_refused(server, target):
    for lines in (HANDSHAKE, [*HANDSHAKE, "Origin: https://evil.test"]):
        answer = server.get(target, *lines)
        assert answer.status in (403, 404) or (server.is_wsgi and answer.status == 200)
        if server.name != "granian":  # which writes it below every status
            assert "sec-websocket-accept" not in answer.headers


FRAGMENTS = [
    *HANDSHAKE, "Connection: keep-alive, Upgrade", "Upgrade: h2c", "Upgrade: websocket, h2c",
    "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: x",
    "Sec-WebSocket-Key: x", "Sec-WebSocket-Key:", "Sec-WebSocket-Protocol: a, ,b",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99", "Sec-WebSocket-Extensions: ;=,",
    "Content-Length: 5", "Transfer-Encoding: chunked", "Origin: null", "Sec-WebSocket-Accept: x", "X: \xff",
]  # fmt: skip


def test_r_ws3_fuzzed_handshakes_leave_the_worker_as_it_was(server):
    generated = random.Random(1)
    before = json.loads(server.get("/process").text)[0]
    for _ in range(60):
        lines = [*HANDSHAKE, *generated.choices(FRAGMENTS, k=generated.randrange(6))]
        generated.shuffle(lines)
        target = generated.choice(["/api/x", "/admin/", "/%61dmin//", "/nowhere", "*"])
        head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: ex.test", *lines, "", ""])
        frames = generated.randbytes(generated.randrange(30))
        assert b" 101 " not in server.say(head.encode("latin-1") + frames, ends=True)[:20]
    assert json.loads(server.get("/process").text)[0] == before
    assert server.get("/api/x").text == "typed x"


# --- R-SMUG


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret/x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: +5\r\n\r\nabcde",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length : 5\r\n\r\nabcde",
    ],
)
def test_r_smug_lengths_that_could_be_read_in_two_ways_end_the_connection(server, raw):
    answer = server.send(b"POST /length HTTP/1.1\r\nHost: ex.test\r\nContent-Type: application/octet-stream\r\n" + raw)
    # SPEC: RFC 9112 section 6.3 lets a server go by Transfer-Encoding; granian does, and drops the other header.
    by_chunks = server.name.startswith("granian") and b"chunked" in raw[:50]
    assert answer.status in (0, 400, 501) or (answer.status == 201 and by_chunks)
    assert b"secret" not in answer.body


CODINGS = [
    *(b"identity", b"identity, chunked", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"xchunked"),
    *(b"chunked;q=1", b'"chunked"', b"deflate", b"chunked\r\nTransfer-Encoding: chunked"),
]


@pytest.mark.parametrize("coding", CODINGS)
def test_r_smug_a_transfer_coding_that_nobody_undoes_ends_the_connection(server, coding):
    target = b"/admin/x" if coding.startswith(b"i") else b"/length"
    head = b"POST %b HTTP/1.1\r\nHost: ex.test\r\nContent-Type: application/octet-stream\r\n" % target
    raw = head + b"Transfer-Encoding: %b\r\n\r\n" % coding + CHUNKS
    if server.is_wsgi:  # whose applications have no say in what becomes of the connection
        assert server.send(raw).status in (400, 501)
        return
    received = server.say(raw + b"GET /secret/x HTTP/1.1\r\n\r\n")
    assert received.partition(b" ")[2][:3] in (b"400", b"501"), received
    assert received.count(b"HTTP/1.") == 1


@pytest.mark.parametrize("coding", [b"CHUNKED", b"Chunked "])
def test_r_smug_chunks_are_read_however_they_are_spelt(server, coding):
    lines = b"Host: ex.test\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n"
    answer = server.send(b"POST /length HTTP/1.1\r\n%bTransfer-Encoding: %b\r\n\r\n%b" % (lines, coding, CHUNKS))
    assert (answer.status, answer.body) == (201, b"5")


CHUNKS = b"5\r\nabcde\r\n0\r\n\r\n"


@pytest.mark.parametrize("target", [b"/length", b"/admin/x", b"/nowhere"])
@pytest.mark.parametrize(
    ("version", "lines"),
    [
        (b"1.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 19\r\n"),
        (b"1.1", b"transfer-encoding: Chunked\r\nX: y\r\ncontent-length: 0\r\n"),
        (b"1.0", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"),
    ],
)
def test_r_smug_a_body_with_two_ends_is_refused_and_the_connection_closed(server, version, lines, target):
    head = b"POST %b HTTP/%b\r\nHost: ex.test\r\nContent-Type: application/octet-stream\r\n" % (target, version)
    received = server.say(head + lines + b"\r\n" + CHUNKS + b"GET /secret/x HTTP/1.1\r\nHost: ex.test\r\n\r\n")
    if server.name.startswith("granian") and version == b"1.1":
        # It shows us Transfer-Encoding alone, goes by it, and closes, as RFC 9112 section 6.1 wants.
        assert received.startswith(b"HTTP/1.1 ") and b"\r\nconnection: close\r\n" in received
    else:
        assert received.partition(b" ")[2][:3] == b"400"
    assert received.count(b"HTTP/1.") == 1


@pytest.mark.parametrize(
    "target", [b"/files/a#b", b"/api/x#", b"/files/a?x=1#b", b"/files/a#?x", b"/admin/#x", b"http://ex.test/files/a#b"]
)
def test_r_path_a_target_with_a_fragment_is_refused_where_the_server_shows_it(server, target):
    if server.name.startswith(("httptools", "granian")):
        pytest.skip("These cut it off, and tell applications nothing of it.")
    assert server.get(b"/files/%23").text == "typed '#'"
    if server.is_wsgi:  # whose applications have no say in what becomes of the connection
        assert server.get(target).status == 400
    else:
        received = server.say(b"GET %b HTTP/1.1\r\nHost: ex.test\r\n\r\n" % target)
        assert received.partition(b" ")[2][:3] == b"400"
        assert b"\r\nconnection: close\r\n" in received.lower()


# --- R-PIPE, R-TRAIL


def test_r_pipe_requests_in_a_row_are_answered_in_order_each_with_its_own_body(server):
    if server.name.startswith("gunicorn"):
        pytest.skip("gunicorn's threads answer the first of a row, and close.")
    requests = b"".join(
        b"POST /length HTTP/1.1\r\nHost: ex.test\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\n%b\r\n%b" % (size, b"Connection: close\r\n" if size == 19 else b"", b"x" * size)
        for size in range(20)
    )
    received = server.say(requests)
    answers = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 201 ")[1:]]
    assert answers == [b"%d" % size for size in range(20)]


def test_r_trail_what_follows_a_chunked_body_is_no_header_and_not_without_end(server):
    if server.name != "lane":
        pytest.skip("What becomes of trailers is the server's to say; the lane's is ours.")
    chunked = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n"
    head = b"POST /names HTTP/1.1\r\nHost: ex.test\r\n" + chunked
    assert (
        server.send(head + b"X-Role: admin\r\nX_Role: admin\r\n\r\n").text
        == '["connection","host","transfer-encoding"]'
    )
    many = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(400))
    assert server.send(head + many + b"\r\n").status in (0, 400)
    assert server.get("/probe").text == "alive"


# --- security headers


def test_answers_of_routes_have_the_headers_that_djangos_pages_have(server):
    names = ("x-content-type-options", "referrer-policy", "cross-origin-opener-policy", "x-frame-options")
    wanted = {name: server.get("/admin/").headers.get(name) for name in names}
    assert None not in wanted.values()
    for target in ("/api/x", "/headers", "/nowhere", "/secret/x", "/api/x/", "/items/a", "/admin%00"):
        assert {name: server.get(target).headers.get(name) for name in names} == wanted, target


# --- P1 to P7, I1 to I4 on generated paths

SEGMENTS = [
    "admin",
    "static",
    ".",
    "..",
    "",
    "%61dmin",
    "Admin",
    ";",
    "\\",
    "%2f",
    "\n",
    "api",
    "x",
    "files",
    "internal",
]
paths = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts))


@pytest.fixture
def site(settings):
    settings.ROOT_URLCONF = "tests.security.site_urls"
    return Gateway("tests.security.site_routes", django_routes=["/admin/", "/static/"])


@pytest.mark.django_db
@given(path=paths, root=st.sampled_from(["", "/admin", "/app"]))
@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_i1_to_i4_whatever_the_spelling_a_path_is_one_sides_or_refused(site, path, root):
    status, body = ask(site, path, root)
    assert ask_wsgi(site, path, root) == (status, body)
    below = path[len(root) :] if root and path.startswith(f"{root}/") else path
    assert status in (200, 301, 308, 400, 404)
    assert b"internal" not in body.removeprefix(b"typed").removeprefix(b"django") or status != 200 or b"'" in body
    if body.startswith(b"django"):
        assert below.startswith(("/admin/", "/static/")) and repr(below).encode() in body
    if body.startswith(b"typed"):
        assert not below.casefold().startswith(("/admin/", "/static/"))
    assert body != b"internal"


def ask(gateway: Gateway, path: str, root: str) -> tuple[int, bytes]:
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": root, "scheme": "http",
        "headers": [(b"host", b"testserver")], "http_version": "1.1", "query_string": b"", "server": ("testserver", 80),
    }  # fmt: skip
    sent = []

    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    asyncio.run(gateway(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def ask_wsgi(gateway: Gateway, path: str, root: str) -> tuple[int, bytes]:
    strips = root and (path == root or path.startswith(f"{root}/"))
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": root, "PATH_INFO": path[len(root) :] if strips else path,
        "RAW_URI": path, "HTTP_HOST": "testserver", "SERVER_NAME": "testserver", "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "QUERY_STRING": "",
        "wsgi.errors": io.StringIO(),
    }  # fmt: skip
    started = []
    body = b"".join(gateway.wsgi(environ, lambda status, headers, exc_info=None: started.append(int(status[:3]))))
    return started[0], body
