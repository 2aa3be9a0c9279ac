"""Django's templates in answers of typed handlers, and the API's URLs in Django's templates."""

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.template import Context, Template
from django.test import override_settings
from django.urls import NoReverseMatch

from hybrid_gateway import Gateway, Messages, Session, TemplateResponse, get
from hybrid_gateway.auth import BasicAuthentication

PAGE = """{{ title }}|{{ user.username|default:"anonymous" }}|{{ request.path }}|{% if csrf_token %}token{% endif %}|\
{% for message in messages %}{{ message }}{% endfor %}{% csrf_token %}"""


@pytest.fixture(autouse=True)
def templates(settings):
    backend = {**settings.TEMPLATES[0], "APP_DIRS": False}
    loaders = [("django.template.loaders.locmem.Loader", {"page.html": PAGE, "plain.txt": "Hello {{ name }}"})]
    backend["OPTIONS"] = {**backend["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [backend]


@pytest.fixture(params=["async", "def"])
def page(request):
    @get("/page", authentication=[BasicAuthentication()])
    async def asynchronous(user: User | None) -> TemplateResponse:
        return TemplateResponse("page.html", {"title": "<Hi>"}, headers={"X-A": "b"})

    @get("/page", authentication=[BasicAuthentication()])
    def synchronous(user: User | None) -> TemplateResponse:
        return TemplateResponse("page.html", {"title": "<Hi>"}, headers={"X-A": "b"})

    return asynchronous if request.param == "async" else synchronous


@pytest.mark.django_db(transaction=True)
def test_a_page_has_what_it_would_have_in_a_view(serve, page):
    answer = serve(page).get("/page")
    assert answer.status_code == 200
    assert answer.text.startswith("&lt;Hi&gt;|anonymous|/page|token|")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-A"] == "b"
    assert "Cookie" in answer.headers["Vary"] and answer.headers["Cache-Control"] == "private"
    token = answer.cookies["csrftoken"].value
    assert len(token) == 32
    assert 'name="csrfmiddlewaretoken"' in answer.text
    assert int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.django_db(transaction=True)
def test_the_user_is_the_routes_or_the_sessions(serve, page):
    User.objects.create_user("ada", password="secret")
    grace = User.objects.create_user("grace", password="secret")
    client = serve(page)
    client.force_login(grace)
    assert "|grace|" in client.get("/page").text
    headers = {"Authorization": "Basic YWRhOnNlY3JldA=="}
    assert "|ada|" in client.get("/page", headers=headers).text


@pytest.mark.django_db(transaction=True)
def test_messages_are_shown_once(serve, settings):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"

    @get("/page")
    def page() -> TemplateResponse:
        return TemplateResponse("page.html")

    from django.contrib.messages.storage.cookie import CookieStorage
    from django.http import HttpRequest, HttpResponse

    storage = CookieStorage(HttpRequest())
    storage.add(20, "Saved.")
    response = HttpResponse()
    storage.update(response)
    client = serve(page)
    first = client.get("/page", cookies={"messages": response.cookies["messages"].value})
    assert "|Saved.<input" in first.text
    assert first.cookies["messages"].value == ""
    assert get_messages(HttpRequest()) == []


def test_other_types_and_statuses(serve, settings):
    settings.MIDDLEWARE = []

    @get("/")
    async def plain() -> TemplateResponse:
        return TemplateResponse("plain.txt", {"name": "you"}, 404, media_type="text/plain")

    answer = serve(plain).get("/")
    assert (answer.status_code, answer.text) == (404, "Hello you")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not answer.cookies


def test_a_template_that_is_missing_is_a_failure(serve):
    @get("/")
    async def missing() -> TemplateResponse:
        return TemplateResponse("nowhere.html")

    from http.client import IncompleteRead

    from django.template import TemplateDoesNotExist

    try:
        answer = serve(missing).get("/")
    except (TemplateDoesNotExist, IncompleteRead):
        return
    assert answer.status_code == 500


# --- gateway_url ---------------------------------------------------------------------------------------------------


def test_gateway_url():
    template = Template("{% load gateway %}{% gateway_url 'hello' %}{% gateway_url name as later %} {{ later }}")
    assert template.render(Context({"name": "hello"})) == "/hello /hello"
    with pytest.raises(NoReverseMatch):
        Template("{% load gateway %}{% gateway_url 'nowhere' %}").render(Context())


def test_gateway_url_has_parameters(monkeypatch):
    import sys
    from types import ModuleType

    @get("/things/{name}")
    async def thing(name: str) -> str:
        return name

    module = ModuleType("template_routes")
    module.routes = [thing]
    monkeypatch.setitem(sys.modules, "template_routes", module)
    with override_settings(HYBRID_GATEWAY={"ROUTES": "template_routes"}):
        text = Template("{% load gateway %}{% gateway_url 'thing' name='a b' %}").render(Context())
    assert text == "/things/a%20b"


def test_html_in_the_document():
    from hybrid_gateway.conf import OpenAPISettings
    from hybrid_gateway.openapi.document import build_document

    @get("/page")
    async def page() -> TemplateResponse:
        return TemplateResponse("page.html")

    operation = build_document(Gateway([page]).endpoints, OpenAPISettings())["paths"]["/page"]["get"]
    assert list(operation["responses"]["200"]["content"]) == ["text/html"]


# --- below Django's middleware -------------------------------------------------------------------------------------

CHAINS = [
    ["tests.responses.test_templates.mark"],
    ["tests.responses.test_templates.mark", "django.contrib.sessions.middleware.SessionMiddleware"],
    [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "tests.responses.test_templates.mark",
    ],
]


def mark(get_response):
    def middleware(request):
        request.nonce = "abc"
        return get_response(request)

    return middleware


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("asks", [True, False])
def test_below_middleware_a_page_is_shown_its_request_and_what_it_lacks(serve, chain, asks, settings):
    source = "{{ request.nonce }}|{{ user }}|{% for m in messages %}{{ m }}{% endfor %}|{{ request.session.x }}|"
    loaders = [("django.template.loaders.locmem.Loader", {"below.html": source + "{% csrf_token %}"})]
    options = {**settings.TEMPLATES[0]["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "OPTIONS": options}]

    @get("/leave")
    def leave(messages: Messages, session: Session) -> str:
        session["x"] = 7
        messages.info("hello")
        return ""

    @get("/page")
    async def asking(session: Session) -> TemplateResponse:
        await session.aset("x", 8)
        return TemplateResponse("below.html")

    @get("/page", authentication=[BasicAuthentication()])
    def page(user: User | None) -> TemplateResponse:
        return TemplateResponse("below.html")

    User.objects.create_user("ada", password="secret")
    grace = User.objects.create_user("grace", password="secret")
    client = serve(leave, asking if asks else page, django_middleware=chain)
    client.force_login(grace)
    client.get("/leave")
    first = client.get("/page")
    nonce, user, message, x, token = first.text.split("|")
    assert (nonce, user, message, x) == (
        "abc",
        "grace",
        "hello",
        "87"[not asks],
    )
    assert "csrfmiddlewaretoken" in token and first.cookies["csrftoken"].value
    assert client.get("/page").text.split("|")[2:4] == ["", "87"[not asks]]  # shown once, and saved


@pytest.mark.django_db(transaction=True)
def test_below_middleware_the_user_is_the_routes(serve, page):
    User.objects.create_user("ada", password="secret")
    headers = {"Authorization": "Basic YWRhOnNlY3JldA=="}
    for chain in CHAINS:
        assert "|ada|" in serve(page, django_middleware=chain).get("/page", headers=headers).text
