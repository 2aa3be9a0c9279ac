"""A sample of the model matrix; ``python -m tests.orm.matrix`` looks at as many cells as one likes."""

import pytest
from django.db import connection

from tests.orm.matrix.__main__ import run

pytestmark = pytest.mark.django_db(transaction=True)

if connection.vendor not in ("sqlite", "postgresql"):
    pytest.skip("What two rows have is compared as text of SQLite or PostgreSQL.", allow_module_level=True)


def test_what_structs_show_and_write_is_what_django_does():
    counts = run(15_000, seed=1)
    assert {way for way, count in counts.items() if count > 20} >= {
        *("fetch", "get", "prepared", "from_model", "/limit", "/page", "/cursor", "/stream", "filter", "nested", "key"),
        *("create", "update", "shown after create", "shown after update", "refused types", "refused values"),
    }
