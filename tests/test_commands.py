"""``manage.py gateway``: the table of both sides, and tokens from the command line."""

import json
import sys
from datetime import timedelta
from types import ModuleType

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hybrid_gateway import Controller, Router, get, post


class Orders(Controller):
    path = "/orders"

    @get("/{order_id:int}")
    def detail(self, order_id: int) -> str:
        return "order"


@post("/upload", name="send")
async def upload() -> None:
    pass


@pytest.fixture(autouse=True)
def project(settings, monkeypatch):
    module = ModuleType("listed_routes")
    module.routes = [upload, Router("/v1", [Orders], name="v1")]
    monkeypatch.setitem(sys.modules, "listed_routes", module)
    settings.HYBRID_GATEWAY = {
        "ROUTES": "listed_routes",
        "ALLOWED_DJANGO_ROUTES": ("/admin/", "/"),
        "OPENAPI": {"ENABLED": False},
    }
    return settings


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command("gateway", *arguments, skip_checks=True)
        return capsys.readouterr().out

    return run


def test_routes_are_one_table_of_both_sides(run):
    assert run("routes").splitlines() == [
        "Path                       Methods  Name       Answered by",
        "-------------------------  -------  ---------  ---------------------------------",
        "/                          any                 Django",
        "/admin/                    any                 Django",
        "/static/                   any                 Django's static files",
        "/upload                    POST     send       tests.test_commands.upload",
        "/v1/orders/{order_id:int}  GET      v1:detail  tests.test_commands.Orders.detail",
    ]


def test_routes_as_json(run):
    rows = {row["path"]: row for row in json.loads(run("routes", "--json"))}
    assert rows["/upload"] == {
        "path": "/upload",
        "methods": ["POST"],
        "name": "send",
        "side": "api",
        "handler": "tests.test_commands.upload",
    }
    assert (rows["/admin/"]["side"], rows["/static/"]["side"]) == ("django", "static")


def test_routes_tell_who_gets_unknown_paths(project, run):
    project.HYBRID_GATEWAY = {**project.HYBRID_GATEWAY, "FALLTHROUGH": True}
    assert "Django, when no route matches" in run("routes")


def test_routes_that_cannot_be_built_are_a_plain_error(project, run):
    project.HYBRID_GATEWAY = {}
    with pytest.raises(CommandError, match="ROUTES"):
        run("routes")


def test_a_command_is_required(run):
    with pytest.raises(CommandError, match="required"):
        run()


# --- createtoken ---------------------------------------------------------------------------------------------------


@pytest.fixture
def user(django_user_model, db):
    return django_user_model.objects.create_user("ada")


def test_createtoken_prints_a_token_that_works(run, user):
    from hybrid_gateway.tokens.models import Token

    plain = run("createtoken", "ada", "--name", "laptop", "--expires-in", "2").strip()
    token = Token.objects.authenticate(plain)
    assert (token.user, token.name) == (user, "laptop")
    assert timedelta(days=1.9) < token.expires_at - timezone.now() < timedelta(days=2)


def test_createtoken_makes_tokens_that_do_not_expire_unless_told(run, user):
    from hybrid_gateway.tokens.models import Token

    assert Token.objects.authenticate(run("createtoken", "ada").strip()).expires_at is None


def test_createtoken_names_an_unknown_user(run, db):
    with pytest.raises(CommandError, match="no user with the username 'nobody'"):
        run("createtoken", "nobody")


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "soon"])
def test_createtoken_refuses_a_lifetime_that_is_none(run, days):
    with pytest.raises(CommandError, match="number of days"):
        run("createtoken", "ada", f"--expires-in={days}")


def test_createtoken_needs_the_app(project, run):
    project.INSTALLED_APPS = [app for app in project.INSTALLED_APPS if app != "hybrid_gateway.tokens"]
    with pytest.raises(CommandError, match="INSTALLED_APPS"):
        run("createtoken", "ada")
