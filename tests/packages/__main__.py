"""``python -m tests.packages [PACKAGE ...]``: try the rows, each in a process of its own, and compare with the page.

``--page`` writes the table into ``docs/packages.md``; ``--row PACKAGE`` tries one in this process and prints JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import django

from hybrid_gateway.checks.packages import PACKAGES
from tests.packages.page import VERDICTS, write_page
from tests.packages.rows import ROWS
from tests.packages.site import Outcome, configure, outcomes, verdict


def try_row(name: str) -> list[Outcome]:
    """What came of a row in a process of its own; a process that fails is an outcome, too."""
    command = [sys.executable, "-m", "tests.packages", "--row", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return [Outcome("the project", False, done.stderr)]
    return [Outcome(*entry) for entry in json.loads(done.stdout.splitlines()[-1])]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def redis() -> Iterator[bool]:
    """A server of Redis for as long as rows are tried, where there is one."""
    if shutil.which("redis-server") is None:
        yield False
        return
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        os.environ["PACKAGES_REDIS"] = f"redis://127.0.0.1:{port}/0"
        yield True
    finally:
        server.terminate()
        server.wait()


@contextmanager
def postgresql() -> Iterator[bool]:
    """PostgreSQL, where it answers."""
    with socket.socket() as sock:
        yield sock.connect_ex(("127.0.0.1", 5432)) == 0


SERVICES = {"redis": redis, "postgresql": postgresql}


def main(arguments: list[str]) -> int:
    if arguments == ["--page"]:
        write_page()
        return 0
    if arguments[:1] == ["--row"]:
        row = ROWS[arguments[1]]
        configure(row)
        print("\n" + json.dumps(list(outcomes(row))))
        return 0
    names = arguments or list(PACKAGES)
    wrong = untried = 0
    with ExitStack() as stack:
        found = {name: stack.enter_context(service()) for name, service in SERVICES.items()} | {"": True}
        ready = [name for name in names if found[ROWS[name].needs]]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = dict(zip(ready, pool.map(try_row, ready), strict=True))
    print(f"Python {sys.version.split()[0]}, Django {django.__version__}")
    for name in names:
        if name not in results:
            untried += 1
            print(f"  {name:32} not tried: no {ROWS[name].needs} here")
            continue
        seen, says = verdict(results[name]), PACKAGES[name].verdict
        right = seen == says and all(result.answer for result in results[name] if result.place.startswith("check"))
        wrong += not right
        print(f"{'  ' if right else '! '}{name:32} {VERDICTS[seen]}{'' if right else f', not: {VERDICTS[says]}'}")
        if not right:
            for place, answer, raised in results[name]:
                print(f"      {place}: {'yes' if answer else 'no'} {raised}".rstrip())
    print(f"{len(names) - wrong - untried} as the page says, {wrong} not, {untried} not tried")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
