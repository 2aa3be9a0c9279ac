"""Each name that passes the fence is registered, and has a canary."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hybrid_gateway import _compat

MODULES = sorted(module.name for module in pkgutil.iter_modules(_compat.__path__))


def entries(name: str) -> dict[str, list[str]]:
    """Return the lines of each entry of a module, by exported name, after its section."""
    parser = ConfigParser(delimiters=":", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(importlib.import_module(f"hybrid_gateway._compat.{name}").INTERNALS)
    return {
        exported: [section, *text.splitlines()]
        for section in parser.sections()
        for names, text in parser.items(section)
        for exported in names.split(", ")
    }


@pytest.mark.parametrize("name", MODULES)
def test_each_exported_name_has_an_entry(name: str) -> None:
    module = importlib.import_module(f"hybrid_gateway._compat.{name}")
    assert sorted(module.__all__) == sorted(entries(name))
    for exported, (versions, behind, breaks, *_) in entries(name).items():
        assert hasattr(module, exported)
        assert re.fullmatch(r"(\w+ \d[\d.]*-\d[\d.]*(, )?)+", versions)
        assert behind
        assert re.match("Loud|Silent", breaks), f"the entry of {exported} does not say how loudly it breaks"


@pytest.mark.parametrize("name", MODULES)
def test_each_entry_has_a_canary(name: str) -> None:
    internals = entries(name)
    try:
        tests = importlib.import_module(f"tests.compat.test_{name}")
    except ModuleNotFoundError:
        assert not internals, f"tests/compat/test_{name}.py is missing"
        return
    watched = {exported for test in vars(tests).values() for exported in getattr(test, "canary_of", ())}
    assert watched == set(internals)


@pytest.mark.parametrize("name", ["django", "asgiref", "starlette", "uvicorn"])
def test_each_neighbour_has_an_upper_bound(name: str) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    required = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["server"]])
    (bounds,) = (requirement.specifier for requirement in required if requirement.name == name)
    assert any(bound.operator == "<" for bound in bounds)
