"""The changes of files: shown as a diff, written, and taken back.

How this works: the bytes before each change and a digest of those after stand in ``.hybrid_gateway/`` of the project,
a folder that git is told to ignore. Undoing compares digests first, so that nobody's later work is lost.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

RECORD = ".hybrid_gateway"


class ScaffoldError(Exception):
    """Something stands in the way: the text says it, and what to do, without a traceback."""


class FileChange(msgspec.Struct, frozen=True):
    """The bytes of one file before and after; ``None`` is no file."""

    path: Path
    before: bytes | None
    after: bytes | None

    def diff(self, root: Path) -> str:
        """Return the unified diff, with paths as ``git diff`` has them."""
        name = self.path.relative_to(root).as_posix() if self.path.is_relative_to(root) else self.path.as_posix()
        lines = difflib.unified_diff(
            _lines(self.before),
            _lines(self.after),
            "/dev/null" if self.before is None else f"a/{name}",
            "/dev/null" if self.after is None else f"b/{name}",
        )
        return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Make the file what it is to be."""
        if self.after is None:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self.after)


def _lines(data: bytes | None) -> list[str]:
    return (data or b"").decode("utf-8", "replace").replace("\r\n", "\n").splitlines(keepends=True)


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def apply(root: Path, changes: Iterable[FileChange]) -> None:
    """Note what the files were, then write them. A file changed by an earlier run keeps its first state.

    One that somebody else changed in between keeps its earlier digest as well, so that undoing is refused.
    """
    changes = list(changes)
    known = dict(_record(root))
    folder = root / RECORD
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    for change in changes:
        inside = change.path.is_relative_to(root)
        name = (change.path.relative_to(root) if inside else change.path).as_posix()
        entry = known.get(name)
        if entry is None:
            before = None if change.before is None else b64encode(change.before).decode()
            known[name] = {"before": before, "after": _digest(change.after)}
        elif _digest(change.before) in (entry["after"], _digest(_before(entry))):
            known[name] = {**entry, "after": _digest(change.after)}
    record = folder / "undo.json"
    record.touch(mode=0o600)  # SECURITY: settings hold secrets, and so does what they were
    record.write_text(json.dumps(known, indent=1), encoding="utf-8")
    for change in changes:
        change.write()


def _record(root: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    record = root / RECORD / "undo.json"
    if record.is_file():
        yield from json.loads(record.read_text(encoding="utf-8")).items()


def _before(entry: Mapping[str, str | None]) -> bytes | None:
    kept = entry["before"]
    return None if kept is None else b64decode(kept)


def root_of_record(folder: Path) -> Path:
    """Return the folder at or above ``folder`` with a record of ``init``, ``folder`` itself where there is none."""
    for candidate in (folder, *folder.parents):
        if (candidate / RECORD / "undo.json").is_file():
            return candidate
        if (candidate / ".git").exists():
            break
    return folder


def undo(root: Path, *, force: bool = False) -> list[FileChange]:
    """Return what puts every file back; raise :class:`ScaffoldError` where one was changed since, unless ``force``."""
    changes, touched = [], []
    for name, entry in _record(root):
        path = root / name
        current, before = path.read_bytes() if path.is_file() else None, _before(entry)
        if _digest(current) != entry["after"] and current != before:
            touched.append(name)
        if current != before:
            changes.append(FileChange(path, current, before))
    if touched and not force:
        raise ScaffoldError(
            f"Changed since init or startapi wrote it: {', '.join(touched)}. Nothing was undone. Undo these by hand, "
            "or give --force, which puts every file back as it was before, and loses what was changed since."
        )
    return changes


def forget(root: Path) -> None:
    """Remove the record, once everything is undone."""
    folder = root / RECORD
    for path in (folder / "undo.json", folder / ".gitignore"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
