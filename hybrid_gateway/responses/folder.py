"""Files below one directory, found by names that come from clients.

How this works: a name is refused by its text where any system could read it as a way out: then no file system is asked.
Otherwise each of its parts is looked at; where one is a symbolic link, the real path is compared with the directory.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

# SECURITY: no file system is asked for an absolute path, a drive or a share, nor for what is beside the folder: asking
# tells what there is, and sends a Windows server with its credentials to a host of the client's choice.
_NEVER = re.compile(
    r"[\\\0]|\A[A-Za-z]:|(?:\A|/)(?:\.\.?)?(?:/|\Z)" + ("|:" if os.name == "nt" else "")  # streams of NTFS
)
_HIDDEN = re.compile(r"(?:\A|/)\.")
_WELL_KNOWN = ".well-known/"  # SPEC: RFC 8615, whose files are for everybody


class Folder:
    """A directory whose files clients may name.

    Links that stay below it are followed, and with ``follow_symlinks`` those that lead out of it as well. Names with a
    dot in front, such as ``.env``, are found with ``dot_files`` alone, but for those below ``.well-known/``.
    """

    def __init__(self, root: str | os.PathLike[str], *, follow_symlinks: bool = False, dot_files: bool = False) -> None:
        self._path = root
        self._follow_symlinks = follow_symlinks
        self._dot_files = dot_files

    def __repr__(self) -> str:
        return f"Folder({os.fspath(self._path)!r})"

    @functools.cached_property
    def root(self) -> str:
        """The real path of the directory. It blocks, and asks only once a name may lead to a file."""
        return os.path.realpath(self._path)

    def find(self, name: str) -> str | None:
        """Return the real path of the regular file of that name, if there is one. It blocks."""
        if _NEVER.search(name) or (not self._dot_files and _HIDDEN.search(name.removeprefix(_WELL_KNOWN)) is not None):
            return None
        path, mode = self.root, 0
        for part in name.split("/"):
            path, mode = self._look_at(f"{path}{os.sep}{part}")
            if not mode:
                break
        return path if stat.S_ISREG(mode) else None

    def newer_beside(self, path: str, suffixes: Iterable[str]) -> dict[str, str]:
        """Return by suffix the files beside one that was found whose names are longer by that, if not older. It blocks.

        PERF: most files have none beside them, and three system calls say so.
        """
        found: dict[str, str] = {}
        for suffix in suffixes:
            beside, mode = self._look_at(path + suffix)
            if stat.S_ISREG(mode) and os.stat(beside).st_mtime_ns >= os.stat(path).st_mtime_ns:  # noqa: PTH116
                found[suffix] = beside
        return found

    def _look_at(self, path: str) -> tuple[str, int]:
        """Return the path of one file, without links, and its mode; 0 where it may not be seen."""
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                path = os.path.realpath(path)
                mode = os.lstat(path).st_mode
                if not (self._follow_symlinks or Path(path).is_relative_to(self.root)):
                    return path, 0
        except (OSError, ValueError):  # nothing there, or a name that no file can have
            return path, 0
        return path, mode
