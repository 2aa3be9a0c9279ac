"""``python -m tests.lowest``: constraints with the lowest versions of what the package needs, for scripts/lowest."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def lowest() -> dict[str, str]:
    """The lower bounds of pyproject.toml: of the dependencies, and of those of the extra ``server``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    entries = map(Requirement, needed)
    return {
        entry.name.lower(): bound.version for entry in entries for bound in entry.specifier if bound.operator == ">="
    }


def main() -> None:
    versions = lowest()
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#") and Requirement(line).name.lower() not in versions:
            print(line)
    for name, version in versions.items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
