"""Flash messages: what Django's pages leave is shown by typed routes, and the other way round."""

from typing import Annotated

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import constants, success
from django.contrib.sessions.models import Session as SessionRow
from django.http import HttpRequest

from hybrid_gateway import Depends, Gateway, HTTPException, Messages, Session, TemplateResponse, get, post
from hybrid_gateway.auth import SessionAuthentication
from hybrid_gateway.exceptions import DependencyError

pytestmark = pytest.mark.django_db(transaction=True)

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
FLASHES = "django.contrib.messages.middleware.MessageMiddleware"


@pytest.fixture(params=["fallback.Fallback", "cookie.Cookie", "session.Session"])
def storage(request, settings):
    settings.MESSAGE_STORAGE = f"django.contrib.messages.storage.{request.param}Storage"
    return request.param


@pytest.fixture
def site(serve, settings):
    settings.ROOT_URLCONF = "tests.sites.flash_urls"
    return lambda *routes, **options: serve(*routes, django_routes=["/pages/"], **options)


@post("/leave/{text}")
def leave(text: str, messages: Messages) -> int:
    messages.warning(text)
    return len(messages)


@post("/aleave/{text}")
async def async_leave(text: str, messages: Messages) -> None:
    messages.warning(text)


@get("/show")
def show(messages: Messages) -> list[str]:
    return [f"{message.tags} {message}" for message in messages]


@get("/ashow")
async def async_show(messages: Messages) -> list[str]:
    return [f"{message.tags} {message}" async for message in messages]


@pytest.mark.parametrize("shown", ["/show", "/ashow"])
def test_a_page_of_djangos_leaves_what_a_typed_route_shows_once(site, storage, shown):
    client = site(show, async_show)
    for text in ("one", "größe ł"):
        client.get(f"/pages/leave/{text}")
    assert client.get(shown).json() == ["big success one", "big success größe ł"]
    assert client.get(shown).json() == []
    assert client.get("/pages/show").text == ""


@pytest.mark.parametrize("left", ["/leave/", "/aleave/"])
def test_a_typed_route_leaves_what_a_page_of_djangos_shows_once(site, storage, left):
    client = site(leave, async_leave)
    for text in ("one", "größe ł"):
        client.post(left + text)
    assert client.get("/pages/show").text == "warning one\nwarning größe ł"
    assert client.get("/pages/show").text == ""


def test_messages_in_a_session_set_its_cookie_and_row(site, settings):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    client = site(leave)
    answer = client.post("/leave/one")
    assert answer.cookies["sessionid"]["httponly"]
    assert SessionRow.objects.get().session_key == answer.cookies["sessionid"].value


def test_they_share_the_session_that_the_handler_has(site, settings):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

    @post("/both")
    def both(messages: Messages, session: Session, request: HttpRequest) -> bool:
        session["x"] = 7
        messages.info("hello")
        return request.session is session

    @get("/x")
    def read(session: Session) -> int:
        return session["x"]

    client = site(both, read, show)
    assert client.post("/both").json() is True
    assert SessionRow.objects.count() == 1
    assert (client.get("/show").json(), client.get("/x").json()) == (["info hello"], 7)


def test_they_are_the_messages_of_the_request_and_of_a_template(site, settings):
    loaders = [("django.template.loaders.locmem.Loader", {"a.html": "{% for m in messages %}{{ m }} {% endfor %}"})]
    options = {**settings.TEMPLATES[0]["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "APP_DIRS": False, "OPTIONS": options}]

    @get("/page")
    async def page(messages: Messages, request: HttpRequest) -> TemplateResponse:
        messages.success("typed")
        success(request, "django's")
        return TemplateResponse("a.html")

    client = site(page, show)
    client.get("/pages/leave/before")
    assert client.get("/page").text == "before typed django&#x27;s "
    assert client.get("/show").json() == []


def test_levels_and_tags(site, settings):
    settings.MESSAGE_TAGS = {11: "odd"}

    @get("/levels")
    def levels(messages: Messages) -> list[str]:
        messages.debug("dropped")
        messages.level = constants.DEBUG
        messages.debug("kept")
        messages.add(11, "own", extra_tags="x")
        messages.error("bad")
        return [f"{message.level} {message.tags}" for message in messages]

    assert site(levels).get("/levels").json() == ["10 debug", "11 x odd", "40 error"]


def test_what_is_left_before_an_error_is_kept(site):
    @post("/fail/{status:int}")
    def fail(status: int, messages: Messages) -> None:
        messages.error(str(status))
        raise HTTPException(status)

    client = site(fail, show)
    client.post("/fail/409")
    assert client.get("/show").json() == ["error 409"]


def test_an_answer_with_messages_is_nobody_elses(site, storage):
    client = site(show)
    client.get("/pages/leave/secret")
    answer = client.get("/show")
    assert "private" in answer.headers["Cache-Control"] and "Cookie" in answer.headers["Vary"]


def test_an_answer_with_messages_is_not_stored(site, storage):
    @get("/cached", cache=60)
    def cached(messages: Messages) -> list[str]:
        return [str(message) for message in messages]

    client = site(cached)
    assert client.get("/cached").json() == []
    client.get("/pages/leave/secret")
    assert client.get("/cached").json() == ["secret"]
    assert client.get("/cached").json() == []


# --- below Django's middleware ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain", [[SESSIONS, FLASHES], [SESSIONS], ["django.middleware.common.CommonMiddleware"]])
@pytest.mark.parametrize(("left", "shown"), [(leave, show), (async_leave, async_show)])
def test_below_djangos_middleware_they_are_saved_once(site, storage, chain, left, shown):
    client = site(left, shown, django_middleware=chain)
    client.post(f"{left.paths[0].partition('{')[0]}one")
    assert client.get(shown.paths[0]).json() == ["warning one"]
    assert client.get(shown.paths[0]).json() == []
    client.get("/pages/leave/two")
    assert client.get(shown.paths[0]).json() == ["big success two"]


# --- what it costs, and what is told ---------------------------------------------------------------------------------


def test_who_only_asks_changes_nothing(site, storage):
    @get("/asks")
    async def asks(messages: Messages) -> str:
        return ""

    answer = site(asks).get("/asks")
    assert not answer.cookies and SessionRow.objects.count() == 0


def test_without_the_app_it_is_told_at_start_up(serve, settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django.contrib.messages"]
    with pytest.raises(DependencyError, match=r"POST /leave/\{text\}.*'messages'.*INSTALLED_APPS"):
        serve(leave)


def test_a_parameter_without_a_type_is_told():
    @get("/")
    async def untyped(messages) -> str:
        return ""

    with pytest.raises(DependencyError, match="messages: Messages"):
        Gateway([untyped])


def test_guards_and_components_have_the_same(site):
    def note(messages: Messages) -> str:
        messages.info("by a component")
        return "noted"

    def greet(user: User | None, messages: Messages) -> bool:
        messages.info("by a guard")
        return True

    @get("/guarded", guards=[greet], authentication=[SessionAuthentication()])
    async def guarded(noted: Annotated[str, Depends(note)], messages: Messages) -> list[str]:
        return [str(message) async for message in messages]

    assert site(guarded).get("/guarded").json() == ["by a guard", "by a component"]
