"""`python -m hybrid_gateway init` in projects as people have them."""

import io

import pytest

from tests.scaffold.projects import ask, files, init, run, start_project

HELLO = """200 b'{"message":"Hello, World!"}'"""


def test_a_new_project_answers_both_sides_over_asgi_and_wsgi(tmp_path):
    folder = start_project(tmp_path / "site")
    output = init(folder, "--yes")
    assert "no issues" in output and "uvicorn mysite.asgi:application" in output
    for application in ("mysite.asgi:application", "mysite.wsgi:application"):
        hello, admin = ask(folder, application, "/hello", "/admin/")
        assert (hello, admin[:3]) == (HELLO, "302"), application


def test_a_second_run_has_nothing_to_do_and_undo_puts_every_byte_back(tmp_path):
    folder = start_project(tmp_path / "site")
    settings, routes = folder / "mysite/settings.py", folder / "mysite/routes.py"
    settings.write_bytes(settings.read_bytes().replace(b"\n", b"\r\n"))
    before = files(folder)
    init(folder, "--yes")
    assert b"\r\n    'hybrid_gateway',\r\n" in settings.read_bytes()
    assert b"\n" not in settings.read_bytes().replace(b"\r\n", b"")
    after = files(folder)
    assert "Nothing to do" in init(folder, "--yes")
    assert files(folder) == after
    routes.write_text(routes.read_text() + "# mine\n")
    changed = files(folder)
    assert "mysite/routes.py" in init(folder, "--undo", "--yes", code=1)
    assert files(folder) == changed
    init(folder, "--undo", "--yes", "--force")
    assert files(folder) == before


def test_nothing_is_changed_without_a_yes_or_in_a_dry_run(tmp_path, monkeypatch):
    folder = start_project(tmp_path / "site")
    before = files(folder)
    assert "+ASGI_APPLICATION = 'mysite.asgi.application'" in init(folder, "--dry-run")
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert "Nothing was changed" in init(folder, code=1)
    assert files(folder) == before


def test_a_project_that_does_not_load_is_left_alone_and_told_why(tmp_path):
    folder = start_project(tmp_path / "site")
    settings = folder / "mysite/settings.py"
    settings.write_text(settings.read_text() + "import os\nSECRET = os.environ['NOT_THERE']\n")
    before = files(folder)
    assert "KeyError: 'NOT_THERE'" in init(folder, "--yes", code=1)
    assert files(folder) == before


def test_a_folder_without_a_project_is_told(tmp_path):
    assert "No Django project" in init(tmp_path, "--yes", code=1)


def test_without_libcst_the_command_says_what_brings_it(tmp_path):
    script = (
        "import sys\nsys.modules['libcst'] = None\nfrom hybrid_gateway.__main__ import main\nsys.exit(main(['init']))"
    )
    done = run(tmp_path, "-c", script)
    assert done.returncode == 1
    assert 'pip install "hybrid-gateway[init]"' in done.stderr


@pytest.mark.parametrize("urls", ["path('<slug:page>/', index)", "re_path(r'^(?P<page>.*)$', index)"])
def test_pages_without_a_fixed_beginning_stay_djangos(tmp_path, urls):
    folder = start_project(tmp_path / "site")
    (folder / "mysite/urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import path, re_path\n"
        f"def index(request, page):\n    return HttpResponse('old ' + page)\nurlpatterns = [{urls}]\n"
    )
    init(folder, "--yes")
    settings = (folder / "mysite/settings.py").read_text()
    assert "'FALLTHROUGH': True" in settings
    path = (folder / "mysite/routes.py").read_text().partition('@get("')[2].partition('"')[0]
    hello, old = ask(folder, "mysite.asgi:application", path, "/hello/")
    assert (hello, old[:11]) == (HELLO, "200 b'old h")
