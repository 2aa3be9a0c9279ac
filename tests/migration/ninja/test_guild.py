"""What large projects do with django-ninja, moved: every answer is the same, or told to differ, and nobody gets in."""

import importlib
import json
import sys

import pytest
from django.core.cache import cache
from django.core.management import call_command

from hybrid_gateway.comparison.comparing import Plan, compare
from hybrid_gateway.comparison.exchanges import ReplayedRequest
from hybrid_gateway.comparison.sides import open_side
from tests.library.models import Author, Publisher

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:Returning tuple"),
    pytest.mark.filterwarnings("ignore:There is no current event loop"),
]


@pytest.fixture
def moved(tmp_path, monkeypatch, settings):
    """The module that is written, imported, with its report and the differences that it tells."""
    settings.ROOT_URLCONF = "tests.migration.ninja.guild_urls"
    settings.HYBRID_GATEWAY = {"OPENAPI": {"ENABLED": False}, "FALLTHROUGH": True}
    cache.clear()
    out, accepted = tmp_path / "guild_routes.py", tmp_path / "accepted"
    call_command("gateway", "migrate-from", "ninja", "--out", str(out), "--json", "--accepted", str(accepted))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "guild_routes", raising=False)
    importlib.invalidate_caches()
    module = importlib.import_module("guild_routes")
    module.report = json.loads(out.with_suffix(".json").read_text())
    module.text, module.accepted = out.read_text(), accepted
    Author.objects.create(name="Ada é")
    Publisher.objects.create(name="House")
    Publisher.objects.create(name="Mill")
    yield module
    sys.modules.pop("guild_routes", None)


def route(module, path):
    return next(one for one in module.report["routes"] if one["path"] == path)


def answers(*paths, method="GET", **headers):
    requests = [
        ReplayedRequest(method, path.partition("?")[0], path.partition("?")[2], tuple(headers.items()))
        for path in paths
    ]
    sides = open_side("django"), open_side("guild_routes.routes")
    report = compare(*sides, Plan(recorded=requests, documents=False, writes=True))
    quiet = ("vary", "cache-control", "content-type")
    return [
        (group.kind, group.place)
        for group in report.groups.values()
        if group.place not in quiet and (group.kind, group.place) != ("bytes", "$")
    ]


def test_every_route_answers_the_same_or_what_is_told(moved, capsys):
    arguments = ["gateway", "compare", "django", "guild_routes.routes", "--accepted", str(moved.accepted)]
    call_command(
        *arguments,
        "--no-documents",
        "--header",
        "Authorization: Bearer secret",
        "--ignore",
        "/api/inner*",
        "--ignore",
        "/api/files*",
    )
    assert "0 with others" in capsys.readouterr().out


@pytest.mark.parametrize(
    "path", ["/api/members", "/api/loose", "/api/errors/{number}", "/api/tree", "/api/twice/second"]
)
def test_bodies_that_make_and_return_schemas_are_moved_to_structs(moved, path):
    assert route(moved, path)["grade"] == "moved", route(moved, path)


def test_what_is_made_is_what_the_schema_would_have_made(moved):
    assert "made(Member,\n                # an amount of money" in moved.text
    told = [("value", "$[].joined")]  # its microseconds
    assert answers("/api/members", "/api/members?sort=oldest", "/api/loose", "/api/tree") == told
    assert told == [(one["where"].split()[0], "$[].joined") for one in route(moved, "/api/members")["differences"]]


def test_a_status_that_a_helper_returns_is_the_status(moved):
    ada = Author.objects.get()
    assert answers(f"/api/found/{ada.pk}", "/api/found/9999") == []


def test_errors_have_their_statuses_and_bodies(moved):
    assert answers("/api/errors/400", "/api/errors/403", "/api/errors/404", "/api/errors/1") == []
    assert answers("/api/made/0", "/api/made/1") == []  # what a helper of the project's raises


def test_the_only_status_of_a_schema_is_that_of_the_answer(moved):
    assert answers("/api/accepted", "/api/queued", method="POST") == []
    assert route(moved, "/api/queued")["grade"] == "bridged"


def test_a_default_of_an_enum_is_written_as_its_member(moved):
    assert "sort: Sort = Sort.NEWEST" in moved.text


def test_who_is_anonymous_on_purpose_gets_in_and_nobody_else(moved):
    assert answers("/api/optional") == []
    assert answers("/api/optional", Authorization="Bearer other") == []


def test_an_async_scheme_is_awaited(moved):
    assert answers("/api/late") == []
    assert answers("/api/late", Authorization="Bearer wrong") == []
    assert answers("/api/late", Authorization="Bearer secret") == []


def test_decorators_of_views_stay_around_the_answer(moved):
    assert answers("/api/marked", "/api/closed") == []
    assert "@view_decorators(marked)" in moved.text
    assert "order of decorators" in [one["where"] for one in route(moved, "/api/closed")["differences"]]


@pytest.mark.parametrize("path", ["/api/inner/hidden", "/api/inner/marked"])
def test_a_decorator_of_a_router_keeps_its_operations_with_django_ninja(moved, path):
    hidden = route(moved, path)
    assert hidden["grade"] == "kept"
    assert hidden["decisions"][0]["place"].startswith("tests/migration/ninja/guild.py:")


def test_pages_of_the_projects_own_are_made_by_it(moved):
    assert answers("/api/own-pages", "/api/own-pages?page=2", "/api/own-pages?name=Mill") == []


def test_a_throttle_of_the_projects_own_refuses_as_before(moved):
    from hybrid_gateway.test import TestClient

    client = TestClient(open_side("guild_routes.routes").gateway)
    statuses = [client.get("/api/limited").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert client.get("/api/limited").headers["retry-after"]


def test_two_operations_of_one_name_have_two(moved):
    assert 'name="twice"' in moved.text
    assert 'name="twice_2"' in moved.text


def test_an_api_that_makes_responses_in_its_own_way_goes_on_making_them(moved):
    assert "api=stamped" in moved.text
    assert answers("/stamped/stamped") == []


def test_a_parameter_that_takes_the_rest_of_a_path_keeps_what_goes_on_behind_it(moved):
    kept = route(moved, "/api/files/{name}/lines/{number}")
    assert kept["grade"] == "kept"
    assert "takes the rest" in kept["decisions"][0]["what"]


def test_a_method_that_stays_is_answered_as_before_where_another_one_of_its_path_has_moved(moved):
    assert route(moved, "/api/halves/{number}")["grade"] == "moved"
    assert next(one for one in moved.report["routes"] if one["method"] == "PUT")["grade"] == "kept"
    assert answers("/api/halves/3") == []
    assert answers("/api/halves/3", method="PUT") == []
    assert answers("/api/halves/3", method="PUT", Authorization="Bearer secret") == []


def test_read_only_leaves_what_writes_where_it_was(moved, tmp_path):
    out = tmp_path / "read.py"
    call_command("gateway", "migrate-from", "ninja", "--out", str(out), "--read-only", "--only", "/api/halves")
    assert 'methods=["PUT"]' in out.read_text()
    assert "return ask_django(request)" in out.read_text()
