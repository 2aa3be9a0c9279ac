"""Canaries of ``hybrid_gateway/_compat/websockets_internals.py``."""

from __future__ import annotations

from hybrid_gateway._compat import websockets_internals as internals
from tests.compat import canary


@canary("apply_mask")
def test_a_mask_is_applied_to_bytes_of_any_number_and_comes_off_again() -> None:
    for size in (0, 1, 4, 7, 8, 9, 125, 65_537):
        data = bytes(place % 251 for place in range(size))
        masked = internals.apply_mask(data, b"\x01\x80\xff\x00")
        assert type(masked) is bytes
        assert masked == bytes(byte ^ b"\x01\x80\xff\x00"[place % 4] for place, byte in enumerate(data))
        assert internals.apply_mask(masked, b"\x01\x80\xff\x00") == data
