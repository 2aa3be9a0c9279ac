"""Count instructions per request, from the command line.

python -m loadtests.instructions --cases hello,query --peers raw,lane --against main    a table
python -m loadtests.instructions --stages --cases hello --peers lane --functions 5      by stage of a request
python -m loadtests.instructions --ratchet                                              ours within their limits?
python -m loadtests.instructions --write                                                new limits
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS, installed
from loadtests.instructions import ratchet
from loadtests.instructions.measure import Counts, Pair, count_functions, count_instructions, pairs_of
from loadtests.instructions.stages import IMPOSSIBLE, IS_POSSIBLE, ORDER, OTHER, Functions, stage_of, stages_of
from loadtests.servers import ROOT
from loadtests.tables import print_table

DEFAULT_CASES = ["hello", "query", "json", "token", "rows"]
DEFAULT_PEERS = ["raw", "gateway", "lane"]


@contextmanager
def tree_of(revision: str) -> Iterator[Path]:
    """Give a folder with the package of a revision and the applications of this tree; it is gone afterwards."""
    command = ["git", "archive", revision, "hybrid_gateway"]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"loadtests.instructions: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        Path(folder, "loadtests").symlink_to(ROOT / "loadtests")
        yield Path(folder)


def rows(counts: Counts, before: Counts | None, baseline: str) -> Iterator[list[str]]:
    """Give a line for each peer in each case: thousands, how many times the baseline's, and what has changed."""
    for (peer, case), count in counts.items():
        first = counts.get((baseline, case))
        line = [CASES[case].title, PEERS[peer].title, f"{count / 1000:.1f}", f"{count / first:.2f}" if first else "-"]
        if before is not None:
            line.append(f"{before[peer, case] / 1000:.1f}")
            line.append(f"{100 * (count / before[peer, case] - 1):+.1f} %")
        yield line


def print_stages(counted: Mapping[Pair, Functions], functions: int) -> None:
    """Print thousands by stage, a line for each pair; then the dearest functions, and those of no stage."""
    lines = []
    for (peer, case), costs in counted.items():
        stages = [f"{cost / 1000:.1f}" for cost in stages_of(costs).values()]
        lines.append([f"{CASES[case].title}: {PEERS[peer].title}", f"{sum(costs.values()) / 1000:.1f}", *stages])
    print_table(["thousands", "all", *ORDER], lines)
    for (peer, case), costs in counted.items():
        others = {name: cost for name, cost in costs.items() if stage_of(name) == OTHER}
        wanted = dict(_dearest(costs, functions)) | {n: c for n, c in _dearest(others, 5) if c >= 100}
        if wanted:
            print(f"\n{CASES[case].title}: {PEERS[peer].title}")
        for name, cost in _dearest(wanted, len(wanted)):
            print(f"{cost / 1000:9.2f}  {stage_of(name):8}  {name}")


def _dearest(costs: Mapping[str, float], count: int) -> list[tuple[str, float]]:
    return sorted(costs.items(), key=lambda item: -item[1])[:count]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="loadtests.instructions", description="Instructions per request.")
    parser.add_argument("--cases", default=",".join(DEFAULT_CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--peers", default=",".join(DEFAULT_PEERS), help=f"of {', '.join(PEERS)}; the first counts as 1"
    )
    parser.add_argument("--against", metavar="REVISION", help="count the package of that revision as well")
    parser.add_argument("--stages", action="store_true", help="count by stage of a request")
    parser.add_argument("--functions", type=int, default=0, metavar="COUNT", help="with --stages: the dearest ones")
    parser.add_argument("--ratchet", action="store_true", help=f"compare ours with {ratchet.LIMITS.name}")
    parser.add_argument("--write", action="store_true", help=f"renew {ratchet.LIMITS.name}")
    parser.add_argument("--port", type=int, default=8300, help="first port; each server takes one (8300)")
    options = parser.parse_args(arguments)
    options.cases, options.peers = options.cases.split(","), options.peers.split(",")
    for kind, names, known in (("case", options.cases, CASES), ("peer", options.peers, PEERS)):
        for name in names:
            if name not in known:
                parser.error(f"{name!r} is no {kind}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and print one table."""
    options = parse(arguments)
    if shutil.which("valgrind") is None:
        print("Instructions are counted by valgrind, which is not installed.")
        return
    if options.ratchet or options.write:
        sys.exit(ratchet.write(options.port) if options.write else ratchet.judge(options.port))
    if options.stages and not IS_POSSIBLE:
        sys.exit(IMPOSSIBLE)
    peers, absent = installed(options.peers)
    for name in absent:
        print(f"left out: {PEERS[name].title}, which is not installed", file=sys.stderr)
    pairs = pairs_of(peers, options.cases)
    if options.stages:
        print_stages(count_functions(pairs, options.port), options.functions)
        return
    before = None
    if options.against:
        with tree_of(options.against) as root:
            before = count_instructions(pairs, options.port + 100, root)
    counts = count_instructions(pairs, options.port)
    header = ["", "", "thousands", f"÷ {PEERS[peers[0]].title}"]
    print_table([*header, options.against, "change"] if before else header, list(rows(counts, before, peers[0])))


if __name__ == "__main__":
    main()
