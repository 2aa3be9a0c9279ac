"""The limits on real servers, by raw requests: what test_bodies, test_multipart and test_parsers say of each driver."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from tests.security.servers import read_answer
from tests.security.site_routes import LIMIT
from tests.security.test_bodies import BODIES, HOSTILE, JSON
from tests.security.test_multipart import FRAGMENTS, TYPE, WHOLE, form, part
from tests.security.test_parsers import HUGE

MIB = 1024 * 1024
RAW = "application/octet-stream"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(params=BODIES)
def kind(request):
    return BODIES[request.param]


# --- R-BODY, R-LIMALL, R-ACC


@pytest.mark.parametrize("chunks", [0, 64], ids=["length", "chunked"])
def test_r_limall_every_kind_of_body_has_its_limit(server, kind, chunks):
    path, content_type, make = kind
    assert server.post(f"/small{path}", make(LIMIT // 2), content_type, chunks=chunks).status == 201
    assert server.post(f"/small{path}", make(LIMIT + 1), content_type, chunks=chunks).status == 413


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("chunks", [0, 1, 64], ids=["length", "chunks of one", "chunked"])
def test_r_acc_limits_hold_however_the_bytes_arrive(server, chunks, pieces):
    for path, content_type, make in (BODIES["json"], BODIES["multipart"]):
        small, large = make(LIMIT // 2), make(LIMIT + 1)
        assert server.post(f"/small{path}", small, content_type, chunks=chunks, pieces=pieces).status == 201
        assert server.post(f"/small{path}", large, content_type, chunks=chunks, pieces=pieces).status == 413


@pytest.mark.parametrize("path", ["/raw", "/raw-def", "/stream", "/request"])
def test_r_body_the_default_is_a_mebibyte(server, path):
    for chunks in (0, 64 * 1024):
        assert server.post(f"/bodies{path}", b"x" * MIB, RAW, chunks=chunks).text == f"{MIB}"
        assert server.post(f"/bodies{path}", b"x" * (MIB + 1), RAW, chunks=chunks).status == 413


def test_r_body_what_is_sent_beyond_a_length_is_no_part_of_it(server):
    head = f"POST /bodies/raw HTTP/1.1\r\nHost: ex.test\r\nContent-Type: {RAW}\r\nContent-Length: 1\r\n\r\n"
    answer = server.send(head.encode() + b"x" * (10 * MIB), pieces=64 * 1024)
    # What follows is the next request, and no good one: some servers say so before they answer the first.
    read = (answer.headers.get("content-length"), answer.body[:1])
    assert (answer.status, *read) == (201, "1", b"1") or answer.status in (0, 400)
    assert server.get("/probe").text == "alive"


def test_r_body_one_without_end_is_refused_while_it_comes(server, kind):
    """Ten times as much as may come; an honest client stops when it is told so."""
    path, content_type, make = kind
    content = make(10 * MIB) if path != "/packed" else b"\xdd\x00\xff\xff\xff" + b"\x01" * 10 * MIB
    target = f"/small{path}" if path == "/form" else f"/bodies{path}"
    assert server.post(target, content, content_type, chunks=64 * 1024, pieces=64 * 1024).status == 413


# --- R-ZIP, R-JSON


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_r_zip_no_body_is_unpacked(server, kind, encoding):
    path, content_type, make = kind
    answer = server.post(f"/small{path}", gzip.compress(make(100)), content_type, f"Content-Encoding: {encoding}")
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_r_json1_no_json_is_a_500(server, body):
    assert server.post("/deep/json", body, JSON).status in (400, 422)


def test_r_json2_the_default_is_a_mebibyte_and_the_type_decides(server):
    assert server.post("/bodies/json", b"[" + b"1," * (600 * 1024) + b"1]", JSON).status == 413
    assert server.post("/bodies/typed", b"[" + b"1," * 1000 + b"1]", JSON).status == 422


# --- R-MP1 to R-MP4, R-UP


@pytest.mark.parametrize("filename", [None, b"a.txt"], ids=["fields", "files"])
def test_r_mp1_parts_are_counted(server, filename):
    most = 1000 if filename is None else 100
    parts = [part(b"x", b"1", filename)]
    assert server.post("/parts/", form(*parts * most), TYPE).status == 201
    assert server.post("/parts/", form(*parts * (most + 1)), TYPE).status == 400
    assert server.post("/parts/", form(*parts * 50_000), TYPE, pieces=64 * 1024).status == 400


def test_r_mp2_heads_of_parts_boundaries_and_nameless_parts_are_bounded(server):
    long, many = b"X-Long: " + b"x" * 5000 + b"\r\n", b"X-One: 1\r\n" * 20
    for content in (part(b"x", b"1", headers=long), part(b"x", b"1", headers=many), part(b"x" * 5000, b"1")):
        assert server.post("/parts/", form(content), TYPE).status == 400
    boundary = b"x" * 300
    assert server.post("/parts/", b"--" + boundary, f"multipart/form-data; boundary={boundary.decode()}").status == 400
    large = form(part(b"name", b"x" * (3 * MIB)))
    for chunks in (0, 64 * 1024):
        assert server.post("/parts/", large, TYPE, pieces=64 * 1024, chunks=chunks).status == 413


def test_r_mp3_every_truncation_ends_with_a_400(server):
    for end in range(0, len(WHOLE) - 2, 5):
        assert server.post("/parts/", WHOLE[:end], TYPE).status == 400, end
    for pieces, chunks in ((1, 0), (1, 1), (0, 1), (0, 0)):
        assert server.post("/parts/", WHOLE, TYPE, pieces=pieces, chunks=chunks).text == '["Ada","a.txt"]'


def test_r_mp4_no_form_is_a_500(server):
    generated = random.Random(1)
    for _ in range(100):
        content = b"".join(generated.choices(FRAGMENTS, k=generated.randrange(30)))
        for path in ("/parts/", "/parts/checked"):
            assert 200 < server.post(path, content, TYPE).status < 500, content


def test_r_up2_the_name_of_a_file_is_no_path(server):
    for given in (b"../../etc/passwd", b"/etc/passwd", b"C:\\\\passwd", b"a/\x00passwd"):
        assert server.post("/parts/", form(part(b"files", b"x", given)), TYPE).text == '["","passwd"]'


# --- R-INT, R-DIGIT, R-QS


def test_r_int_5000_digits_are_404_or_422(server):
    too_long = (400, 414) if server.name.startswith("gunicorn") else ()  # it takes targets of 4 KiB
    for path in ("whole", "untyped", "decimal"):
        assert server.get(f"/numbers/{path}/12").status == 200
        assert server.get(f"/numbers/{path}/{HUGE}").status in (404, *too_long)
    for name in ("number", "ratio"):
        assert server.get(f"/numbers/query?{name}={HUGE}").status in (422, *too_long)


@pytest.mark.parametrize("number", ["%EF%BC%91%EF%BC%92", "1%EF%BC%92", "%D9%A3", "%C2%B9", "1_0", "%201", "0x1"])
def test_r_digit_only_ascii_digits_are_numbers(server, number):
    for path in ("whole", "untyped", "decimal"):
        assert server.get(f"/numbers/{path}/{number}").status == 404
    for name in ("number", "ratio", "price", "prices"):
        assert server.get(f"/numbers/query?{name}={number}").status == 422, name
    assert server.post("/numbers/form", f"price={number}".encode(), FORM).status == 422


@pytest.mark.parametrize("length", ["\xb2", "1_0", "0x1", "+1", "-1", " ", HUGE, "9" * 19, "1 1"])
def test_r_digit_no_length_is_a_500(server, length):
    head = f"POST /bodies/raw HTTP/1.1\r\nHost: ex.test\r\nContent-Type: {RAW}\r\nContent-Length: {length}\r\n\r\nx"
    assert server.send(head.encode("latin-1")).status in (0, 400, 413, 501)
    assert server.get("/probe").text == "alive"


def test_r_qs_only_the_ampersand_separates(server):
    assert server.get("/parameters/pairs?a=1;b=2").text == '[["a","1;b=2"]]'
    assert server.post("/parameters/pairs", b"a=1;b=2", FORM).text == '["1;b=2",""]'


def test_r_qs_parameters_fields_and_cookies_are_counted(server):
    for path in ("numbers", "one", "pairs"):
        assert server.get(f"/parameters/{path}?{'&'.join(['a=1'] * 1000)}").status == 200
        assert server.get(f"/parameters/{path}?{'&'.join(['a=1'] * 1001)}").status == 400
    assert server.post("/parameters/pairs", b"&".join([b"a=1"] * 1001), FORM).status == 400
    assert server.get("/parameters/cookie", "Cookie: " + "; ".join(["c=1"] * 999 + ["a=b"])).text == "b"
    assert server.get("/parameters/cookie", "Cookie: " + "; ".join(["c=1"] * 1000 + ["a=b"])).status == 400


# --- R-LOOP


@pytest.mark.parametrize("path", ["/large/", "/admin/upload/"])
@pytest.mark.parametrize("name", ["h11", "httptools", "lane", "granian"])
def test_r_loop_while_200_mib_come_the_loop_is_never_long_at_one_thing(started, name, path):
    """By the clock of the loop's thread: between two beats of a heart it may work for 50 ms at most, or be late."""
    server = started(name)
    assert server.get("/heartbeat", method="POST").status == 201
    before, _, after = form(part(b"files", b"|", b"large")).partition(b"|")
    size, step = 200 * MIB, b"x" * MIB
    head = [f"POST {path} HTTP/1.1", "Host: ex.test", f"Content-Type: {TYPE}"]
    head.append(f"Content-Length: {len(before) + size + len(after)}")
    with server.connect(timeout=60) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + before)
        for _ in range(size // len(step)):
            connection.sendall(step)
        connection.sendall(after)
        answer = read_answer(connection)
    beats, longest = json.loads(server.get("/heartbeat").text)
    assert answer.text in ('["","large"]', f"django {size}")
    assert beats > 20
    assert longest < 0.05
