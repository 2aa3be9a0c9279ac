"""``manage.py gateway compare``: both sides run, and what differs is told, worst first."""

import json
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django import VERSION
from django.core.cache import cache
from django.core.management import CommandError, call_command

from hybrid_gateway.comparison.model_rows import path_parameters
from tests.comparison.old_urls import urlpatterns
from tests.library.models import Author, Publisher

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def project(settings):
    settings.ROOT_URLCONF = "tests.comparison.old_urls"
    settings.HYBRID_GATEWAY = {"ROUTES": "tests.comparison.new_routes", "OPENAPI": {"ENABLED": False}}
    return settings


@pytest.fixture
def publishers():
    return [Publisher.objects.create(name=name, country=country) for name, country in [("a", "de"), ("b", None)]]


@pytest.fixture
def compare(capsys):
    def run(*arguments, old="django", new="gateway"):
        status = 0
        try:
            call_command("gateway", "compare", old, new, *arguments)
        except SystemExit as error:
            status = error.code
        return status, capsys.readouterr().out

    return run


@pytest.fixture
def record(tmp_path):
    def write(*paths, **headers):
        lines = [json.dumps({"path": path, "headers": headers}) for path in paths]
        file = tmp_path / "requests.jsonl"
        file.write_text("\n".join(lines))
        return "--requests", str(file), "--no-documents"

    return write


def differences(text):
    return {(one["kind"], one["place"]): one for one in json.loads(text)["differences"]}


def test_what_is_the_same_ends_with_status_0(compare, record):
    status, text = compare(*record("/same"), "--ignore=header", "--ignore=bytes")
    assert status == 0
    assert "1 requests of 1 routes: 1 routes the same" in text


def test_what_differs_is_told_worst_first_and_ends_with_status_1(compare, record):
    status, text = compare(*record("/both", "/text", "/lost", "/plain"), "--json")
    assert status == 1
    found = json.loads(text)["differences"]
    assert [(one["kind"], one["place"]) for one in found if one["kind"] != "header"] == [
        ("missing", "$.word"),
        ("type", "$.text"),
        ("length", "$.many[]"),
        ("value", "$.a"),
        ("moved", "$.gone"),
        ("order", "$.turned[]"),
        ("added", "$.more"),
        ("body", "text/plain"),
        ("error", "404"),
        ("bytes", "$"),
    ]
    headers = {one["place"] for one in found if one["kind"] == "header"}
    assert {"x-old", "content-type"} <= headers
    assert "vary" not in headers
    status, text = compare(*record("/both"))
    assert "type $.text string→number\n  1 times, 1 route, such as GET /both\n" in text


def test_what_the_old_side_answers_otherwise_each_time_is_passed_over_and_told(compare, record):
    status, text = compare(*record("/unsteady"), "--ignore=header", "--ignore=bytes")
    assert status == 1
    assert "$.steady" in text
    assert "$.number" not in text
    assert "django answers 1 otherwise each time, which is passed over: GET /unsteady" in text


def test_no_side_answers_what_the_other_has_put_into_a_cache(compare, record):
    cache.set("by", "somebody else")
    status, text = compare(*record("/cached"), "--json")
    assert differences(text)["value", "$.by"]["new"] == '"new"'
    assert cache.get("by") == "somebody else"


def test_an_error_in_the_same_words_differs_in_bytes_alone(compare, record):
    assert set(differences(compare(*record("/told"), "--ignore=header", "--json")[1])) == {("bytes", "$")}


@pytest.mark.parametrize(
    ("path", "model", "column"),
    [
        ("/houses/{publisher_id}", "Publisher", "pk"),
        ("/lives/{graphy_id}", "Biography", "pk"),  # after a prefix of the project's
        ("/authors/{name}", "Author", "name"),
    ],
)
def test_a_parameter_is_a_model_whose_name_ends_so(path, model, column):
    (parameter,) = path_parameters(path)
    assert (parameter.model.__name__, parameter.column) == (model, column)


@pytest.mark.parametrize("setting", [{"FALLTHROUGH": True}, {"ALLOWED_DJANGO_ROUTES": ("/slashed/",)}])
def test_what_the_urlconf_answers_on_the_new_side_is_not_the_same(compare, record, settings, setting):
    settings.HYBRID_GATEWAY = {**settings.HYBRID_GATEWAY, **setting}
    status, text = compare(*record("/slashed/", "/same"), "--ignore=header", "--ignore=bytes", "--json")
    assert status == 1
    assert differences(text)["unrouted", "URLconf"]["routes"] == ["GET /slashed/"]
    assert (json.loads(text)["same"], json.loads(text)["routes"]["GET /same"]) == (1, "same")
    assert compare(*record("/slashed/"), "--ignore=unrouted")[0] == 0
    assert compare(*record("/slashed/"), old="gateway")[0] == 0
    assert "1 of them gateway leaves to the URLconf" in compare(*record("/slashed/"))[1]


def test_generated_requests_follow_the_old_side_to_its_spelling(compare, settings):
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": urlpatterns[1:]})  # without a document of its own
    ignored = ("--ignore=header", "--ignore=bytes")
    status, text = compare(*ignored, "--json", "--no-documents", new="tests.comparison.asgi.slashed")
    assert (status, json.loads(text)["same"], json.loads(text)["routes"]) == (0, 1, {"GET /slashed": "same"})


def test_only_what_nobody_has_is_an_error(compare, record):
    with pytest.raises(CommandError, match="--only /nowhere matches no path of either side"):
        compare("--only=/nowhere")
    with pytest.raises(CommandError, match="nothing was compared"):
        compare(*record("/same"), "--only=/nowhere")


def test_equal_differences_are_one_line(compare, record):
    _, text = compare(*record("/lost", "/lost?a=1", "/lost?a=2"), "--json")
    assert differences(text)["error", "404"]["count"] == 3
    assert differences(text)["error", "404"]["routes"] == ["GET /lost"]


def test_differences_are_ignored_and_accepted(compare, record, tmp_path):
    requests = record("/both", "/plain")
    ignored = [f"--ignore={word}" for word in ("header", "$.text", "length", "value:$.a", "/plain")]
    _, text = compare(*requests, *ignored, "--json")
    assert set(differences(text)) == {
        ("missing", "$.word"), ("moved", "$.gone"), ("order", "$.turned[]"), ("added", "$.more"),
    }  # fmt: skip
    accepted = tmp_path / "accepted"
    assert compare(*requests, "--write-accepted", str(accepted))[0] == 1
    status, text = compare(*requests, "--accepted", str(accepted), "--json")
    assert (status, json.loads(text)["differences"]) == (0, [])
    assert json.loads(text)["routes"] == {"GET /both": "accepted", "GET /plain": "accepted"}
    accepted.write_text('value $.a "GET /other"  # another route\n')
    assert compare(*requests, "--accepted", str(accepted))[0] == 1
    accepted.write_text("value $.a\nvalues $.a\n")
    with pytest.raises(CommandError, match="accepted:2: expected KIND"):
        compare(*requests, "--accepted", str(accepted))


def test_requests_are_made_from_the_document_and_rows(compare, publishers):
    status, text = compare("--json", "--only=/api/*", "--no-documents")
    report = json.loads(text)
    assert status == 1
    assert set(report["routes"]) == {
        "GET /api/publishers", "GET /api/publishers/{publisher_id}", "GET /api/strangers/{word}",
    }  # fmt: skip
    assert report["unreached"] == ["GET /api/strangers/{word}"]
    statuses = differences(text)
    assert (
        statuses["crash", "500→404"]["example"] == "GET /api/publishers/2147483600"
    )  # ninja leaves DoesNotExist to Django


def test_writes_are_asked_for_and_undone_on_both_sides(compare):
    status, text = compare("--writes", "--json", "--ignore=header", "--ignore=bytes", "--only=/api/publishers")
    assert json.loads(text)["routes"]["POST /api/publishers"] == "same", text
    assert not Publisher.objects.exists()


def test_what_reads_write_is_undone_too(compare, record):
    status, _ = compare(*record("/author"), "--ignore=header", "--ignore=bytes")
    assert status == 0
    assert not Author.objects.exists()


@pytest.mark.parametrize("has_mailers", [False, True])
def test_mail_stays_in_memory(compare, record, project, has_mailers):
    smtp = "django.core.mail.backends.smtp.EmailBackend"  # which nothing answers here
    if has_mailers:
        if VERSION < (6, 1):
            pytest.skip("MAILERS is of Django 6.1")
        project.MAILERS = {"default": {"BACKEND": smtp}}
    _, text = compare(*record("/mail"), "--json")
    assert differences(text)["status", "200→404"]["old"] == '{"kept": true}'


def test_writes_of_a_recording_are_left_out_unless_asked_for(compare, tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text('{"method": "POST", "path": "/api/publishers", "query": "name=c"}\n')
    assert json.loads(compare("--requests", str(file), "--json")[1])["requests"] == 0
    assert json.loads(compare("--requests", str(file), "--json", "--writes")[1])["requests"] == 1


def test_a_user_calls_either_side(compare, record, django_user_model):
    django_user_model.objects.create_user("ada")
    requests = record("/me")
    status, text = compare(*requests, "--user=ada", "--ignore=header", "--ignore=bytes")
    assert status == 0, text
    _, text = compare(*requests, "--user=ada", "--json", new="tests.comparison.asgi.nobody")
    assert differences(text)["value", "$.name"]["old"] == '"ada"'
    with pytest.raises(CommandError, match="no user 'bob'"):
        compare(*requests, "--user=bob")


def test_headers_go_to_both_sides_or_to_one(compare, record):
    requests = record("/agent")
    quiet = "--ignore=header", "--ignore=bytes"
    assert compare(*requests, *quiet, "--header", "X-Agent: a")[0] == 0
    assert compare(*requests, *quiet, "--old-header", "X-Agent: a")[0] == 1
    assert compare(*requests, *quiet, "--old-header", "X-Agent: a", "--new-header", "X-Agent: a")[0] == 0
    with pytest.raises(CommandError, match="NAME: VALUE"):
        compare(*requests, "--header", "X-Agent")


def test_requests_are_read_from_a_har_file_and_an_access_log(compare, tmp_path):
    har, log = tmp_path / "a.har", tmp_path / "access.log"
    request = {
        "method": "GET", "url": "https://old.example/agent?x=1",
        "headers": [{"name": "X-Agent", "value": "b"}, {"name": ":authority", "value": "old.example"}],
    }  # fmt: skip
    har.write_text(json.dumps({"log": {"entries": [{"request": request}, {"request": request}]}}))
    log.write_text('::1 - - [01/Jan/2030] "GET /same HTTP/1.1" 200 12\n::1 - - [x] "POST /same HTTP/1.1" 200 12\n')
    _, text = compare(
        "--requests", str(har), "--requests", str(log), "--json", "--no-documents", "--ignore=header", "--ignore=/same"
    )
    assert json.loads(text)["routes"] == {"GET /agent": "different", "GET /same": "same"}
    assert differences(text)["bytes", "$"]["old"] == '{"agent": "b"}'
    log.write_text("nothing\n")
    with pytest.raises(CommandError, match="has no requests"):
        compare("--requests", str(log))


@pytest.mark.parametrize(
    "side",
    [
        "tests.comparison.new_routes.routes",
        "tests.comparison.asgi.django_asgi",
        "tests.comparison.asgi.django_wsgi",
        "tests.comparison.asgi.wsgi",
        "tests.comparison.asgi.gateway",
        "/x/=/",
        "gateway@/x/→/",
    ],
)
def test_every_kind_of_side_answers(compare, record, side):
    prefix = "/x" if "/x/" in side else ""
    old = f"django@{prefix}/=/" if prefix else "django"
    status, text = compare(
        *record(f"{prefix}/same", f"{prefix}/author"), "--ignore=header", "--ignore=bytes", old=old, new=side
    )
    assert (status, "2 routes the same" in text) == (0, True), text


def test_links_below_another_prefix_are_the_same_links(compare, record):
    sides = {"old": "tests.comparison.asgi.links", "new": "tests.comparison.asgi.links@/a/=/b/"}
    assert compare(*record("/a/next"), **sides)[0] == 0
    assert compare(*record("/a/next"), old=sides["old"], new="tests.comparison.asgi.links@/a/=/c/")[0] == 1


def test_a_server_of_this_machine_is_a_side(compare, record):
    class Quiet(WSGIRequestHandler):
        def log_message(self, *arguments):
            pass

    def answer(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"a": [1, {"b": null}]}']

    with make_server("127.0.0.1", 0, answer, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        status, text = compare(*record("/same"), "--ignore=header", new=f"http://127.0.0.1:{server.server_port}")
        thread.join(10)
    assert status == 0, text
    with pytest.raises(CommandError, match="not on this machine"):
        compare(*record("/same"), new="http://example.org")
    with pytest.raises(CommandError, match="connections of its own"):
        compare(*record("/same"), "--writes", new="http://127.0.0.1:1")


@pytest.mark.parametrize(("side", "why"), [("nothing.there", "is no side"), ("tests.comparison.asgi.number", "int")])
def test_what_is_no_side_is_told(compare, side, why):
    with pytest.raises(CommandError, match=why):
        compare(new=side)


def test_an_exception_is_a_500_with_its_name(compare, record):
    _, text = compare(*record("/same"), "--json", new="tests.comparison.asgi.broken")
    assert differences(text)["crash", "200→500"]["detail"] == "ZeroDivisionError"
