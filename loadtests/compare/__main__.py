"""``python -m loadtests.compare --only hello,json --peers bolt,fastapi --seconds 5 --rounds 3``.

Needs the packages of ``loadtests/requirements.txt``; ``./scripts/bench`` installs them and passes its arguments on.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS, installed
from loadtests.compare.run import Comparison, databases
from loadtests.tables import print_table

ALWAYS = ["raw", "lane", "gateway"]  # whoever is asked for is compared with these
LIFE = "life"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="loadtests.compare", description="hybrid_gateway beside other frameworks, in one interleaved run."
    )
    parser.add_argument(
        "--only", type=names_of([*CASES, LIFE]), metavar="CASES", help=f"of {', '.join([*CASES, LIFE])}; all by default"
    )
    parser.add_argument(
        "--peers",
        type=names_of(PEERS),
        metavar="PEERS",
        help=f"of {', '.join(PEERS)}; {', '.join(ALWAYS)} are always in",
    )
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (3)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each peer in each case (3)")
    parser.add_argument("--baseline", choices=PEERS, default="raw", help="whose CPU counts as 1 (raw)")
    parser.add_argument("--port", type=int, default=8200, help="first port; each server takes one (8200)")
    parser.add_argument("--without-postgresql", action="store_true", help="leave its cases out")
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests of the memory test (1000000) ...")
    parser.add_argument("--life-seconds", type=int, default=60, help="... unless they take longer than this (60)")
    parser.add_argument("--output", type=Path, default=Path("bench"), metavar="FOLDER", help="for the report (bench)")
    return parser.parse_args(arguments)


def names_of(known: Sequence[str] | Mapping[str, Any]) -> Callable[[str], list[str]]:
    """A type of arguments: names with commas between them, each of which is known."""

    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
        return names

    return read


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar that says what is being done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total)

        def report(text: str) -> None:
            bar.update(task, description=text, advance=0 if text.startswith("starting") else 1)
            if not bar.console.is_terminal:
                print(text, file=sys.stderr, flush=True)

        yield report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison; print a table for each case and write the report."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the servers are stopped on the way out
    cases = [case for case in options.only or CASES if case in CASES]
    if options.without_postgresql:
        cases = [case for case in cases if CASES[case].database != "postgresql"]
    with_life = LIFE in (options.only or [LIFE])
    wanted = [name for name in PEERS if name in {*(options.peers or PEERS), *ALWAYS, options.baseline}]
    peers, absent = installed(wanted)
    for name in absent:
        print(f"left out: {PEERS[name].title}, which is not installed", file=sys.stderr)
    comparison = Comparison(
        peers, cases, rounds=options.rounds, seconds=options.seconds, port=options.port, report=lambda text: None
    )
    total = comparison.measurements() + (len(peers) if with_life else 0)
    try:
        with progress(total) as comparison.report, databases({CASES[case].database for case in cases}) as made:
            comparison.run(made)
            if with_life:
                comparison.live(made, requests=options.requests, seconds=options.life_seconds)
    except KeyboardInterrupt:
        print("interrupted; what was measured so far:", file=sys.stderr)
    except RuntimeError as error:
        print(f"loadtests.compare: {error}", file=sys.stderr)
    if any(comparison.results.values()) or comparison.lives:
        publish(options, comparison)
    if comparison.left_out or not comparison.results.keys() >= set(cases):
        sys.exit(1)


def publish(options: argparse.Namespace, comparison: Comparison) -> None:
    """Print the tables, write the files."""
    from loadtests.compare import charts, report

    results = {
        case: measured
        for case, peers in comparison.results.items()
        if (measured := {name: rounds for name, rounds in peers.items() if len(rounds) == options.rounds})
    }
    notes = [*report.failures(results), *comparison.left_out]
    about = report.conditions(options.rounds, options.seconds)
    header = [name.format(PEERS[options.baseline].title) for name in report.HEADER]
    for case in results:
        print(f"\n{CASES[case].title}")
        print_table(header, report.rows(results, case, options.baseline))
    if comparison.lives:
        print_table(report.LIFE_HEADER, report.life_rows(comparison.lives))
    if judged := report.verdicts(results):
        print_table(["CPU per request", "ratio", "target", ""], judged)
    print(about, *notes, sep="\n")
    options.output.mkdir(parents=True, exist_ok=True)
    report.write_json(options.output / "results.json", results, comparison.lives, about)
    report.write_markdown(
        options.output / "results.md", results, comparison.lives, baseline=options.baseline, about=about, notes=notes
    )
    files = charts.draw(results, options.output)
    print(f"written to {options.output}: results.json, results.md and {len(files)} charts")


if __name__ == "__main__":
    main()
