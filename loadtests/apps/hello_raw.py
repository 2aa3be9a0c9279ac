"""The least an ASGI application can do: what the server alone costs."""

from collections.abc import Awaitable, Callable
from typing import Any

BODY = b'{"message":"Hello, World!"}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))],
}
END = {"type": "http.response.body", "body": BODY}


async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Awaitable[None]]) -> None:
    """Answer every HTTP request alike; refuse other protocols as Django's handler does."""
    if scope["type"] != "http":
        raise ValueError(f"only HTTP is answered here, not {scope['type']}")
    await send(START)
    await send(END)
