"""``python -m loadtests.realtime --cases fan-out,echo --peers starlette,bolt --rounds 5 --clients 200``.

Needs the packages of ``loadtests/requirements.txt``.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.compare.__main__ import names_of
from loadtests.files import allow_many_files
from loadtests.realtime import report
from loadtests.realtime.cases import CASES
from loadtests.realtime.peers import PEERS, installed
from loadtests.realtime.run import Run
from loadtests.tables import print_table

ALWAYS = ["lane", "gateway"]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="loadtests.realtime", description="Websockets and channels beside those of others."
    )
    parser.add_argument("--cases", type=names_of(CASES), default=list(CASES), help=f"of {', '.join(CASES)}; or all")
    parser.add_argument("--peers", type=names_of(PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}; or all")
    parser.add_argument("--clients", type=int, help="so many in every case, instead of what each is defined with")
    parser.add_argument("--seconds", type=float, help="of one round, instead of what each case is defined with")
    parser.add_argument("--plain", action="store_true", help="clients do not offer compression, as browsers do")
    parser.add_argument("--rounds", type=int, default=5, help="of cases that take turns (5)")
    parser.add_argument("--port", type=int, default=8500, help="first port; each server takes one (8500)")
    parser.add_argument("--output", type=Path, default=Path("bench"), metavar="FOLDER", help="for the report (bench)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases; print their tables, write the report."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the servers are stopped on the way out
    allow_many_files()
    peers, absent = installed([name for name in PEERS if name in {*options.peers, *ALWAYS}])
    for name in absent:
        print(f"left out: {PEERS[name].title}, which is not installed", file=sys.stderr)
    run = Run(
        peers,
        rounds=options.rounds,
        port=options.port,
        clients=options.clients,
        seconds=options.seconds,
        compression=not options.plain,
        report=lambda text: print(text, file=sys.stderr, flush=True),
    )
    try:
        for case in options.cases:
            run.measure(case)
            if run.results[case]:
                print(f"\n{CASES[case].title}")
                print_table(report.header(case), report.rows(case, run.results))
    except KeyboardInterrupt:
        print("interrupted; what was measured so far:", file=sys.stderr)
    about = report.conditions(options.rounds, compression=not options.plain)
    if judged := report.verdicts(run.results):
        print_table(["what", "found", "target", ""], judged)
    print(about, *run.left_out, sep="\n")
    report.write(options.output, run.results, about, run.left_out)
    sys.exit(1 if run.left_out else 0)


if __name__ == "__main__":
    main()
