"""What the applications share: how many routes they have, and the protocol they are served over."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

ROUTES = int(os.environ.get("BENCH_ROUTES", "0"))  # routes /r0/{item} ... beside those of the service
if os.environ.get("BENCH_COUNTED"):
    # Below callgrind everything is fifty times slower but for the clock, by which threads take the GIL from each other.
    sys.setswitchinterval(50 * sys.getswitchinterval())
IS_WSGI = os.environ.get("BENCH_PROTOCOL") == "wsgi"


def as_the_protocol_wants(function: Callable[..., Any]) -> Any:
    """A view that never waits is best as ``async def`` under Django's ASGI handler, as ``def`` under its WSGI one."""
    if IS_WSGI:
        return function

    @wraps(function)
    async def view(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return view
