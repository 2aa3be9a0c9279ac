"""Compression of websockets on the lane: which offers are accepted, and that nothing is made bigger than it may be."""

from __future__ import annotations

import zlib

import pytest

pytest.importorskip("websockets", reason="The lane's websockets need websockets, which the extra `server` brings.")

from hybrid_gateway.drivers.sockets.websocket_deflate import MessageInflater, choose_offer, compress_frame
from hybrid_gateway.drivers.sockets.websocket_frames import MessageTooBigError
from hybrid_gateway.websockets.frames import Frame
from tests.drivers.test_websocket_frames import Reader
from tests.drivers.websocket_client import frame

TEXT, RSV1 = 1, 4
ACCEPTED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def deflated(data: bytes, bits: int = 15) -> bytes:
    """The data as a client compresses them."""
    stream = zlib.compressobj(wbits=-bits)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def inflating(max_size: int = 1000) -> Reader:
    reader = Reader(max_size)
    reader.new_inflater = MessageInflater
    return reader


@pytest.mark.parametrize(
    ("offers", "accepted"),
    [
        ("", None),
        ("permessage-deflate", ACCEPTED),
        ("permessage-deflate; client_max_window_bits", ACCEPTED),
        ("permessage-deflate ; client_max_window_bits = 10", ACCEPTED),
        ('permessage-deflate; server_max_window_bits="10"', f"{ACCEPTED}; server_max_window_bits=10"),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", ACCEPTED),
        ("x-webkit-deflate-frame, permessage-deflate", ACCEPTED),
        ("permessage-deflate; server_max_window_bits=8", None),  # which zlib has not
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ACCEPTED),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; nonsense", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; =", None),
        ("PERMESSAGE-DEFLATE", None),
    ],
)
def test_the_first_offer_that_suits_is_accepted(offers, accepted):
    chosen = choose_offer(offers)
    assert (chosen and chosen[0]) == accepted


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_a_message_is_compressed_for_the_window_of_its_client_and_once_for_most(bits):
    message = Frame(b"abcdefgh" * 5000)
    compressed = compress_frame(message, bits)
    assert compressed[0] == 0xC1 and len(compressed) < 1000
    size = compressed[1] if compressed[1] < 126 else int.from_bytes(compressed[2:4], "big")
    data = compressed[-size:] + b"\x00\x00\xff\xff"
    assert zlib.decompressobj(wbits=-bits).decompress(data) == message.payload
    assert (compress_frame(message, bits) is compressed) == (bits >= 12)


def test_a_short_message_is_sent_as_it_is():
    message = Frame(b"short")
    assert compress_frame(message, 15) is message.as_bytes


def test_compressed_messages_and_others_are_read_in_any_fragments():
    text = "grüße " * 50
    data = deflated(text.encode())
    streams = [
        frame(TEXT, data, reserved=RSV1),
        frame(TEXT, data[:5], reserved=RSV1, fin=False) + frame(9, b"p") + frame(0, data[5:]),
        frame(TEXT, data, reserved=RSV1, fin=False) + frame(0),
        frame(TEXT, deflated(b"", 9), reserved=RSV1),
        frame(TEXT, b"plain"),
    ]
    stream = b"".join(streams)
    expected = [text, (9, b"p"), text, text, "", "plain"]
    for size in (len(stream), 1, 7):
        reader = inflating()
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])
        assert reader.events == expected


def test_a_final_block_may_end_a_message():
    stream = zlib.compressobj(wbits=-15)
    data = stream.compress(b"final") + stream.flush() + b"\x00"
    reader = inflating()
    reader.feed(frame(TEXT, data, reserved=RSV1))
    assert reader.events == ["final"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (deflated(b"x" * 1000), None),
        (deflated(b"x" * 1001), 1009),
        (deflated(b"\x00" * 5_000_000), 1009),
        (deflated(b"\xff\xff"), 1007),
        (b"\xff\xff\xff", 1002),
        (zlib.compress(b"behind the end", wbits=-15) + b"more", 1002),
    ],
)
def test_what_is_too_big_or_no_data_ends_the_connection(data, code):
    for pieces in (1, len(data) if len(data) < 1000 else 7):
        reader = inflating()
        step = -(-len(data) // pieces)
        reader.feed(frame(TEXT, reserved=RSV1, fin=False))
        for start in range(0, len(data), step):
            if not reader.is_deaf:
                reader.feed(frame(0, data[start : start + step], fin=start + step >= len(data)))
        assert reader.events == ([code] if code else ["x" * 1000])


def test_a_bomb_makes_one_byte_more_than_there_may_be():
    inflater = MessageInflater()
    with pytest.raises(MessageTooBigError):
        inflater.inflate(deflated(b"\x00" * 5_000_000), 10)


@pytest.mark.parametrize("events", [[1002]])
def test_a_compressed_message_is_a_fault_where_nothing_was_agreed_or_inside_of_another(events):
    plain = Reader()
    plain.feed(frame(TEXT, deflated(b"x"), reserved=RSV1))
    assert plain.events == events
    reader = inflating()
    reader.feed(frame(TEXT, deflated(b"x"), reserved=RSV1, fin=False) + frame(0, b"", reserved=RSV1))
    assert reader.events == events
    control = inflating()
    control.feed(frame(9, b"x", reserved=RSV1))
    assert control.events == events
