"""Log records as lines of JSON, for those who search them by field."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import msgspec

from hybrid_gateway.telemetry.event_hooks import request_id

__all__ = ["JSONFormatter"]

# The attributes of every record; all others came with ``extra=``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request_id"}
_SHOWN = (str, int, float, bool, type(None))

_encode = msgspec.json.Encoder(enc_hook=str).encode


class JSONFormatter(logging.Formatter):
    """For ``LOGGING``: one line per record, whatever is in it.

    Its members are ``time`` (UTC), ``level``, ``logger``, ``message``, ``request_id`` where there is one, every field
    of ``extra=``, and ``exception`` and ``stack`` as text. Of fields that are no simple values it shows the text.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        found = request_id.get() or getattr(record, "request_id", "-")
        if found != "-":
            line["request_id"] = found
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value if isinstance(value, _SHOWN) else str(value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        try:
            return _encode(line).decode()
        except UnicodeEncodeError:  # half a surrogate pair, from a file name or a client
            for name, value in line.items():
                if isinstance(value, str):
                    line[name] = value.encode("utf-8", "backslashreplace").decode()
            return _encode(line).decode()
