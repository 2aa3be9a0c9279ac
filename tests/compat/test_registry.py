"""Each name that passes the fence is registered, and has a canary."""

from __future__ import annotations

import ast
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


def read_internals() -> dict[str, dict[str, list[str]]]:
    """Return the lines of each entry by module and exported name, after the versions of its section."""
    parser = ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    text = Path(_compat.__path__[0], "internals.ini").read_text()
    parser.read_string(re.sub(r"(?m)^(\w[\w, ]*): ", r"\1 = ", text))
    internals: dict[str, dict[str, list[str]]] = {name: {} for name in MODULES}
    for section in parser.sections():
        module, _, versions = section.partition(": ")
        for names, told in parser.items(section):
            internals[module].update(dict.fromkeys(names.split(", "), [versions, *told.splitlines()]))
    return internals


INTERNALS = read_internals()


def exported_names(name: str) -> set[str]:
    """Return what a module defines, or imports under a name, without an underscore; types alone hide nothing."""
    names: set[str] = set()
    for node in ast.parse(Path(_compat.__path__[0], f"{name}.py").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names.update(alias.asname for alias in node.names if alias.asname)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and "TypeVar(" not in ast.unparse(node.value):
            names.update(
                found.id for target in node.targets for found in ast.walk(target) if isinstance(found, ast.Name)
            )
        elif isinstance(node, ast.AnnAssign) and "TypeAlias" not in ast.unparse(node.annotation):
            names.add(ast.unparse(node.target))
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_each_exported_name_has_an_entry(name: str) -> None:
    module = importlib.import_module(f"hybrid_gateway._compat.{name}")
    assert sorted(exported_names(name)) == sorted(INTERNALS[name])
    for exported, (versions, behind, breaks, *_) in INTERNALS[name].items():
        assert hasattr(module, exported)
        assert re.fullmatch(r"(\w+ \d[\d.]*-\d[\d.]*(, )?)+", versions)
        assert behind
        assert re.match("Loud|Silent", breaks), f"the entry of {exported} does not say how loudly it breaks"


@pytest.mark.parametrize("name", MODULES)
def test_each_entry_has_a_canary(name: str) -> None:
    internals = INTERNALS[name]
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
