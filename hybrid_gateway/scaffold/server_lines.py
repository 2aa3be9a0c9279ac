"""The lines that start a project's servers already, which serve the gateway once ``asgi.py`` and ``wsgi.py`` do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_FILES = ("Procfile", "Procfile.*", "Dockerfile", "Dockerfile.*", "*compose*.y*ml", "fly.toml", "render.yaml", "*.sh")
_FOLDERS = (".", "bin", "compose/*/*", "deploy", "docker", "scripts")
_COMMAND = re.compile(r"(?:gunicorn|uvicorn|daphne|hypercorn|granian|uwsgi)\b[^\n#]*?\b[\w.]*\b[aw]sgi\b(?::\w+)?")
_MAX_SIZE = 100_000


def served_by(root: Path) -> Iterator[str]:
    """Yield a sentence for each file that starts a server of ``….wsgi`` or ``….asgi``."""
    for path in sorted({path for folder in _FOLDERS for name in _FILES for path in root.glob(f"{folder}/{name}")}):
        if not path.is_file() or path.stat().st_size > _MAX_SIZE:
            continue
        if found := _COMMAND.search(path.read_text(encoding="utf-8", errors="replace")):
            command = re.sub(r"[\"',\s]+", " ", found[0]).strip()
            yield f"{path.relative_to(root).as_posix()} serves it already: {command}"
