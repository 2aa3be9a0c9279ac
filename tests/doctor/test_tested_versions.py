"""What the doctor says of versions, held against pyproject.toml and against what the tests are installed with."""

import re
import tomllib
from pathlib import Path

import pytest

from hybrid_gateway.doctor import tested_versions
from hybrid_gateway.doctor.tested_versions import PYTHONS, TESTED, is_good, numbers

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVERS = ("django", "uvicorn", "granian", "gunicorn", "hypercorn", "daphne", "waitress")


def pins(name):
    text = (ROOT / "constraints.txt").read_text()
    return re.findall(rf"^{name}==([\d.]+)", text, re.MULTILINE)


def bounds(name):
    wanted = [
        *PROJECT["dependencies"],
        *(entry for extra in PROJECT["optional-dependencies"].values() for entry in extra),
    ]
    found = [entry for entry in wanted if re.match(rf"{name}(\[.*\])?[<>]", entry)]
    return {sign: number for entry in found for sign, number in re.findall(r"(>=|<)([\d.]+)", entry)}


@pytest.mark.parametrize("name", TESTED)
def test_the_table_is_what_the_tests_are_installed_with(name):
    first, last = TESTED[name]
    assert pins(name) and all(is_good(pin, first, last) for pin in pins(name))
    assert numbers(bounds(name)[">="]) == numbers(first)[: len(numbers(bounds(name)[">="]))]
    if name in SERVERS:
        assert max(pins(name), key=numbers).startswith(last)
    else:
        assert is_good("99.0", first, last) is ("<" not in bounds(name))
        assert "<" not in bounds(name) or numbers(bounds(name)["<"]) == (numbers(last)[0] + 1,)


def test_pythons_are_those_of_the_classifiers():
    said = [numbers(entry.rpartition(" ")[2]) for entry in PROJECT["classifiers"] if ":: 3." in entry]
    assert (min(said), max(said)) == PYTHONS


@pytest.mark.parametrize(
    ("name", "installed", "severity"),
    [
        ("msgspec", "0.23.0", "fine"),
        ("msgspec", "0.20.9", "advice"),
        ("starlette", "1.99", "fine"),
        ("starlette", "2.0", "advice"),
        ("uvicorn", "0.54.9", "fine"),
        ("uvicorn", "0.55.0", "advice"),
        ("django", "6.2", "advice"),
    ],
)
def test_newer_libraries_within_the_bounds_are_no_news(monkeypatch, name, installed, severity):
    def version(asked):
        if asked != name:
            raise tested_versions.PackageNotFoundError
        return installed

    monkeypatch.setattr(tested_versions, "version", version)
    _, finding = tested_versions.look_at_versions(None)
    assert finding.severity.value == severity and finding.message.startswith(f"{name} {installed}")
