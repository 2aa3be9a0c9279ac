"""``python -m loadtests.instructions --cases hello,query --peers lane,raw --against main``: instructions per request.

User-space instructions are the same on a busy machine and on a quiet one, to about 1 %; what the kernel does is not in
them. A server runs below valgrind's callgrind, which counts nothing while it starts and warms up; then it counts so
many requests over eight kept connections. The applications are those of ``loadtests.compare``.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS, Peer, installed
from loadtests.compare.run import databases, request_of, takes_part
from loadtests.servers import ROOT, Server
from loadtests.tables import print_table

CONNECTIONS = 8
WARM_UP, COUNTED = 400, 800  # requests
FEW = 160  # requests, of what costs a hundred times as much as hello
DEFAULT_CASES = ["hello", "query", "json", "token", "rows"]
DEFAULT_PEERS = ["raw", "gateway", "lane"]

Counts = dict[str, dict[str, float]]  # case, peer


class CountedServer(Server):
    """A server below callgrind, of the tree at ``root``."""

    def __init__(self, peer: Peer, root: Path, folder: str, *, port: int, environment: Mapping[str, str]) -> None:
        known = {**environment, "PYTHONHASHSEED": "0", "PYTHONPATH": str(root)}
        super().__init__(peer.server, peer.target, port=port, cores=set(), environment=known, root=root)
        self.counts = Path(folder, f"callgrind-{port}")
        options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.counts}"]
        self.command = ["valgrind", "-q", *options, *self.command]

    def control(self, option: str, *value: str) -> None:
        """Tell callgrind to count from now on, to begin at nothing, or to write down what it has."""
        command = ["callgrind_control", option, *value, str(self.process.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, request: bytes, warm_up: int, counted: int) -> float:
        """User-space instructions per request."""
        with Connections(self.port) as connections:
            connections.ask(request, warm_up)
            self.control("-i", "on")
            self.control("-z")
            connections.ask(request, counted)
            self.control("-d")
        dumps = self.counts.parent.glob(f"{self.counts.name}.*")
        totals = [int(total) for dump in dumps for total in re.findall(r"(?m)^totals: (\d+)", dump.read_text())]
        return max(totals) / counted


class Connections:
    """Kept connections that ask in turn, all at once, and wait for every answer."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> Connections:
        self._sockets = [socket.create_connection(("127.0.0.1", self._port), 60) for _ in range(CONNECTIONS)]
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._sockets:
            connection.close()

    def ask(self, request: bytes, count: int) -> None:
        """Send ``request`` so many times; raises ``RuntimeError`` for an answer that is none."""
        for _ in range(count // CONNECTIONS):
            for connection in self._sockets:
                connection.sendall(request)
            for connection in self._sockets:
                _read_response(connection)


def _read_response(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if length is None or head.split(b" ", 2)[1][:1] in b"45":
        raise RuntimeError(f"not an answer to count: {head.decode('latin-1')}")
    while len(body) < int(length[1]):
        body += _receive(connection)


def _receive(connection: socket.socket) -> bytes:
    received = connection.recv(64 * 1024)
    if not received:
        raise RuntimeError("the server has closed the connection")
    return received


def measure(peers: Sequence[str], cases: Sequence[str], root: Path, port: int) -> Counts:
    """Count every peer that takes part in a case."""
    counts: Counts = {case: {} for case in cases}
    with databases({"sqlite"}) as made, tempfile.TemporaryDirectory() as folder:
        for case in cases:
            asked = CASES[case]
            for name in peers:
                peer = PEERS[name]
                if not takes_part(peer, asked):
                    continue
                port += 1
                request = request_of(asked, peer, made["sqlite"].tokens).as_bytes(f"127.0.0.1:{port}")
                warm_up, counted = (WARM_UP, COUNTED) if asked.needs in ("api", "token") else (FEW // 2, FEW)
                environment = made["sqlite"].environment(peer, asked.routes)
                with CountedServer(peer, root, folder, port=port, environment=environment) as server:
                    counts[case][name] = server.count(request, warm_up, counted)
                print(f"{case}: {peer.title}: {counts[case][name] / 1000:.1f} thousand", file=sys.stderr, flush=True)
    return counts


@contextmanager
def tree_of(revision: str) -> Iterator[Path]:
    """The files of a revision, in a folder that is gone afterwards."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"loadtests.instructions: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def rows(counts: Counts, before: Counts | None, baseline: str) -> Iterator[list[str]]:
    """Give a line for each peer in each case: thousands, how many times the baseline's, and what has changed."""
    for case, peers in counts.items():
        for name, count in peers.items():
            ratio = f"{count / peers[baseline]:.2f}" if baseline in peers else "-"
            line = [CASES[case].title, PEERS[name].title, f"{count / 1000:.1f}", ratio]
            if before is not None:
                line.append(f"{before[case][name] / 1000:.1f}")
                line.append(f"{100 * (count / before[case][name] - 1):+.1f} %")
            yield line


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and print one table."""
    parser = argparse.ArgumentParser(prog="loadtests.instructions", description="Instructions per request.")
    parser.add_argument("--cases", default=",".join(DEFAULT_CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--peers", default=",".join(DEFAULT_PEERS), help=f"of {', '.join(PEERS)}; the first counts as 1"
    )
    parser.add_argument("--against", metavar="REVISION", help="count that revision as well")
    parser.add_argument("--port", type=int, default=8300, help="first port; each server takes one (8300)")
    options = parser.parse_args(arguments)
    cases, peers = options.cases.split(","), options.peers.split(",")
    for name in [*cases, *peers]:
        if name not in CASES and name not in PEERS:
            parser.error(f"{name!r} is no case and no peer")
    if shutil.which("valgrind") is None:
        print("Instructions are counted by valgrind, which is not installed.")
        return
    there, absent = installed(peers)
    for name in absent:
        print(f"left out: {PEERS[name].title}, which is not installed", file=sys.stderr)
    before = None
    if options.against:
        with tree_of(options.against) as root:
            before = measure(there, cases, root, options.port + 100)
    counts = measure(there, cases, ROOT, options.port)
    header = ["", "", "thousands", f"÷ {PEERS[there[0]].title}"]
    print_table([*header, options.against, "change"] if before else header, list(rows(counts, before, there[0])))


if __name__ == "__main__":
    main()
