"""A terminal: it runs the commands of a page one by one, and sees whether they say what the page says.

How this works: one bash runs all commands, so that variables and the folder last. A command that serves runs beside it
until the next one, or the end. Ports are free ones in the place of 8000. ``pip install`` is not run but read: names and
extras must be those of ``pyproject.toml``, and of ``constraints.txt`` what is not ours.

A comment behind a command, or in the lines after it, is what a reader will see: JSON, ``HTTP/1.1 ...``, HTML, or text
after a double angle (``# » OK``), in which ``…`` stands for anything. Three digits are the status of ``curl``, which
may else be no error.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.markdown_blocks import ROOT, Block

SECONDS = 60
SERVERS = {
    r"python manage\.py runserver": " 127.0.0.1:{port}",
    r"python manage\.py gateway serve": " --port {port}",
    r"uvicorn ": " --port {port}",
    r"granian ": " --port {port}",
    r"gunicorn ": " --bind 127.0.0.1:{port}",
    r"hypercorn ": " --bind 127.0.0.1:{port}",
    r"daphne ": " -p {port}",
    r"waitress-serve ": " --listen=127.0.0.1:{port}",
}
STANDS_FOR = re.compile(r"python3? -m venv |(\.|source) \S+/bin/activate$")  # the environment of the tests does
COMMENT = re.compile(r"(?:^|\s{2,})# (.*)$")
SEEN = re.compile(r"(?P<status>\d{3}\b)?(?:.*?(?P<text>[\[{<\"].*|HTTP/.*|» .*))?")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Terminal:
    """A context manager; what was started inside ends with it.

    Commands are those of the folder ``programs``, else of the Python that runs this.
    """

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        self.folder, self.port = folder, free_port()
        self.server: int | None = None
        self.stale: int | None = None  # the process that serves what was there before the last change
        home = folder.parent / f"{folder.name}-home"
        home.mkdir()
        (home / ".curlrc").write_text(
            'silent\nshow-error\nmax-time = 30\nretry = 0\nwrite-out = "%{stderr}status %{http_code}\\n"\n'
        )
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_", "COV_"))
            },
            "PATH": f"{programs or Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": "" if programs else str(ROOT),  # in an environment of its own the package is installed
            "HOME": str(home),
            "CURL_HOME": str(home),
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # a change within a second that leaves a file's size would pass unseen
        }

    def __enter__(self) -> Terminal:
        self.errors = (self.folder.parent / f"{self.folder.name}-errors").open("w+")
        self.bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.bash.kill()
        self.bash.communicate()
        self.errors.close()

    def say(self, command: str) -> str:
        """Run one command, which has to succeed; return what it wrote."""
        status, out, errors = self._say(command)
        assert status == 0, f"{command}\n{out}\n{errors}"
        return out

    @property
    def where(self) -> Path:
        """The folder that the reader is in."""
        return Path(self.say("pwd").strip())

    def _say(self, command: str) -> tuple[int, str, str]:
        """Run one command; return its exit status, and what it wrote to both outputs."""
        assert self.bash.stdin and self.bash.stdout
        begin = self.errors.seek(0, os.SEEK_END)
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\n=== %d\\n' $?\n")
        self.bash.stdin.flush()
        lines: list[str] = []
        while not (lines and (end := re.fullmatch(r"=== (\d+)\n", lines[-1]))):
            line = self.bash.stdout.readline()
            assert line, f"{command}: the shell has ended\n{''.join(lines)}"
            lines.append(line)
        self.errors.seek(begin)
        return int(end[1]), "".join(lines[:-1]), self.errors.read()

    def reloaded(self) -> int | None:
        """The process that serves below ``runserver``: a new one after each change, 0 before it is there."""
        if self.server is None or "Watching for file changes" not in self.log.read_text():
            return None
        family = psutil.Process(self.server).children(recursive=True)
        return family[1].pid if len(family) > 1 else 0

    def edit(self, block: Block) -> None:
        """Write or change the file of a block; ``runserver`` starts anew where it has read it."""
        self.stale, self.edited = self.reloaded(), time.time()
        (block.write if block.file else block.patch)(self.where)

    def wait_for_reload(self) -> None:
        """Give ``runserver`` the time that a reader takes between an editor and a terminal.

        Django looks at its files once a second, and takes what it sees first for what has been there: a change sooner
        after a start than a reader makes one is passed over, until the file is saved once more.
        """
        if self.stale is None:
            return
        for _ in range(5):
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                if self.reloaded() not in (0, self.stale) and is_listening(self.port):
                    self.stale = None
                    return
                time.sleep(0.1)
            for path in self.where.rglob("*.py"):
                if path.stat().st_mtime >= self.edited:
                    path.touch()
        raise AssertionError(f"runserver has not started anew:\n{self.log.read_text()}")

    def run(self, block: Block) -> None:
        """Run a block as a reader would type it."""
        for command, comments in commands(block.text):
            place = f"{block.place}: {command}"
            if STANDS_FOR.match(command):
                continue
            if command.startswith("pip install"):
                read_install(command, place)
            elif any(re.match(rf"(\w+=\S+ )*{server}", f"{command} ") for server in SERVERS):
                self.serve(command, place)
            else:
                if "localhost" in command:
                    self.wait_for_reload()
                check(place, comments, *self._say(self._ported(command)))

    def _ported(self, text: str) -> str:
        return re.sub(r"\b8000\b", str(self.port), text)

    def serve(self, command: str, place: str) -> None:
        """Start a server in the place of the one that runs, and wait until it listens."""
        self.stop()
        command = self._ported(command)
        for name, argument in SERVERS.items():
            if (found := re.match(rf"(\w+=\S+ )*{name}", f"{command} ")) and str(self.port) not in command:
                command = f"{found[0].rstrip()}{argument.format(port=self.port)} {command[found.end() :]}"
        log = self.log = self.folder.parent / f"{self.folder.name}-server.log"
        self.server = int(
            self.say(
                f"setsid timeout 300 bash -c {shlex.quote('exec env ' + command)} >{log} 2>&1 </dev/null & echo $!"
            )
        )
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert Path(f"/proc/{self.server}").exists() or not Path("/proc").exists(), f"{place}\n{log.read_text()}"
            time.sleep(0.05)
        raise AssertionError(f"{place}: does not listen\n{log.read_text()}")

    def stop(self) -> None:
        """End the server that runs, and its children."""
        if self.server is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.server, number)
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline and is_listening(self.port):
                time.sleep(0.02)
        self.server = None


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_whole(command: str) -> bool:
    if command.rstrip(" ").endswith("\\\n"):
        return False
    checked = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True)
    return not checked.stderr


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block, over as many lines as it has, with the comments behind and after it."""
    command, found, comments = "", "", []
    for line in text.splitlines():
        if not command and (comment := re.match(r"\s*# (.*)", line)):
            comments.append(comment[1])
            continue
        if not command and found:
            yield found, comments
            found, comments = "", []
        if not command and not line.strip():
            continue
        command += line + "\n"
        if is_whole(command):
            last = command.rstrip("\n").rsplit("\n", 1)[-1]
            comments = [comment[1]] if (comment := COMMENT.search(last)) else []
            found, command = COMMENT.sub("", command.rstrip("\n")).strip(), ""
    assert not command, f"a command without an end: {command}"
    if found:
        yield found, comments


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def check(place: str, comments: list[str], status: int, out: str, errors: str) -> None:
    """See whether what was written is what the page says."""
    told = f"{place}\nexit {status}\n{out}\n{errors[-4000:]}"
    answered = [int(found) for found in re.findall(r"^status (\d{3})$", errors, re.MULTILINE)]
    expected = [found for comment in comments if (found := SEEN.match(comment))]
    statuses = [int(found["status"]) for found in expected if found["status"]]
    assert status == 0, told
    if statuses:
        assert answered[-1:] == statuses[:1], told
    else:
        assert all(200 <= number < 400 for number in answered), told
    for text in (found["text"] for found in expected if found["text"]):
        pattern = ".*".join(re.escape(part) for part in re.split("…", squeezed(text.removeprefix("» "))))
        assert re.search(pattern, squeezed(out + errors)), f"{told}\nThe page says: {text}"


def read_install(command: str, place: str) -> None:
    """See that what is installed is what ``pyproject.toml`` offers, or is known to ``constraints.txt``."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    pinned = {
        canonicalize_name(line.split("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    for word in shlex.split(command)[2:]:
        if word.startswith("-"):
            continue
        wanted = Requirement(word)
        if canonicalize_name(wanted.name) == project["name"]:
            assert wanted.extras <= set(project["optional-dependencies"]), f"{place}: no such extra"
        else:
            assert canonicalize_name(wanted.name) in pinned, f"{place}: {wanted.name} is not in constraints.txt"
