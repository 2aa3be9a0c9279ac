"""``manage.py runserver`` as a developer meets it: real processes, real ports, a project of a few files."""

import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from django.core.management.commands.runserver import Command as DjangoCommand

from hybrid_gateway import Gateway
from hybrid_gateway.management.commands.runserver import Command, about, next_runserver, reason_for_wsgi
from hybrid_gateway.management.development_server import ASGIServer, Suspects, files_of, log_like_django

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="servers are stopped by process group")

ROOT = Path(__file__).parents[2]
BOOT = 20  # seconds a server may take on a busy machine
STUCK = 20  # seconds a stuck view takes; nothing here waits for one

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "tests-only"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
INSTALLED_APPS = ["hybrid_gateway", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.admin",
                  "django.contrib.messages", "django.contrib.sessions", "django.contrib.staticfiles"]
SILENCED_SYSTEM_CHECKS = ["admin.E403", "admin.E408", "admin.E409", "admin.E410"]
DATABASES = {}
ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"
HYBRID_GATEWAY = {"ROUTES": "routes", "ALLOWED_DJANGO_ROUTES": ("/admin/",), "OPENAPI": {"ENABLED": False}}
"""
ROUTES = """
from hybrid_gateway import get
from views import version

routes = [version]
"""
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""
VIEWS = """
import asyncio, time
from hybrid_gateway import get

@get("/version")
async def version() -> int:
    return 1
"""
STUCK_VIEWS = f"""
@get("/stuck")
def stuck() -> None:
    time.sleep({STUCK})

@get("/stuck-in-executor")
async def stuck_in_executor() -> None:
    await asyncio.to_thread(time.sleep, {STUCK})
"""
APPLICATION = """
import asyncio
from pathlib import Path
from hybrid_gateway import Gateway
from routes import routes
from views import stuck, stuck_in_executor

def note(word):
    with Path(__file__).with_name("lifespan.txt").open("a") as file:
        file.write(word + " ")

async def stop():
    await asyncio.sleep(0.6)
    note("stopped")

application = Gateway([*routes, stuck, stuck_in_executor], on_startup=[lambda: note("started")], on_shutdown=[stop])
"""


class Project:
    """A project in a folder of its own, and the server that runs it."""

    def __init__(self, folder):
        self.folder = folder
        self.output = ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.write(manage=MANAGE, settings=SETTINGS, routes=ROUTES, views=VIEWS, urls=URLS)

    def write(self, **modules):
        for name, source in modules.items():
            (self.folder / f"{name}.py").write_text(source)

    def edit(self, **modules):
        """Write until the reloader notices: it looks once a second, and learns of a module at its next look."""
        tries = itertools.count()

        def noticed():
            if next(tries) % 15 == 0:
                self.write(**modules)
            return "changed, reloading." in (self.folder / "output.txt").read_text()

        self.wait_for(noticed)

    def settings(self, source):
        self.write(settings=SETTINGS + source)

    def command(self, *options):
        return [sys.executable, "manage.py", "runserver", str(self.port), *options]

    @property
    def environment(self):
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    @contextmanager
    def server(self, *options, ready=True):
        log = self.folder / "output.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # As in a terminal: a shell ignores SIGINT for what it starts in the background, tests included.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )
            try:
                if ready:
                    self.wait_for(lambda: self.get("/version")[0] == 200)
                yield process
                if process.poll() is None:
                    stop(process)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                self.output = log.read_text()

    def run(self, *options):
        return subprocess.run(
            self.command(*options), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=BOOT
        )

    def get(self, path, timeout=2):
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as response:
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except (URLError, OSError) as error:
            return None, str(error)

    def version(self):
        status, body = self.get("/version")
        return json.loads(body) if status == 200 else None

    def wait_for(self, condition):
        deadline = time.monotonic() + BOOT
        while not condition():
            assert time.monotonic() < deadline, (self.folder / "output.txt").read_text()
            time.sleep(0.1)


def stop(process):
    """Ctrl-C in a terminal goes to every process in it."""
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(BOOT)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def lifespan(project):
    project.write(views=VIEWS + STUCK_VIEWS, application=APPLICATION)
    project.settings('ASGI_APPLICATION = "application.application"')
    return lambda: (project.folder / "lifespan.txt").read_text().split()


# --- serving -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "told"), [({}, "/admin/ /static/"), ({"fallthrough": True}, "everything else")])
def test_the_banner_says_what_is_djangos(options, told):
    assert dict(about(Gateway([], django_routes=("/admin/",), **options), ""))["Django"] == told


def test_api_admin_and_static_files_on_one_port(project):
    with project.server("--noreload"):
        assert project.version() == 1
        assert project.get("/static/admin/css/base.css")[0] == 200
        assert project.get("/static/missing.css")[0] == 404
        assert project.get("/missing")[0] == 404
    assert "Starting ASGI (uvicorn " in project.output
    assert "Django  /admin/ /static/" in project.output
    assert '"GET /static/admin/css/base.css HTTP/1.1" 200' in project.output


@pytest.mark.parametrize(("debug", "option", "status"), [(True, "--nostatic", 404), (False, "--insecure", 200)])
def test_static_files_follow_debug_and_the_options(project, debug, option, status):
    project.settings(f"DEBUG = {debug}")
    with project.server("--noreload", option):
        assert project.get("/static/admin/css/base.css")[0] == status


def test_static_files_of_an_application_that_is_not_ours(project):
    project.write(
        application="""
async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"2"})
"""
    )
    project.settings('ASGI_APPLICATION = "application.application"')
    with project.server("--noreload"):
        assert project.version() == 2
        assert project.get("/static/admin/css/base.css")[0] == 200


def test_wsgi_on_demand_and_says_so(project):
    with project.server("--noreload", "--wsgi"):
        assert project.version() == 1
        assert project.get("/static/admin/css/base.css")[0] == 200
    assert "Serving over WSGI: --wsgi was given." in project.output
    assert "ASGI (uvicorn" not in project.output


def test_listed_after_staticfiles_it_is_wsgi_and_a_check_says_so(project):
    project.settings('INSTALLED_APPS = [*INSTALLED_APPS[1:], "hybrid_gateway"]')
    with project.server("--noreload"):
        assert project.version() == 1
    assert "hybrid_gateway.W006" in project.output
    assert "ASGI (uvicorn" not in project.output


@pytest.mark.parametrize("options", [(), ("--noreload",)])
def test_a_busy_port_ends_with_status_1(project, options):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", project.port))
        busy.listen()
        result = project.run(*options)
    assert result.returncode == 1
    assert "Error: That port is already in use." in result.stderr


# --- reloading and stopping ----------------------------------------------------------------------------------------


def test_a_reload_ends_the_lifespan_and_waits_for_no_view(project, lifespan):
    with project.server():
        for path in ("/stuck", "/stuck-in-executor"):
            threading.Thread(target=project.get, args=(path, STUCK), daemon=True).start()
        time.sleep(0.5)
        project.edit(views=(VIEWS + STUCK_VIEWS).replace("return 1", "return 2"))
        started = time.monotonic()
        project.wait_for(lambda: project.version() == 2)
        assert time.monotonic() - started < 12
        assert lifespan() == ["started", "stopped", "started"]
    assert "Exception in ASGI application" not in project.output


def test_ctrl_c_ends_the_lifespan_under_the_reloader(project, lifespan):
    with project.server() as process:
        assert stop(process) == 0
        assert lifespan() == ["started", "stopped"]


def test_ctrl_c_ends_the_lifespan_without_the_reloader_and_waits_for_no_view(project, lifespan):
    with project.server("--noreload") as process:
        threading.Thread(target=project.get, args=("/stuck-in-executor", STUCK), daemon=True).start()
        time.sleep(0.5)
        started = time.monotonic()
        assert stop(process) == 0
        assert time.monotonic() - started < 12
        assert lifespan() == ["started", "stopped"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("import missing_module", "No module named 'missing_module'"),
        ("from hybrid_gateway import get\n@get('/', gards=[])\ndef version(): pass", "gards"),
    ],
)
def test_a_broken_module_is_shown_and_its_fix_restarts(project, broken, message):
    project.write(views=broken)
    with project.server(ready=False):
        project.wait_for(lambda: message in (project.folder / "output.txt").read_text())
        assert project.version() is None
        project.edit(views=VIEWS)
        project.wait_for(lambda: project.version() == 1)


def test_a_route_that_cannot_be_built_is_a_page_until_it_is_mended(project):
    project.write(views="from hybrid_gateway import get\n\n\n@get('/<i>{a}')\ndef version() -> int:\n    return 1\n")
    with project.server(ready=False):
        project.wait_for(lambda: project.get("/anything")[0] == 500)
        status, body = project.get("/anything")
        page = body.decode()
        assert status == 500 and "The API cannot be built" in page
        assert "views.py:4" in page and "problems/P011/" in page
        assert "&lt;i&gt;" in page and "<i>" not in page
        output = (project.folder / "output.txt").read_text()
        assert "hybrid_gateway.E003" in output or "hybrid_gateway.E004" in output
        assert "until a file changes, every page says so." in output
        project.edit(views=VIEWS)
        project.wait_for(lambda: project.version() == 1)


@pytest.mark.parametrize(("options", "source"), [(("--noreload",), ""), ((), "DEBUG = False")])
def test_without_the_reloader_or_debug_it_ends_as_djangos(project, options, source):
    project.settings(source)
    project.write(views="from hybrid_gateway import get\n\n\n@get('/{a}')\ndef version() -> int:\n    return 1\n")
    with project.server(*options, ready=False):
        project.wait_for(lambda: "hybrid_gateway.E00" in (project.folder / "output.txt").read_text())
        time.sleep(0.5)
        assert project.get("/anything")[0] is None


# --- parts ---------------------------------------------------------------------------------------------------------


OPTIONS = {"use_wsgi": False, "use_threading": True}


def test_asgi_is_served_when_it_can_be(settings):
    settings.ASGI_APPLICATION = "hybrid_gateway.asgi.application"
    assert reason_for_wsgi(OPTIONS) is None


@pytest.mark.parametrize(
    ("options", "application", "sentence"),
    [
        ({"use_wsgi": True}, "a.b", "--wsgi"),
        ({"use_threading": False}, "a.b", "--nothreading"),
        ({}, None, "ASGI_APPLICATION is not set"),
    ],
)
def test_wsgi_always_has_a_reason(settings, options, application, sentence):
    settings.ASGI_APPLICATION = application
    assert sentence in reason_for_wsgi({**OPTIONS, **options})


def test_without_uvicorn_the_extra_is_named(settings, monkeypatch):
    settings.ASGI_APPLICATION = "hybrid_gateway.asgi.application"
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "hybrid-gateway[server]" in reason_for_wsgi(OPTIONS)


def make_app(folder, name, body):
    commands = folder / name / "management" / "commands"
    commands.mkdir(parents=True)
    for package in (folder / name, commands.parent, commands):
        (package / "__init__.py").touch()
    (commands / "runserver.py").write_text(
        f"from django.core.management.commands.runserver import Command as Base\nclass Command(Base):\n    {body}\n"
    )


def test_the_next_apps_command_is_extended_unless_it_starts_a_server_of_its_own(settings, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    make_app(tmp_path, "own_server", "def inner_run(self, *args, **options): pass")
    make_app(tmp_path, "polite", "pass")
    settings.INSTALLED_APPS = ["polite", "hybrid_gateway", "own_server"]
    assert next_runserver() is DjangoCommand
    settings.INSTALLED_APPS = ["hybrid_gateway", "own_server", "polite"]
    assert next_runserver().__module__.startswith("polite.")


def test_the_command_extends_the_one_of_staticfiles():
    assert Command.__mro__[1].__module__ == "django.contrib.staticfiles.management.commands.runserver"


def test_a_server_takes_any_free_port_and_refuses_a_taken_one():
    server = ASGIServer(("127.0.0.1", 0))
    try:
        assert server.server_port > 0
        with pytest.raises(OSError):
            ASGIServer(("127.0.0.1", server.server_port))
    finally:
        server.socket.close()


@pytest.mark.parametrize(("status", "level"), [(204, "INFO"), (302, "INFO"), (404, "WARNING"), (503, "ERROR")])
def test_access_lines_are_those_of_django_server(status, level, monkeypatch):
    access = logging.getLogger("uvicorn.access")
    for name, untouched in (("handlers", []), ("level", logging.NOTSET), ("propagate", True)):
        monkeypatch.setattr(access, name, untouched)
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("django.server")
    logger.addHandler(handler)
    log_like_django()
    try:
        arguments = ("127.0.0.1:5", "GET", "/a?b=c", "1.1", status)
        access.info('%s - "%s %s HTTP/%s" %d', *arguments)
    finally:
        logger.removeHandler(handler)
    (record,) = records
    assert record.getMessage() == f'"GET /a?b=c HTTP/1.1" {status}'
    assert (record.levelname, record.status_code) == (level, status)


def test_files_of_a_failure_are_watched_whenever_the_reloader_starts(tmp_path):
    module = tmp_path / "broken.py"
    module.write_text("1 / 0")
    try:
        exec(compile(module.read_text(), str(module), "exec"))
    except ZeroDivisionError as error:
        failure = RuntimeError("wrapped")
        failure.__cause__ = error
    assert str(module) in set(files_of(failure))

    from django.utils.autoreload import StatReloader, autoreload_started

    with Suspects() as suspects:
        suspects.add(failure)
        reloader = StatReloader()
        autoreload_started.send(reloader)
        assert module in set(reloader.extra_files)
