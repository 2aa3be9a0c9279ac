"""Routes whose rows, filters and fields are of the project's own code: they move, and answer what they answered."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from hybrid_gateway import Gateway
from hybrid_gateway.comparison.accepted_differences import read_accepted
from hybrid_gateway.comparison.comparing import Plan, compare
from hybrid_gateway.comparison.exchanges import ReplayedRequest
from hybrid_gateway.comparison.side_documents import side_document
from hybrid_gateway.comparison.sides import django_side, gateway_side
from hybrid_gateway.test import TestClient
from tests.library.models import Author, Book, Loan, Publisher, Review
from tests.migration.test_migrate_from_drf import Serve, grades, moved

pytest.importorskip("django_filters", reason="The site has filters of django-filter.")
pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.migration.drf_own_code")]

SAME = [
    "/books/",
    "/books/?limit=1&offset=1",
    "/books/{book}/",
    "/books/Ada's book/",
    "/guarded/",
    "/filtered/",
    "/filtered/?word=book",
    "/filtered/?word=book&ordering=pages&limit=2",
    "/filtered/?pages_range_min=2&pages=3",
    "/filtered/?status=sold",
    "/filtered/{book}/",
    "/ordered/?newest=1&ordering=pages",
    "/ordered/?ordering=-pages",
    "/ordered/{book}/?newest=1",
    "/cached/",
    "/shelf/{book}/loans/",
    "/secret/",
]
MOVED = {"books", "guarded", "filtered", "ordered", "cached", "authors"}


@pytest.fixture
def staff() -> User:
    ada, house = Author.objects.create(name="Ada"), Publisher.objects.create(name="House")
    for number, title in enumerate(["Ada's book", "Book two", "Third", "The book"], 1):
        Book.objects.create(title=title, isbn=str(number), pages=number, price="9.50", words=["a", "b"])
    book = Book.objects.get(isbn="1")
    Book.objects.filter(isbn="2").update(publisher=house)
    Review.objects.create(book=book, stars=5, critic=ada)
    Review.objects.create(book=book, stars=1)
    Loan.objects.create(book=book, days=3)
    User.objects.create_user("plain")
    return User.objects.create_user("staff", is_staff=True)


def paths() -> list[str]:
    return [path.format(book=Book.objects.get(isbn="1").pk) for path in SAME]


def test_they_answer_the_same_bytes_over_every_driver(serve: Serve, staff: User, tmp_path: Path) -> None:
    module, _ = moved(tmp_path, "--origin", "http://testserver")
    old, new = Client(), serve(*module.routes, trailing_slash="strict")
    old.force_login(staff)
    new.force_authenticate(staff)
    for path in paths():
        before, after = old.get(path), new.get(path)
        assert (before.status_code, after.status_code) == (200, 200), path
        assert after.text == before.content.decode(), path


def test_what_is_refused_stays_refused(staff: User, tmp_path: Path) -> None:
    module, report = moved(tmp_path, "--origin", "http://testserver")
    found = grades(report)
    for name in ("decorated", "dispatched", "permitting"):
        assert found["GET", f"/{name}/"] == found["GET", f"/{name}/{{pk}}/"] == "kept"
    assert found["GET", "/secret/"] == found["GET", "/choosing/"] == "bridged"  # whose fields depend on who asks
    others = [path.format(book=key) for key in Book.objects.values_list("pk", flat=True) for path in SAME]
    others += [
        "/books/nothing/",
        "/books/999/",
        "/decorated/",
        "/dispatched/",
        "/permitting/",
        "/choosing/",
        *(f"/decorated/{key}/" for key in (1,)),
    ]
    others += [f"/guarded/{key}/" for key in Book.objects.values_list("pk", flat=True)]
    for user in (None, User.objects.get(username="plain"), staff):
        old, new = django_side(), gateway_side("new", Gateway(module.routes, trailing_slash="ignore"))
        if user is not None:
            old.login(user)
            new.login(user)
        for path in others:
            before, after = (side.send(ReplayedRequest("GET", *path.partition("?")[::2])) for side in (old, new))
            assert before.status == after.status or (before.status, after.status) == (403, 401), (user, path)
            if before.status == 200:
                assert before.body == after.body, (user, path)


def test_the_report_names_the_code_that_is_asked(staff: User, tmp_path: Path) -> None:
    _, report = moved(tmp_path)
    told = {(route["method"], route["path"]): route for route in report["routes"]}
    for name in MOVED:
        assert told["GET", f"/{name}/"]["grade"] == told["GET", f"/{name}/{{pk}}/"]["grade"] == "moved", name
    assert told["GET", "/shelf/{book:int}/loans/"]["grade"] == "moved"
    needs = told["GET", "/books/"]["needs"]
    prefix = "tests.migration.drf_own_code"
    assert {f"{prefix}.BookRow.{name}" for name in ("shout", "caller", "neighbours", "reviews", "readers")} <= {*needs}
    assert f"{prefix}.BookRow.title" not in needs and f"{prefix}.BookViewSet" in needs
    assert f"{prefix}.FilteredViewSet" in told["GET", "/filtered/"]["needs"]
    assert told["GET", "/cached/"]["needs"] == []
    for method, path in (("PUT", "/books/{pk}/"), ("POST", "/books/"), ("DELETE", "/books/{pk}/")):
        assert told[method, path]["grade"] == "kept"  # the rows that may be written are for the view to say
    ties = {name: "order $.results[]" in str(told["GET", f"/{name}/"]["differences"]) for name in ("books", "filtered")}
    assert ties == {"books": False, "filtered": True}  # whose rows nobody knows the order of
    without = grades(moved(tmp_path, "--no-bridges")[1])
    assert without["GET", "/books/"] == without["GET", "/filtered/"] == without["GET", "/guarded/{pk}/"] == "kept"
    assert without["GET", "/guarded/"] == without["GET", "/cached/"] == "moved"


def test_caches_are_told_what_cache_page_told_them(staff: User, tmp_path: Path) -> None:
    module, _ = moved(tmp_path)
    answer = TestClient(Gateway(module.routes)).get("/cached/")
    assert answer.headers["Cache-Control"] == Client().get("/cached/")["Cache-Control"] == "max-age=60"


def test_parameters_of_filters_that_are_asked_are_documented(staff: User, tmp_path: Path) -> None:
    module, _ = moved(tmp_path)
    document = side_document(gateway_side("new", Gateway(module.routes)))
    assert document is not None
    names = {entry["name"] for entry in document["paths"]["/filtered/"]["get"]["parameters"]}
    assert {"word", "status", "isbn__in", "pages_range", "ordering", "limit"} <= names
    assert "newest" in {entry["name"] for entry in document["paths"]["/ordered/"]["get"]["parameters"]}


def test_compare_finds_nothing_that_the_report_has_not_told(staff: User, tmp_path: Path) -> None:
    arguments: list[Any] = ["--out", tmp_path / "listed.py", "--accepted", tmp_path / "accepted", "--overwrite"]
    module, _ = moved(tmp_path, "--origin", "http://testserver")
    call_command("gateway", "migrate-from", "drf", *map(str, arguments), "--origin", "http://testserver", verbosity=0)
    accepted = read_accepted(tmp_path / "accepted")
    assert not any(pattern.kind == "status" and pattern.place == "*" for pattern in accepted)
    for user in (None, "plain", "staff"):
        new = gateway_side("new", Gateway(module.routes))
        report = compare(django_side(), new, Plan(user=user, documents=False, accepted=accepted))
        assert report.groups == {} and report.requests > 25
