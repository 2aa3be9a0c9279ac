"""``manage.py gateway``: the table of both sides, and tokens from the command line."""

import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from types import ModuleType

import pytest
from django.core.management import BaseCommand, CommandError, call_command
from django.utils import timezone

from hybrid_gateway import Controller, Gateway, Listener, Route, Router, get, post, stream
from hybrid_gateway.channels import Channel
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.management.commands.gateway import SUBCOMMANDS, Command
from hybrid_gateway.management.commands.runserver import about


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
        "-------------------------  -------  ---------  --------------------------------------------",
        "/                          any                 Django (the front page alone)",
        "/admin/                    any                 Django",
        "/static/                   any                 Django's static files",
        "/upload                    POST     send       tests.management.test_commands.upload",
        "/v1/orders/{order_id:int}  GET      v1:detail  tests.management.test_commands.Orders.detail",
    ]


def test_routes_name_the_pages_of_the_docs_and_the_functions_of_partials(project, run, monkeypatch):
    project.HYBRID_GATEWAY = {**project.HYBRID_GATEWAY, "OPENAPI": {"ENABLED": True}}
    routes = [Route("/double", partial(partial(scaled, factor=2)))]
    monkeypatch.setattr(sys.modules["listed_routes"], "routes", routes)
    rows = {row["path"]: (row["name"], row["handler"]) for row in json.loads(run("routes", "--json"))}
    assert rows["/double"] == ("scaled", "tests.management.test_commands.scaled")
    assert rows["/docs"] == ("docs", "hybrid_gateway.openapi.routes.docs")
    assert rows["/docs/swagger"] == ("docs_swagger", "hybrid_gateway.openapi.docs_swagger")
    assert not [path for path, cells in rows.items() if "partial" in "".join(map(str, cells))]


def scaled(factor: int) -> int:
    return factor


def test_routes_as_json(run):
    rows = {row["path"]: row for row in json.loads(run("routes", "--json"))}
    assert rows["/upload"] == {
        "path": "/upload",
        "methods": ["POST"],
        "name": "send",
        "side": "api",
        "handler": "tests.management.test_commands.upload",
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


NEEDED = {
    "compare": ["old", "new"],
    "client": ["python", "--out", "there"],
    "createtoken": ["ada"],
    "migrate-from": ["drf"],
}


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_takes_the_options_of_django_behind_it(name):
    def parse(*arguments):
        parser = Command().create_parser("manage.py", "gateway")
        options = vars(parser.parse_args(arguments))
        return [options[key] for key in ("settings", "pythonpath", "traceback", "verbosity", "no_color", "force_color")]

    needed = [name, *NEEDED.get(name, [])]
    given = ["--settings=a.b", "--pythonpath", "src", "--traceback", "-v", "2", "--no-color", "--skip-checks"]
    assert parse(*needed) == [None, None, False, 1, False, False]
    assert parse(*given, *needed) == parse(*needed, *given) == ["a.b", "src", True, 2, True, False]
    assert parse("--settings=c", "--traceback", *needed, "-v3") == ["c", None, True, 3, False, False]


def test_settings_behind_a_subcommand_are_those_of_the_command():
    command = [sys.executable, "-m", "django", "gateway", "routes", "--settings=tests.settings", "--traceback"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "unrecognized" in done.stderr) == (0, False), done.stderr
    assert done.stdout.startswith("Path ")


# --- the lines of runserver ------------------------------------------------------------------------------------------


@get("/one")
def one() -> int:
    return 1


@pytest.mark.parametrize(
    ("routes", "enabled", "told"),
    [
        ([one], False, "1 route"),
        ([one, upload], False, "2 routes"),
        ([one], True, "1 route, and 8 of the docs"),
        ([], True, "0 routes, and 8 of the docs"),
    ],
)
def test_runserver_counts_what_the_project_wrote(routes, enabled, told):
    gateway = Gateway(routes, django_routes=("/", "/admin/"), openapi=OpenAPISettings(enabled=enabled))
    lines = dict(about(gateway, "http://localhost"))
    assert (lines["API"], lines["Django"]) == (told, "/ (the front page alone) /admin/ /static/")


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


# --- asyncapi ------------------------------------------------------------------------------------------------------


@pytest.fixture
def websockets(monkeypatch):
    @stream("/prices")
    async def prices() -> AsyncIterator[int]:
        yield 1

    routes = [upload, Lobby, prices, stream("/news", channel=news, name="news")]
    monkeypatch.setattr(sys.modules["listed_routes"], "routes", routes)


news = Channel("listed:news", str)


class Lobby(Listener):
    path = "/lobby"

    async def on_message(self, data: str) -> str: ...


@pytest.mark.usefixtures("websockets")
def test_websockets_are_in_the_table_of_routes(run):
    rows = {row["path"]: row for row in json.loads(run("routes", "--json"))}
    assert rows["/lobby"] == {
        "path": "/lobby",
        "methods": ["WEBSOCKET"],
        "name": "Lobby",
        "side": "api",
        "handler": "tests.management.test_commands.Lobby",
    }
    assert rows["/prices"]["methods"] == ["WEBSOCKET"]
    assert rows["/news"]["handler"] == "Channel('listed:news', str)"


@pytest.mark.usefixtures("websockets")
def test_asyncapi_prints_the_document_and_checks_a_file(run, tmp_path):
    assert json.loads(run("asyncapi"))["channels"].keys() == {"Lobby", "prices", "news"}
    file = tmp_path / "asyncapi.json"
    run("asyncapi", "--output", str(file))
    assert "is the document of the API" in run("asyncapi", "--check", str(file))
    document = json.loads(file.read_text())
    document["channels"]["Lobby"]["address"] = "/elsewhere"
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError, match=r'address: "/elsewhere" is now "/lobby"(.|\n)*gateway asyncapi --output'):
        run("asyncapi", "--check", str(file))


# --- openapi -------------------------------------------------------------------------------------------------------


def test_openapi_prints_the_document(run):
    document = json.loads(run("openapi"))
    assert document["openapi"].startswith("3.1")
    assert list(document["paths"]) == ["/upload", "/v1/orders/{order_id}"]


def test_openapi_as_yaml(run, tmp_path):
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(run("openapi", "--format", "yaml")) == json.loads(run("openapi"))
    file = tmp_path / "api.yaml"
    run("openapi", "--format", "yaml", "--output", str(file))
    assert "is the document of the API" in run("openapi", "--check", str(file))


def test_openapi_check_tells_what_has_changed(run, tmp_path):
    file = tmp_path / "api.json"
    run("openapi", "--output", str(file))
    assert "is the document of the API" in run("openapi", "--check", str(file))
    document = json.loads(file.read_text())
    document["info"]["title"] = "Other"
    document["paths"]["/gone"] = {}
    del document["paths"]["/upload"]["post"]["responses"]["201"]
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError) as failure:
        run("openapi", "--check", str(file))
    text = str(failure.value)
    assert "in 3 places" in text
    assert 'info → title: "Other" is now "API"' in text
    assert "paths → /gone: no longer there" in text
    assert "paths → /upload → post → responses → 201: new" in text


@pytest.mark.parametrize("content", [None, "nonsense {"])
def test_openapi_check_of_no_document(run, tmp_path, content):
    file = tmp_path / "api.json"
    if content:
        file.write_text(content)
    with pytest.raises(CommandError, match="cannot be read"):
        run("openapi", "--check", str(file))


def test_openapi_of_routes_that_cannot_be_built(project, run):
    project.HYBRID_GATEWAY = {"ROUTES": "nowhere.routes"}
    with pytest.raises((CommandError, ImportError)):
        run("openapi")


def test_options_are_found_where_another_package_makes_the_parser(monkeypatch):
    made = BaseCommand.create_parser

    def create_parser(self, prog_name, subcommand):  # as django-configurations puts it in the method's place
        parser = made(self, prog_name, subcommand)
        parser.add_argument("--configuration")
        return parser

    monkeypatch.setattr(BaseCommand, "create_parser", create_parser)
    out = io.StringIO()
    call_command("gateway", "explain", "R011", stdout=out)
    assert "R011" in out.getvalue()
