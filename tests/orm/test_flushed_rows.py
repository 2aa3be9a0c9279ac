"""What tests/conftest.py gives back after a flush is what Django would have computed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command

APPS = ("admin", "auth", "contenttypes", "sessions")  # to others tests add models while they run


def rows() -> list[list[tuple[str, ...]]]:
    permissions = Permission.objects.filter(content_type__app_label__in=APPS)
    return [
        sorted(ContentType.objects.filter(app_label__in=APPS).values_list("app_label", "model")),
        sorted(permissions.values_list("content_type__app_label", "content_type__model", "codename", "name")),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "after a flush"])
def test_a_flush_leaves_the_rows_of_migrations(turn: str) -> None:
    found = rows()
    call_command("flush", interactive=False, verbosity=0)
    assert found == rows()
    assert all(found)
