"""Each fault alone gives exactly its line; a sound project gives none."""

import json
import re

import pytest

from hybrid_gateway.doctor.command_files import find_commands
from hybrid_gateway.doctor.examined_project import Project
from hybrid_gateway.doctor.lane_use import look_at_lanes
from hybrid_gateway.problems import DOCS_URL
from tests.doctor.conftest import OURS, SERVED
from tests.doctor.forked import run_forked


def test_a_sound_project_has_nothing_to_hear(project):
    project.write("Procfile", SERVED)
    done = project.run()
    assert (done.stdout, done.returncode) == ("\nconfig.settings: nothing to mend.\n", 0), done.stderr


def test_verbose_tells_what_is_fine(project):
    project.write("Procfile", SERVED)
    found = project.findings("--verbose")
    assert {entry["severity"] for entry in found} == {"fine"}
    assert {"W004", "W005", "D030", "D040", "D050"} <= {entry["id"] for entry in found}
    assert not any(entry["remedy"] for entry in found)


# --- is it the gateway? ----------------------------------------------------------------------------------------------


def test_line_one_says_that_a_command_serves_django_alone(project):
    project.djangos("asgi")
    project.write("Procfile", "release: python manage.py migrate\nweb: uvicorn config.asgi:application --host 0.0.0.0 "
                  "--forwarded-allow-ips '*'\n")  # fmt: skip
    done = project.run()
    first, second = done.stdout.splitlines()[:2]
    assert re.match(r"broken  W004  Procfile:2 serves config\.asgi:application, which is Django alone", first)
    assert "from hybrid_gateway import get_asgi_application" in second
    assert "application = get_asgi_application()" in second
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("Dockerfile", 'FROM python\nCMD ["gunicorn", "config.wsgi", "--bind=0.0.0.0:80"]\n', "Dockerfile:2"),
        ("compose.yaml", "services:\n  web:\n    command: gunicorn -b :80 config.wsgi:application\n", "compose.yaml:3"),
        ("start.sh", "#!/bin/sh\nset -e\nexec gunicorn config.wsgi -w 3\n", "start.sh:3"),
        ("deploy/start", "#!/bin/bash\nexec poetry run gunicorn \\\n  config.wsgi\n", "deploy/start:2"),
        ("shop.service", "[Service]\nExecStart=/srv/venv/bin/gunicorn config.wsgi\n", "shop.service:2"),
        ("supervisord.conf", "[program:web]\ncommand=gunicorn config.wsgi\n", "supervisord.conf:2"),
        ("uwsgi.ini", "[uwsgi]\nmodule = config.wsgi:application\nhttp = :80\n", "uwsgi.ini:1"),
        ("render.yaml", "services:\n- startCommand: gunicorn config.wsgi -b :$PORT\n", "render.yaml:2"),
        ("fly.toml", '[processes]\napp = "gunicorn config.wsgi -b :8080"\n', "fly.toml:2"),
        ("Procfile.sh", "#!/bin/sh\nsleep 1\ngunicorn config.wsgi\n", "Procfile.sh:3"),
        ("k8s.yaml", "args: [config.wsgi, -b=0.0.0.0]\ncommand: [gunicorn]\n", "k8s.yaml:2"),
        (
            "compose.yml",
            "web:\n  command: |\n    sh -c '\n    ls &&\n    gunicorn -b :80 config.wsgi'\n",
            "compose.yml:3",
        ),
        ("etc/s6/run", "#!/bin/bash\nif x; then\n\texec s6-setuidgid u gunicorn config.wsgi\nfi\n", "etc/s6/run:3"),
        ("Makefile", "serve:\n\tgranian --interface wsgi config.wsgi:application\n", "Makefile:2"),
    ],
)
def test_commands_are_found_wherever_they_stand(project, name, text, place):
    project.djangos("wsgi")
    project.write(name, text)
    project.settings('SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")')
    [finding] = project.findings()
    assert (finding["severity"], finding["id"]) == ("broken", "W005")
    assert finding["message"].startswith(f"{place} serves config.wsgi:application")
    assert finding["page"] == f"{DOCS_URL}problems/W005/"


def test_a_file_that_nobody_serves_is_less_bad(project):
    project.write("Procfile", SERVED)
    project.djangos("wsgi")
    project.settings('WSGI_APPLICATION = "hybrid_gateway.wsgi.application"')
    assert project.lines() == [("advice", "W005")]


def test_startproject_with_the_settings_alone(project):
    project.djangos("asgi")
    project.djangos("wsgi")
    for_each = '{0}_APPLICATION = "hybrid_gateway.{1}.application"'
    project.settings("\n".join(for_each.format(name, name.lower()) for name in ("ASGI", "WSGI")))
    assert project.lines() == [("broken", "W004"), ("broken", "W005")]


@pytest.mark.parametrize(
    "wrapping",
    [
        "from sentry_sdk.integrations.asgi import SentryAsgiMiddleware as Sentry\napplication = Sentry(application)",
        "from channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({'http': application})",
        "inner = application\nasync def application(scope, receive, send):\n    await inner(scope, receive, send)",
        "import functools\napplication = functools.partial(lambda app, *args: app(*args), application)",
    ],
    ids=["sentry", "channels", "function", "partial"],
)
def test_a_wrapped_gateway_is_found(project, wrapping):
    project.write("Procfile", SERVED)
    project.write("config/asgi.py", (project.folder / "config/asgi.py").read_text() + wrapping)
    assert project.lines() == [("advice", "D040")]  # what wraps it must see every request
    project.djangos("asgi")
    project.write("config/asgi.py", (project.folder / "config/asgi.py").read_text() + wrapping)
    assert project.lines()[0] == ("broken", "W004")


def test_commands_that_cannot_work(project):
    project.write("Procfile", "web: uvicorn config.agsi:application --host :: --forwarded-allow-ips '*'\n")
    assert project.lines() == [("broken", "D010")]
    project.write("Procfile", "web: gunicorn config.wsgi:app --forwarded-allow-ips '*'\n")
    assert project.lines() == [("broken", "D010")]
    project.write("Procfile", "web: granian config.asgi:application --host 0.0.0.0\n")
    project.settings('SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")')
    assert project.lines() == [("broken", "D013")]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("python -m hybrid_gateway serve --forwarded-allow-ips '*'", "python -m hybrid_gateway serve"),
        ("python -m hybrid_gateway gateway serve --forwarded-allow-ips '*'", "python -m hybrid_gateway gateway serve"),
        ("poetry run hybrid-gateway serve --forwarded-allow-ips '*'", "hybrid-gateway serve"),
    ],
)
def test_a_command_that_there_is_not_is_told_with_the_one_that_is_meant(project, typed, said):
    project.write("Procfile", f"web: {typed}\n")
    [finding] = project.findings()
    assert (finding["severity"], finding["id"], finding["place"]) == ("broken", "D010", "Procfile:1")
    assert finding["message"] == f"Procfile:1 starts `{said}`, and there is no such command."
    assert "python manage.py gateway serve" in finding["remedy"]
    project.write("Procfile", f"release: python -m hybrid_gateway doctor\n{SERVED}")
    assert project.lines() == []


def test_one_reason_against_the_lane_is_one_line(project):
    served = "uvicorn config.asgi:application --host :: --forwarded-allow-ips '*'"
    project.write("Procfile", f"web: {served}\nother: {served} --workers 2\n")
    project.write("fly.toml", f'[processes]\napp = "{served}"\n')
    [finding] = project.findings()
    assert (finding["severity"], finding["id"], finding["place"]) == ("advice", "D040", "Procfile:1")
    assert finding["message"].startswith("Procfile:1, Procfile:2 and fly.toml:2: the lane is off: the command uvicorn")


def test_a_package_that_is_nowhere_is_told_where_nothing_else_can_be_meant(project):
    for name, text in {
        "Procfile": "web: gunicorn shop_wrong.wsgi --forwarded-allow-ips '*'\n",
        "Dockerfile": "FROM python\nCMD gunicorn -b 0.0.0.0 shop_wrong.wsgi\n",
        "fly.toml": "[processes]\napp = 'uvicorn wrong:app --host :: --forwarded-allow-ips *'\n",
    }.items():
        project.write(name, text)
        [finding] = [entry for entry in project.findings() if entry["severity"] == "broken"]
        assert (
            finding["id"] == "D010"
            and f"there is no {'wrong' if 'toml' in name else 'shop_wrong.wsgi'}." in finding["message"]
        )
        (project.folder / name).unlink()
    project.write("compose.yaml", "services:\n  other:\n    command: gunicorn shop_wrong.wsgi -b :80\n")
    assert project.lines() == []  # an image may have it
    project.write("Procfile", SERVED + "api: cd other && gunicorn shop_wrong.wsgi\n")
    project.write("other/shop_wrong/wsgi.py", "application = object()\n")
    assert ("broken", "D010") not in project.lines()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Procfile", "web: python manage.py runserver 0.0.0.0:$PORT\n", [("risky", "D014")]),
        ("web.service", "[Service]\nExecStart=python manage.py runserver\n", [("risky", "D014")]),
        ("Procfile.dev", "web: python manage.py runserver\n", []),
        ("Procfile", SERVED + "shell: python manage.py runserver\n", []),  # nobody routes to it
        ("compose.yaml", "services:\n  web:\n    command: python manage.py runserver 0.0.0.0:80\n", []),
    ],
)
def test_runserver_as_the_web_process_is_told(project, name, text, expected):
    project.write(name, text)
    assert project.lines() == expected


def test_other_services_are_nobody_s_business(project):
    project.write("other/main.py", "app = object()\n")
    project.write("Procfile", SERVED + "other: uvicorn other.main:app --host 0.0.0.0 --forwarded-allow-ips '*'\n"
                  "flower: celery -A config flower\ninstall: pip install gunicorn uvicorn\n")  # fmt: skip
    assert [line for line in project.lines() if line[1] != "D040"] == []


def test_servers_with_other_settings_are_told(project):
    project.write("config/production.py", "from config.settings import *\nDEBUG = False\n")
    text = (project.folder / "config/wsgi.py").read_text()
    project.write("config/wsgi.py", text.replace("config.settings", "config.production"))
    other, finding = project.findings()
    assert (other["id"], finding["id"], finding["severity"]) == ("D015", "D004", "advice")
    assert "--settings=config.production" in finding["remedy"]
    project.write("config/wsgi.py", text)
    assert "D004" not in {entry["id"] for entry in project.findings("--settings=config.production")}


# --- between servers, proxies and the lane ----------------------------------------------------------------------------


def test_asgi_and_wsgi_name_different_settings(project):
    project.write("Procfile", SERVED)
    project.write("config/production.py", "from config.settings import *\nDEBUG = False\n")
    project.write("config/wsgi.py", OURS.format(protocol="wsgi").replace("config.settings", "config.production"))
    assert ("risky", "D015") in project.lines()
    project.write("config/asgi.py", OURS.format(protocol="asgi").replace("config.settings", "config.production"))
    assert "D015" not in [number for _, number in project.lines()]


def test_a_command_starts_with_debug(project):
    project.write("Procfile", SERVED.replace("python manage.py gateway serve", "uvicorn config.asgi:application"))
    project.settings("DEBUG = True")
    assert ("risky", "D073") in project.lines()
    project.write("config/local.py", "from .settings import *\n")
    project.write("config/asgi.py", OURS.format(protocol="asgi").replace("config.settings", "config.local"))
    assert ("risky", "D073") in project.lines()
    project.settings("DEBUG = True\nif os.environ.get('PRODUCTION'):\n    DEBUG = False")
    assert "D073" not in [number for _, number in project.lines()]
    project.write("Procfile", "web: DJANGO_SETTINGS_MODULE=config.live uvicorn config.asgi:application\n")
    project.settings("DEBUG = True")
    assert "D073" not in [number for _, number in project.lines()]


def test_a_platform_s_router_is_not_believed(project):
    project.write("fly.toml", "[processes]\nweb = 'python manage.py gateway serve --host ::'\n")
    assert project.lines() == [("risky", "D030")]
    project.settings("SECURE_SSL_REDIRECT = True")
    assert project.lines() == [("broken", "D030")]
    project.settings('SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")')
    assert project.lines() == []
    project.write("config/routes.py", 'from hybrid_gateway import get\n@get("/", throttle=["1/minute"])\n'
                  "async def root() -> str:\n    return ''\nroutes = [root]\n")  # fmt: skip
    assert project.lines() == [("risky", "D030")]  # everybody has the router's address


COUNTED = (
    'from hybrid_gateway import get\n@get("/", throttle=["1/minute"])\n'
    'async def root() -> str:\n    return ""\nroutes = [root]\n'
)
WSGI = "[processes]\nweb = 'gunicorn -b :80 config.wsgi"


@pytest.mark.parametrize("how", ["flag", "file", "environment", "file that asks the environment"])
def test_gunicorn_that_believes_the_scheme_is_told_nothing_of_it(project, how):
    project.write("fly.toml", f"{WSGI}'\n")
    assert project.lines() == [("risky", "D030")]
    environment = {}
    if how == "flag":
        project.write("fly.toml", f"{WSGI} --forwarded-allow-ips=*'\n")
    elif how == "file":
        project.write("gunicorn.conf.py", 'forwarded_allow_ips = "*"\n')
    else:
        environment = {"FORWARDED_ALLOW_IPS": "*"}
    if how == "file that asks the environment":
        project.write("gunicorn.conf.py", 'import os\nforwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS")\n')
        assert project.lines() == [("risky", "D030")]
    assert project.lines(**environment) == []
    project.write("config/routes.py", COUNTED)
    [finding] = project.findings(**environment)
    assert (finding["severity"], finding["id"]) == ("advice", "D030")
    assert "believes the scheme" in finding["message"] and "takes no address" in finding["message"]
    assert "--forwarded-allow-ips" not in finding["remedy"] and "LaneWorker" in finding["remedy"]
    worker = "gunicorn -k hybrid_gateway.workers.LaneWorker config.asgi:application --forwarded-allow-ips=* -b :80"
    project.write("fly.toml", f"[processes]\nweb = '{worker}'\n")
    assert project.lines(**environment) == []


def test_a_server_that_listens_to_itself(project):
    project.write("Dockerfile", "FROM python\nCMD python manage.py gateway serve\n")
    assert project.lines() == [("broken", "D033")]
    project.write("Dockerfile", "FROM python\nENV PORT=80\nCMD python manage.py gateway serve\n")
    assert project.lines() == []


def test_headers_of_anybody_are_believed(project):
    project.write("web.service", "[Service]\nExecStart=python manage.py gateway serve --host 0.0.0.0 "
                  "--forwarded-allow-ips='*'\n")  # fmt: skip
    assert project.lines() == [("advice", "D031")]
    project.write("web.service", "[Service]\nExecStart=python manage.py gateway serve --uds /run/web "
                  "--forwarded-allow-ips='*'\n")  # fmt: skip
    assert project.lines() == []


def test_gunicorn_s_file_is_read_and_platforms_are_known(project):
    project.djangos("wsgi")
    project.write("Procfile", "web: gunicorn -c gunicorn.conf.py config.wsgi\n")
    project.write(
        "gunicorn.conf.py",
        "import os\nraise_if_run = 1 / 0\nworkers = int(os.environ.get('WEB_CONCURRENCY', 2)) * 2\n"
        "bind = ['[::]:{}'.format(os.environ.get('PORT', 80))]\n"
        "if os.environ.get('ENVIRONMENT') == 'development':\n    reload = True\n"
        "else:\n    forwarded_allow_ips = '*'\n",
    )
    assert project.lines() == [("broken", "W005")]  # Heroku says whom to believe, and so does the file
    project.write("fly.toml", "[processes]\nweb = 'gunicorn config.wsgi'\n")
    assert project.lines() == [("broken", "W005")]


@pytest.mark.parametrize(
    "command",
    [
        "uvicorn config.asgi:application",
        "gunicorn -k uvicorn_worker.UvicornWorker config.asgi",
        "python manage.py gateway serve --limit-concurrency 9",
    ],
)
def test_the_lane_is_off(project, command):
    project.write("web.service", f"[Service]\nExecStart={command}\n")
    assert project.lines() == [("advice", "D040")]


@pytest.mark.parametrize(
    ("install", "lines"),
    [
        ('RUN pip install "{}==1.0"\n', []),
        ("RUN pip install --no-cache-dir \\\n    {} \\\n    psycopg\n", []),
        ("RUN pip install not-{}\n", [("risky", "D041")]),
        ("RUN pip install -r requirements.txt  && echo {}\n", [("risky", "D041")]),
    ],
)
def test_a_server_that_the_image_installs_is_not_missed(tmp_path, monkeypatch, install, lines):
    monkeypatch.setattr("hybrid_gateway.doctor.lane_use.find_spec", lambda name: None)
    start = 'CMD ["hypercorn", "config.asgi:application"]\n'
    (tmp_path / "Dockerfile").write_text(f"FROM python\n{install.format('hypercorn')}{start}")
    project = Project(root=tmp_path, deploy=False, commands=tuple(find_commands(tmp_path)))
    assert len(project.commands) == 1
    assert [(entry.severity.name.lower(), entry.id) for entry in look_at_lanes(project)] == lines


def test_the_lane_is_on(project):
    project.write("web.service", "[Service]\nExecStart=gunicorn -k hybrid_gateway.workers.LaneWorker config.asgi\n")
    assert project.lines() == []
    project.settings('FORCE_SCRIPT_NAME = "/shop"')
    assert project.lines() == [("advice", "D040")]


# --- what check knows ------------------------------------------------------------------------------------------------


def test_checks_are_folded_in_with_their_ids_and_words(project):
    project.write("config/urls.py", "from django.contrib import admin\nfrom django.urls import path\n"
                  'urlpatterns = [path("admin/", admin.site.urls), path("pages/", admin.site.urls)]\n')  # fmt: skip
    [finding, *others] = project.findings()
    assert finding["id"] == "W003" and "'/pages/'" in finding["remedy"]
    assert {entry["id"] for entry in others} == {"urls.W005"}  # Django's: the admin's namespace is there twice


def test_production_is_judged_as_such(project):
    project.settings("DEBUG = False\nSECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True\n"
                     "SECURE_HSTS_SECONDS = 3600\nSECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True\n"
                     'DATABASES = {}\n')  # fmt: skip
    assert project.lines() == []
    project.settings("DATABASES = {}")
    assert ("broken", "security.W018") in project.lines("--deploy")  # DEBUG
    assert project.lines("--no-deploy") == []
    project.settings("DEBUG = False\nSECRET_KEY = 'x' * 60\nALLOWED_HOSTS = ['*']\nDATABASES = {}")
    found = project.lines()
    assert found[0] == ("broken", "security.W009") and ("advice", "D032") in found


def test_secrets_are_never_shown(project):
    key = "wq8TfdKq2mYr6vZn4bXc9LpJ3hGs7tRe5uWo1iAy0kDzMxNv"
    project.settings(
        f"DEBUG = False\nSECRET_KEY = '{key}'\nDATABASES = {{}}\n"
        "CACHES = {'default': {'BACKEND': 'config.broken.Cache', 'LOCATION': 'x://u:hunter22@h/0'}}"
    )
    project.write(
        "config/broken.py",
        "from django.conf import settings\nclass Cache:\n    def __init__(self, where, p):\n"
        "        raise OSError(f'no {where}, {settings.SECRET_KEY}')\n",
    )
    done = project.run("--verbose")
    assert "D070" in done.stdout and "D060" in done.stdout and "x://u:***@h/0" in done.stdout
    assert key not in done.stdout + done.stderr and "hunter22" not in done.stdout + done.stderr


def test_tokens_with_a_weak_key(project):
    project.settings(
        "DEBUG = False\nSECRET_KEY = 'django-insecure-' + 'x8d7s' * 10\nDATABASES = {}\n"
        "INSTALLED_APPS += ['hybrid_gateway.tokens']"
    )
    project.write(
        "config/routes.py",
        "from hybrid_gateway import get\nfrom hybrid_gateway.auth import IsAuthenticated, JWTAuthentication\n"
        '@get("/", authentication=[JWTAuthentication()], guards=[IsAuthenticated])\n'
        'async def root() -> str:\n    return ""\nroutes = [root]\n',
    )
    assert ("broken", "D071") in project.lines()


def test_settings_are_chosen_behind_the_command(project):
    project.write("config/other.py", "from config.settings import *\ndel HYBRID_GATEWAY\n")
    assert project.lines("--settings=config.other")[0] == ("broken", "D005")


# --- options ---------------------------------------------------------------------------------------------------------


def test_options(project):
    project.djangos("asgi")
    project.djangos("wsgi")
    assert project.lines("--only", "W004") == [("broken", "W004")]
    assert project.lines("--skip", "W004,hybrid_gateway.W005") == []
    project.settings('SILENCED_SYSTEM_CHECKS = ["hybrid_gateway.W005"]')
    assert project.lines() == [("broken", "W004")]
    assert project.run("--fail-level", "nonsense").returncode == 2


def test_the_exit_code_follows_the_level(project):
    project.write("Procfile", SERVED.replace("'*'", "127.0.0.1"))
    assert project.lines() == [("risky", "D030")]
    levels = {level: project.run("--fail-level", level).returncode for level in ("broken", "risky", "advice")}
    assert levels == {"broken": 0, "risky": 1, "advice": 1}


def test_json_has_a_stable_schema(project):
    project.djangos("wsgi")
    document = json.loads(project.run("--json").stdout)
    assert sorted(document) == ["findings", "schema", "settings", "summary"]
    assert document["schema"] == 1 and document["settings"] == "config.settings"
    assert document["summary"] == {"broken": 0, "risky": 1, "advice": 0, "fine": 0}
    assert [sorted(entry) for entry in document["findings"]] == [
        ["id", "message", "page", "place", "remedy", "severity"]
    ]


def test_colours_are_for_terminals(project):
    project.djangos("wsgi")
    assert "\x1b" not in project.run().stdout
    assert "\x1b" in run_forked(project.folder, ["gateway", "--force-color", "doctor"], {}).stdout


# --- broken projects -------------------------------------------------------------------------------------------------


def test_a_broken_urlconf_is_a_line(project):
    project.write("config/urls.py", "import nowhere\n")
    [finding] = [entry for entry in project.findings() if entry["severity"] == "broken"]
    assert finding["id"] == "D003" and "nowhere" in finding["message"] and "config/urls.py:1" in finding["message"]


def test_broken_routes_are_a_line(project):
    project.write("config/routes.py", "import nowhere\n")
    assert project.lines() == [("broken", "E002")]


def test_an_application_that_raises_is_a_line(project):
    project.write("config/wsgi.py", (project.folder / "config/wsgi.py").read_text() + "raise SystemExit('no')\n")
    assert project.lines() == [("broken", "D011")]


def test_a_project_without_a_gateway(project):
    project.settings("del HYBRID_GATEWAY, ASGI_APPLICATION, WSGI_APPLICATION")
    assert project.lines() == [("broken", "D005")]


def test_a_check_that_raises_is_a_line(project):
    project.settings('INSTALLED_APPS += ["config.bad"]')
    project.write("config/bad.py", "from django.core.checks import register\n@register()\n"
                  "def check(app_configs, **kwargs):\n    raise KeyError('oh')\n")  # fmt: skip
    [finding] = project.findings()
    assert (finding["id"], finding["severity"]) == ("D001", "risky") and "config/bad.py:4" in finding["message"]
