"""A project whose middleware chooses whose rows are seen, and routes that do not pass it: an error at start-up."""

import sys
import threading
from contextvars import ContextVar

import pytest
from django.db import connection
from django.test import override_settings
from django.utils.deprecation import MiddlewareMixin

import hybrid_gateway
from hybrid_gateway import ConfigurationError, Gateway, get, listener
from hybrid_gateway.checks.tenants import missed_tenants, websockets_without_tenants
from hybrid_gateway.gateway.settings_gateway import default_gateway

HERE = "tests.checks.test_tenant_checks"
local = threading.local()
chosen = ContextVar("chosen")


@get("/items")
def items() -> int:
    return 1


@get("/other")
async def other() -> int:
    return 1


class Sets(MiddlewareMixin):
    def process_request(self, request):
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = %s", [request.get_host()])


class Below(Sets):
    pass


class Configures:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        def tell(cursor):
            cursor.execute("select set_config('app.tenant', %s, false)", [request.user.pk])

        with connection.cursor() as cursor:
            tell(cursor)
        return self.get_response(request)


def role(get_response):
    def middleware(request):
        connection.cursor().execute("SET ROLE reader")
        return get_response(request)

    return middleware


class Chooses(MiddlewareMixin):
    def process_request(self, request):
        connection.set_tenant(request.tenant)


def note(alias):
    local.alias = alias


class Notes(MiddlewareMixin):
    def process_request(self, request):
        note("acme")


class NotesInContext(MiddlewareMixin):
    async def __acall__(self, request):
        chosen.set("acme")


class Router:
    def db_for_read(self, model, **hints):
        return getattr(local, "alias", None)


class ContextRouter:
    def db_for_write(self, model, **hints):
        return chosen.get(None)


class MigrationRouter:
    def allow_migrate(self, db, app_label, **hints):
        return getattr(local, "alias", None)


class Stamps(MiddlewareMixin):
    """Of no concern: ``SET`` is a word."""

    def process_response(self, request, response):
        """Set role and search_path of nobody."""
        response["X-Used"] = "set_config is documented elsewhere; USE it"
        return response

    def process_request(self, request):
        """SET ROLE reader"""

    def process_view(self, request, *args):
        request.note = "use the front door"


routes = [items, other]
TENANTS = ["Sets", "Below", "Configures", "role", "Chooses"]


def messages(middleware, *, routers=(), passed=(), **options):
    gateway = {"ROUTES": HERE, "DJANGO_MIDDLEWARE": [f"{HERE}.{name}" for name in passed]}
    with override_settings(
        MIDDLEWARE=[f"{HERE}.{name}" for name in middleware],
        DATABASE_ROUTERS=[f"{HERE}.{name}" for name in routers],
        HYBRID_GATEWAY=gateway,
        **options,
    ):
        found = [m for m in missed_tenants(default_gateway().endpoints) if m.id == "hybrid_gateway.E040"]
        try:
            hybrid_gateway.asgi.get_asgi_application()
            hybrid_gateway.wsgi.get_wsgi_application()
            starts = True
        except ConfigurationError as error:
            assert "E040" in str(error)
            starts = False
        assert starts == (not found) or "SILENCED_SYSTEM_CHECKS" in options
        return found


@pytest.mark.parametrize("name", TENANTS)
def test_middleware_that_chooses_and_that_routes_do_not_pass_is_an_error(name):
    (message,) = messages([name])
    assert f"{HERE}.{name} chooses" in message.msg and "GET /items, GET /other" in message.msg
    assert f"{HERE}.{name}" in message.hint
    assert messages([name], passed=[name]) == []
    assert messages([name], SILENCED_SYSTEM_CHECKS=["hybrid_gateway.E040"])  # and the server starts


@pytest.mark.parametrize(("name", "router"), [("Notes", "Router"), ("NotesInContext", "ContextRouter")])
def test_so_is_middleware_that_a_router_of_connections_follows(name, router):
    (message,) = messages([name], routers=[router])
    assert f"{HERE}.{name} decides for {HERE}.{router}" in message.msg
    assert messages([name], routers=[router], passed=[name]) == []
    assert messages([name]) == messages([name], routers=["MigrationRouter"]) == []


def test_what_chooses_nothing_is_none():
    others = {"Notes": "ContextRouter", "Stamps": "Router", "NotesInContext": "Router"}
    for name, router in others.items():
        assert messages([name], routers=[router]) == []


def test_only_the_routes_that_do_not_pass_it_are_named():
    passing = get("/passing", django_middleware=[f"{HERE}.Sets"])(lambda: 1)
    with override_settings(MIDDLEWARE=[f"{HERE}.Sets"]):
        (message,) = missed_tenants(Gateway([passing, items]).endpoints)
        assert "GET /items" in message.msg and "/passing" not in message.msg
        assert list(missed_tenants(Gateway([passing]).endpoints)) == []


@listener("/live")
def live(data: str) -> int:
    return 1


def test_websockets_pass_no_middleware_that_chooses_and_servers_do_not_start(monkeypatch):
    monkeypatch.setattr(sys.modules[HERE], "routes", [live])
    for silenced in ([], ["hybrid_gateway.E041"]):
        options = {"HYBRID_GATEWAY": {"ROUTES": HERE}, "SILENCED_SYSTEM_CHECKS": silenced}
        with override_settings(MIDDLEWARE=[f"{HERE}.Sets"], **options):
            [message] = websockets_without_tenants(default_gateway().websockets)
            assert message.id == "hybrid_gateway.E041"
            assert f"{HERE}.Sets chooses" in message.msg and "WEBSOCKET /live" in message.msg
            assert list(missed_tenants(default_gateway().endpoints)) == []
            if silenced:
                hybrid_gateway.asgi.get_asgi_application()
            else:
                with pytest.raises(ConfigurationError, match="E041"):
                    hybrid_gateway.asgi.get_asgi_application()
