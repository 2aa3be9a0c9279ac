"""The package among a project's requirements: added where the file is plain, else suggested."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid_gateway.scaffold.changes import FileChange

REQUIREMENT = "hybrid-gateway[server]"
_DJANGO = re.compile(r"^(?P<indent>\s*)(?P<quote>[\"']?)django(?![\w.-])", re.IGNORECASE)
_NAMED = re.compile(r"hybrid[-_.]gateway", re.IGNORECASE)

_FILES = ("pyproject.toml", "Pipfile", "requirements.txt", "requirements/base.txt", "requirements/common.txt")

LOCKS = {
    "uv.lock": "uv lock",
    "poetry.lock": "poetry lock",
    "pdm.lock": "pdm lock",
    "Pipfile.lock": "pipenv lock",
}


def requirement_changes(root: Path) -> tuple[list[FileChange], list[str]]:
    """Return the change of the file that names Django, and what is left to do by hand."""
    for path in filter(Path.is_file, map(root.joinpath, _FILES)):
        before = path.read_bytes()
        if _NAMED.search(before.decode("utf-8", "replace")):
            return [], []
        after = _EDITORS[path.suffix](before)
        if after is not None:
            locks = [
                f"Lock the requirements again: {command}" for name, command in LOCKS.items() if (root / name).exists()
            ]
            return [FileChange(path, before, after)], locks
    return [], [f"Add {REQUIREMENT} to the project's requirements, in the way that it names Django."]


def _add_to_text(data: bytes) -> bytes | None:
    """Add a line behind that of Django; none where hashes are asked for, since we know none."""
    if b"--hash" in data or b"pip-compile" in data or b"uv pip compile" in data:
        return None
    return _behind_django(data, lambda match: f"{REQUIREMENT}\n" if not match["quote"] else None)


def _add_to_pyproject(data: bytes) -> bytes | None:
    """Add an entry to ``project.dependencies``, one a line, and see that nothing else has changed."""
    after = _behind_django(data, lambda match: f"{match['indent']}{match['quote']}{REQUIREMENT}{match['quote']},\n")
    if after is None:
        return None
    old, new = _toml(data), _toml(after)
    dependencies = new.get("project", {}).get("dependencies", [])
    if not isinstance(dependencies, list) or REQUIREMENT not in dependencies:
        return None  # the line that names Django is among other things
    dependencies.remove(REQUIREMENT)
    return after if old == new else None


def _add_to_pipfile(data: bytes) -> bytes | None:
    """Add an entry to ``packages``."""
    line = 'hybrid-gateway = {extras = ["server"], version = "*"}\n'
    after = _behind_django(data, lambda match: line if not match["quote"] else None)
    if after is None:
        return None
    old, new = _toml(data), _toml(after)
    return after if new.get("packages", {}).pop("hybrid-gateway", None) and old == new else None


def _toml(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, UnicodeDecodeError):
        return {}


def _behind_django(data: bytes, line: Callable[[re.Match[str]], str | None]) -> bytes | None:
    """Return the file with a line behind the first that names Django; ``None`` where no line begins with it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.splitlines(keepends=True)
    for number, old in enumerate(lines):
        match = _DJANGO.match(old)
        if match is not None:
            added = line(match)
            if added is None or old.rstrip().endswith("\\"):
                return None
            end = "\r\n" if old.endswith("\r\n") else "\n"
            lines[number] = old if old.endswith("\n") else old + end
            lines.insert(number + 1, added.replace("\n", end))
            return "".join(lines).encode("utf-8")
    return None


_EDITORS: dict[str, Callable[[bytes], bytes | None]] = {
    ".toml": _add_to_pyproject,
    "": _add_to_pipfile,
    ".txt": _add_to_text,
}
