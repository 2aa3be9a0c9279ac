"""The files that ``startapi`` writes for an app, and what it adds to the project's routes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from django.apps import AppConfig, apps
from django.conf import settings

from hybrid_gateway.scaffold.api_source import ApiOptions, api_source
from hybrid_gateway.scaffold.api_test_source import api_test_source
from hybrid_gateway.scaffold.changes import FileChange, ScaffoldError
from hybrid_gateway.scaffold.model_shapes import ModelShape, models_of, shape_of
from hybrid_gateway.scaffold.route_list import add_include

_ACCOUNTS = ("django.contrib.auth", "django.contrib.contenttypes")
_has = apps.is_installed


class AppPlan(msgspec.Struct):
    """The changes, and what a person has to know."""

    label: str
    tests: Path
    shapes: list[ModelShape]
    options: ApiOptions
    changes: list[FileChange] = []
    notes: list[str] = []

    def fewer_tests(self, failed: Mapping[str, Collection[str]]) -> FileChange:
        """Return the tests without those that fail."""
        source, self.notes = api_test_source(self.label, self.shapes, self.options, failed)
        return FileChange(self.tests, self.tests.read_bytes(), source.encode())


def plan_app(options: Mapping[str, Any]) -> AppPlan:
    """Return what would be written; raise :class:`ScaffoldError` for what cannot be done."""
    config = _app(options["app"])
    place = _app(options["into"]) if options["into"] else config
    found = models_of(list(config.get_models()), options["model"])
    if not found:
        known = ", ".join(model.__name__ for model in config.get_models())
        raise ScaffoldError(f"{config.label} has no such models: it has {known or 'none'}.")
    if not (options["public"] and options["read_only"]) and (missing := [a for a in _ACCOUNTS if not _has(a)]):
        raise ScaffoldError(
            f"Routes with log-ins and permissions need {' and '.join(missing)} in INSTALLED_APPS. Without: --public "
            "--read-only, which everybody may read."
        )
    path, tests = _paths(config, place)
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        others = [model.__name__ for model in found if not re.search(rf"\b{model.__name__}\b", text)]
        todo = f"Write the routes of {', '.join(others)} by hand, or move it away." if others else "It has every model."
        raise ScaffoldError(f"{path} is there already. {todo}")
    if tests.exists():
        raise ScaffoldError(f"{tests} is there already. Move it away: tests of these routes would be written there.")
    shapes = [shape_of(model, read_only=options["read_only"]) for model in found]
    plan = AppPlan(config.label, tests, shapes, ApiOptions(is_public=options["public"], schemes=_schemes()))
    source, plan.notes = api_test_source(config.label, shapes, plan.options, {})
    plan.changes.append(FileChange(path, None, api_source(config.label, shapes, plan.options).encode()))
    if tests.parent != path.parent and not tests.parent.exists():
        plan.changes.append(FileChange(tests.parent / "__init__.py", None, b""))
    plan.changes.append(FileChange(tests, None, source.encode()))
    prefix = options["prefix"] or f"/api/{config.label.replace('_', '-')}"
    change, note = _included(prefix, f"{place.name}.{path.stem}", config)
    plan.changes += change
    plan.notes += note
    return plan


_FAILED = re.compile(r"^(?:ERROR|FAIL): (\w+) \(.*?\bTest(\w+)\.\w+\)", re.MULTILINE)


def failed_tests(plan: AppPlan, module: str) -> tuple[dict[str, set[str]], str]:
    """Run the tests in a process of their own; return those that fail by their models, and what was printed."""
    runner = "hybrid_gateway.scaffold.own_databases.OwnDatabasesRunner"
    command = [sys.executable, sys.argv[0], "test", module, "--noinput", "--testrunner", runner]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own interpreter)
    failed: dict[str, set[str]] = {}
    for test, model in _FAILED.findall(done.stderr):
        failed.setdefault(model, set()).add(test)
    return failed, "" if not done.returncode else done.stderr


def is_tested_by_pytest(root: Path) -> bool:
    """Return whether a configuration of pytest names settings of Django."""
    files = (root / name for name in ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"))
    return any(
        re.search(r"DJANGO_SETTINGS_MODULE|--ds\b", file.read_text(errors="replace"))
        for file in files
        if file.is_file()
    )


def _app(label: str) -> AppConfig:
    try:
        return apps.get_app_config(label.rpartition(".")[2])
    except LookupError as error:
        known = ", ".join(sorted(config.label for config in apps.get_app_configs()))
        raise ScaffoldError(f"{error} INSTALLED_APPS has: {known}.") from error


def _paths(config: AppConfig, place: AppConfig) -> tuple[Path, Path]:
    """Return where the routes and their tests go: into the package of tests, or beside the module of that name."""
    folder = Path(place.path)
    if "site-packages" in folder.parts:
        raise ScaffoldError(f"{config.name} is no app of the project. Say which is to have its routes: --into APP.")
    name = "api" if place is config else f"{config.label}_api"
    if (folder / name).is_dir():
        name = f"typed_{name}"
    tests = folder if (folder / "tests.py").exists() else folder / "tests"
    return folder / f"{name}.py", tests / f"test_{name}.py"


def _schemes() -> tuple[str, ...]:
    """Return the schemes of callers, none where the settings name some."""
    if getattr(settings, "HYBRID_GATEWAY", {}).get("AUTHENTICATION"):
        return ()
    if not _has("django.contrib.auth"):
        return ()
    has_tokens = apps.is_installed("hybrid_gateway.tokens")
    return ("SessionAuthentication", *(["TokenAuthentication"] if has_tokens else []))


def _included(prefix: str, module: str, config: AppConfig) -> tuple[list[FileChange], list[str]]:
    by_hand = f'Add Include("{prefix}", "{module}", name="{config.label}") to the routes of the project.'
    routes = getattr(settings, "HYBRID_GATEWAY", {}).get("ROUTES")
    spec = find_spec(routes) if routes else None
    if spec is None or not spec.origin:
        return [], [by_hand]
    path = Path(spec.origin)
    before = path.read_bytes()
    after = add_include(before, prefix, module, config.label)
    if after is None:
        return [], [f"{path} has no plain list `routes`. {by_hand}"]
    return [FileChange(path, before, after)] * (after != before), []
