"""A client as it was generated: files, to be written to a folder or compared with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class GeneratedClient(NamedTuple):
    """The files of a client by their names, and what whoever has asked for them should know."""

    files: Mapping[str, str]
    notes: Sequence[str] = ()
    owned: Sequence[str] = ()
    """Folders in which everything is generated: a file there that is not made any more is removed."""

    def write(self, folder: Path) -> None:
        """Write the files; others stay, but for those of ``owned`` folders."""
        for file in self._stale(folder):
            file.unlink()
        for name, text in self.files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")

    def differences(self, folder: Path) -> Iterator[str]:
        """Yield how the folder differs: files that are missing or too many, and lines as ``diff -u`` shows them."""
        yield from (f"{file}: no longer made" for file in self._stale(folder))
        for name, text in self.files.items():
            file = folder / name
            if not file.is_file():
                yield f"{file}: missing"
                continue
            known = file.read_text(encoding="utf-8").splitlines()
            yield from difflib.unified_diff(known, text.splitlines(), str(file), "made anew", n=1, lineterm="")

    def _stale(self, folder: Path) -> list[Path]:
        found = [file for name in self.owned for file in sorted((folder / name).rglob("*.py"))]
        return [file for file in found if file.relative_to(folder).as_posix() not in self.files]
