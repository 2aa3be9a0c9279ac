"""Obstacles to the lane: whatever must see every request as ASGI. Nothing of uvicorn is needed to tell."""

from __future__ import annotations

from hybrid_gateway.drivers.served_application import ServedApplication


def find_obstacle(app: object, script_prefix: str | None) -> str | None:
    """Return what stands between a server and the routes of ``app``; ``None`` where nothing does."""
    if not isinstance(app, ServedApplication) or not app.may_skip_asgi:
        return f"the application is {app!r}, no bare Gateway, and what wraps it must see every request."
    if app.middleware:
        return "the gateway has middleware of its own. Put it on the routes that need it to keep the others fast."
    if script_prefix:
        return "there is a script prefix (root_path, FORCE_SCRIPT_NAME)."
    return None
