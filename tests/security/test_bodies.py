"""Bodies: how large, how encoded, how deep, and in how many pieces they may come."""

import gzip
import json
from typing import Annotated

import msgspec
import pytest

from hybrid_gateway import Body, Gateway, post
from hybrid_gateway.test import TestClient
from tests.security.site_readers import (
    READERS,
    Named,
    read_below_django,
    read_form,
    read_json,
    read_packed,
    read_raw,
)

LIMIT = 1000
JSON = "application/json"


class Node(msgspec.Struct):
    child: "Node | None" = None
    numbers: list[int] = []


BOUNDARY = "boundary"


def multipart(size):
    text = "x" * size
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n'.encode()


BODIES = {
    "json": ("/json", JSON, lambda size: json.dumps({"x": "y" * size}).encode()),
    "typed": ("/typed", JSON, lambda size: json.dumps({"name": "y" * size}).encode()),
    "msgpack": ("/packed", "application/msgpack", lambda size: msgspec.msgpack.encode([1] * size)),
    "raw": ("/raw", "application/octet-stream", lambda size: b"x" * size),
    "raw in a thread": ("/raw-def", "application/octet-stream", lambda size: b"x" * size),
    "stream": ("/stream", "application/octet-stream", lambda size: b"x" * size),
    "request": ("/request", "application/octet-stream", lambda size: b"x" * size),
    "urlencoded": ("/form", "application/x-www-form-urlencoded", lambda size: b"name=" + b"x" * size),
    "multipart": ("/form", f"multipart/form-data; boundary={BOUNDARY}", multipart),
}


@pytest.fixture(params=BODIES)
def kind(request):
    return BODIES[request.param]


# --- size ----------------------------------------------------------------------------------------------------------


def test_r_limall_every_kind_of_body_has_its_limit(serve, kind):
    path, content_type, make = kind
    client = serve(*READERS, max_body_size=LIMIT, max_upload_size=LIMIT)
    assert client.post(path, content=make(LIMIT // 2), content_type=content_type).status_code == 201
    assert client.post(path, content=make(LIMIT + 1), content_type=content_type).status_code == 413


def test_r_body_what_counts_is_what_arrives(kind):
    """A server that lets a client say one thing and send another, as ASGI allows: no length, or a false one."""
    path, content_type, make = kind
    gateway = Gateway(READERS, max_body_size=LIMIT, max_upload_size=LIMIT)
    for declared in (None, b"1"):
        pieces = [make(LIMIT * 10)[start : start + 64] for start in range(0, LIMIT * 10, 64)]
        status, taken = converse(gateway, path, content_type, pieces, declared)
        assert status == 413
        assert taken * 64 <= LIMIT + 64  # nothing is read beyond what is known to be too much


def converse(gateway, path, content_type, pieces, declared):
    headers = [(b"host", b"localhost"), (b"content-type", content_type.encode())]
    headers += [] if declared is None else [(b"content-length", declared)]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    pieces, sent, taken = list(pieces), [], 0

    async def receive():
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": pieces[taken - 1], "more_body": taken < len(pieces)}

    async def send(message):
        sent.append(message)

    gateway.loop_thread.run(gateway(scope, receive, send))
    return sent[0]["status"], taken


def test_r_body_the_default_is_finite():
    client = TestClient(Gateway([read_json, read_raw, read_form]))
    assert client.post("/raw", content=b"x" * (1024 * 1024)).status_code == 201
    assert client.post("/raw", content=b"x" * (1024 * 1024 + 1)).status_code == 413


def test_r_json2_a_typed_body_is_decoded_once_and_never_as_anything(serve):
    client = serve(*READERS)
    numbers = b"[" + b"1," * (600 * 1024) + b"1]"
    assert client.post("/json", content=numbers, content_type=JSON).status_code == 413
    assert client.post("/typed", content=b"[" + b"1," * 1000 + b"1]", content_type=JSON).status_code == 422


# --- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
def test_r_zip_no_body_is_unpacked(serve, kind, encoding):
    path, content_type, make = kind
    packed = gzip.compress(make(100))
    headers = {"Content-Encoding": encoding}
    refused = serve(*READERS).post(path, content=packed, content_type=content_type, headers=headers)
    assert (refused.status_code, refused.headers["Accept-Encoding"]) == (415, "identity")


def test_r_zip_below_django_middleware_too(serve):
    client = serve(read_below_django)
    assert client.put("/middleware", content=b"x", headers={"Content-Encoding": "gzip"}).status_code == 415
    assert client.put("/middleware", content=b"x").status_code == 200


def test_r_zip_identity_is_no_encoding(serve, kind):
    path, content_type, make = kind
    headers = {"Content-Encoding": "Identity"}
    assert serve(*READERS).post(path, content=make(9), content_type=content_type, headers=headers).status_code == 201


# --- JSON ----------------------------------------------------------------------------------------------------------

HOSTILE = {
    "nested lists": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unclosed": b'{"x":' * 100_000,
    "nested objects": b'{"child":' * 50_000 + b"null" + b"}" * 50_000,
    "no UTF-8": b'{"x":"\xff"}',
    "half a character": b'{"x":"\xe2\x82"}',
    "a lone surrogate": b'{"x":"\\ud800"}',
    "a lone surrogate as UTF-8": b'{"x":"\xed\xa0\x80"}',
    "5,000 digits": b'{"x":' + b"9" * 5000 + b"}",
    "beyond a float": b'{"x":1e999}',
    "no number": b'{"x":NaN}',
    "nothing": b" ",
    "NUL": b"\x00",
    "trailing bytes": b"{}{}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_r_json1_no_json_is_a_500(serve, body):
    client = serve(read_json, max_body_size=10_000_000)
    assert client.post("/json", content=body, content_type=JSON).status_code in (400, 422)


@pytest.mark.parametrize("depth", [1, 9, 100, 300, 900])
def test_r_json1_faults_deep_inside_are_told_at_their_place(serve, depth):
    @post("/")
    async def read(data: Node) -> int:
        return 1

    answer = serve(read).post("/", content=b'{"child":' * depth + b"3" + b"}" * depth, content_type=JSON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", *["child"] * depth]


def test_r_json1_msgpack_too(serve):
    client = serve(read_packed)
    for body in (b"\x91" * 50_000, b"\xd9\x02\xff\xfe", b"\xdd\xff\xff\xff\xff", b"\xc1", b"\xdf\xff\xff\xff\xff"):
        assert client.post("/packed", content=body, content_type="application/msgpack").status_code in (400, 422)


def test_r_lin_many_faults_are_not_all_looked_for(serve):
    """Told one by one, the faults of one body would be ten times its size, and take seconds to find."""

    @post("/")
    async def read(data: Annotated[list[Named], Body()]) -> int:
        return len(data)

    def answer(count):
        return serve(read).post("/", content=b"[" + b'{"name":1},' * count + b"{}]", content_type=JSON)

    few, many = answer(1000), answer(80_000)
    assert len(few.json()["errors"]) == len(many.json()["errors"]) == 100
    last = serve(read).post("/", content=b"[" + b"{}," * 50_000 + b'{"name":1}]', content_type=JSON)
    assert [error["loc"] for error in last.json()["errors"]] == [["body", 50_000, "name"]]
