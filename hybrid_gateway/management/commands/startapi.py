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
        add = parser.add_argument
        add("app", help="The label of an app.")
        add("--model", action="append", default=[], help="This model, and not all; may be given several times.")
        add("--public", action="store_true", help="Everybody may read; without it, who is logged in.")
        add("--read-only", action="store_true", help="No routes that write.")
        add("--prefix", metavar="PATH", help="The path before the routes; /api/APP by default.")
        add("--into", metavar="APP", help="Write the routes into this app: `startapi auth --into shop`.")
        add("--no-test", action="store_true", help="Do not run the tests that were written.")
        add("--yes", action="store_true", help="Do not ask.")
        add("--dry-run", action="store_true", help="Show the changes and make none.")

    def handle(self, *args: object, **options: Any) -> None:
        if find_spec("libcst") is None:
            raise CommandError('This needs libcst: pip install "hybrid-gateway[init]" brings it.')
        from hybrid_gateway.scaffold.app_plan import is_tested_by_pytest, plan_app
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
        by_pytest = f"pytest {plan.tests.relative_to(home).as_posix()}"
        self.stdout.write(f"\nNext: {by_pytest if is_tested_by_pytest(root) else f'python manage.py test {module}'}")
        for line in served_by(root):
            self.stdout.write(f"In production: {line}")
        self.stdout.write("To take it back: python -m hybrid_gateway init --undo")

    def try_tests(self, plan: AppPlan, module: str, root: Path) -> None:
        """Run the tests; those that fail, because rows need what no column says, are taken out and told."""
        from hybrid_gateway.scaffold.app_plan import failed_tests
        from hybrid_gateway.scaffold.changes import apply

        failed, output = failed_tests(plan, module)
        if failed:
            change = plan.fewer_tests(failed)
            apply(root, [change])
            lost = "; ".join(f"Test{model}: {', '.join(sorted(tests))}" for model, tests in sorted(failed.items()))
            self.stdout.write(f"{change.path.relative_to(root)} was written again, without what failed: {lost}.")
            failed, output = failed_tests(plan, module)
        self.stdout.write("The tests pass." if not output else f"The tests do not pass:\n{output}")

    def agrees(self, count: int) -> bool:
        """Ask on the terminal."""
        self.stdout.write(f"Make these changes to {count} files? [y/N] ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
