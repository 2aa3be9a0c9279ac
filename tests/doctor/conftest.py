"""Projects in folders of their own, with the gateway put in, and the doctor's word on each."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.forked import Done, run_forked

MANAGE = """\
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """\
import os
from pathlib import Path
BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = "Zq3" + "v9Kx7Lw2Rt5Yb8Nc1Md4Pf6Gh0Js-" * 2
DEBUG = not os.environ.get("PRODUCTION")
ALLOWED_HOSTS = ["shop.example.org"]
INSTALLED_APPS = [
    "hybrid_gateway", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
STATIC_URL = "static/"
USE_TZ = True
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
HYBRID_GATEWAY = {"ROUTES": "config.routes", "ALLOWED_DJANGO_ROUTES": ("/admin/",)}
"""
URLS = """\
from django.contrib import admin
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls)]
"""
ROUTES = """\
from hybrid_gateway import get
@get("/hello")
async def hello() -> str:
    return "hello"
routes = [hello]
"""
OURS = """\
import os
from hybrid_gateway.{protocol} import get_{protocol}_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_{protocol}_application()
"""
DJANGOS = OURS.replace("hybrid_gateway", "django.core")
SERVED = "web: python manage.py gateway serve --forwarded-allow-ips '*'\n"


class Project:
    """A project in a folder; sound as it is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("manage.py", MANAGE)
        self.write("config/__init__.py", "")
        self.write("config/settings.py", SETTINGS)
        self.write("config/urls.py", URLS)
        self.write("config/routes.py", ROUTES)
        for protocol in ("asgi", "wsgi"):
            self.write(f"config/{protocol}.py", OURS.format(protocol=protocol))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def settings(self, text: str) -> None:
        """Add lines to the settings."""
        self.write("config/settings.py", SETTINGS + text + "\n")

    def djangos(self, protocol: str) -> None:
        """Put Django's own application back."""
        self.write(f"config/{protocol}.py", DJANGOS.format(protocol=protocol))

    def run(self, *arguments: str, **environment: str) -> Done:
        return run_forked(self.folder, ["gateway", "doctor", *arguments], environment)

    def findings(self, *arguments: str, **environment: str) -> list[dict[str, Any]]:
        """What the doctor finds, the worst first."""
        done = self.run("--json", *arguments, **environment)
        try:
            return json.loads(done.stdout)["findings"]
        except ValueError:
            raise AssertionError(done.stdout + done.stderr) from None

    def lines(self, *arguments: str, **environment: str) -> list[tuple[str, str]]:
        """Severity and id of each."""
        return [(entry["severity"], entry["id"]) for entry in self.findings(*arguments, **environment)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
