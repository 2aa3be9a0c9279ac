"""Programs that generate code, run beside us."""

from __future__ import annotations

import os
import subprocess  # nosec B404
from collections.abc import Sequence
from pathlib import Path

TIME_LIMIT = 300  # seconds; npx may have to fetch a program first


class ToolError(Exception):
    """A program that generates code is missing, or has failed; the message says what to do."""


def run_program(command: Sequence[str], folder: Path) -> str:
    """Run a program, without a shell, in a folder, with what is installed beside it in PATH, and return what it says.

    Raises :class:`ToolError` where it cannot be run, or fails.
    """
    path = f"{Path(command[0]).resolve().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environ = os.environ | {"PATH": path}
    shown = " ".join(command)
    try:
        ran = subprocess.run(  # noqa: S603  # nosec B603
            command, cwd=folder, env=environ, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{shown} could not be run: {error}") from error
    said = f"{ran.stdout}{ran.stderr}".strip()
    if ran.returncode:
        raise ToolError(f"{shown} has failed:\n{said}")
    return said
