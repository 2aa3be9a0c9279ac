"""What browsers see under DEBUG: the route of an exception, its queries, and which routes there are."""

import base64
import sys
from subprocess import run as run_process
from typing import Annotated

import msgspec
import pytest
from django.contrib.auth.models import Group
from django.views.debug import ExceptionReporter

from hybrid_gateway import Controller, Cookie, Depends, Header, Query, Request, get
from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.problems import link

SECRETS = ("opensesame", "abcdefghijklm", "query-token-value", "pay-nobody-reads-this")
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
CLIENT = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def debug(settings):
    settings.DEBUG = True
    settings.PAYMENT_API_KEY = SECRETS[3]


class Clock:
    """Tells the time."""


def make_clock() -> Clock:
    return Clock()


def make_name() -> str:
    return "name"


def let_in(request: Request) -> bool:
    return True


@get("/orders/{order_id:int}", name="order", guards=[let_in])
def order(
    order_id: int,
    clock: Clock,
    name: Annotated[str, Depends(make_name)],
    page: Annotated[int, Query(ge=1)] = 1,
) -> str:
    raise ValueError(f"<script>alert({order_id})</script>")


@get("/awaited")
async def awaited() -> None:
    raise ValueError("awaited")


def fetch(client, path, headers=BROWSER, status=500):
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def failing_line(page):
    return page.partition("<li class=failing>")[2].partition("</li>")[0].strip()


def test_the_page_shows_the_route_and_where_it_is(serve):
    page = fetch(serve(order, raises=False, components=[make_clock]), "/orders/7?page=2")
    assert "<h1>GET /orders/{order_id:int}</h1>" in page
    assert f"{__name__}.order" in page and f"test_debug_pages.py:{order.handler.__code__.co_firstlineno}" in page
    assert "order_id=7" in page and "let_in" in page and "order(order_id: int" in page
    for name, source in (("page", "query"), ("clock", "component make_clock"), ("name", "component make_name")):
        assert f"<td class=code>{name}</td><td class=code>{source}</td>" in page
    assert "<title>ValueError" in page  # all the same it is Django's


@pytest.mark.parametrize(("path", "call"), [("/orders/7", "handler(order_id=order_id"), ("/awaited", "handler()")])
def test_the_line_of_the_compiled_source_that_failed_is_marked(serve, path, call):
    page = fetch(serve(order, awaited, raises=False, components=[make_clock]), path)
    assert call in failing_line(page)
    assert page.count("<li class=failing>") == 1


def test_what_is_shown_is_escaped(serve):
    client = serve(order, raises=False, components=[make_clock])
    assert "<script>alert" not in fetch(client, "/orders/7")
    assert "<script>alert" not in fetch(client, "/%3Cscript%3Ealert(1)", status=404)


@pytest.mark.django_db(transaction=True)
def test_queries_are_listed_and_those_for_each_row_pointed_out(serve):
    @get("/x")
    def handler() -> None:
        for number in range(3):
            Group.objects.filter(pk=number).first()
        Group.objects.count()
        Group.objects.count()
        raise ValueError

    @get("/y")
    async def awaited() -> None:
        await Group.objects.acount()
        raise ValueError

    client = serve(handler, awaited, raises=False)
    page = fetch(client, "/x")
    assert "<h2>5 queries in " in page
    assert "The same 2 times, with the same values: SELECT … FROM" in page
    assert "One statement 3 times, each with other values (N+1): SELECT … FROM" in page
    assert "<h2>1 query in " in (page := fetch(client, "/y")) and "class=note" not in page


def test_without_queries_there_is_no_word_of_them(serve):
    assert (
        " quer"
        not in fetch(serve(awaited, raises=False), "/awaited").partition("id=gateway>")[2].partition("</section>")[0]
    )


class Login(msgspec.Struct):
    name: str
    password: str


def test_secrets_of_a_request_and_of_settings_are_hidden(serve):
    @get("/x", authentication=[BasicAuthentication()])
    async def handler(
        session: Annotated[str, Cookie(alias="sessionid")] = "",
        token: Annotated[str, Query()] = "",
        agent: Annotated[str, Header(alias="authorization")] = "",
    ) -> None:
        data = Login("ada", "struct-password")  # noqa: F841 (shown, but for the password)
        described = {"api_key": "dict-api-key", "colour": "green-as-grass"}  # noqa: F841
        copied = f"{session} {token} {agent}"
        raise ValueError(copied)

    basic = base64.b64encode(f"ada:{SECRETS[0]}".encode()).decode()
    headers = {**BROWSER, "Authorization": f"Basic {basic}", "Cookie": f"sessionid={SECRETS[1]}; theme=light"}
    page = fetch(serve(handler, raises=False), f"/x?token={SECRETS[2]}", headers)
    assert not [secret for secret in (basic, *SECRETS) if secret in page]
    variables = "".join(part.partition("</pre>")[0] for part in page.split('<td class="code"><pre>')[1:])
    assert "struct-password" not in variables and "dict-api-key" not in variables
    assert "green-as-grass" in variables and "ada" in variables


class OwnReporter(ExceptionReporter):
    def get_traceback_html(self):
        return "<p>Our own words.</p>"


def test_a_reporter_of_the_projects_own_has_the_word(serve, settings):
    settings.DEFAULT_EXCEPTION_REPORTER = f"{__name__}.OwnReporter"
    page = fetch(serve(awaited, raises=False), "/awaited")
    assert "<p>Our own words.</p>" in page and "<h1>GET /awaited</h1>" in page


def test_an_unreadable_query_does_not_hide_the_page(serve, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    assert "<h1>GET /awaited</h1>" in fetch(serve(awaited, raises=False), "/awaited?a=1&b=2&c=3")


# --- where no route is -----------------------------------------------------------------------------------------------


class Shop(Controller):
    path = "/shop"

    @get("/books")
    def books(self) -> None: ...

    @get("/authors")
    def authors(self) -> None: ...


def test_a_404_shows_which_routes_there_are(serve):
    page = fetch(serve(Shop, order, awaited, components=[make_clock]), "/shop/bookz", status=404)
    nearest, every = page.split("<h2>")[-2:]
    assert "/shop/books" in nearest and nearest.index("/shop/books") < nearest.index("/shop/authors")
    assert "/awaited" not in nearest
    assert all(path in every for path in ("/shop/books", "/shop/authors", "/awaited", "/orders/{order_id:int}"))
    assert "test_debug_pages.py:" in every


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "No path goes to Django"),
        ({"django_routes": ["/pages/"]}, "Django answers what begins with <code>/pages/</code>"),
        ({"django_routes": ["/"]}, "Django answers what begins with <code>/ (the front page alone)</code>"),
    ],
)
def test_a_404_says_what_goes_to_django(serve, options, words):
    assert words in fetch(serve(awaited, **options), "/unknown", status=404)


def test_a_404_says_that_a_view_is_there_behind_no_prefix(serve, settings):
    settings.ROOT_URLCONF = "tests.sites.dispatch_urls"
    client = serve(awaited, django_routes=["/nowhere/"])
    assert link("W003") in fetch(client, "/lib/", status=404) or link("W003") in fetch(client, "/admin/", status=404)
    assert link("W003") not in fetch(client, "/no-view-is-here", status=404)


def lost() -> tuple[str, int]:
    return "lost", 404


def test_clients_and_projects_with_words_of_their_own_get_those(serve, settings):
    client = serve(awaited)
    assert client.get("/unknown", headers=CLIENT).json() == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert client.post("/awaited", headers=BROWSER).status_code == 405
    assert serve(awaited, exception_handlers={404: lost}).get("/unknown", headers=BROWSER).text == "lost"


def test_production_shows_neither(serve, settings):
    settings.DEBUG = False
    client = serve(awaited, raises=False)
    for path, status in (("/unknown", 404), ("/awaited", 500)):
        answer = client.get(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_production_loads_none_of_it():
    code = (
        "import django, sys\nfrom django.conf import settings\nsettings.configure()\ndjango.setup()\n"
        "from hybrid_gateway import Gateway\nGateway([])\n"
        "print([name for name in sys.modules if 'debug_pages' in name or name == 'django.views.debug'])"
    )
    done = run_process([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("[]", "['django.views.debug']"))
