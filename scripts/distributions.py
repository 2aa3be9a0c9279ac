"""What is in a wheel and in a source distribution: the files of the repository that belong there, and no others.

    python scripts/distributions.py dist

A file that is missing is one that an installed package would not find; a file too many is one that nobody meant to
publish.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "hybrid_gateway/"
NEEDED = (f"{PACKAGE}py.typed", f"{PACKAGE}__init__.py")
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def tracked(*paths: str) -> set[str]:
    """The files that git knows."""
    listed = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def in_wheel(path: Path) -> set[str]:
    """The names of the files in a wheel."""
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def in_source(path: Path) -> set[str]:
    """The names of the files in a source distribution, without the folder that all are in."""
    with tarfile.open(path) as source:
        return {member.name.partition("/")[2] for member in source if member.isfile()}


def differences(found: set[str], expected: set[str]) -> list[str]:
    """Lines that say what is missing, and what is too much."""
    missing = [f"is missing: {name}" for name in sorted(expected - found)]
    return missing + [f"does not belong there: {name}" for name in sorted(found - expected)]


def check_wheel(names: set[str], package: set[str]) -> list[str]:
    """Compare a wheel with the package: its modules, py.typed, templates and pages, beside the metadata."""
    metadata = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    told = differences(names - metadata, package)
    told += differences({name.partition("/")[2] for name in metadata}, METADATA)
    return told + [f"is missing: {name}" for name in NEEDED if name not in names]


def check_source(names: set[str], repository: set[str]) -> list[str]:
    """Compare a source distribution with the repository."""
    return differences(names, {name for name in repository if not name.startswith(".ci/")} | {"PKG-INFO"})


def report(path: Path, told: Iterable[str]) -> int:
    """Print what is wrong with a file; return how much it is."""
    lines = [f"{path.name}: {line}" for line in told]
    print("\n".join(lines) or f"{path.name}: holds what it should.")
    return len(lines)


def main(folder: Path) -> int:
    """Look at the wheel and the source distribution in the folder."""
    [wheel], [source] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    wrong = report(wheel, check_wheel(in_wheel(wheel), tracked(PACKAGE)))
    wrong += report(source, check_source(in_source(source), tracked()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
