"""`python -m hybrid_gateway init` in projects as people have them."""

import io

import pytest

from hybrid_gateway.scaffold.entry_points import modelled_on
from tests.scaffold.projects import ask, files, init, run, start_project

HELLO = """200 b'{"message":"Hello, World!"}'"""


def test_a_new_project_answers_both_sides_over_asgi_and_wsgi(tmp_path):
    folder = start_project(tmp_path / "site")
    output = init(folder, "--yes")
    assert "no issues" in output and "uvicorn mysite.asgi:application" in output
    for application in ("mysite.asgi:application", "mysite.wsgi:application"):
        hello, admin = ask(folder, application, "/hello", "/admin/")
        assert (hello, admin[:3]) == (HELLO, "302"), application


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("Procfile", "web: gunicorn mysite.wsgi --log-file -\n", "gunicorn mysite.wsgi"),
        (
            "Dockerfile",
            'CMD ["uvicorn", "--port", "8000", "mysite.asgi:application"]\n',
            "uvicorn --port 8000 mysite.asgi:application",
        ),
    ],
)
def test_what_serves_the_project_already_is_named(tmp_path, name, text, command):
    folder = start_project(tmp_path / "site")
    (folder / name).write_text(text)
    assert f"In production: {name} serves it already: {command}\n" in init(folder, "--yes")


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


# --- a missing asgi.py or wsgi.py -------------------------------------------------------------------------------------

START = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.production")\n'
MAKE = "from django.core.wsgi import get_wsgi_application\n"


def split_project(folder, wsgi, *, manage="config.settings"):
    start_project(folder, "config")
    (folder / "config/asgi.py").unlink()
    (folder / "config/production.py").write_text("from config.settings import *\nDEBUG = False\n")
    (folder / "config/local.py").write_text("from config.settings import *\n")
    if wsgi is None:
        (folder / "config/wsgi.py").unlink()
    else:
        (folder / "config/wsgi.py").write_text(wsgi)
    file = folder / "manage.py"
    file.write_text(file.read_text().replace("'config.settings'", f"'{manage}'"))
    return folder


@pytest.mark.parametrize(
    "head",
    [
        START,
        "import os, sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).parent))\n" + START,
        "from dotenv import find_dotenv, load_dotenv\nload_dotenv(find_dotenv())\n" + START,
        "import environ\nenviron.Env.read_env('.env')\n" + START,
        'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "config." + os.environ.get("STAGE", "production")\n',
        "import os\nif os.environ.get('STAGE'):\n    os.environ['DJANGO_SETTINGS_MODULE'] = 'config.local'\n"
        "else:\n    os.environ['DJANGO_SETTINGS_MODULE'] = 'config.production'\n",
        START + "import sentry_sdk\nsentry_sdk.init(dsn='')\n",
    ],
)
def test_one_file_is_as_the_other_is(head):
    wsgi = f'"""WSGI of mod_wsgi: deployment/wsgi/"""\n{head}{MAKE}application = get_wsgi_application()  # WSGI\n'
    assert modelled_on(wsgi.encode(), "asgi").decode() == (
        f'"""ASGI of mod_wsgi: deployment/asgi/"""\n{head}'
        "from hybrid_gateway import get_asgi_application\napplication = get_asgi_application()  # ASGI\n"
    )


def test_a_missing_asgi_is_as_wsgi_is_and_not_as_the_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.local")
    folder = split_project(tmp_path / "site", f"{START}{MAKE}application = get_wsgi_application()\n")
    output = init(folder, "--yes")
    for protocol in ("asgi", "wsgi"):
        assert '"DJANGO_SETTINGS_MODULE", "config.production"' in (folder / f"config/{protocol}.py").read_text()
    assert "this shell has DJANGO_SETTINGS_MODULE=config.local" in output
    assert "uvicorn config.asgi:application" in output


@pytest.mark.parametrize(
    "tail",
    [
        "from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware\napplication = get_wsgi_application()\n"
        "application = SentryWsgiMiddleware(application)\n",
        "from whitenoise import WhiteNoise\napplication = WhiteNoise(get_wsgi_application())\n",
        "from gevent import monkey\nmonkey.patch_all()\napplication = get_wsgi_application()\n",
        "_made = get_wsgi_application()\ndef application(environ, start):\n    return _made(environ, start)\n",
        "application = get_wsgi_application()\nif True:\n    application = print(application)\n",
    ],
)
def test_what_may_be_for_wsgi_alone_is_not_carried_over(tail):
    assert modelled_on((START + MAKE + tail).encode(), "asgi") is None


def test_without_both_manage_py_says_the_settings_and_the_shell_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.local")
    folder = split_project(tmp_path / "site", None, manage="config.production")
    assert "this shell has DJANGO_SETTINGS_MODULE=config.local" in init(folder, "--yes")
    for protocol in ("asgi", "wsgi"):
        assert '"DJANGO_SETTINGS_MODULE", "config.production"' in (folder / f"config/{protocol}.py").read_text()


def test_a_missing_file_that_nothing_tells_of_is_named_with_what_to_write(tmp_path):
    folder = split_project(tmp_path / "site", START + MAKE + "application = print(get_wsgi_application())\n")
    output = init(folder, "--yes")
    assert "config/asgi.py is missing, and not written" in output and "uvicorn hybrid_gateway.asgi" in output
    assert not (folder / "config/asgi.py").exists()
