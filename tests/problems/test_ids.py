"""Every error of the start has an id, every id a page, and every page an error that has it."""

import ast
import functools
import re
from pathlib import Path

import pytest

import hybrid_gateway
from hybrid_gateway.problems.catalogue import catalogue

PACKAGE = Path(hybrid_gateway.__file__).parent
KINDS = {"ConfigurationError", "SettingsError", "RouteError", "DependencyError"}
OF_OTHERS = ("E", "W", "D")  # those of system checks and of the doctor
DYNAMIC = re.compile(r"(\w+\.)?id|_id_of\(.*|\(message\.id or ''\)\.removeprefix\(.*")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@functools.cache
def calls():
    """Return where errors are made, and the id of each."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in KINDS or (isinstance(node.func, ast.Name) and name == "error"):
                    given = {keyword.arg: keyword.value for keyword in node.keywords}
                    found.append((f"{path.relative_to(PACKAGE)}:{node.lineno}", given.get("id")))
    return found


def ids_in(value):
    return {
        node.value
        for node in ast.walk(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[A-Z]\d{3}", node.value)
    }


def test_every_raise_has_an_id():
    bare = [place for place, value in calls() if value is None]
    assert not bare, "Give each an id= with a page in hybrid_gateway/problems/pages."
    assert not [place for place, value in calls() if not ids_in(value) and not DYNAMIC.fullmatch(ast.unparse(value))]


def test_every_id_has_a_page_and_every_page_an_error():
    used = {number for _, value in calls() if value is not None for number in ids_in(value)}
    own = {number for number in catalogue() if number[0] not in OF_OTHERS}
    assert used - catalogue().keys() == set(), "These have no page."
    assert own - used == set(), "No error has these any more."


@pytest.mark.parametrize("problem", catalogue().values(), ids=lambda problem: problem.id)
def test_code_of_a_remedy_runs(problem):
    for block in BLOCK.findall(problem.remedy):
        if "os.environ" not in block:  # an asgi.py, which is of a process of its own
            exec(compile(block, problem.id, "exec"), {"__name__": problem.id})
