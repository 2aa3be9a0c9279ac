"""Measure the package, and hold what is measured to the limits of ``[tool.house]`` in pyproject.toml.

    python scripts/house.py                     the table
    python scripts/house.py --list GATE [PATH]  each finding of a gate, below PATH
    python scripts/house.py --check             the gates that pyproject.toml enforces; exit status 1 if one is not met
    python scripts/house.py --picture           the floors of the package, drawn from its imports

How this works: ``gates.py`` parses every file once into a ``Source`` and has a function for each gate. Most gates allow
no finding. Those of ``RATCHETS`` allow as many as pyproject.toml says, and fail as well when that limit could be
lowered, so that nothing is lost again.
"""

from __future__ import annotations

import argparse
import re
import sys
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gates import (
    GATES,
    PACKAGE,
    ROOT,
    Graph,
    Source,
    docstrings_of,
    house_config,
    import_graph,
    length_of,
    private_functions,
    reachable,
    read_sources,
)

RATCHETS = {"any": 1.0, "type-ignores": 2, "one-caller": 10, "one-caller-short": 5}
"""Gates that count, and how far below the limit of pyproject.toml the count may be before the limit must be lowered."""


def count_of(gate: str, sources: list[Source]) -> float:
    """Return what a ratchet compares with its limit; of ``Any`` that is how many stand in a thousand lines."""
    found = len(GATES[gate](sources))
    return round(1000 * found / sum(source.lines for source in sources), 1) if gate == "any" else found


def complaints(sources: list[Source], config: dict[str, Any]) -> Iterator[str]:
    """Yield what the enforced gates say."""
    for gate in config["enforce"]:
        if gate not in RATCHETS:
            yield from (f"{gate}: {finding}" for finding in GATES[gate](sources))
            continue
        limit, count = config["limits"][gate], count_of(gate, sources)
        if count > limit:
            yield f"{gate}: {count} is above the limit of {limit}; scripts/house.py --list {gate} tells where"
        elif limit - count > RATCHETS[gate]:
            yield f"{gate}: {count}; lower the limit of {limit} in pyproject.toml, [tool.house.limits]"


# --- the table and the picture ---------------------------------------------------------------------------------------


def table(sources: list[Source]) -> Iterator[tuple[str, str]]:
    """Yield what is measured, row by row."""
    lines = sum(source.lines for source in sources)
    functions = [function for source in sources for function in source.functions]
    lengths = sorted(map(length_of, functions))
    documented = [text for source in sources for _, text in docstrings_of(source)]
    comments = sum(token.type == tokenize.COMMENT for source in sources for token in source.tokens)
    yield "modules", f"{len(sources)}"
    yield "lines", f"{lines}"
    yield "functions", f"{len(functions)}"
    yield (
        "lines of a function: median, p90, p99, longest",
        ", ".join(str(lengths[min(int(len(lengths) * part), len(lengths) - 1)]) for part in (0.5, 0.9, 0.99, 1)),
    )
    yield (
        "lines of docstrings, of comments",
        ", ".join(
            f"{100 * part / lines:.1f} %" for part in (sum(text.count("\n") + 1 for text in documented), comments)
        ),
    )
    yield "Any in a thousand lines", f"{count_of('any', sources)}"
    yield "private functions", f"{sum(len(private_functions(source)) for source in sources)}"
    for gate, title in TITLES.items():
        yield title, f"{len(GATES[gate](sources))}"


TITLES = {
    "one-caller": "private functions with one caller",
    "one-caller-short": "private functions with one caller and less than five lines",
    "type-ignores": "type-ignores",
    "circles": "circles among modules",
    "file-length": "files over 400 lines",
    "function-length": "functions over 60 lines",
    "names": "names that modules share",
    "docstrings": "docstrings that open with a question",
    "local-imports": "imports of ours inside functions, without a reason",
    "fence": "undocumented names of others outside of _compat",
    "silent-except": "exceptions swallowed without a word",
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def rooms_graph(sources: list[Source]) -> Graph:
    """Return what each room (a folder or a module right below the package) imports; the package's own file is none."""
    rooms: Graph = defaultdict(set)
    for module, targets in import_graph(sources).items():
        rooms[room_of(module)] |= {room_of(target) for target in targets} - {room_of(module), ""}
    rooms.pop("", None)
    return dict(rooms)


def picture(sources: list[Source], floors: list[str]) -> str:
    """Draw the floors, each room with those it stands on: what it imports, without what these import already."""
    graph = rooms_graph(sources)
    below = {room: reachable(graph, room) for room in graph}
    drawn = []
    for number, floor in zip(range(len(floors), 0, -1), floors, strict=True):
        for place, room in enumerate(sorted(re.split(r"\s*[|:]\s*", floor))):
            direct = graph.get(room, set())
            upon = sorted(direct - set().union(*(below[other] for other in direct)))
            drawn.append(
                f"{number if place == 0 else '':>2}  {room:<18} {'─▶ ' if upon else ''}{'  '.join(upon)}".rstrip()
            )
    return "\n".join(drawn)


def declared_floors(root: Path = ROOT) -> list[str]:
    """Return the floors that import-linter holds, from top to bottom."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors: list[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return floors


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", metavar="GATE", choices=[*GATES], help="each finding of this gate")
    parser.add_argument("--check", action="store_true", help="hold the gates that pyproject.toml enforces")
    parser.add_argument("--picture", action="store_true", help="draw the floors")
    parser.add_argument("path", nargs="?", default=PACKAGE, help="measure what is below this path")
    options = parser.parse_args(arguments)
    sources = read_sources()
    if options.picture:
        print(picture(sources, declared_floors()))
        return 0
    if options.check:
        found = list(complaints(sources, house_config()))
        print("\n".join(found) or "The house is in order.")
        return bool(found)
    if options.list:
        print("\n".join(line for line in GATES[options.list](sources) if options.path in line))
        return 0
    for title, value in table([source for source in sources if str(source.path).startswith(options.path.rstrip("/"))]):
        print(f"{title:<60} {value:>14}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
