"""The file and line of something that a project has written."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any


def place_of(value: object, name: str = "") -> str:
    """Return ``shop/api.py:31`` of a class or a function; of what a class says under ``name``, where it does.

    The path is the one from the current folder, where it is below that. What is installed has no place: ``""``.
    """
    if name and isinstance(value, type):
        value = next((vars(base)[name] for base in value.__mro__ if name in vars(base)), value)
    found: Any = getattr(value, "fget", None) or getattr(value, "func", None) or value
    try:
        file = inspect.getsourcefile(inspect.unwrap(found))
        _, line = inspect.getsourcelines(inspect.unwrap(found))
    except (TypeError, OSError):
        return ""
    path = Path(file or "")
    if "site-packages" in path.parts or not path.is_absolute() or path.is_relative_to(Path(sys.prefix) / "lib"):
        return ""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{max(line, 1)}"
