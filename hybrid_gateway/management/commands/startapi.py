"""``manage.py startapi APP``: typed routes for an app's models, with tests, from its models."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.scaffold.server_lines import served_by

if TYPE_CHECKING:
    from hybrid_gateway.scaffold.app_plan import AppPlan


class Command(BaseCommand):
    help = "Writes routes, Structs and tests for the models of an app, and includes them among the project's routes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("app", help="the label of an app")
        parser.add_argument("--model", action="append", default=[], help="a model, instead of all; may be repeated")
        parser.add_argument("--public", action="store_true", help="everybody may read")
        parser.add_argument("--read-only", action="store_true", help="no routes that write")
        parser.add_argument("--prefix", help="the path before the routes, /api/APP by default")
        parser.add_argument("--into", metavar="APP", help="the app that gets the routes, if it is another")
        parser.add_argument("--no-test", action="store_true", help="do not run the tests that were written")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--dry-run", action="store_true", help="show the changes and make none")

    def handle(self, *args: object, **options: Any) -> None:
        if find_spec("libcst") is None:
            raise CommandError('This needs libcst: pip install "hybrid-gateway[init]" brings it.')
        from hybrid_gateway.scaffold.app_plan import plan_app
        from hybrid_gateway.scaffold.changes import ScaffoldError, apply, root_of_record

        home = Path(sys.argv[0]).resolve().parent
        root = root_of_record(home)
        try:
            plan = plan_app(options)
        except ScaffoldError as error:
            raise CommandError(str(error)) from error
        for change in plan.changes:
            self.stdout.write(change.diff(Path.cwd()))
        if options["dry_run"]:
            return
        if not options["yes"] and not self.agrees(len(plan.changes)):
            raise CommandError("Nothing was changed. `--yes` does not ask.")
        apply(root, plan.changes)
        module = ".".join(plan.tests.relative_to(home).with_suffix("").parts)
        if not options["no_test"]:
            self.try_tests(plan, module, root)
        for note in plan.notes:
            self.stdout.write(f"* {note}")
        self.stdout.write(f"\nNext: python manage.py test {module}")
        for line in served_by(root):
            self.stdout.write(f"In production: {line}")
        self.stdout.write("To take it back: python -m hybrid_gateway init --undo")

    def try_tests(self, plan: AppPlan, module: str, root: Path) -> None:
        """Run the tests; those that fail, because rows need what no column says, are taken out and told."""
        from hybrid_gateway.scaffold.app_plan import failed_tests
        from hybrid_gateway.scaffold.changes import apply

        failed, output = failed_tests(plan, module)
        if failed:
            apply(root, [plan.fewer_tests(failed)])
            failed, output = failed_tests(plan, module)
        self.stdout.write("The tests pass." if not output else f"The tests do not pass:\n{output}")

    def agrees(self, count: int) -> bool:
        """Ask on the terminal."""
        self.stdout.write(f"Make these changes to {count} files? [y/N] ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
