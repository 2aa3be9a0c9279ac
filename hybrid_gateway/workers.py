"""The lane under gunicorn: ``gunicorn config.asgi:application -k hybrid_gateway.workers.LaneWorker``.

Needs gunicorn and uvicorn-worker. Gunicorn's own settings hold: workers, keepalive, graceful_timeout, max_requests, ...
"""

from __future__ import annotations

from typing import Any, ClassVar

try:
    from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError(f"{error}. LaneWorker needs it: pip install gunicorn uvicorn-worker.") from error

from hybrid_gateway.drivers.lane.protocol import LaneProtocol

__all__ = ["LaneWorker"]


class LaneWorker(UvicornWorker):  # type: ignore[misc]
    """uvicorn's worker for gunicorn, on the lane."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        **UvicornWorker.CONFIG_KWARGS,
        "http": LaneProtocol,
        "interface": "asgi3",
        "server_header": False,
        "ws_per_message_deflate": False,
    }
