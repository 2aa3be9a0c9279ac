"""Frames of clients: what is a message, what breaks RFC 6455, and that the reader agrees with that of websockets."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

pytest.importorskip("websockets", reason="The lane's websockets need websockets, which the extra `server` brings.")

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from hybrid_gateway.drivers.sockets.websocket_deflate import MessageInflater
from hybrid_gateway.drivers.sockets.websocket_frames import FrameReader
from tests.drivers.websocket_client import frame

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LIMIT = 1000


class Reader(FrameReader):
    """A reader that notes what it is told, and is its own receiver."""

    def __init__(self, max_size: int = LIMIT) -> None:
        super().__init__()
        self.max_size = max_size
        self.events: list[Any] = []
        self.receiver = self  # type: ignore[assignment]

    def on_message(self, data: str | bytes) -> None:
        self.events.append(data)

    def on_control(self, opcode: int, data: bytes) -> None:
        self.events.append((opcode, data))
        self.is_deaf = opcode == CLOSE

    def fail(self, code: int, reason: str) -> None:
        self.is_deaf = True
        self.events.append(code)


def read(*pieces: bytes, max_size: int = LIMIT) -> list[Any]:
    """What a reader tells of bytes that come in these pieces."""
    reader = Reader(max_size)
    for piece in pieces:
        if not reader.is_deaf:
            reader.feed(piece)
    return reader.events


def in_every_way(data: bytes) -> list[Any]:
    """The same of bytes that come whole, one by one, and in two pieces."""
    whole = read(data)
    assert read(*(data[place : place + 1] for place in range(len(data)))) == whole
    for place in range(len(data)):
        assert read(data[:place], data[place:]) == whole
    return whole


INVALID = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"  # a surrogate

CONVERSATIONS = [
    ("text", frame(TEXT, b"hello"), ["hello"]),
    ("empty text", frame(TEXT), [""]),
    ("binary of 125, 126, 127 bytes", b"".join(frame(BINARY, b"x" * size) for size in (125, 126, 127)), None),
    ("a mask of zeros", frame(TEXT, b"hello", mask=bytes(4)), ["hello"]),
    ("as many bytes as there may be", frame(BINARY, b"x" * LIMIT), [b"x" * LIMIT]),
    ("one byte more", frame(BINARY, b"x" * (LIMIT + 1)), [1009]),
    ("one byte more in fragments", frame(BINARY, b"x" * LIMIT, fin=False) + frame(0, b"x"), [1009]),
    ("a lie about 2**63 bytes", frame(BINARY, b"x", length=1 << 63), [1009]),
    ("fragments", frame(TEXT, b"he", fin=False) + frame(0, b"l", fin=False) + frame(0, b"lo"), ["hello"]),
    ("empty fragments", frame(TEXT, fin=False) + frame(0, fin=False) + frame(0), [""]),
    ("a character in two fragments", frame(TEXT, b"\xc3", fin=False) + frame(0, b"\xa9"), ["é"]),
    ("half a character at the end", frame(TEXT, b"\xc3"), [1007]),
    ("half a character in the last fragment", frame(TEXT, b"a", fin=False) + frame(0, b"\xc3"), [1007]),
    ("no UTF-8", frame(TEXT, INVALID), [1007]),
    ("no UTF-8, told before the message has ended", frame(TEXT, INVALID, fin=False), [1007]),
    ("no UTF-8 in binary", frame(BINARY, INVALID), [INVALID]),
    ("a ping among fragments", frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(0, b"b"), [(PING, b"p"), "ab"]),
    ("a pong nobody has asked for", frame(PONG, b"p"), [(PONG, b"p")]),
    ("a ping of 125 bytes", frame(PING, b"p" * 125), [(PING, b"p" * 125)]),
    ("a ping of 126 bytes", frame(PING, b"p" * 126), [1002]),
    ("half a ping", frame(PING, b"p", fin=False), [1002]),
    ("a close, and nothing after it", frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"x"), [(CLOSE, b"\x03\xe8")]),
    ("a close among fragments", frame(TEXT, b"x", fin=False) + frame(CLOSE), [(CLOSE, b"")]),
    ("a continuation of nothing", frame(0, b"x"), [1002]),
    ("a continuation of what has ended", frame(TEXT, b"x") + frame(0, b"y"), ["x", 1002]),
    ("a message in another one", frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), [1002]),
    ("no mask", frame(TEXT, b"x", mask=None), [1002]),
    ("no mask, and no data", frame(TEXT, mask=None), [1002]),
    ("good, and then bad", frame(TEXT, b"good") + frame(TEXT, b"x", reserved=2), ["good", 1002]),
    *((f"reserved bits {bits}", frame(TEXT, b"x", reserved=bits), [1002]) for bits in range(1, 8)),
    *((f"reserved bits {bits} of a ping", frame(PING, reserved=bits), [1002]) for bits in range(1, 8)),
    *((f"opcode {opcode}", frame(opcode, b"x"), [1002]) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
]


@pytest.mark.parametrize(("data", "events"), [row[1:] for row in CONVERSATIONS], ids=[row[0] for row in CONVERSATIONS])
def test_bytes_say_the_same_in_whatever_pieces_they_come(data, events):
    found = in_every_way(data)
    assert events is None or found == events


def test_what_is_wrong_is_told_with_the_byte_that_makes_it_so():
    assert read(b"\x81\x05") == [1002]  # no mask
    assert read(b"\x83\x85") == [1002]  # no such opcode
    assert read(b"\x89\xfe") == [1002]  # too long a ping
    assert read(frame(TEXT, INVALID + b"x" * 100)[: 6 + 14]) == [1007]
    assert read(frame(TEXT, INVALID + b"x" * 100)[: 6 + 12]) == []
    assert read(frame(BINARY, length=LIMIT + 1)) == [1009]


def test_a_message_takes_no_more_memory_than_it_may_have_bytes_however_many_fragments_it_has():
    reader = Reader(max_size=10_000)
    reader.feed(frame(BINARY, fin=False))
    pieces = frame(0, fin=False) * 1000 + frame(0, b"x", fin=False)
    tracemalloc.start()
    try:
        for _ in range(30):
            reader.feed(pieces)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20_000 and reader.events == []
    reader.feed(frame(0, b"x" * 9971, fin=False))
    assert reader.events == [1009]


class Pausing:
    """A receiver that pauses after each message."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def on_message(self, data: str) -> None:
        self.reader.events.append(data)
        self.reader.is_paused = True


def test_a_reader_that_is_paused_keeps_what_has_come_and_goes_on_where_it_was():
    reader = Reader()
    reader.receiver = Pausing(reader)  # type: ignore[assignment]
    reader.feed(b"".join(frame(TEXT, b"%d" % number) for number in range(5)))
    seen = []
    while len(seen) < 5:
        seen.append(list(reader.events))
        reader.is_paused = False
        reader.feed(b"")
    assert seen == [["0", "1", "2", "3", "4"][: number + 1] for number in range(5)]


def test_a_pause_after_each_message_copies_nothing():
    reader = Reader()
    reader.receiver = Pausing(reader)  # type: ignore[assignment]
    reader.feed(frame(TEXT, b"x") * 20_000)
    kept = reader._rest
    for _ in range(100):
        reader.is_paused = False
        reader.feed(b"")
        assert reader._rest is kept
    reader.receiver = reader  # type: ignore[assignment]
    reader.is_paused = False
    reader.feed(frame(TEXT, b"y")[:3])
    reader.feed(frame(TEXT, b"y")[3:])
    assert reader.events == ["x"] * 20_000 + ["y"] and reader._rest == b""


# --- compared with websockets

OPCODES = [0, TEXT, BINARY, PING, PONG, CLOSE]
contents = st.one_of(
    st.binary(max_size=20), st.text(max_size=12).map(str.encode), st.binary(min_size=120, max_size=130)
)
frames = st.builds(
    frame,
    st.one_of(st.sampled_from(OPCODES), st.sampled_from(OPCODES), st.integers(0, 15)),
    contents,
    fin=st.sampled_from([True, True, True, False]),
    reserved=st.sampled_from([0] * 12 + [1, 2, 4]),
    mask=st.one_of(*[st.binary(min_size=4, max_size=4)] * 8, st.none()),
)


def theirs(data: bytes, max_size: int) -> list[Any]:
    """What websockets makes of the same bytes, as :class:`Reader` tells it."""
    protocol = ServerProtocol(state=OPEN, max_size=max_size)
    protocol.receive_data(data)
    events: list[Any] = []
    parts: list[bytes] = []
    is_text = False
    for event in protocol.events_received():
        opcode, content = event.opcode, bytes(event.data)
        if opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            events.append((int(opcode), content))
            continue
        if opcode is not Opcode.CONT:
            parts, is_text = [], opcode is Opcode.TEXT
        parts.append(content)
        if event.fin:
            try:
                events.append(b"".join(parts).decode() if is_text else b"".join(parts))
            except UnicodeDecodeError:
                return [*events, 1007]
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        events.append(protocol.close_sent.code)
    return events


@settings(max_examples=300, deadline=None)
@given(st.lists(frames, min_size=1, max_size=6), st.sampled_from([130, 200, 500]), st.data())
def test_messages_and_faults_are_those_of_websockets(parts, max_size, data):
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    ours, expected = read(*pieces, max_size=max_size), theirs(stream, max_size)
    fault = ours.pop() if ours and isinstance(ours[-1], int) else None
    closes = bool(ours) and isinstance(ours[-1], tuple) and ours[-1][0] == CLOSE
    if closes:
        ours.pop()
    assert expected[: len(ours)] == ours
    rest = expected[len(ours) :]
    if closes:  # they look into it
        assert rest[0] in (1002, 1007, 1009) or rest[0][0] == CLOSE
        return
    if fault is None:
        # They count a ping among the fragments of a message, too.
        assert rest == [] or (rest == [1009] and any(part[0] & 0xF in (PING, PONG, CLOSE) for part in parts))
        return
    # They look at a head once its data have come, and for invalid text once the message has.
    assert all(isinstance(event, tuple) for event in rest[:-1])
    if fault == 1007:
        assert rest == [] or rest[-1] in (1007, 1009, 1002) or isinstance(rest[-1], tuple)
    else:
        assert (rest or theirs(stream + bytes(200), max_size))[-1] in (1002, 1009)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_at_all_are_read_the_same_in_pieces(stream, cuts):
    places = sorted(min(cut, len(stream)) for cut in cuts)
    pieces = [stream[start:stop] for start, stop in zip([0, *places], [*places, len(stream)], strict=True)]
    reader = Reader()
    reader.new_inflater = MessageInflater
    other = Reader()
    other.new_inflater = MessageInflater
    reader.feed(stream)
    for piece in pieces:
        if not other.is_deaf:
            other.feed(piece)
    assert other.events == reader.events
