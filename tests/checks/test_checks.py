"""System checks: each mistake has an id, a sentence and a hint, and a sound project has none."""

import sys
from types import ModuleType
from typing import Annotated

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.models import User
from django.core.checks import registry, run_checks
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.views.static import serve

from hybrid_gateway import (
    ConfigurationError,
    Cookie,
    Frontend,
    Gateway,
    Include,
    Mount,
    Router,
    Session,
    get,
    http,
    post,
)
from hybrid_gateway.auth import (
    BasicAuthentication,
    CSRFProtect,
    IsAuthenticated,
    SessionAuthentication,
    TokenAuthentication,
)
from hybrid_gateway.checks.missed_middleware import _package_of
from hybrid_gateway.checks.tenants import serving_gateway
from hybrid_gateway.problems import TAG

OURS = {
    "ASGI_APPLICATION": "hybrid_gateway.asgi.application",
    "WSGI_APPLICATION": "hybrid_gateway.wsgi.application",
}


class Clock:
    """A type that nothing provides."""


@pytest.fixture
def project(settings, monkeypatch):
    """``project(routes, urls, **settings)``: configure a project, sound but for what is given."""
    for name, value in OURS.items():
        setattr(settings, name, value)

    def configure(routes=(), urls=(), *, django=("/admin/",), gateway=None, **others):
        for name, attribute, values in (("checked_routes", "routes", routes), ("checked_urls", "urlpatterns", urls)):
            module = ModuleType(name)
            setattr(module, attribute, list(values))
            monkeypatch.setitem(sys.modules, name, module)
        settings.ROOT_URLCONF = "checked_urls"
        for name, value in others.items():
            setattr(settings, name, value)
        settings.HYBRID_GATEWAY = {
            "ROUTES": "checked_routes",
            "ALLOWED_DJANGO_ROUTES": django,
            "OPENAPI": {"ENABLED": False},
            **(gateway or {}),
        }

    return configure


def check(*, deploy=False):
    """The messages with our tag, by id."""
    messages = run_checks(tags=[TAG], include_deployment_checks=deploy)
    assert all(message.hint for message in messages)
    return {message.id.removeprefix(f"{TAG}."): message for message in messages}


def messages(id):
    """All messages of one id."""
    return [message for message in run_checks(tags=[TAG]) if message.id == f"{TAG}.{id}"]


def page(request):
    return HttpResponse()


@get("/clock")
def clock(clock: Clock) -> str:
    return "12:00"


@get("/hello")
async def hello() -> str:
    return "hello"


@get("/hello", name="other")
async def hello_again() -> str:
    return "hello"


@get("/admin/hello")
async def hello_admin() -> str:
    return "hello"


def test_a_sound_project_has_nothing_to_hear(project):
    project([hello], [path("admin/", page)])
    assert check() == {}


def test_the_checks_are_run_with_all_others():
    assert TAG in registry.registry.tags_available()


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gateway", "message"),
    [({"TREADS": 4}, "THREADS"), ({"THREADS": 0}, "1 or more"), ({"GUARDS": ["nowhere.Guard"]}, "nowhere.Guard")],
)
def test_settings(project, gateway, message):
    project(gateway=gateway)
    assert message in check()["E001"].msg


def test_settings_without_routes(project, settings):
    settings.HYBRID_GATEWAY = {}
    assert "ROUTES" in check()["E001"].msg


def test_routes_that_cannot_be_imported(project):
    project(gateway={"ROUTES": "no_such_module"})
    assert "No module named 'no_such_module'" in check()["E002"].msg


def test_routes_that_fail_name_the_place(project, tmp_path, monkeypatch):
    (tmp_path / "failing_routes.py").write_text("\n\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    project(gateway={"ROUTES": "failing_routes"})
    message = check()["E002"].msg
    assert "ZeroDivisionError" in message
    assert "failing_routes.py, line 3" in message


def test_two_routes_for_one_path(project):
    project([hello, hello_again])
    assert "/hello" in check()["E003"].msg


def test_a_route_below_a_prefix_of_django(project):
    project([hello_admin])
    assert "/admin/" in check()["E003"].msg


def test_a_parameter_nobody_provides(project):
    project([clock])
    assert "Clock" in check()["E004"].msg


def test_checks_can_be_silenced(project, settings):
    project([clock])
    settings.SILENCED_SYSTEM_CHECKS = [f"{TAG}.E004"]
    assert all(message.is_silenced() for message in run_checks(tags=[TAG]))


# --- patterns out of reach -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        path("about/", page),
        path("adm/", page),
        path("administrator/", page),
        path("", page),
        path("blog/<slug:slug>/", page),
        path("shop/", include([path("admin/", page)])),
        path("", include([path("deep/", page)])),
        re_path(r"^old/\d+$", page),
        re_path(r"^ad$", page),
        *i18n_patterns(path("about/", page)),
    ],
    ids=lambda pattern: str(pattern.pattern),
)
def test_a_pattern_no_prefix_leads_to(project, pattern):
    project(urls=[path("admin/", page), pattern])
    assert set(check()) == {"W003"}


@pytest.mark.parametrize(
    "pattern",
    [
        path("admin/", page),
        path("admin", page),
        path("admin/users/<int:pk>/", page),
        path("", include([path("admin/", page)])),
        path("<path:anything>", page),
        path("old/", include([path("app/", page)])),
        re_path(r"^admin/(?P<rest>.*)$", page),
        re_path(r"^admins?/", page),
        re_path(r"^(admin|old)/", page),
        re_path(r"^admin\-?", page),
        *i18n_patterns(path("admin/", page), prefix_default_language=False),
    ],
    ids=lambda pattern: str(pattern.pattern),
)
def test_a_pattern_within_reach(project, pattern):
    project(urls=[pattern], django=("/admin/", "/old/app/"))
    assert check() == {}


def test_the_hint_names_prefixes_to_add(project):
    project(urls=[path("", page), path("blog/<slug>/", page), path("<slug>/", include([]))], django=("/x/y/",))
    message = check()["W003"]
    assert "'blog/<slug>/'" in message.msg
    assert message.hint.startswith("Add '/', '/blog/' to it.")


def test_nothing_is_out_of_reach_when_unknown_paths_fall_through(project):
    project(urls=[path("about/", page)], gateway={"FALLTHROUGH": True})
    assert check() == {}


def test_media_files(project):
    project(urls=[re_path(r"^media/(?P<path>.*)$", serve)], MEDIA_URL="/media/")
    assert set(check()) == {"W001"}
    project(urls=[re_path(r"^media/(?P<path>.*)$", serve)], MEDIA_URL="/media/", django=("/media/",))
    assert check() == {}


# --- who is served -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "id"), [("ASGI_APPLICATION", "W004"), ("WSGI_APPLICATION", "W005")])
def test_an_application_that_is_not_the_gateway(project, tmp_path, monkeypatch, name, id):
    (tmp_path / "stock.py").write_text("application = lambda *args: None")
    (tmp_path / "custom.py").write_text("from hybrid_gateway import get_asgi_application as application")
    (tmp_path / "failing.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    for application in ("stock.application", None):
        project([hello], **{name: application})
        assert set(check()) == {id}
    for application in ("custom.application", "failing.application", "missing.application", "nonsense"):
        project([hello], **{name: application})
        assert check() == {}


def test_a_gateway_made_elsewhere_is_recognised(project, tmp_path, monkeypatch):
    made = ModuleType("made_elsewhere")
    made.gateway = Gateway([hello])
    monkeypatch.setitem(sys.modules, "made_elsewhere", made)
    (tmp_path / "indirect.py").write_text("from made_elsewhere import gateway\nwsgi = gateway.wsgi")
    monkeypatch.syspath_prepend(tmp_path)
    project([hello], ASGI_APPLICATION="indirect.gateway", WSGI_APPLICATION="indirect.wsgi")
    assert check() == {}


def test_staticfiles_ahead_of_us(project, settings):
    project([hello], INSTALLED_APPS=[*settings.INSTALLED_APPS[2:], "hybrid_gateway"])
    message = check()["W006"]
    assert "WSGI" in message.msg
    assert "before 'django.contrib.staticfiles'" in message.hint


@pytest.fixture
def make_runserver(tmp_path, monkeypatch):
    def make(app, module):
        commands = tmp_path / app / "management" / "commands"
        commands.mkdir(parents=True)
        for package in (tmp_path / app, commands.parent, commands):
            (package / "__init__.py").touch()
        (commands / "runserver.py").write_text(f"from {module} import Command as Base\nclass Command(Base): pass")
        monkeypatch.syspath_prepend(tmp_path)

    return make


def test_another_runserver_ahead_of_us(project, settings, make_runserver):
    make_runserver("rival", "django.core.management.commands.runserver")
    project([hello], INSTALLED_APPS=["rival", *settings.INSTALLED_APPS])
    assert "'rival'" in check()["W007"].msg


def test_another_runserver_that_extends_ours(project, settings, make_runserver):
    make_runserver("friend", "hybrid_gateway.management.commands.runserver")
    project([hello], INSTALLED_APPS=["friend", *settings.INSTALLED_APPS])
    assert check() == {}


# --- databases, middleware, deployment -----------------------------------------------------------------------------


@pytest.fixture
def database(monkeypatch):
    from django.db import connections

    def configure(**changes):
        monkeypatch.setitem(connections.settings, "default", {**connections.settings["default"], **changes})

    return configure


def test_a_pool_and_persistent_connections(project, database):
    project([hello])
    database(OPTIONS={"pool": True}, CONN_MAX_AGE=0)
    assert check() == {}
    database(CONN_MAX_AGE=600)
    assert set(check()) == {"W008"}


def test_persistent_connections_without_health_checks(project, database):
    project([hello])
    database(ENGINE="django.db.backends.postgresql", CONN_MAX_AGE=600)
    assert check() == {}
    assert set(check(deploy=True)) == {"W023"}
    database(CONN_HEALTH_CHECKS=True)
    assert check(deploy=True) == {}


def test_sqlite_for_one_thread(project, database):
    project([hello])
    database(ENGINE="django.db.backends.sqlite3", NAME="db.sqlite3", CONN_MAX_AGE=0, OPTIONS={})
    assert set(check(deploy=True)) == {"W024"}
    options = {"transaction_mode": "IMMEDIATE", "timeout": 5, "init_command": "PRAGMA journal_mode=WAL;"}
    database(OPTIONS=options)
    assert check(deploy=True) == {}
    database(OPTIONS={**options, "transaction_mode": "DEFERRED"})
    assert "IMMEDIATE" in check(deploy=True)["W024"].hint


def test_whitenoise_under_asgi(project, settings):
    middleware = ["whitenoise.middleware.WhiteNoiseMiddleware", *settings.MIDDLEWARE]
    project([hello], MIDDLEWARE=middleware)
    assert check() == {}
    project([hello], MIDDLEWARE=middleware, gateway={"DJANGO_SIDE": "asgi"})
    assert set(check()) == {"W009"}


def test_public_docs(project):
    project([hello], gateway={"OPENAPI": {"ENABLED": True}}, DEBUG=False)
    assert check() == {}
    assert set(check(deploy=True)) == {"W020"}
    project([hello], gateway={"OPENAPI": {"ENABLED": None}}, DEBUG=False)
    assert check(deploy=True) == {}


@pytest.mark.parametrize("scheme", [BasicAuthentication, TokenAuthentication])
def test_credentials_in_clear(project, scheme, django_user_model):
    def me(user: django_user_model) -> str:
        return "me"

    routes = [get("/me", authentication=[scheme()])(me)]
    project(routes)
    assert scheme.__name__ in check(deploy=True)["W021"].msg
    project(routes, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
    assert check(deploy=True) == {}


# --- what typed routes do not pass ---------------------------------------------------------------------------------

CSRF = "django.middleware.csrf.CsrfViewMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
OWN = "tests.django_side.test_django_middleware.stamping"


def with_middleware(*names):
    from django.conf import settings

    return {"MIDDLEWARE": [*settings.MIDDLEWARE, *names]}


def test_sessions_that_every_request_prolongs(project):
    @get("/session")
    def session(session: Session) -> None: ...

    project([hello], SESSION_SAVE_EVERY_REQUEST=True)
    assert "SessionAuthentication" in check()["W030"].hint
    project([hello, session], SESSION_SAVE_EVERY_REQUEST=True)
    assert check() == {}


def test_handlers_that_trust_a_cookie_need_csrf(project):
    @post("/session")
    def session(session: Session) -> None: ...

    @post("/cookie")
    def cookie(x: Annotated[str, Cookie()]) -> None: ...

    project([session, cookie])
    assert "POST /session, POST /cookie may act on a cookie" in check()["W031"].msg
    for options in ({"guards": [CSRFProtect]}, {"csrf_exempt": True}, {"django_middleware": [CSRF]}):
        project([Router("", [session, cookie], **options)])
        assert check() == {}, options

    project([Include("/auth", "hybrid_gateway.tokens.routes"), Include("", "hybrid_gateway.sessions.routes")])
    assert check() == {}

    @post("/user", authentication=[SessionAuthentication()])
    def user(user: User, session: Session) -> None: ...

    project([user])
    assert check() == {}


def test_languages(project):
    project([hello], **with_middleware(LOCALE))
    assert "hybrid_gateway.locale.Locale" in check()["W032"].hint
    for options in ({"EVENT_HOOKS": ["hybrid_gateway.locale.Locale"]}, {"DJANGO_MIDDLEWARE": [LOCALE]}):
        project([hello], gateway=options)
        assert check() == {}, options


def test_transactions_around_requests(project, database):
    @post("/bare")
    def bare() -> None: ...

    database(ENGINE="django.db.backends.sqlite3", NAME=":memory:", ATOMIC_REQUESTS=True, CONN_MAX_AGE=0, OPTIONS={})
    project([hello])
    assert check() == {}
    project([bare])
    assert "POST /bare commit" in check()["W033"].msg
    project([bare], gateway={"ATOMIC": True})
    assert check() == {}


def test_the_remedy_for_transactions_leads_to_a_project_that_starts(project, database):
    @post("/order")
    async def order() -> None: ...

    @post("/own", atomic=False)
    async def own() -> None: ...

    @get("/greeting", atomic=False)
    async def greeting() -> None: ...

    @post("/bare")
    def bare() -> None: ...

    tokens = Include("/auth", "hybrid_gateway.tokens.routes")
    database(ENGINE="django.db.backends.sqlite3", NAME=":memory:", ATOMIC_REQUESTS=True, CONN_MAX_AGE=0, OPTIONS={})
    project([order, own, bare, tokens])
    found = check()["W033"]
    assert "POST /order, POST /bare commit" in found.msg and "atomic=False" in found.hint
    project([order], gateway={"ATOMIC": True})
    assert "say atomic=False on it" in check()["E003"].msg
    project([own, greeting, bare, tokens], gateway={"ATOMIC": True})
    assert check() == {}


def test_required_logins(project):
    project([hello], **with_middleware(LOGIN))
    assert "anybody may call GET /hello" in check()["W034"].msg
    project([Router("", [hello], guards=[IsAuthenticated], authentication=[BasicAuthentication()])])
    assert check() == {}


def test_middleware_of_the_project(project):
    project([hello], **with_middleware(OWN, GZIP, "whitenoise.middleware.WhiteNoiseMiddleware"))
    own, gzip = sorted(run_checks(tags=[TAG]), key=lambda message: GZIP in message.msg)
    assert own.id == gzip.id == "hybrid_gateway.W035"
    assert OWN in own.msg and "GET /hello" in own.msg and "django_middleware=" in own.hint
    assert GZIP in gzip.msg and "Say compression=True" in gzip.hint
    project([hello], gateway={"DJANGO_MIDDLEWARE": [OWN], "COMPRESSION": True})
    assert check() == {}


def test_middleware_for_a_404_of_django_is_no_matter_of_routes():
    for name in ("wagtail.contrib.redirects", "django.contrib.redirects", "django.contrib.flatpages"):
        assert _package_of(f"{name}.middleware.SomeMiddleware") is None, name
    assert _package_of("wagtail.contrib.other.SomeMiddleware") is not None


# --- both sides have an answer ---------------------------------------------------------------------------------------


def everybody(request, **values):
    return HttpResponse()


async def app(scope, receive, send):
    pass


BESIDE = [
    path("about/", everybody),
    path("people/<int:pk>/", everybody),
    path("shop/", include([path("cart/", everybody), path("<slug:name>/", everybody)])),
    re_path(r"^old/(?P<year>[0-9]{4})/$", everybody),
    path("plain", everybody),
]


@pytest.mark.parametrize(
    ("route", "id", "pattern"),
    [
        ("/about/", "W011", "about/"),
        ("/{slug}/", "W011", "about/"),
        ("/people/{pk:int}/", "W011", "people/<int:pk>/"),
        ("/people/{pk}/", "W011", "people/<int:pk>/"),
        ("/people/7/", "W011", "people/<int:pk>/"),
        ("/shop/cart/", "W011", "shop/cart/"),
        ("/shop/{name}/", "W011", "shop/<slug:name>/"),
        ("/old/{year:int}/", "W011", "^old/(?P<year>[0-9]{4})/$"),
        ("/about", "W012", "about/"),
        ("/people/{pk}", "W012", "people/<int:pk>/"),
        ("/plain/", "W012", "plain"),
        ("/shop/{name}", "W012", "shop/<slug:name>/"),
    ],
)
def test_a_path_of_both_sides(project, route, id, pattern):
    @get(route)
    def page(values: http.PathParams) -> None: ...

    project([page], BESIDE, gateway={"FALLTHROUGH": True})
    assert [repr(pattern) in message.msg and route in message.msg for message in messages(id)].count(True) == 1
    project([page], BESIDE, django=tuple(f"/{part}/" for part in ("other",)))
    assert not {"W011", "W012"} & set(check())


@pytest.mark.parametrize("route", ["/people/{pk}/pets/", "/abouts/", "/shop", "/old/{year}/{month}/", "/shop/cart/x/"])
def test_paths_that_no_pattern_has(project, route):
    @get(route)
    def page(values: http.PathParams) -> None: ...

    project([page], BESIDE, gateway={"FALLTHROUGH": True})
    assert check() == {}


def test_clashes_of_a_project_that_moves_are_one_line_of_each_kind(project):
    pages = [path(f"old{number}{slash}", everybody) for number in range(50) for slash in ("", "/")]

    @get([f"/old{number}" for number in range(40)])
    def exact() -> None: ...

    @get([f"/old{number}/" for number in range(40, 50)])
    def other() -> None: ...

    project([exact], pages, gateway={"FALLTHROUGH": True})
    (found,) = messages("W011")
    assert "GET /old0 and 'old0' (Django's '/old0')" in found.msg and found.msg.endswith("; and 37 more.")
    project([other], pages[::2], gateway={"FALLTHROUGH": True})
    (found,) = messages("W012")
    assert found.msg.endswith("; and 7 more.")


def test_a_mount_over_pages(project):
    project([Mount("/shop", app)], BESIDE, gateway={"FALLTHROUGH": True})
    told = " ".join(message.msg for message in messages("W011"))
    assert all(pattern in told for pattern in ("The mount at /shop/", "'shop/cart/'", "'shop/<slug:name>/'"))


@pytest.mark.parametrize(
    "pattern",
    [
        re_path(r"^.*$", everybody),
        re_path(r"^(?P<url>.*/)$", everybody),  # flatpages
        re_path(r"^((?:[\w\-]+/)*)$", everybody),  # wagtail
        re_path(r"^(?P<slug>[0-9A-Za-z-_.//]+)/$", everybody),  # django CMS
        re_path(r"(?i:^)(?P<name>\w[^\]]{0,99})", everybody),
        path("<path:url>/", everybody),
        path("<path:url>", everybody),
        path("", include([path("<slug:one>/", everybody), path("<slug:one>/<slug:two>/", everybody)])),
    ],
    ids=str,
)
def test_a_pattern_for_any_path_clashes_with_nothing(project, pattern):
    @get(["/about/", "/team", "/{name}/info", "/people/{pk:int}"])
    def page(values: http.PathParams) -> None: ...

    project([page], [pattern], gateway={"FALLTHROUGH": True})
    assert check() == {}


def test_a_front_end_that_is_not_built(project, settings, tmp_path):
    front_end = Frontend("/", tmp_path, dev_server="http://127.0.0.1:5173")
    project([front_end])
    assert str(tmp_path / "index.html") in check()["W050"].msg
    with pytest.raises(ConfigurationError, match="npm run build"):
        serving_gateway()
    settings.DEBUG = True
    project([Frontend("/", tmp_path)])
    assert "W050" in check()
    assert serving_gateway().routes  # which says so to each who asks
    project([front_end])
    assert "W050" not in check()
    settings.DEBUG = False
    (tmp_path / "index.html").write_text("built")
    project([front_end])
    assert check() == {}
    assert serving_gateway().routes


def test_a_front_end_behind_a_pattern_for_any_path(project, tmp_path):
    (tmp_path / "index.html").write_text("built")
    for urls, is_hidden in (([path("page/", everybody)], False), ([path("<path:rest>", everybody)], True)):
        project([Frontend("/", tmp_path)], urls=urls, gateway={"FALLTHROUGH": True})
        assert ("W051" in check()) is is_hidden


def test_a_prefix_that_is_the_front_page_alone(project):
    project(urls=[path("", everybody)], django=("/",))
    assert "FALLTHROUGH" in check()["W010"].hint
    project(urls=[path("", everybody)], django=("/", "/admin/"))
    assert check() == {}
