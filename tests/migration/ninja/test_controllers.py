"""Controllers of django-ninja-extra: none moves, since its permissions would be lost, and the report tells of each."""

import json

import pytest
from django.core.management import call_command
from django.urls import path

pytest.importorskip("ninja_extra")

pytestmark = pytest.mark.django_db


def test_a_controller_stays_with_its_permissions_and_is_told_of(settings, tmp_path):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "ninja_extra"]
    from tests.migration.ninja.extra import api

    settings.ROOT_URLCONF = type("Patterns", (), {"urlpatterns": [path("api/", api.urls)]})
    settings.HYBRID_GATEWAY = {"OPENAPI": {"ENABLED": False}}
    out = tmp_path / "extra_routes.py"
    call_command("gateway", "migrate-from", "ninja", "--out", str(out), "--json")
    routes = {one["path"]: one for one in json.loads(out.with_suffix(".json").read_text())["routes"]}
    assert routes["/api/plain"]["grade"] == "moved"
    closed = routes["/api/closed/"]
    assert closed["grade"] == "kept"
    assert "secret" not in out.read_text()
    (decision,) = closed["decisions"]
    assert "ClosedController is a controller of django-ninja-extra (permissions: IsAuthenticated)" in decision["what"]
    assert decision["place"].startswith("tests/migration/ninja/extra.py:")
