"""The processes of clients, as whoever measures sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from loadtests.realtime.crowd import COMPRESSION, PLAIN
from loadtests.servers import ROOT, pinned

Seen = Mapping[str, Any]


class Clients:
    """A context manager around ``processes`` crowds of one server, each with a source address of its own.

    One address has some 28,000 ports to offer, and a process a limited number of open files.
    """

    def __init__(self, port: int, cores: set[int], processes: int = 1, *, compression: bool = True) -> None:
        self._port = port
        self._cores = cores
        self._count = processes
        self._compression = COMPRESSION if compression else PLAIN
        self._crowds: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Clients:
        with pinned(self._cores):
            for number in range(self._count):
                options = [str(self._port), f"127.0.0.{number + 2}", self._compression]
                command = [sys.executable, "-m", "loadtests.realtime.crowd", *options]
                crowd = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                self._crowds.append(crowd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for crowd in self._crowds:
            crowd.kill()
        for crowd in self._crowds:
            crowd.communicate()

    def ask(self, do: str, *, shared: Sequence[str] = (), **command: Any) -> list[Seen]:
        """Have all crowds do something at the same time; numbers that are ``shared`` are divided among them.

        Raises ``RuntimeError`` where one of them has ended.
        """
        parts = {name: divide(command[name], self._count) for name in shared}
        for number, crowd in enumerate(self._crowds):
            self._tell(crowd, do, {**command, **{name: part[number] for name, part in parts.items()}})
        return [self._answer(crowd, do) for crowd in self._crowds]

    def ask_one(self, do: str, **command: Any) -> Any:
        """Have one crowd do something."""
        self._tell(self._crowds[0], do, command)
        return self._answer(self._crowds[0], do)

    @staticmethod
    def _tell(crowd: subprocess.Popen[str], do: str, command: Mapping[str, Any]) -> None:
        assert crowd.stdin is not None
        crowd.stdin.write(json.dumps({"do": do, **command}) + "\n")
        crowd.stdin.flush()

    @staticmethod
    def _answer(crowd: subprocess.Popen[str], do: str) -> Any:
        assert crowd.stdout is not None
        line = crowd.stdout.readline()
        if not line:
            raise RuntimeError(f"the clients have ended while they were to {do}")
        return json.loads(line)


def divide(number: int, parts: int) -> list[int]:
    """``number`` in as many parts, none larger than another by more than 1."""
    return [number // parts + (place < number % parts) for place in range(parts)]


def together(seen: Sequence[Seen]) -> dict[str, float]:
    """What several crowds saw, as one: counts are added up, times are those of the slowest."""
    return {
        name: (max if name.endswith(("_ms", "seconds")) else sum)(part[name] for part in seen)  # type: ignore[operator]
        for name in seen[0]
    }
