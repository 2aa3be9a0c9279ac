"""System checks of what typed routes do not pass: each route speaks for itself, each package has a line of its own."""

import sys
from types import ModuleType
from unittest import mock

import pytest
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.db import connections
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from hybrid_gateway import CORS, Include, Router, WebSocket, get, listener, post, websocket
from hybrid_gateway.auth import (
    BasicAuthentication,
    IsAuthenticated,
    JWTAuthentication,
    SessionAuthentication,
    TokenAuthentication,
    WebSocketTicketAuthentication,
)
from hybrid_gateway.checks.package import every
from hybrid_gateway.checks.packages import PACKAGES
from hybrid_gateway.locale import Locale
from hybrid_gateway.problems import TAG
from hybrid_gateway.tokens.jwt_routes import jwt_routes
from tests.checks import test_checks
from tests.checks.test_checks import GZIP, LOCALE, LOGIN, OWN, check, hello, with_middleware

project = test_checks.project


class OwnLocale(LocaleMiddleware):
    """What projects write."""


STANDING = [
    (f"{__name__}.OwnLocale", {"event_hooks": [Locale]}, "W032"),
    (LOCALE, {"django_middleware": [f"{__name__}.OwnLocale"]}, "W032"),
    (LOGIN, {"guards": [IsAuthenticated], "authentication": [BasicAuthentication()]}, "W034"),
    (LOGIN, {}, "W034"),
    (OWN, {}, "W035"),
    (GZIP, {"compression": True}, "W035"),
    ("django.middleware.http.ConditionalGetMiddleware", {"etag": True}, "W035"),
    ("django.middleware.cache.FetchFromCacheMiddleware", {"cache": 60}, "W035"),
    ("django.contrib.auth.middleware.PersistentRemoteUserMiddleware", {}, "W035"),
    ("corsheaders.middleware.CorsMiddleware", {"cors": CORS(["*"])}, "W035"),
]


@pytest.mark.parametrize(("name", "option", "number"), STANDING)
def test_one_route_that_passes_speaks_for_itself_alone(project, installed, name, option, number):
    if name.startswith("corsheaders"):
        installed(name)
    inside = Router("/in", [hello], **(option or {"django_middleware": [name]}))
    outside = [get(f"/out{n}", name=f"out{n}")(hello.handler) for n in range(5)]
    project([inside], **with_middleware(name))
    assert check() == {}
    project([inside, outside[0]])
    message = check()[number]
    assert "GET /out0" in message.msg and "/in" not in message.msg
    project([inside, *outside])
    assert "GET /out0, GET /out1, GET /out2 and 2 more" in check()[number].msg


def test_sessions_of_the_routes_that_do_not_pass(project):
    sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    inside = Router("/in", [hello], django_middleware=[sessions])
    project([inside, hello], SESSION_SAVE_EVERY_REQUEST=True)
    message = check()["W030"].msg
    assert "GET /hello" in message and "/in" not in message
    project([inside])
    assert check() == {}


def test_routes_left_out_of_the_document_are_told_and_pages_of_ours_are_not(project):
    hidden = get("/hidden", include_in_schema=False)(hello.handler)
    project([hidden], **with_middleware(OWN))
    assert "GET /hidden" in check()["W035"].msg
    pages = {"OPENAPI": {"ENABLED": True}, "PLUGINS": ["hybrid_gateway.telemetry.metrics.Prometheus"]}
    project([Include("", "hybrid_gateway.health.routes")], gateway=pages)
    assert check() == {}


def test_a_package_can_be_silenced_alone(project):
    project([hello], **with_middleware(OWN, GZIP), SILENCED_SYSTEM_CHECKS=[f"hybrid_gateway.W035.{OWN}"])
    assert [GZIP in message.msg for message in run_checks(tags=[TAG])] == [True]


# --- packages ------------------------------------------------------------------------------------------------------

SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


@pytest.fixture
def installed(monkeypatch):
    """``installed(path)``: the middleware at ``path`` can be imported."""
    stubs = {}

    def pretend(path):
        module, _, name = path.rpartition(".")
        stub = stubs.setdefault(module, ModuleType(module))
        setattr(stub, name, type(name, (MiddlewareMixin,), {"__module__": module}))
        monkeypatch.setitem(sys.modules, module, stub)

    return pretend


def rows_of_packages():
    """A route of each kind that packages may be about."""

    @post("/written")
    def written() -> None: ...

    @get("/visited", authentication=[SessionAuthentication()])
    def visited(user: User, request: HttpRequest) -> None: ...

    return [written, visited, Include("/auth", "hybrid_gateway.tokens.routes")]


@pytest.mark.parametrize("package", [p for p in PACKAGES.values() if p.middleware], ids=lambda package: package.name)
def test_each_package_has_a_line_of_its_own(project, installed, package):
    for name in package.middleware:
        installed(name)
    project(rows_of_packages(), **with_middleware(OWN, *package.middleware))
    messages = {message.id: message for message in run_checks(tags=[TAG]) if OWN not in message.msg}
    if package.known_by or package.verdict == "works":
        assert messages == {}
        return
    ((number, message),) = messages.items()
    assert number == ("hybrid_gateway.E006" if package.is_error else "hybrid_gateway.W035")
    assert package.name in message.msg and "/" in message.msg and message.hint.startswith(package.remedy)
    project([Router("", rows_of_packages(), django_middleware=[*SESSIONS, *package.middleware, OWN])])
    assert set(check()) == ({"W035"} if package.verdict == "no" else set())  # what does not work does not so either


NARROW = [package for package in PACKAGES.values() if package.middleware and package.concerns is not every]


@pytest.mark.parametrize("package", NARROW, ids=lambda package: package.name)
def test_a_route_that_a_package_is_not_about_is_not_told(project, installed, package):
    for name in package.middleware:
        installed(name)
    ours = [Include("/auth", "hybrid_gateway.tokens.routes"), Include("", "hybrid_gateway.sessions.routes")]
    routes = [hello] if package.verdict == "no" else [hello, *ours]
    project(routes, **with_middleware(*package.middleware))
    assert check() == {}


def test_the_rows_with_an_option_are_told_by_a_check():
    told = {package.name for package in PACKAGES.values() if package.remedy}
    assert told == {p.name for p in PACKAGES.values() if p.verdict != "works"} - ELSEWHERE


# W032 speaks of the two that need a language; two-factor is django-otp's middleware.
ELSEWHERE = {"django-two-factor-auth", "django-modeltranslation", "django-parler"}


@pytest.mark.parametrize("package", [p for p in PACKAGES.values() if p.known_by], ids=lambda package: package.name)
def test_tokens_that_no_route_knows(project, package):
    class Own(BasicAuthentication): ...

    def project_with(*schemes):
        @get("/me", authentication=list(schemes))
        def me(user: User) -> None: ...

        classes = [f"{package.known_by}Some" if package.known_by.endswith(".") else package.known_by]
        project([me], REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": classes})

    project_with(TokenAuthentication())
    message = check()["W037"]
    assert package.name in message.msg and "GET /me" in message.msg
    for scheme in [Own(), *(import_string(name)() for name in package.schemes)]:
        project_with(TokenAuthentication(), scheme)
        assert check() == {}, scheme


# --- log-ins that nobody passes ------------------------------------------------------------------------------------


class Remote(ModelBackend):
    def authenticate(self, request, remote_user): ...


class Permissions(BaseBackend):
    """Only answers has_perm."""


class PermissionsOfOld:
    def authenticate(self, request, username=None, password=None): ...


class SingleSignOn(ModelBackend):
    def authenticate(self, request, **kwargs):
        return kwargs.get("ticket") and self.get_user(1)


class Directory:
    def authenticate(self, request, username=None, password=None, **kwargs):
        return bool(username and password)


class ByEmail(ModelBackend):
    def authenticate(self, request, **credentials):
        return self._by_email(**credentials)

    def _by_email(self, **credentials):
        return credentials["password"]


class Inheriting(Directory):
    """Takes what its base takes."""


class Passing(ModelBackend):
    def authenticate(self, *args, **kwargs):
        return super().authenticate(*args, **kwargs)


class Strange:
    authenticate = mock.Mock(return_value=None)


@pytest.mark.parametrize(
    ("backends", "taken"),
    [
        *(((backend,), False) for backend in (Remote, Permissions, PermissionsOfOld, SingleSignOn)),
        *(((backend,), True) for backend in (Directory, ByEmail, Inheriting, Passing, Strange)),
        ((Remote, Permissions), False),
        ((Remote, Directory), True),
        ((), False),
    ],
)
def test_passwords_that_no_backend_takes(project, backends, taken):
    @get("/basic", authentication=[BasicAuthentication()])
    def basic(user: User) -> None: ...

    jwt = JWTAuthentication(key="a-secret-of-more-than-thirty-two-bytes")
    doors = {
        "GET /basic": [basic],
        "POST /auth/login answers": [Include("/auth", "hybrid_gateway.tokens.routes")],
        "POST /auth/login, POST /auth/token answer": [Include("/auth", jwt_routes(jwt))],
    }
    for names, routes in doors.items():
        project(routes, AUTHENTICATION_BACKENDS=[f"{__name__}.{backend.__name__}" for backend in backends])
        if taken:
            assert check() == {}
        else:
            assert names in check()["W036"].msg and "ModelBackend" in check()["W036"].hint
    project([hello])
    assert check() == {}


def test_a_backend_that_locks_out_lets_nobody_in(project, installed):
    installed("axes.backends.AxesStandaloneBackend")
    sys.modules["axes.backends"].AxesStandaloneBackend.__init__ = lambda self: None
    sys.modules["axes.backends"].AxesStandaloneBackend.authenticate = Directory.authenticate
    backends = ["axes.backends.AxesStandaloneBackend"]
    project([Include("/auth", "hybrid_gateway.tokens.routes")], AUTHENTICATION_BACKENDS=backends)
    assert set(check()) == {"W036"}
    project([hello], AUTHENTICATION_BACKENDS=[*backends, "django.contrib.auth.backends.ModelBackend"])
    assert check() == {}


@websocket("/live")
async def live(socket: WebSocket, user: User) -> None:
    await socket.accept()


def test_a_websocket_that_any_page_may_open_for_the_visitor_of_a_cookie_is_told(project):
    session = SessionAuthentication()
    for options, is_told in (
        ({"authentication": [session], "allowed_origins": ["*"]}, True),
        ({"authentication": [session], "allowed_origins": ["https://shop.example"]}, False),
        ({"authentication": [session]}, False),
        ({"authentication": [WebSocketTicketAuthentication()], "allowed_origins": ["*"]}, False),
    ):
        project([Router("", [live], **options)])
        found = check()
        assert set(found) == ({"W038"} if is_told else set())
        if is_told:
            assert "/live" in found["W038"].msg and "allowed_origins=" in found["W038"].hint


@listener("/talk")
def talk(data: str) -> None:
    """Runs on a thread."""


@pytest.mark.parametrize(
    ("name", "option", "number"),
    [
        (LOCALE, {"event_hooks": [Locale]}, "W032"),
        (LOGIN, {"guards": [IsAuthenticated], "authentication": [SessionAuthentication()]}, "W034"),
    ],
)
def test_websockets_miss_what_requests_miss(project, name, option, number):
    project([talk], **with_middleware(name))
    assert "WEBSOCKET /talk" in check()[number].msg
    project([Router("", [talk], **option)], **with_middleware(name))
    assert number not in check()


def test_listeners_have_a_transaction_where_requests_have(project, monkeypatch):
    monkeypatch.setitem(connections.settings, "default", {**connections.settings["default"], "ATOMIC_REQUESTS": True})
    project([talk, live], gateway={"AUTHENTICATION": ["hybrid_gateway.auth.SessionAuthentication"]})
    assert "WEBSOCKET /talk commit" in check()["W033"].msg and "/live" not in check()["W033"].msg
    project([Router("", [talk], atomic=True)])
    assert "W033" not in check()


def test_a_package_that_takes_rights_away_cannot_stand_before_websockets(project, installed):
    package = next(row for row in PACKAGES.values() if row.is_error and row.concerns is every)
    name = package.middleware[0]
    installed(name)
    project([talk], **with_middleware(name))
    assert "WEBSOCKET /talk" in check()["E041"].msg and name in check()["E041"].hint


def test_websockets_may_be_doors_that_nobody_opens(project):
    project(
        [Router("", [live], authentication=[BasicAuthentication()])],
        AUTHENTICATION_BACKENDS=[f"{__name__}.{Permissions.__name__}"],
    )
    assert "WEBSOCKET /live" in check()["W036"].msg
    assert "BasicAuthentication" in check(deploy=True)["W021"].msg
