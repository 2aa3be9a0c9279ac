"""The table of ``docs/packages.md``, made of what the checks know."""

from __future__ import annotations

import re
from pathlib import Path

from hybrid_gateway.checks.package import Verdict
from hybrid_gateway.checks.packages import PACKAGES

HOME = Path(__file__).resolve().parents[2]
PAGE = HOME / "docs" / "packages.md"
VERDICTS: dict[Verdict, str] = {"works": "works", "with": "works with this option", "no": "does not"}
TABLE = re.compile(r"^\| package \|.*?\n\n", re.MULTILINE | re.DOTALL)


def versions() -> dict[str, str]:
    """The versions that rows are tried with."""
    pinned: dict[str, str] = {}
    for path in (HOME / "constraints.txt", Path(__file__).with_name("requirements.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        pinned |= dict(line.split(";")[0].strip().split("==") for line in lines if "==" in line)
    return pinned


def table() -> str:
    """Forty packages and more: what works, and with what."""
    pinned = versions()
    rows = [
        f"| {package.name} | {pinned[package.name]} | {VERDICTS[package.verdict]} | {package.says} |"
        for package in PACKAGES.values()
    ]
    return "\n".join(("| package | tried | | how |", "|---|---|---|---|", *rows, "", ""))


def write_page() -> None:
    """Put the table where the old one stands."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda match: table(), text, count=1), encoding="utf-8")
