"""Templates by name, inline and by the decorator: of every engine, escaped, and told at start-up where they miss."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import django
import pytest
from django.http import HttpRequest
from msgspec import Struct

from hybrid_gateway import (
    BackgroundTask,
    Cache,
    Gateway,
    HTMLResponse,
    RedirectResponse,
    Template,
    TemplateResponse,
    get,
    post,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.htmx import HTMXRequest, Reswap, TriggerEvent
from hybrid_gateway.openapi.document import build_document

PAGES = {
    "page.html": "{{ title }}|{{ request.path }}",
    "broken.html": "{% if %}",
    "secret.html": "{{ request.COOKIES.name }}",
    "form.html": "{% csrf_token %}",
    "large.html": "{% for n in numbers %}{{ n }},{% endfor %}",
    "rows.html": "<ul>{% partialdef row %}<li>{{ name }}</li>{% endpartialdef %}</ul>",
}
OTHER_PAGES = {"other.html": "{{ title }}|{{ request.path }}|{{ shop }}"}


def shop(request: HttpRequest) -> dict[str, object]:
    return {"shop": "Samovars & Sons"}


def environment(**options: Any) -> Any:
    from jinja2 import DictLoader, Environment

    return Environment(**{**options, "loader": DictLoader(OTHER_PAGES)})


@pytest.fixture(autouse=True)
def engines(settings):
    pytest.importorskip("jinja2", reason="needs Jinja2, which the extra `dev` brings")
    own = {**settings.TEMPLATES[0], "APP_DIRS": False, "NAME": "own"}
    own["OPTIONS"] = {**own["OPTIONS"], "loaders": [("django.template.loaders.locmem.Loader", PAGES)]}
    jinja = {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "NAME": "jinja",
        "OPTIONS": {
            "environment": f"{__name__}.environment",
            "context_processors": [f"{__name__}.shop"],
        },
    }
    settings.TEMPLATES = [own, jinja]
    settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django.contrib.messages"]


def both(path: str, make: Any, **options: Any) -> list[Any]:
    """The same handler as ``async def`` below ``/a`` and as ``def`` below ``/s``."""

    @get(f"/a{path}", **options)
    async def asynchronous() -> Template:
        return make()

    @get(f"/s{path}", **options)
    def synchronous() -> Template:
        return make()

    return [asynchronous, synchronous]


# --- engines and inline templates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"template_name": "page.html"}, "&lt;b&gt;|{path}"),
        ({"template_name": "page.html", "using": "own"}, "&lt;b&gt;|{path}"),
        ({"template_name": "other.html"}, "&lt;b&gt;|{path}|Samovars &amp; Sons"),
        ({"template_name": "other.html", "using": "jinja"}, "&lt;b&gt;|{path}|Samovars &amp; Sons"),
        ({"template_name": ["nowhere.html", "other.html"]}, "&lt;b&gt;|{path}|Samovars &amp; Sons"),
        ({"template_str": "{{ title|upper }}"}, "&lt;B&gt;"),
        ({"template_str": "{{ title|safe }}"}, "<b>"),
        ({"template_str": "{{ title.upper() }} {{ shop }}", "using": "jinja"}, "&lt;B&gt; Samovars &amp; Sons"),
    ],
)
def test_every_engine_escapes_by_name_and_inline(serve, arguments, shown):
    client = serve(*both("", lambda: Template(context={"title": "<b>"}, **arguments)))
    for path in ("/a", "/s"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, shown.format(path=path))
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_an_inline_template_is_compiled_once():
    from hybrid_gateway.responses.template_source import TemplateSource

    assert TemplateSource.of(None, "{{ a }}", None).load() is TemplateSource.of(None, "{{ a }}", "own").load()
    assert TemplateSource.of(None, "{{ a }}", "jinja").load() is not TemplateSource.of(None, "{{ a }}", "own").load()


@pytest.mark.parametrize("arguments", [{}, {"template_name": "page.html", "template_str": "a"}, {"template_name": []}])
def test_a_template_has_one_source(arguments):
    with pytest.raises(TypeError, match="one of the two"):
        Template(**arguments)


def test_both_names_are_one_class():
    assert Template is TemplateResponse


def test_a_template_takes_headers_for_htmx(serve):
    made = lambda: Template("page.html", headers=Reswap("outerHTML") | TriggerEvent("shown"))  # noqa: E731
    answer = serve(*both("", made)).get("/a")
    assert (answer.headers["HX-Reswap"], answer.headers["HX-Trigger"]) == ("outerHTML", '{"shown":{}}')


# --- the context that a handler returns ------------------------------------------------------------------------------


class Page(Struct, rename="camel"):
    title: str
    page_number: int = 3


@dataclass
class Data:
    title: str


class Named(NamedTuple):
    title: str


@pytest.mark.parametrize("value", [{"title": "<b>"}, Page("<b>"), Data("<b>"), Named("<b>"), {"title": "<b>", 1: 2}])
@pytest.mark.parametrize("option", [{"template": "page.html"}, {"template_str": "{{ title }}|{{ request.path }}"}])
def test_what_a_handler_returns_is_the_context(serve, value, option):
    client = serve(*both("", lambda: value, **option))
    for path in ("/a", "/s"):
        answer = client.get(path, headers={"Accept": "application/json"})
        assert (answer.text, answer.headers["Content-Type"]) == (f"&lt;b&gt;|{path}", "text/html; charset=utf-8")
        assert "Accept" not in answer.headers.get("Vary", "")


def test_contexts_of_attrs_and_pydantic(serve):
    attrs, pydantic = pytest.importorskip("attrs"), pytest.importorskip("pydantic")
    made = attrs.make_class("Made", ["title"])("<b>")
    model = pydantic.create_model("Model", title=(str, ...))(title="<b>")
    for value in (made, model):
        assert serve(*both("", lambda: value, template="page.html")).get("/a").text == "&lt;b&gt;|/a"  # noqa: B023


def test_the_engine_of_the_route_and_the_names_of_struct_fields(serve):
    @get("/", template_str="{{ page_number + 1 }}", template_engine="jinja", response=Template)
    async def typed() -> Page:  # what a type checker sees
        return Page("a")

    @post("/", template="page.html", response=Template, status_code=202)
    def created() -> dict[str, object]:
        return {}

    client = serve(typed, created)
    assert client.get("/").text == "4"
    assert client.post("/").status_code == 202


def test_nothing_is_a_context_without_names_and_responses_go_as_they_are(serve):
    @get("/{kind}", template="page.html")
    def page(kind: str) -> Template | RedirectResponse | HTMLResponse:
        made = {
            "nothing": None,
            "template": Template("other.html"),
            "redirect": RedirectResponse("/a", 303),
            "html": HTMLResponse("<p>"),
        }
        return made[kind]

    client = serve(page)
    texts = {kind: client.get(f"/{kind}").text for kind in ("nothing", "template", "html")}
    assert texts == {"nothing": "|/nothing", "template": "|/template|Samovars &amp; Sons", "html": "<p>"}
    assert client.get("/redirect").status_code == 303


@pytest.mark.parametrize("value", [7, "text", [1]])
def test_what_has_no_names_is_no_context(serve, value):
    with pytest.raises(TypeError, match="A context is a dict or a Struct"):
        serve(*both("", lambda: value, template="page.html")).get("/a")


def test_a_context_without_a_template_is_told_and_never_sent(serve):
    with pytest.raises(TypeError, match="write template= on the route"):
        serve(*both("", lambda: {"secret": 1})).get("/a")


def test_no_content_where_the_annotation_says_so(serve):
    @get("/")
    async def page() -> Template | None:
        return None

    assert (serve(page).get("/").status_code, serve(page).get("/").content) == (204, b"")


def test_values_of_a_negotiated_template_are_there_by_name_and_as_data(serve):
    @get("/", template_str="{{ title }} {{ data.page_number }}")
    async def page() -> Page:
        return Page("a")

    client = serve(page)
    assert client.get("/", headers={"Accept": "text/html"}).text == "a 3"
    assert client.get("/").json() == {"title": "a", "pageNumber": 3}


def test_the_document_says_html(serve):
    @get("/page", template="page.html")
    async def page() -> Template:
        return Template("page.html")

    @get("/both", template_str="a")
    async def negotiated() -> Page:
        return Page("a")

    paths = build_document(Gateway([page, negotiated]).endpoints, OpenAPISettings())["paths"]
    responses = paths["/page"]["get"]["responses"]
    assert (list(responses["200"]["content"]), "406" in responses) == (["text/html"], False)
    assert set(paths["/both"]["get"]["responses"]["200"]["content"]) == {"application/json", "text/html"}


# --- told at start-up ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "nowhere.html"}, r"GET /a: .*asynchronous.*'nowhere.html' does not exist"),
        ({"template": ["a.html", "b.html"]}, r"'a.html' or 'b.html' does not exist"),
        ({"template": "other.html", "template_engine": "own"}, r"'other.html' does not exist"),
        ({"template": "page.html", "template_engine": "jinja"}, r"'page.html' does not exist"),
        ({"template": "broken.html"}, r"'broken.html' cannot be read"),
        ({"template_str": "{% if %}"}, r"template_str= cannot be read"),
        ({"template_str": "{% if %}", "template_engine": "jinja"}, r"template_str= cannot be read"),
        ({"template": "page.html", "template_engine": "mako"}, r"'mako' is no engine of TEMPLATES; .*'own', 'jinja'"),
        ({"template_engine": "own"}, r"neither"),
        ({"template": "page.html", "template_str": "a"}, r"one of the two"),
    ],
)
def test_a_template_that_cannot_be_is_told_at_start_up(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Gateway(both("", dict, **options))


def test_without_engines_it_is_told(settings):
    settings.TEMPLATES = []
    with pytest.raises(ConfigurationError, match="TEMPLATES has none"):
        Gateway(both("", dict, template_str="a"))


def test_the_places_are_told(settings, tmp_path):
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [str(tmp_path)]}]
    with pytest.raises(ConfigurationError, match=f"Looked for: {tmp_path}/nowhere.html"):
        Gateway(both("", dict, template="nowhere.html"))


@pytest.mark.parametrize("name", ["template_name", "template_string", "using"])
def test_words_of_others_are_understood(name):
    with pytest.raises(ConfigurationError, match="Did you mean 'template"):
        get("/", **{name: "a"})(lambda: None)


# --- parts of templates ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has template partials since 6.0")
def test_a_part_of_a_template(serve):
    client = serve(
        *both("", lambda: {"name": "<a>"}, template="rows.html#row"),
        *both("/dynamic", lambda: Template("rows.html#row", {"name": "<b>"})),
    )
    for path in ("/a", "/s"):
        assert client.get(path).text == "<li>&lt;a&gt;</li>"
        assert client.get(path + "/dynamic").text == "<li>&lt;b&gt;</li>"
    with pytest.raises(ConfigurationError, match=r"'rows.html' has to exist, and to have a {% partialdef cell %}"):
        Gateway(both("", dict, template="rows.html#cell"))


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django has template partials since 6.0")
def test_a_part_of_a_template_needs_django_6_or_the_package():
    with pytest.raises(ConfigurationError, match=r"need Django 6.0, or the package django-template-partials"):
        Gateway(both("", dict, template="page.html#row"))


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django has template partials since 6.0")
def test_a_part_of_a_template_by_the_package(serve, settings):
    pytest.importorskip("template_partials", reason="needs django-template-partials, which the extra `dev` brings")
    own = settings.TEMPLATES[0]
    loader = "template_partials.loader.Loader", own["OPTIONS"]["loaders"]
    libraries = {"builtins": ["template_partials.templatetags.partials"], "loaders": [loader]}
    settings.TEMPLATES = [{**own, "OPTIONS": {**own["OPTIONS"], **libraries}}]
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "template_partials.apps.SimpleAppConfig"]
    client = serve(*both("", lambda: {"name": "<a>"}, template="rows.html#row"))
    assert [client.get(path).text for path in ("/a", "/s")] == ["<li>&lt;a&gt;</li>"] * 2
    with pytest.raises(ConfigurationError, match=r"{% partialdef cell %}"):
        Gateway(both("", dict, template="rows.html#cell"))


# --- a page is an answer like others ---------------------------------------------------------------------------------


def test_a_page_has_an_etag_and_is_compressed(serve):
    numbers = {"numbers": list(range(2000))}
    client = serve(*both("", lambda: numbers, template="large.html"), etag=True, compression=True)
    for path in ("/a", "/s"):
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        tag = answer.headers["ETag"]
        again = client.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


def test_a_page_is_stored_and_parts_of_it_apart(serve):
    calls = []

    @get("/", template="page.html", cache=Cache(60))
    async def page(htmx: HTMXRequest) -> Template:
        calls.append(bool(htmx))
        return {"title": f"part {htmx.target}" if htmx else "page"}

    client = serve(page)
    sent = [{}, {"HX-Request": "true"}, {"HX-Request": "true", "HX-Target": "list"}]
    for status in ("miss", "hit"):
        answers = [client.get("/", headers=headers) for headers in sent]
        assert [answer.text for answer in answers] == ["page|/", "part None|/", "part list|/"]
        assert all(status in answer.headers["Cache-Status"] for answer in answers)
        assert all("hx-request" in answer.headers["Vary"].lower() for answer in answers)
    assert calls == [False, True, True]


def test_a_page_that_may_show_a_cookie_is_nobody_elses(serve):
    client = serve(
        *both("", dict, template="secret.html", cache=60), *both("/form", dict, template="form.html", cache=60)
    )
    assert client.get("/a", headers={"Cookie": "name=ada"}).text == "ada"
    assert client.get("/a", headers={"Cookie": "name=grace"}).text == "grace"
    assert client.get("/a").text == ""
    first, second = client.get("/a/form"), serve(*both("/form", dict, template="form.html", cache=60)).get("/a/form")
    assert first.cookies["csrftoken"].value != second.cookies["csrftoken"].value


def test_a_page_that_nobody_announced_is_not_stored(serve):
    @get("/", cache=60)
    async def page() -> Any:
        return Template("secret.html")

    client = serve(page)
    for _ in range(2):
        assert "hit" not in client.get("/").headers.get("Cache-Status", "")


def test_what_fails_in_a_template_is_handled_like_any_error(serve):
    def broken(error: Exception) -> str:
        return f"handled {error}"

    def fail() -> str:
        raise LookupError("by the template")

    client = serve(*both("", lambda: {"title": fail}, template="page.html"), exception_handlers={LookupError: broken})
    for path in ("/a", "/s"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (500, "handled 'by the template'".replace("'", ""))


def test_work_after_a_page_is_done(serve):
    done = []
    made = lambda: Template("page.html", background=BackgroundTask(done.append, 1))  # noqa: E731
    client = serve(*both("", made, cache=60), etag=True)
    client.get("/a"), client.get("/s")
    assert done == [1, 1]


def test_error_pages_are_templates_too(serve):
    def lost(error: Exception, request: HttpRequest) -> Template:
        return Template("page.html", {"title": "lost"}, 404)

    answer = serve(exception_handlers={404: lost}).get("/nowhere")
    assert (answer.status_code, answer.text) == (404, "lost|/nowhere")
