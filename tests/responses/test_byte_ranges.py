"""The ``Range`` header, compared with a naive reading of RFC 9110, and with the bytes that come."""

import email
import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybrid_gateway import FileResponse, Gateway, get
from hybrid_gateway.responses.byte_ranges import MAX_RANGES, read_ranges
from hybrid_gateway.test import TestClient

SPEC = st.one_of(
    st.tuples(st.integers(0, 30), st.integers(0, 40)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 30).map(lambda first: f"{first}-"),
    st.integers(0, 30).map(lambda length: f"-{length}"),
    st.sampled_from(["", " ", "-", "a-b", "1", "+1-2", "1_0-", "٣-٤", "1 - 2", "0-0 ", "\t5-6", "9" * 5000 + "-"]),
)
HEADER = st.lists(SPEC, max_size=MAX_RANGES + 2).map(lambda specs: "bytes=" + ",".join(specs))


def oracle(header, size):
    """Which bytes are asked for, one by one; None for a header that says nothing, an empty set for a 416."""
    specs = [spec.strip(" \t") for spec in header.removeprefix("bytes=").split(",")]
    if len(specs) > MAX_RANGES or not any(specs):
        return None
    wanted = set()
    for spec in filter(None, specs):
        if not re.fullmatch(r"[0-9]+-[0-9]*|-[0-9]+", spec):
            return None
        first, _, last = spec.partition("-")
        digits = [part[:40] for part in (first, last)]  # of no file are there more
        if not first:
            if int(digits[1]) and not size:
                return None
            wanted.update(range(max(size - int(digits[1]), 0), size))
        else:
            if last and int(last) < int(digits[0]):
                return None
            end = min(int(last) + 1, size) if last else size
            wanted.update(place for place in range(size) if int(digits[0]) <= place < end)
    return wanted


@settings(max_examples=600)
@given(HEADER, st.integers(0, 30))
@example("bytes=0-0,-1", 2)
@example("bytes=-0", 5)
@example("bytes=-5", 0)
@example("bytes=5-1", 10)
@example("bytes=10-20,0-1", 10)
def test_ranges_are_what_the_rfc_reads(header, size):
    ranges, wanted = read_ranges(header, size), oracle(header, size)
    if wanted is None:
        assert ranges is None
        return
    assert ranges is not None
    named = [place for start, stop in ranges for place in range(start, stop)]
    assert len(named) == len(set(named)), "no byte comes twice"
    assert set(named) == wanted
    edges = sorted(ranges)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(edges))  # what touches is one
    assert all(0 <= start < stop <= size for start, stop in ranges)


@pytest.mark.parametrize(
    "header", ["", "bytes", "lines=0-1", "bytes 0-1", "=0-1", "bytes=0-1;0-2", "bytes=" + "," * 50]
)
def test_what_is_no_range_of_bytes_is_ignored(header):
    assert read_ranges(header, 10) is None


def test_the_unit_has_no_case():
    assert read_ranges("Bytes=0-1", 10) == [(0, 2)]


def test_ranges_keep_their_order():
    assert read_ranges("bytes=8-9, 0-1, 4-4, 9-9, 1-2", 20) == [(8, 10), (0, 3), (4, 5)]


def parts_of(answer):
    """The ranges of a response: start, stop and bytes of each."""
    if answer.headers["Content-Type"].startswith("multipart/byteranges"):
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        parts = [
            (part["Content-Range"], part["Content-Type"], part.get_payload(decode=True))
            for part in email.message_from_bytes(head + answer.content).get_payload()
        ]
    else:
        parts = [(answer.headers["Content-Range"], answer.headers["Content-Type"], answer.content)]
    for said, kind, content in parts:
        assert kind == "application/octet-stream"
        start, stop, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", said).groups())
        yield start, stop + 1, size, content


@pytest.mark.parametrize("size", [30, 70_000], ids=["small", "large"])
@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_the_bytes_that_come_are_those_that_are_asked_for(tmp_path, protocol, size):
    path = tmp_path / "file"
    content = bytes(place % 251 for place in range(size))
    path.write_bytes(content)

    @get("/")
    def file() -> FileResponse:
        return FileResponse(path)

    client = TestClient(Gateway([file]), protocol=protocol)

    @settings(max_examples=60)
    @given(HEADER)
    def check(header):
        wanted = oracle(header, size)
        if not header.isascii() or len(header) > 4000:
            return
        answer = client.get("/", headers={"Range": header})
        if wanted is None:
            assert (answer.status_code, answer.content) == (200, content)
        elif not wanted:
            assert answer.status_code == 416
            assert answer.headers["Content-Range"] == f"bytes */{size}"
        else:
            assert answer.status_code == 206
            assert int(answer.headers["Content-Length"]) == len(answer.content)
            seen = set()
            for start, stop, said, part in parts_of(answer):
                assert (said, part) == (size, content[start:stop])
                seen.update(range(start, stop))
            assert seen == wanted

    check()
