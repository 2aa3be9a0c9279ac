"""Undocumented names of websockets, below the lane."""

from __future__ import annotations

from collections.abc import Callable

apply_mask: Callable[[bytes, bytes], bytes]
"""``apply_mask(data, mask)``: the data of a client's frame as it was before its four bytes of mask, or the reverse."""

try:
    from websockets.speedups import apply_mask as apply_mask
except ImportError:  # where there is no C compiler
    from websockets.utils import apply_mask as apply_mask
