"""The handshake of a websocket: the place where routes for websockets begin; today every handshake is rejected.

How this works: :meth:`Dispatcher.attend` calls this for each ``websocket`` scope, whatever its path: neither routes nor
mounts nor Django's side answer one. The lane leaves the upgrade to uvicorn, which makes an ASGI scope of it.
"""

from __future__ import annotations

from hybrid_gateway.types import Receive, Send


async def reject_handshake(receive: Receive, send: Send) -> None:
    """Reject a websocket before it is open: servers answer the handshake with 403."""
    # SPEC: ASGI, "Close": closing before accepting makes the server answer the handshake with 403.
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": ""})
