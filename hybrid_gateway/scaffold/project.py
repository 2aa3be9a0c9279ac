"""A Django project on disk: where its ``manage.py`` is, and what it says of itself once it is loaded."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hybrid_gateway.scaffold.changes import RECORD, ScaffoldError
from hybrid_gateway.scaffold.probe import ProjectFacts

VARIABLE = "DJANGO_SETTINGS_MODULE"
LOAD_SECONDS = 120
_SKIPPED = frozenset(
    (".git", ".hg", ".tox", ".venv", "venv", "env", "node_modules", "site-packages", "__pycache__", RECORD)
)


class Project:
    """A project's folder, its ``manage.py`` (which may be missing) and its module of settings."""

    def __init__(self, root: Path, manage: Path | None, settings: str) -> None:
        self.root = root
        self.manage = manage
        self.settings = settings

    @property
    def import_root(self) -> Path:
        """The folder that modules are imported from: that of ``manage.py``."""
        return self.manage.parent if self.manage is not None else self.root

    def environment(self) -> dict[str, str]:
        """Return the environment to run the project's own commands in."""
        named = {VARIABLE: self.settings} if self.settings else {}
        return {**os.environ, **named, "PYTHONDONTWRITEBYTECODE": "1"}

    def load(self) -> ProjectFacts:
        """Load the project in a process of its own; raise :class:`ScaffoldError` where it does not load."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "facts.json")
            arguments = [str(output), str(self.import_root), str(self.manage or "")]
            done = subprocess.run(  # noqa: S603 (our own interpreter, and no shell)
                [sys.executable, "-m", "hybrid_gateway.scaffold.probe", *arguments],
                cwd=self.import_root,
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=LOAD_SECONDS,
                check=False,
            )
            if not output.is_file():
                raise ScaffoldError(f"The project could not be loaded:\n\n{done.stdout}{done.stderr}".rstrip())
            facts = msgspec.json.decode(output.read_bytes(), type=ProjectFacts)
        if facts.error:
            raise ScaffoldError(
                f"The project does not load, so that nobody can tell what it answers:\n\n{facts.error}\n"
                "Run this in the environment that `manage.py check` passes in (packages, variables such as "
                f"{VARIABLE}), or give --settings."
            )
        return facts

    def run_manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the project and return what it printed."""
        command = [str(self.manage)] if self.manage is not None else ["-m", "django"]
        environment = self.environment()
        if self.manage is None:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self.root), environment.get("PYTHONPATH"))))
        return subprocess.run(  # noqa: S603 (our own interpreter, and no shell)
            [sys.executable, *command, *arguments],
            cwd=self.import_root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LOAD_SECONDS,
            check=False,
        )


def find_project(start: Path, settings: str | None = None) -> Project:
    """Find the project that ``start`` is in or holds; raise :class:`ScaffoldError` where there is none, or several."""
    start = start.resolve()
    if not start.is_dir():
        raise ScaffoldError(f"{start} is no folder. Give the one that manage.py is in.")
    manage = _find_manage(start)
    if manage is None and settings is None:
        found = [path for path in _python_files(start, depth=3) if path.name in ("asgi.py", "wsgi.py")]
        found.sort(key=lambda path: path.name)
        settings = next(filter(None, map(named_settings, found)), None) or os.environ.get(VARIABLE)
        if settings is None:
            raise ScaffoldError(
                f"No Django project in {start}: there is no manage.py, and no asgi.py or wsgi.py that names a "
                "module of settings. Run this in the folder of manage.py, or give --settings."
            )
    root = start if manage is None or manage.is_relative_to(start) else manage.parent
    return Project(root, manage, settings or "")


def _find_manage(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / "manage.py").is_file():
            return folder / "manage.py"
        if (folder / ".git").exists():
            break
    below = [path for path in _python_files(start, depth=2) if path.name == "manage.py"]
    if len(below) > 1:
        listed = ", ".join(str(path.relative_to(start)) for path in below)
        raise ScaffoldError(f"There are several projects here: {listed}. Run this in the folder of one of them.")
    return below[0] if below else None


def _python_files(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if depth and path.name not in _SKIPPED and not (path / "pyvenv.cfg").exists():
                yield from _python_files(path, depth - 1)
        elif path.suffix == ".py":
            yield path


def named_settings(path: Path) -> str | None:
    """Return the module that a file gives DJANGO_SETTINGS_MODULE first, as far as it is a plain string."""
    return next(iter(all_named_settings(path.read_bytes())), None)


def all_named_settings(source: bytes) -> list[str]:
    """Return every module that a file gives DJANGO_SETTINGS_MODULE, once; empty where one is not a plain string."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            values = [node.targets[0].slice, node.value]
        match values:
            case [ast.Constant(value=name), ast.Constant(value=str() as module)] if name == VARIABLE:
                found.append(module)
            case [ast.Constant(value=name), _] if name == VARIABLE:
                return []
            case _:
                pass
    return list(dict.fromkeys(found))
