"""Whom REST framework refuses, the written routes refuse: every kind of permission, every method."""

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client

from hybrid_gateway.comparison.sides import ClientSide, ReplayedRequest, django_side, gateway_side
from hybrid_gateway.gateway.application import Gateway
from tests.library.models import Publisher
from tests.migration.drf_doors import VIEWS
from tests.migration.test_migrate_from_drf import grades, moved

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.migration.drf_doors")]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
REFUSED = (401, 403, 404, 405)


def status(side: ClientSide, method: str, path: str, body: object) -> int:
    headers = (("Content-Type", "application/json"),)
    with transaction.atomic():
        answer = side.send(ReplayedRequest(method, path, "", headers, json.dumps(body).encode() if body else b""))
        transaction.set_rollback(True)
    return answer.status


@pytest.fixture
def callers() -> dict[str, User | None]:
    Publisher.objects.create(name="Penguin")
    writer = User.objects.create_user("writer", is_staff=True)
    names = [f"{what}_publisher" for what in ("add", "change", "delete", "view")]
    writer.user_permissions.add(*Permission.objects.filter(codename__in=names))
    plain = User.objects.create_user("plain")
    return {"": None, "plain": plain, "writer": writer, "root": User.objects.create_superuser("root")}


@pytest.mark.parametrize("caller", ["", "plain", "writer", "root"])
def test_nobody_may_what_they_might_not_before(caller: str, callers: dict[str, User | None], tmp_path: Path) -> None:
    module, _ = moved(tmp_path)
    old, new = django_side(), gateway_side("new", Gateway(module.routes, trailing_slash="ignore"))
    user = callers[caller]
    if user is not None:
        old.login(user)
        new.login(user)
    key = Publisher.objects.get().pk
    laxer, other = [], []
    for name in VIEWS:
        for method in METHODS:
            if (name, method) == ("methods", "HEAD"):  # what GET shows anyway, as the report says
                continue
            for path in [f"/{name}/", f"/{name}/{key}/"]:
                body = {"name": "New", "country": "de"} if method in ("POST", "PUT", "PATCH") else None
                before, after = status(old, method, path, body), status(new, method, path, body)
                if before >= 400 and not (after in REFUSED and before in REFUSED):
                    laxer.append((method, path, before, after))
                elif before < 400 and after != before:
                    other.append((method, path, before, after))
                assert after < 500, (method, path)
    assert laxer == []
    assert other == []


def test_a_method_that_no_permission_has_answers_405(callers: dict[str, User | None], tmp_path: Path) -> None:
    module, report = moved(tmp_path)
    new = gateway_side("new", Gateway(module.routes, trailing_slash="ignore"))
    assert callers["root"] is not None
    new.login(callers["root"])
    key = Publisher.objects.get().pk
    body = {"name": "New", "country": "de"}
    assert status(new, "PUT", f"/without-put/{key}/", body) == 405
    assert status(new, "PATCH", f"/without-put/{key}/", body) == 200
    assert status(new, "DELETE", f"/methods/{key}/", None) == 405
    assert ("PUT", "/methods/{pk}/") not in grades(report)
    found = {(route["method"], route["path"]): route for route in report["routes"]}
    [decision] = found["PUT", "/without-put/{pk}/"]["decisions"]
    assert decision["what"] == "WithoutPut.perms_map has no PUT: who asks gets 405."
    assert Client().get("/roots/").status_code == 200 and found["GET", "/roots/"]["grade"] == "kept"
