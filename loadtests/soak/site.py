"""The server that is soaked: the example project, with a database and a token of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from loadtests.servers import ROOT, Server

__all__ = ["BODY_TIMEOUT", "COMMANDS", "Site", "manage"]

BODY_TIMEOUT = 5  # seconds, as its head's

PYTHON = [sys.executable, "-m"]
_UVICORN = [
    *PYTHON, "uvicorn", "hybrid_gateway.asgi:application", "--host", "127.0.0.1", "--port", "{port}", "--workers",
    "{workers}", "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "{grace}",
    "--timeout-worker-healthcheck", "10",
]  # fmt: skip
COMMANDS: Mapping[str, list[str]] = {
    "lane": [
        *PYTHON, "django", "gateway", "serve", "--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}",
        "--log-level", "warning", "--graceful-timeout", "{grace}", "--body-timeout", str(BODY_TIMEOUT),
        "--header-timeout", str(BODY_TIMEOUT),
    ],
    "h11": [*_UVICORN, "--http", "h11"],
    "httptools": [*_UVICORN, "--http", "httptools"],
    "granian": [
        *PYTHON, "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}",
        "--no-access-log", "--log-level", "warning", "--workers-kill-timeout", "{grace}",
        "--backpressure", "8192", "--respawn-failed-workers",
        "hybrid_gateway.asgi:application",
    ],
    "gunicorn": [
        *PYTHON, "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "{workers}", "--worker-class", "gthread",
        "--threads", "16", "--keep-alive", "75", "--log-level", "warning", "--graceful-timeout", "{grace}",
        "hybrid_gateway.wsgi:application",
    ],
}  # fmt: skip


class Site(Server):
    """A context manager around the server; ``folder`` keeps its database, its uploads and its log."""

    def __init__(self, kind: str, *, port: int, workers: int, grace: int, environment: Mapping[str, str]) -> None:
        self.command = [part.format(port=port, workers=workers, grace=grace) for part in COMMANDS[kind]]
        self.environment = {**os.environ, **environment}
        self.port = port
        self.cores: set[int] = set()
        self.root = ROOT

    def processes(self) -> list[psutil.Process]:
        """Those that answer: the server, or its workers where it has some."""
        tree = self._tree()
        return [found for found in tree[1:] if not _is_tracker(found)] or tree

    def unexpected(self, quiet: list[tuple[str, str]]) -> list[str]:
        """Lines of the log that tell of an exception, but those made on purpose and those between ``quiet`` times."""
        self.log.seek(0)
        found: list[str] = []
        told = ""
        for line in self.log:
            record = _record(line)
            text = record.get("exception", "")
            told = str(record.get("time", told))  # servers write lines of their own, without a time
            if "on purpose" in text or any(start <= told <= end for start, end in quiet):
                continue
            if text or "Traceback (" in line or record.get("level") in ("ERROR", "CRITICAL"):
                found.append(line.strip())
            elif not record and found:
                found[-1] = f"{found[-1]} {line.strip()}"
        return [entry[-1000:] for entry in found]

    def keep_log(self, path: Path) -> None:
        """Put the log where it outlives the server."""
        self.log.seek(0)
        path.write_text(self.log.read(), encoding="utf-8")


def _is_tracker(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return True


def _record(line: str) -> dict[str, str]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def environment(
    folder: Path, database_url: str, redis_url: str | None, timeout: float, channels: str
) -> dict[str, str]:
    """The variables a site is started with."""
    return {
        "DJANGO_SETTINGS_MODULE": "loadtests.soak.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "example_project")]),
        "DEBUG": "0",
        "MALLOC_ARENA_MAX": "2",  # as docs/deploying.md advises
        "SECRET_KEY": "for-a-soak-only",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_URL": database_url,
        "MEDIA_ROOT": str(folder / "media"),
        "SOAK_TIMEOUT": str(timeout),
        "SOAK_BODY_TIMEOUT": str(BODY_TIMEOUT),
        "SOAK_CHANNELS": channels,
        "SOAK_REDIS": redis_url or "",
        "SOAK_KEY_PREFIX": f"soak-{time.time_ns()}",
    }


def manage(variables: Mapping[str, str], *arguments: str) -> str:
    """What a management command of the site prints."""
    command = [*PYTHON, "django", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
