"""Servers that tests of channels use: those of this machine, and private ones, which may be killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

REDIS = "redis://127.0.0.1:6379/11"


def answers(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return True
    except OSError:
        return False


def free_port() -> int:
    """Return a port below those of outgoing connections: one of these could take it while its server is down."""
    while True:
        port = random.randrange(20_000, 32_000)
        with closing(socket.socket()) as listening, suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not happened in time"
        time.sleep(0.02)


class PrivateRedis:
    """A Redis of the test's own, which writes down each command before it answers."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed.")
        pytest.importorskip("redis", reason="redis-py is not installed.")
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/3"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "appendonly": "yes"}
        options |= {"appendfsync": "always"}
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Delete what was written down."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        (self.folder / "appendonly.aof").unlink(missing_ok=True)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it accept connections, and answer nobody."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """Give a folder that servers of other users reach: each start of pytest closes the folders of all to them."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


class PrivatePostgreSQL:
    """A cluster of the test's own, which speaks to ``127.0.0.1`` alone."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("psycopg", reason="psycopg is not installed.")
        found = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
        programs = Path(next((path for path in reversed(found) if path), "/nowhere/initdb")).parent
        # initdb refuses to be run by root.
        self.runner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        if not programs.exists() or (self.runner and shutil.which("setpriv") is None):
            pytest.skip("initdb is not installed, or root cannot run it as the user postgres.")
        self.programs, self.folder = programs, folder / "cluster"
        self.port = free_port()
        self.folder.mkdir()
        if self.runner:
            shutil.chown(self.folder, "postgres", "postgres")
        self.run("initdb", "-D", str(self.folder), "-A", "trust", "-U", "tests", "--no-sync")

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self.runner, str(self.programs / program), *arguments], cwd="/", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    @property
    def settings(self) -> dict[str, Any]:
        return {"NAME": "postgres", "USER": "tests", "HOST": "127.0.0.1", "PORT": str(self.port)}

    def start(self) -> None:
        command = [str(self.programs / "postgres"), "-D", str(self.folder), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "shared_buffers=16MB"]
        with (self.folder.parent / "server.log").open("a") as log:
            self.process = subprocess.Popen([*self.runner, *command], cwd="/", stderr=log)
        wait_until(self.is_up, 60)

    def is_up(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError):
            psycopg.connect(
                host="127.0.0.1", port=self.port, user="tests", dbname="postgres", connect_timeout=5
            ).close()
            return True
        return False

    def kill(self) -> None:
        """End it as a crash does: SIGQUIT ends all its processes at once, and nothing is written."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
