"""The test runner of a project, with test databases of its own: those that others keep and reuse stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test.runner import DiscoverRunner
from django.test.utils import get_runner

SUFFIX = "_startapi"
MAX_NAME = 63  # bytes of PostgreSQL's names, which cuts longer ones

if TYPE_CHECKING:
    ProjectRunner = DiscoverRunner
else:
    ProjectRunner = get_runner(settings)


class OwnDatabasesRunner(ProjectRunner):
    """Run tests as ``TEST_RUNNER`` does; ``pytest --reuse-db`` and ``test --keepdb`` find their databases again."""

    def setup_databases(self, **options: Any) -> Any:
        """Make the databases, under names that nobody else has."""
        for connection in connections.all():
            described = connection.settings_dict
            test = described["TEST"]
            is_in_memory = connection.vendor == "sqlite" and not test["NAME"]
            if not (is_in_memory or test["MIRROR"]):
                name = str(test["NAME"] or f"{TEST_DATABASE_PREFIX}{described['NAME']}")
                test["NAME"] = f"{name[: MAX_NAME - len(SUFFIX)] if connection.vendor != 'sqlite' else name}{SUFFIX}"
        return super().setup_databases(**options)
