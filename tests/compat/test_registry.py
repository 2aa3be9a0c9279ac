"""Each name that passes the fence is registered, and has a canary."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hybrid_gateway import _compat

MODULES = sorted(module.name for module in pkgutil.iter_modules(_compat.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_each_exported_name_has_an_entry(name: str) -> None:
    module = importlib.import_module(f"hybrid_gateway._compat.{name}")
    assert set(module.__all__) == set(module.INTERNALS)
    for exported, entry in module.INTERNALS.items():
        assert hasattr(module, exported)
        assert all(entry), f"an empty field in the entry of {exported}"


@pytest.mark.parametrize("name", MODULES)
def test_each_entry_has_a_canary(name: str) -> None:
    internals = importlib.import_module(f"hybrid_gateway._compat.{name}").INTERNALS
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
