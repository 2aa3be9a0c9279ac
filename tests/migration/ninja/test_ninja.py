"""``manage.py gateway migrate-from ninja``: what is written answers as the API did, compared by running both."""

import importlib
import json
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from hybrid_gateway.comparison.comparing import Plan, compare
from hybrid_gateway.comparison.exchanges import ReplayedRequest
from hybrid_gateway.comparison.sides import open_side
from tests.library.models import Author, Biography, Publisher

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:Returning tuple")]


@pytest.fixture(autouse=True)
def project(settings):
    settings.ROOT_URLCONF = "tests.migration.ninja.urls"
    settings.HYBRID_GATEWAY = {"OPENAPI": {"ENABLED": False}}
    return settings


@pytest.fixture
def rows():
    ada = Author.objects.create(name="Ada é")
    bob = Author.objects.create(name="Bob", mentor=ada, born="1990-01-31")
    Biography.objects.create(author=bob, text="long")
    Publisher.objects.create(name="House")
    return ada, bob


@pytest.fixture
def moved(tmp_path, monkeypatch, settings):
    """The module that is written, imported, with its report and the differences that it tells."""
    out, accepted = tmp_path / "moved_routes.py", tmp_path / "accepted"
    call_command("gateway", "migrate-from", "ninja", "--out", str(out), "--json", "--accepted", str(accepted))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "moved_routes", raising=False)
    importlib.invalidate_caches()
    module = importlib.import_module("moved_routes")
    module.report = json.loads(out.with_suffix(".json").read_text())
    module.text, module.accepted, module.file = out.read_text(), accepted, out
    yield module
    sys.modules.pop("moved_routes", None)


def route(module, path, method="GET"):
    return next(one for one in module.report["routes"] if (one["method"], one["path"]) == (method, path))


def answers(*requests, **options):
    report = compare(
        open_side("django"), open_side("moved_routes.routes"), Plan(recorded=requests, documents=False, **options)
    )
    return [
        (group.kind, group.place, group.detail)
        for group in report.groups.values()
        if group.place not in ("vary", "cache-control")
    ]


QUIET = [("bytes", "$", "spaces, escapes or digits"), ("header", "content-type", "another value")]


def get(path, query="", **headers):
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return ReplayedRequest("GET", f"/api{path}", query, pairs)


def test_routes_answer_the_same_or_what_is_told(moved, rows, capsys):
    arguments = ["gateway", "compare", "django", "moved_routes.routes", "--accepted", str(moved.accepted)]
    call_command(*arguments, "--no-documents", "--header", "Authorization: Bearer secret")
    assert "0 with others" in capsys.readouterr().out


@pytest.mark.parametrize(
    "path", ["/authors", "/biographies", "/pages", "/me", "/header", "/slow", "/users/x", "/authors/1", "/numbered"]
)
def test_what_is_written_with_structs_needs_nothing_of_ninja(moved, path):
    shown = {"/users/x": "/users/{name}", "/authors/1": "/authors/{author_id}"}.get(path, path)
    expected = "bridged" if path == "/numbered" else "moved"
    assert route(moved, f"/api{shown}")["grade"] == expected, route(moved, f"/api{shown}")


def test_a_schema_of_a_model_is_a_model_struct(moved):
    assert "class AuthorOut(ModelStruct, model=Author):" in moved.text
    assert "    mentor: int | None" in moved.text
    assert '    writer: Annotated[str, Column("author__name")]' in moved.text


def test_bodies_are_moved_as_they_are(moved):
    assert 'rows = Author.objects.order_by("id")  # the rows of everybody' in moved.text
    assert "Publisher.objects.create(**asdict(data))" in moved.text
    assert 'raise HTTPException(418, "short and stout")' in moved.text
    assert "def shout(text):" in moved.text  # what the module of the API defines is moved as well
    assert 'WORDS = {"one": 1}' in moved.text


def test_what_the_api_handles_itself_stays_its_own(moved):
    assert "exception_handlers={Exception: ninja_errors(api)}" in moved.text


def test_bytes_of_what_stays_a_schema_are_the_same(moved, rows):
    assert answers(get("/loud"), get("/numbered", "page=2")) == []


def test_what_no_schema_describes_is_written_by_djangos_encoder(moved):
    assert answers(get("/text")) == [("header", "content-type", "another value")]


def test_bytes_of_structs_differ_as_told(moved, rows):
    found = answers(
        get("/authors"), get("/authors", "name=Bob"), get("/biographies"), get("/pages", "limit=1&offset=1")
    )
    assert sorted(found) == QUIET


def test_statuses_and_errors_are_the_same(moved, rows):
    assert answers(get("/gone"), get("/secret"), get("/lost")) == []
    assert answers(get("/teapot")) == [("error", "418", "")]
    found = answers(get("/authors/999"))  # django-ninja has deprecated tuples, which warn: an error in tests
    assert [(kind, place) for kind, place, _ in found] in ([("crash", "500→404")], [one[:2] for one in QUIET[::-1]])


def test_a_faulty_parameter_is_told_in_other_words(moved, rows):
    assert answers(get("/header", "p=0")) == [("error", "422", "")]


def test_writes_do_the_same(moved, rows):
    json_type = (("Content-Type", "application/json"),)
    form_type = (("Content-Type", "application/x-www-form-urlencoded"),)
    publisher = Publisher.objects.get().pk
    writes = [
        ReplayedRequest("POST", "/api/publishers", headers=json_type, body=b'{"name": "New"}'),
        ReplayedRequest("PUT", f"/api/publishers/{publisher}", headers=json_type, body=b'{"name": "Other"}'),
        ReplayedRequest("PUT", f"/api/publishers/{publisher}", headers=json_type, body=b'{"name": " "}'),
        ReplayedRequest("DELETE", f"/api/publishers/{publisher}"),
        ReplayedRequest("PATCH", "/api/touch"),
        ReplayedRequest("POST", "/api/touch"),
        ReplayedRequest("POST", "/api/form", headers=form_type, body=b"name=x"),
    ]
    found = [one for one in answers(*writes, writes=True) if one not in QUIET]
    assert found in ([("error", "422", "")], [("error", "422", ""), ("header", "content-type", "missing")]), found


def test_files_come_from_djangos_request(moved, rows):
    multipart = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes\r\n--x--\r\n'
    request = ReplayedRequest(
        "POST", "/api/upload", "", (("Content-Type", "multipart/form-data; boundary=x"),), multipart
    )
    assert [one for one in answers(request, writes=True) if one not in QUIET] == []


def test_what_cannot_be_moved_is_a_decision_with_its_line(moved):
    kept = route(moved, "/api/both", "POST")
    assert kept["grade"] == "kept"
    (decision,) = kept["decisions"]
    assert "files beside a form" in decision["what"]
    assert decision["place"].startswith("tests/migration/ninja/shop.py:")


def test_names_and_tags_stay(moved):
    assert 'name="add_publisher"' in moved.text
    assert 'tags=["authors"]' in moved.text
    assert 'name="shop"' in moved.text


def test_the_module_is_clean(moved):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", str(moved.file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_without_bridges_what_needs_django_ninja_stays(tmp_path):
    out = tmp_path / "plain.py"
    call_command(
        "gateway", "migrate-from", "ninja", "--out", str(out), "--no-bridges", "--read-only", "--only", "/api/a"
    )
    assert "ninja_response" not in out.read_text()
    assert "def list_authors" in out.read_text()
    assert "def loud" not in out.read_text()


def test_files_are_not_replaced_unasked(moved):
    with pytest.raises(CommandError, match="--overwrite"):
        call_command("gateway", "migrate-from", "ninja", "--out", str(moved.file))


def test_a_project_without_such_routes_is_told(settings):
    settings.ROOT_URLCONF = "tests.urls"
    with pytest.raises(CommandError, match="no routes"):
        call_command("gateway", "migrate-from", "ninja")


def test_a_throttle_of_the_projects_own_counts_on_beside_the_others(moved):
    assert 'throttle=[Throttle("7/minute", by="address")]' in moved.text
    assert 'guards=[NinjaThrottle(OwnThrottle(rate="5/m"))]' in moved.text
    assert "a throttle that counts in its own way" in json.dumps(route(moved, "/api/watched"))
