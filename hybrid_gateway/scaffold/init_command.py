"""``python -m hybrid_gateway init``: show what would change, ask, change it, check it, say what comes next."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hybrid_gateway.scaffold.changes import FileChange, ScaffoldError, apply, forget, undo
from hybrid_gateway.scaffold.init_plan import Plan, plan_init
from hybrid_gateway.scaffold.probe import ProjectFacts
from hybrid_gateway.scaffold.project import Project, find_project
from hybrid_gateway.scaffold.server_lines import served_by


def run(options: argparse.Namespace) -> int:
    """Do it, and return the exit code; errors of the project are told on stderr."""
    try:
        project = find_project(options.folder, options.settings)
        if options.undo:
            return _undo(project, options)
        return _init(project, options)
    except ScaffoldError as error:
        print(error, file=sys.stderr)
        return 1


def _init(project: Project, options: argparse.Namespace) -> int:
    facts = project.load()
    plan = plan_init(project, facts)
    if not plan.changes:
        _tell(plan.notes)
        print("Nothing to do: the gateway is in front of this project.")
        return 0
    if not _agreed(project.root, plan.changes, options):
        return 0 if options.dry_run else 1
    apply(project.root, plan.changes)
    _tell(plan.notes)
    return _check(project, facts, plan)


def _undo(project: Project, options: argparse.Namespace) -> int:
    changes = undo(project.root, force=options.force)
    if not changes:
        print("Nothing to undo.")
        return 0
    if not _agreed(project.root, changes, options):
        return 0 if options.dry_run else 1
    for change in changes:
        change.write()
    forget(project.root)
    print(f"Every file that init and startapi wrote is as it was before: {len(changes)}.")
    return 0


def _agreed(root: Path, changes: list[FileChange], options: argparse.Namespace) -> bool:
    for change in changes:
        print(change.diff(root))
    if options.dry_run or options.yes:
        return not options.dry_run
    try:
        answer = input(f"Make these changes to {len(changes)} files? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was changed. `--yes` does not ask.")
    return False


def _tell(notes: list[str]) -> None:
    for note in notes:
        print(f"* {note}")


def _check(project: Project, facts: ProjectFacts, plan: Plan) -> int:
    """Run ``manage.py check`` and say what comes next."""
    done = project.run_manage("check")
    print((done.stdout + done.stderr).strip())
    if done.returncode:
        print(
            "\nThe check fails. Mend it, or take everything back: python -m hybrid_gateway init --undo", file=sys.stderr
        )
        return 1
    application = next(
        (change.path for change in plan.changes if change.path.name == "asgi.py"),
        Path(facts.entry_files.get("asgi", "")),
    )
    print(f"\nNext:\n{_next_steps(project, facts, application)}")
    for line in served_by(project.root):
        print(f"In production: {line}")
    return 0


def _next_steps(project: Project, facts: ProjectFacts, asgi: Path) -> str:
    manage = f"python {project.manage.name}" if project.manage is not None else "python -m django"
    folder = f"cd {project.import_root}\n" if project.import_root != Path.cwd() else ""
    module = ".".join(asgi.relative_to(project.import_root).with_suffix("").parts) if asgi.name else ""
    return (
        f"{folder}{manage} runserver\n"
        f"curl http://127.0.0.1:8000{facts.hello_path}\n"
        f"uvicorn {module or 'hybrid_gateway.asgi'}:application    # in production; or `{manage} gateway serve`"
    )
