"""A small project for one package: settings, users, tables, and the rows that are tried in it.

A row is a function that gets a :class:`Site` and returns routes and a question. The question gets a client and answers
whether the package does its work for these routes. It is asked over ASGI and WSGI, of the routes as they are and with
the option that the page names.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.packages.servers import SERVERS, ask_at_once

ROWS: dict[str, Row] = {}

Options = dict[str, Any]
Question = Callable[[Any], bool]
Build = Callable[["Site"], tuple[Sequence[Any], Question]]

SESSIONS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


class Row(NamedTuple):
    """``apps`` and ``settings`` are the package's; ``options`` make what the page says that the gateway is to be given.

    ``base`` makes what it is given in any case, and ``needs`` is a service that has to run. ``at_once``: clients of a
    real server ask, too, several at once.
    """

    name: str
    build: Build
    apps: Sequence[str] = ()
    settings: Callable[[], dict[str, Any]] = dict
    options: Sequence[Callable[[], Options]] = ()
    base: Callable[[], Options] = dict
    needs: str = ""
    at_once: bool = False


def row(name: str, **given: Any) -> Callable[[Build], Build]:
    """Register a row under the package's name."""

    def register(build: Build) -> Build:
        ROWS[name] = Row(name, build, **given)
        return build

    return register


def configure(row: Row) -> None:
    """Make this process a project with the package, once and for good."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    from tests import settings as base

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # which django-maintenance-mode reads
    ours = {name: getattr(base, name) for name in dir(base) if name.isupper()}
    ours["INSTALLED_APPS"] = [
        *row.apps,
        *(app for app in base.INSTALLED_APPS if app not in ("rest_framework.authtoken", "tests.library")),
        "tests.packages",
    ]
    ours |= {"ROOT_URLCONF": "tests.packages.urls", "SITE_ID": 1, "LOGGING_CONFIG": None, "ALLOWED_HOSTS": ["*"]}
    wanted = row.settings()
    middleware = wanted.pop("MIDDLEWARE", ())
    ours["DATABASES"] = {"default": database(row, wanted.pop("ENGINE", "django.db.backends.sqlite3"))}
    migrate = wanted.pop("MIGRATE", "migrate")
    settings.configure(**ours | wanted | {"MIDDLEWARE": [*base.MIDDLEWARE, *middleware]})
    django.setup()
    call_command(migrate, verbosity=0, run_syncdb=True)


def database(row: Row, engine: str) -> dict[str, Any]:
    """PostgreSQL for those that need it; else SQLite, in memory or in a file that several threads can open."""
    if row.needs == "postgresql":
        return {"ENGINE": engine, "NAME": own_database(), "USER": "postgres", "HOST": "127.0.0.1"}
    if not row.at_once:
        return {"ENGINE": engine, "NAME": ":memory:"}
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}
    return {"ENGINE": engine, "NAME": f"{folder}/site.sqlite3", "OPTIONS": options}


def own_database() -> str:
    """A database of this process."""
    import psycopg

    name = f"packages_{os.getpid()}"

    def say(*commands: str) -> None:
        with psycopg.connect("host=127.0.0.1 user=postgres dbname=postgres", autocommit=True) as connection:
            for command in commands:
                connection.execute(command)

    say(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    atexit.register(say, f"DROP DATABASE {name} WITH (FORCE)")
    return name


class Site:
    """What rows make their projects of."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """One that nobody has had."""
        return next(self._numbers)

    def person(self, **fields: Any) -> Any:
        """A new user, whose password is "right"."""
        from django.contrib.auth import get_user_model

        return get_user_model().objects.create_user(f"user{self.number()}", password="right", **fields)

    def token(self, user: Any) -> dict[str, str]:
        """Headers that authenticate ``user``."""
        from hybrid_gateway.tokens.models import Token

        return {"Authorization": f"Bearer {Token.objects.issue(user)[1]}"}

    def make(self, *models: Any) -> None:
        """The tables of models that a row defines."""
        from django.apps import apps
        from django.contrib.contenttypes.management import create_contenttypes
        from django.db import connection

        with connection.schema_editor() as editor:
            for model in models:
                editor.create_model(model)
        create_contenttypes(apps.get_app_config("packages"), verbosity=0)

    def urls(self, *patterns: Any) -> None:
        """What Django answers."""
        from django.urls import clear_url_caches

        from tests.packages import urls

        urls.urlpatterns[:] = patterns
        clear_url_caches()


class Outcome(NamedTuple):
    """What was asked, whether the answer was yes, and what was raised instead of one."""

    place: str
    answer: bool
    raised: str = ""


def outcomes(row: Row) -> Iterator[Outcome]:
    """The row's question, bare and with each option over each protocol, in the project that :func:`configure` made."""
    from hybrid_gateway import Gateway
    from hybrid_gateway.auth import TokenAuthentication
    from hybrid_gateway.test import TestClient

    site = Site()
    routes, ask = row.build(site)
    always: Options = {"django_routes": ("/django/", "/admin/", "/static/")}
    always |= {"authentication": [TokenAuthentication()]} | row.base()
    for place, options in (("bare", {}), *((f"option {n}", make()) for n, make in enumerate(row.options, 1))):
        for protocol in ("asgi", "wsgi"):
            try:
                gateway = Gateway(list(routes), **always | options)
                client = TestClient(gateway, protocol=protocol, raise_request_exception=False)
                yield Outcome(f"{place}, {protocol}", bool(ask(client)))
            except Exception:
                yield Outcome(f"{place}, {protocol}", False, traceback.format_exc())
        gateway = Gateway(list(routes), **always | options)
        yield _checked(row.name, place, gateway)
        for server in SERVERS if row.at_once and place != "bare" else ():
            try:
                yield Outcome(f"{place}, {server}, at once", ask_at_once(gateway, server, ask))
            except Exception:
                yield Outcome(f"{place}, {server}, at once", False, traceback.format_exc())


def _checked(name: str, place: str, gateway: Any) -> Outcome:
    """Whether the checks name the package where its option is not there, and only there."""
    from django.conf import settings
    from django.test import override_settings
    from django.utils.module_loading import import_string

    from hybrid_gateway.checks.logins import closed_doors
    from hybrid_gateway.checks.missed_middleware import missed_middleware
    from hybrid_gateway.checks.packages import PACKAGES

    package = PACKAGES[name]
    for path in package.middleware:
        import_string(path)
    with override_settings(MIDDLEWARE=list(dict.fromkeys([*settings.MIDDLEWARE, *package.middleware]))):
        messages = [*missed_middleware(gateway.endpoints), *closed_doors(gateway.endpoints)]
    told = [message.msg for message in messages if name in message.msg]
    return Outcome(
        f"check, {place}",
        bool(told) == (bool(package.remedy) and (place == "bare" or package.verdict == "no")),
        "; ".join(told),
    )


def verdict(results: Iterable[Outcome]) -> str:
    """What the answers come to."""
    asked = [result for result in results if not result.place.startswith("check")]
    if all(result.answer for result in asked if not result.place.startswith("option")):
        return "works"
    options = [result.answer for result in asked if result.place.startswith("option")]
    return "with" if options and all(options) else "no"
