"""What the package stands on is recent enough, pinned, and does not need its asserts."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from hybrid_gateway.checks import deploy

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Of what is installed for development alone; the others are those of the check W025.
FLOORS = {**deploy.FLOORS, "werkzeug": "3.1.9"}


def floor(name, found):
    return Version(deploy.DJANGO_FLOORS[f"{found.major}.{found.minor}"] if name == "django" else FLOORS[name])


def pins():
    """Every line of constraints.txt as name and version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [(found.name.lower(), Version(next(iter(found.specifier)).version)) for found in requirements]


@pytest.mark.parametrize("name", ["django", *FLOORS])
def test_r_supply_what_is_installed_is_above_its_floor(name):
    try:
        found = Version(version(name))
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert found >= floor(name, found)


@pytest.mark.parametrize("name", ["django", *FLOORS])
def test_r_supply_what_is_pinned_is_above_its_floor(name):
    pinned = [found for pin, found in pins() if pin == name]
    assert pinned, f"constraints.txt does not say which {name}"
    assert all(found >= floor(name, found) for found in pinned)


def test_r_supply_every_requirement_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(entry for extra in project["optional-dependencies"].values() for entry in extra),
    ]
    names = {Requirement(entry).name.lower() for entry in wanted} - {"hybrid-gateway"}
    assert names <= {name for name, _ in pins()}


@pytest.mark.parametrize("name", ["django", *deploy.FLOORS])
def test_r_supply_users_are_told_what_is_below_its_floor(monkeypatch, name):
    """The lower bounds of pyproject.toml are lower: they are what the code needs."""
    monkeypatch.setattr(deploy, "_installed", lambda asked: "5.2.3" if asked == name == "django" else None)
    if name != "django":
        monkeypatch.setattr(deploy, "_installed", lambda asked: "0.0.1rc1" if asked == name else None)
    (message,) = deploy.old_packages()
    assert message.id == "hybrid_gateway.W025"
    assert f"{name}>=" in message.hint


def test_r_supply_nobody_is_told_of_what_is_recent_or_not_there(monkeypatch):
    assert list(deploy.old_packages()) == []
    monkeypatch.setattr(deploy, "_installed", lambda name: None)
    assert list(deploy.old_packages()) == []
    monkeypatch.setattr(deploy, "_installed", lambda name: "99.1b2")
    assert list(deploy.old_packages()) == []


def test_r_supply_actions_are_pinned_by_commit():
    assert len(WORKFLOWS) == 6
    for path in WORKFLOWS:
        for line in path.read_text().splitlines():
            used = re.search(r"uses:\s*(\S+)", line)
            assert used is None or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used[1]), line


def workflow(name):
    return (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()


def test_r_supply_no_workflow_may_write_but_where_it_says_so():
    granted = {path.stem: re.findall(r"^ +([\w-]+: write)\b", path.read_text(), re.M) for path in WORKFLOWS}
    writing = {"codeql": ["security-events: write"], "release": ["id-token: write"]}
    writing["docs"] = ["pages: write", "id-token: write"]  # GitHub Pages takes no token of another kind
    assert granted == {"ci": [], "audit": [], "nightly": [], **writing}
    assert all(re.search(r"^permissions:( {}|\n  contents: read)$", path.read_text(), re.M) for path in WORKFLOWS)


def test_r_supply_a_release_is_tested_listed_and_published_without_a_secret():
    text = workflow("release")
    assert text.index("./.ci/run") < text.index("cyclonedx") < text.index("pypa/gh-action-pypi-publish@")
    assert "secrets." not in text and "password" not in text


def test_r_supply_what_is_pinned_is_audited_and_the_package_analysed():
    assert re.search(r"pip-audit==\S+ --strict .*constraints\.txt", workflow("audit"))
    assert "schedule:" in workflow("audit") and "languages: python" in workflow("codeql")


def test_r_supply_no_update_is_younger_than_a_week():
    text = (ROOT / ".github" / "dependabot.yml").read_text()
    assert text.count("package-ecosystem:") == len(re.findall(r"default-days: (?:[7-9]|\d\d)$", text, re.M)) == 2


def test_r_supply_bandit_finds_nothing():
    pytest.importorskip("bandit", reason="bandit is not installed")
    command = [sys.executable, "-m", "bandit", "-q", "-r", "-c", "pyproject.toml", "hybrid_gateway"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- without asserts -----------------------------------------------------------------------------------------------

SUBSET = ["test_bodies.py", "test_multipart.py", "test_throttles.py", "test_lists.py"]


def test_r_opt_the_same_holds_without_asserts():
    """pytest rewrites the asserts of tests, so they stay; those of the package are gone."""
    files = [str(Path("tests/security") / name) for name in SUBSET]
    command = [sys.executable, "-O", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-W", "ignore"]
    options = ["-k", "not wsgi and not lane and not processes and not r_lin and not r_acc and not r_loop and not r_mp4"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [*command, *options, *files], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_r_opt_no_assert_looks_at_what_a_client_sent():
    """Those that the package has tell type checkers what is known: names, attributes, and that they are not None."""
    for file in (ROOT / "hybrid_gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assert):
                calls = [call for call in ast.walk(node.test) if isinstance(call, ast.Call)]
                assert all(ast.unparse(call.func) in ("isinstance", "callable") for call in calls), (file, node.lineno)
