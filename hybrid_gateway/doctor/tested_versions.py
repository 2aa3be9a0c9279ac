"""Concern: are the versions of Python, Django, servers and libraries among those that the tests stand for?"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from sysconfig import get_config_var

from hybrid_gateway.doctor.examined_project import Project
from hybrid_gateway.doctor.finding import Finding, Severity, found

PYTHONS = ((3, 11), (3, 14))
"""The first and the last version that the tests run on."""

TESTED = {
    "django": ("5.2", "6.1"),
    "uvicorn": ("0.32", "0.54"),
    "granian": ("2.7.5", "2.8"),
    "gunicorn": ("23", "27.0"),
    "hypercorn": ("0.18", "0.18"),
    "daphne": ("4.2", "4.2"),
    "waitress": ("3.0", "3.0"),
    # Libraries come anew with every installation: of these, what pyproject.toml lets in is good.
    "starlette": ("0.42", "1"),
    "asgiref": ("3.9.1", "3"),
    "msgspec": ("0.21", ""),
    "psycopg": ("3.2", ""),
    "redis": ("5", ""),
}
"""The first and the last version that is good; of the last, all releases that begin with it, or whatever comes."""


def look_at_versions(project: Project) -> Iterator[Finding]:
    """Yield D050 for versions outside of what the tests have seen."""
    python = platform.python_version()
    is_usual = platform.python_implementation() == "CPython" and not _is_free_threaded()
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        between = " to ".join(".".join(map(str, end)) for end in PYTHONS)
        yield found("D050", Severity.ADVICE, f"Python {python}: the tests have run on {between}.")
    elif not is_usual:
        kind = "without the GIL" if _is_free_threaded() else platform.python_implementation()
        yield found("D050", Severity.ADVICE, f"Python {python} {kind}: the tests have run on usual builds of CPython.")
    else:
        yield found("D050", Severity.FINE, f"Python {python} is one that the tests run on.")
    for name, (first, last) in TESTED.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        between = f"{first} to {last}" if last else f"{first} and later"
        if is_good(installed, first, last):
            yield found("D050", Severity.FINE, f"{name} {installed} is among those that are good ({between}).")
        else:
            message = f"{name} {installed}: the tests stand for {between}."
            yield found("D050", Severity.ADVICE, message)


def is_good(installed: str, first: str, last: str) -> bool:
    """Return whether a version lies between two, releases of the last included; without a last there is no end."""
    is_newer = bool(last) and numbers(installed)[: len(numbers(last))] > numbers(last)
    return numbers(installed) >= numbers(first) and not is_newer


def _is_free_threaded() -> bool:
    return bool(get_config_var("Py_GIL_DISABLED"))


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version: ``(5, 2, 18)`` of ``"5.2.18rc1"``."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()
