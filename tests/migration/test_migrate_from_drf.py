"""An API of REST framework is written anew, and answers what it answered before."""

import datetime
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle

from hybrid_gateway import Gateway
from hybrid_gateway.test import TestClient
from hybrid_gateway.test.transports import ClientResponse
from tests.library.models import Author, Biography, Book, Loan, Publisher, Review

pytest.importorskip("django_filters", reason="The site has filters of django-filter.")
pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.migration.drf_site")]

Serve = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"books": "900/min", "user": "1000/day"}
    monkeypatch.setattr(ScopedRateThrottle, "THROTTLE_RATES", rates)
    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", rates)


@pytest.fixture
def rows() -> User:
    """Rows of every kind, and a superuser who may see them."""
    house = Publisher.objects.create(name="House", country="de")
    for name in ("Penguin", "Quill"):
        Publisher.objects.create(name=name)
    ada, nobody = Author.objects.create(name="Ada"), Author.objects.create(name="Nobody")
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
    book = Book.objects.create(
        title="Ünits", isbn="1", publisher=house, price="9.5", weight=1.5, printed=moment, day=moment.date(),
        hour=moment.time(), lent_for=datetime.timedelta(days=1, seconds=5, microseconds=7),
        cover="covers/one.png", pages=200,
    )  # fmt: skip
    book.authors.set([ada, nobody])
    for number in range(2, 6):
        Book.objects.create(title=f"Book {number}", isbn=str(number), status="sold")
    Review.objects.create(book=book, stars=5, text="well", critic=ada)
    Review.objects.create(book=book, stars=1)
    Biography.objects.create(author=ada, text="a life")
    Loan.objects.create(book=book, days=3)
    root = User.objects.create_superuser("root", password="secret")
    group = Group.objects.create(name="writers")
    Group.objects.create(name="readers")
    root.groups.add(group)
    return root


def moved(folder: Path, *options: str) -> tuple[ModuleType, dict[str, Any]]:
    """Move the site, and import what was written."""
    out, told = folder / "moved_routes.py", folder / "moved.json"
    arguments = ["--out", str(out), "--report", str(told), "--json", "--overwrite", *options]
    call_command("gateway", "migrate-from", "drf", *arguments, verbosity=0)
    spec = importlib.util.spec_from_file_location("moved_routes", out)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["moved_routes"] = module
    spec.loader.exec_module(module)
    return module, json.loads(told.read_text())


def grades(report: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(route["method"], route["path"]): route["grade"] for route in report["routes"]}


SAME = [
    "/api/publishers/",
    "/api/publishers/?page=2",
    "/api/publishers/?page=2&page_size=1",
    "/api/publishers/?search=pen&ordering=-name",
    "/api/publishers/House/",
    "/api/books/",
    "/api/books/?offset=2&limit=1&ordering=-pages",
    "/api/books/?status=sold&title__icontains=3",
    "/api/books/?least=100",
    "/api/books/?publisher__isnull=true&ordering=price",
    "/api/books/{book}/",
    "/api/books/{book}/summary/",
    "/api/books/number/",
    "/api/groups/",
    "/api/groups/{group}/",
    "/api/mine/",
    "/api/mine/{group}/",
    "/api/authors/",
    "/api/authors/{author}/",
    "/biographies",
    "/loans/",
    "/loans/{loan}/",
    "/ping/",
]


@pytest.fixture
def paths(rows: User) -> list[str]:
    keys = {
        "book": Book.objects.get(isbn="1").pk,
        "group": Group.objects.get(name="writers").pk,
        "author": Author.objects.get(name="Ada").pk,
        "loan": Loan.objects.get().pk,
    }
    return [path.format(**keys) for path in SAME]


def test_the_written_routes_answer_the_same_bytes_over_every_driver(
    serve: Serve, rows: User, paths: list[str], tmp_path: Path
) -> None:
    module, _ = moved(tmp_path, "--origin", "http://testserver")
    old = Client()
    old.force_login(rows)
    new = serve(*module.routes, trailing_slash="strict")
    new.force_authenticate(rows)
    for path in paths:
        before, after = old.get(path), new.get(path)
        assert (before.status_code, after.status_code) == (200, 200), path
        assert after.text == before.content.decode(), path


def test_every_route_is_told_with_what_became_of_it(rows: User, tmp_path: Path) -> None:
    _, report = moved(tmp_path)
    found = grades(report)
    for path in ("publishers", "books", "mine"):
        key = "name" if path == "publishers" else "pk"
        assert found["GET", f"/api/{path}/"] == found["GET", f"/api/{path}/{{{key}}}/"] == "moved", path
    for method, path in (("POST", ""), ("PUT", "{name}/"), ("PATCH", "{name}/"), ("DELETE", "{name}/")):
        assert found[method, f"/api/publishers/{path}"] == "moved"
    assert found["GET", "/api/groups/"] == found["GET", "/api/groups/{pk}/"] == "moved"
    assert found["GET", "/api/authors/"] == found["GET", "/api/authors/{pk}/"] == "bridged"
    assert found["GET", "/api/books/{pk}/summary/"] == found["POST", "/ping/"] == "kept"
    assert found["GET", "/loans/"] == found["GET", "/api/"] == "moved"
    told = {(route["method"], route["path"]): route for route in report["routes"]}
    assert told["GET", "/api/groups/"]["needs"] == [
        "tests.migration.drf_site.GroupSerializer.members",
        "tests.migration.drf_site.GroupViewSet",
    ]
    assert told["GET", "/api/publishers/"]["needs"] == []
    [reason] = told["GET", "/api/authors/"]["decisions"]
    assert reason["what"] == "OwnSerializer.to_representation is its own."
    line = int(reason["place"].rpartition(":")[2])
    source = Path(__file__).with_name("drf_site.py").read_text().splitlines()
    assert "def to_representation" in source[line - 1]
    assert re.fullmatch(
        r"tests/migration/drf_site.py:\d+ \(BookViewSet.summary\)", told["GET", "/api/books/{pk}/summary/"]["origin"]
    )
    where = {difference["where"] for difference in told["GET", "/api/books/"]["differences"]}
    assert {"value $.next", "value $.previous", "value $*.url", "value $*.cover"} <= where


@pytest.mark.parametrize("fallthrough", [True, False])
def test_the_written_routes_answer_at_the_paths_that_clients_know(
    rows: User, tmp_path: Path, fallthrough: bool
) -> None:
    module, _ = moved(tmp_path)
    client = TestClient(Gateway(module.routes, fallthrough=fallthrough))
    for path in ("/api/", "/api/publishers/", "/api/publishers/House/", "/biographies"):
        assert isinstance(client.get(path), ClientResponse), path  # and not one of Django's


def test_middleware_that_written_routes_do_not_pass_is_named(rows: User, tmp_path: Path, settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", "tests.migration.test_migrate_from_drf.zoned"]
    _, report = moved(tmp_path)
    told = [difference["what"] for difference in report["general"]]
    assert "none, since LocaleMiddleware is not passed: texts are in the language of the gateway" in told
    assert any("`tests.migration.test_migrate_from_drf.zoned` (tests/migration" in what for what in told)
    settings.MIDDLEWARE = []
    assert "not passed" not in str(moved(tmp_path)[1]["general"])


def zoned(get_response: Callable[..., Any]) -> Callable[..., Any]:
    return get_response


def test_without_an_origin_links_are_paths(rows: User, tmp_path: Path) -> None:
    module, _ = moved(tmp_path)
    client = TestClient(Gateway(module.routes, trailing_slash="ignore"))
    client.force_authenticate(rows)
    page = client.get("/api/books/").json()
    assert page["next"] == "/api/books/?limit=2&offset=2"
    assert page["results"][0]["url"].startswith("/api/books/")


def test_who_may_call_is_who_might_before(serve: Serve, rows: User, paths: list[str], tmp_path: Path) -> None:
    module, _ = moved(tmp_path)
    old, new = Client(), serve(*module.routes, trailing_slash="ignore")
    for path in paths:
        before, after = old.get(path).status_code, new.get(path).status_code
        assert (before < 400) == (after < 400), path
    plain = User.objects.create_user("plain")
    old.force_login(plain)
    new.force_authenticate(plain)
    nobody = Author.objects.get(name="Nobody").pk
    for path in [*paths, f"/api/authors/{nobody}/"]:
        assert old.get(path).status_code == new.get(path).status_code, path


def test_tokens_and_passwords_are_good_as_before(rows: User, tmp_path: Path) -> None:
    from rest_framework.authtoken.models import Token

    module, _ = moved(tmp_path)
    token = Token.objects.create(user=rows)
    client = TestClient(Gateway(module.routes, trailing_slash="ignore"))
    headers = {"Authorization": f"Token {token.key}"}
    assert (
        client.get("/loans/", headers=headers).status_code
        == Client().get("/loans/", headers=headers).status_code
        == 200
    )
    assert client.get("/loans/", headers={"Authorization": "Token wrong"}).status_code == 401


def test_routes_that_write_are_written_where_nothing_of_the_projects_has_a_say(
    serve: Serve, rows: User, tmp_path: Path
) -> None:
    module, report = moved(tmp_path)
    client = serve(*module.routes, trailing_slash="ignore")
    assert client.post("/api/publishers/", json={"name": "New"}).status_code == 401
    client.force_authenticate(rows)
    assert client.post("/api/publishers/", json={"name": "New", "country": None}).status_code == 201
    assert client.patch("/api/publishers/New/", json={"country": "fr"}).json()["country"] == "fr"
    assert client.post("/api/publishers/", json={"name": "x" * 51}).status_code == 422
    assert client.delete("/api/publishers/New/").status_code == 204
    assert client.post("/ping/").json() == {"pong": "POST"}
    kept = next(route for route in report["routes"] if (route["method"], route["path"]) == ("POST", "/ping/"))
    assert kept["grade"] == "kept" and kept["decisions"]


def test_a_kept_route_knows_its_users_as_the_old_view_does(serve: Serve, rows: User, tmp_path: Path) -> None:
    module, _ = moved(tmp_path)
    client = serve(*module.routes, trailing_slash="ignore")
    headers = {"Authorization": "Secret of-a-scheme-that-nobody-here-knows"}
    assert client.post("/ping/", headers=headers).json() == {"pong": "POST"}
    assert client.post("/ping/").json() == {"pong": "POST"}


def test_only_reads_and_only_what_needs_nothing_of_it(rows: User, tmp_path: Path) -> None:
    _, report = moved(tmp_path, "--read-only", "--no-bridges", "--only", "/api/")
    found = grades(report)
    assert set(found.values()) == {"moved", "kept"}
    assert found["PATCH", "/api/publishers/{name}/"] == found["GET", "/api/groups/"] == "kept"
    assert all(path.startswith("/api/") for _, path in found)


def test_files_are_replaced_only_when_told(tmp_path: Path) -> None:
    moved(tmp_path)
    with pytest.raises(CommandError, match="--overwrite"):
        call_command("gateway", "migrate-from", "drf", "--out", str(tmp_path / "moved_routes.py"))
    with pytest.raises(CommandError, match="no routes of Django REST framework below /nothing"):
        call_command("gateway", "migrate-from", "drf", "--only", "/nothing")


def test_the_module_is_as_ruff_would_have_it(tmp_path: Path) -> None:
    moved(tmp_path)
    file = tmp_path / "moved_routes.py"
    (tmp_path / "ruff.toml").write_text(
        '[lint]\nselect = ["E", "F", "I", "W", "UP", "B"]\nisort.known-first-party = ["tests", "hybrid_gateway"]\n'
    )
    for command in (["check"], ["format", "--diff"]):
        found = subprocess.run([sys.executable, "-m", "ruff", *command, str(file)], capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr
