"""Continuous integration tries what pyproject.toml says is supported, and a commit what it checks."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]


def matrix() -> set[tuple[str, str]]:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    axes = jobs["matrix"]["strategy"]["matrix"]
    excluded = {(pair["python"], pair["django"]) for pair in axes["exclude"]}
    return set(itertools.product(axes["python"], axes["django"])) - excluded


def test_every_supported_pair_is_tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classifiers = "\n".join(project["classifiers"])
    pythons = re.findall(r"Python :: (3\.\d+)$", classifiers, re.M)
    djangos = re.findall(r"Django :: (\d+\.\d+)$", classifiers, re.M)
    assert project["requires-python"] == f">={pythons[0]}"
    # Django 6.0 and later need Python 3.12.
    assert matrix() == {(p, d) for p in pythons for d in djangos if d == "5.2" or p != "3.11"}


def test_a_commit_passes_what_is_checked():
    [local] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["hooks"][0]["entry"] == "scripts/check"
    assert "./scripts/check" in (ROOT / ".ci" / "run").read_text()
