"""A project's own pages come before any slash is mended, and before the pages that are ours by default."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_gateway import Gateway, Mount, Router, get, post
from hybrid_gateway.conf import OpenAPISettings

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.sites.fallthrough_urls")]

DOCUMENTED = {"openapi": OpenAPISettings(enabled=True)}


@get("/things")
def things() -> str:
    return "typed things"


@get("/slashed/")
def slashed() -> str:
    return "typed slashed"


@get("/both/")
async def both() -> str:
    return "typed both"


@get("/ours")
async def ours() -> str:
    return "typed ours"


@get("/people/{pk:int}")
def person(pk: int) -> str:
    return f"typed {pk}"


@get("/files/{name}")
def file(name: str) -> str:
    return f"typed {name}"


ROUTES = (things, slashed, both, ours, person, file)


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"mounted"})


@pytest.mark.parametrize("slash", ["redirect", "ignore", "strict"])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/things", "typed things"),
        ("/things/", "django /things/ {}"),
        ("/slashed/", "typed slashed"),
        ("/slashed", "django /slashed {}"),
        ("/both/", "typed both"),
        ("/people/7", "typed 7"),
        ("/people/7/", "django /people/7/ {'pk': 7}"),
        ("/docs/", "django /docs/ {}"),
        ("/shop/cart/", "django /shop/cart/ {}"),
        ("/tag/a/b", "django /tag/a/b {'name': 'a/b'}"),
    ],
)
def test_each_side_answers_its_own_spelling(serve, path, text, slash):
    client = serve(*ROUTES, fallthrough=True, trailing_slash=slash, **DOCUMENTED)
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize(
    ("slash", "status", "text"), [("redirect", 308, ""), ("ignore", 200, "typed ours"), ("strict", 404, None)]
)
def test_a_slash_is_mended_where_django_has_no_page(serve, slash, status, text):
    answer = serve(*ROUTES, fallthrough=True, trailing_slash=slash).get("/ours/")
    assert answer.status_code == status
    assert text is None or answer.text == text


# --- a URLconf whose last pattern is for any path


@post("/ours")
async def add_ours() -> str:
    return "added"


@get("/shop/cart")
def cart() -> str:
    return "typed cart"


@pytest.mark.urls("tests.sites.cms_urls")
@pytest.mark.parametrize(
    ("slash", "status", "text"), [("redirect", 308, ""), ("ignore", 200, "typed ours"), ("strict", 200, None)]
)
def test_a_slash_is_mended_before_a_pattern_for_any_path_is_asked(serve, slash, status, text):
    client = serve(*ROUTES, add_ours, fallthrough=True, trailing_slash=slash)
    answer = client.get("/ours/?a=b")
    assert (answer.status_code, answer.headers.get("location")) == (status, "/ours?a=b" if status == 308 else None)
    assert answer.text == ("django /ours/ {}" if text is None else text)
    if slash != "strict":
        assert client.post("/ours/", follow_redirects=True).text == "added"
        assert client.delete("/ours/", follow_redirects=True).status_code == 405


@pytest.mark.urls("tests.sites.cms_urls")
@pytest.mark.parametrize("slash", ["redirect", "ignore", "strict"])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/people/7/", "django /people/7/ {'pk': 7}"),
        ("/shop/cart/", "django /shop/cart/ {'name': 'cart'}"),
        ("/ours/more/", "django /ours/more/ {}"),
        ("/Ours/", "django /Ours/ {}"),
        ("/ours", "typed ours"),
    ],
)
def test_every_other_page_of_such_a_urlconf_is_djangos(serve, path, text, slash):
    answer = serve(*ROUTES, cart, fallthrough=True, trailing_slash=slash).get(path)
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.urls("tests.sites.everything_urls")
def test_a_slash_is_added_as_well(serve):
    client = serve(*ROUTES, fallthrough=True)
    assert client.get("/slashed").headers["location"] == "/slashed/"
    assert client.get("/other").text == "django /other {}"


def test_without_fallthrough_django_is_not_asked(serve):
    assert serve(*ROUTES).get("/things/").headers["location"] == "/things"


def test_a_mount_keeps_what_lies_below_it(serve):
    client = serve(*ROUTES, Mount("/shop", mounted), fallthrough=True)
    assert client.get("/shop/cart/").text == "mounted"


# --- the document and its pages


def test_the_document_and_its_pages_yield_to_the_projects_own(serve):
    client = serve(*ROUTES, fallthrough=True, **DOCUMENTED)
    assert client.get("/openapi.json").text == "django /openapi.json {}"
    assert not client.gateway.serves_docs
    assert client.get("/docs").headers["location"] == "/docs/"


@pytest.mark.urls("tests.sites.everything_urls")
def test_they_stay_beside_a_pattern_that_is_for_any_path(serve):
    client = serve(*ROUTES, fallthrough=True, **DOCUMENTED)
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")
    assert "<html" in client.get("/docs").text
    assert client.get("/docs/").text == "django /docs/ {}"


@get("/docs")
def own_docs() -> str:
    return "typed docs"


@get("/openapi.json")
def own_document() -> str:
    return "typed document"


@pytest.mark.parametrize(
    ("routes", "django", "path", "text"),
    [
        ([own_docs], (), "/docs", "typed docs"),
        ([own_document], (), "/openapi.json", "typed document"),
        ([Mount("/docs", mounted)], (), "/docs", "mounted"),
        ([], ("/docs/",), "/docs/", "django /docs/ {}"),
        ([], ("/openapi.json",), "/openapi.json", "django /openapi.json {}"),
    ],
    ids=["route of the page", "route of the document", "mount", "prefix of the page", "prefix of the document"],
)
def test_they_yield_to_routes_mounts_and_prefixes(serve, routes, django, path, text):
    assert serve(*routes, django_routes=django, **DOCUMENTED).get(path).text == text


def test_they_move_with_the_path_of_the_gateway(serve):
    client = serve(*ROUTES, path="/api", fallthrough=True, **DOCUMENTED)
    document = client.get("/api/openapi.json").json()
    assert "/api/things" in document["paths"]
    assert "/api/openapi.json" in client.get("/api/docs").text
    assert client.get("/docs/").text == "django /docs/ {}"
    assert client.get("/openapi.json").text == "django /openapi.json {}"


# --- encoded slashes


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/tag/a%2Fb", "django /tag/a/b {'name': 'a/b'}"),
        ("/tag/a%2fb%2fc", "django /tag/a/b/c {'name': 'a/b/c'}"),
        ("/shop/cart%2F", "django /shop/cart/ {}"),
    ],
)
@pytest.mark.parametrize("options", [{"django_routes": ("/tag/", "/shop/")}, {"fallthrough": True}])
def test_an_encoded_slash_passes_where_every_reading_is_djangos(serve, target, text, options):
    assert serve(*ROUTES, **options).get(target).status_code == 400
    assert serve(*ROUTES, encoded_slashes="django", **options).get(target).text == text


@pytest.mark.parametrize(
    "target",
    [
        "/files/a%2Fb",  # the router's, whoever reads it
        "/people%2F7",
        "/tag/..%2Fours",  # the router's, for who resolves it
        "/tag/a%2F..%2F..%2Fours",
        "/tag/a%5Cb",
        "/tag/%252Fours/..%2F..%2Fours",
    ],
)
@pytest.mark.parametrize("options", [{"django_routes": ("/tag/", "/shop/")}, {"fallthrough": True}])
def test_any_other_encoded_slash_is_refused(serve, target, options):
    assert serve(*ROUTES, encoded_slashes="django", **options).get(target).status_code == 400


@pytest.mark.parametrize("target", ["/tag%2Fa", "/%2Ftag/a", "/tag%2F"])
def test_an_encoded_slash_makes_no_prefix(serve, target):
    """A reader that keeps it sees a path below none."""
    assert serve(*ROUTES, encoded_slashes="django", django_routes=["/tag/"]).get(target).status_code == 400


def test_encoded_slashes_are_a_setting(settings):
    from hybrid_gateway.gateway.settings_gateway import default_gateway

    settings.HYBRID_GATEWAY = {
        "ROUTES": "tests.routes", "ALLOWED_DJANGO_ROUTES": ("/tag/",), "ENCODED_SLASHES": "django", "FALLTHROUGH": True,
    }  # fmt: skip
    assert isinstance(default_gateway(), Gateway) and default_gateway().options.encoded_slashes == "django"


# --- everything below a path is the API's


@pytest.mark.urls("tests.sites.cms_urls")
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/unknown", "/api/unknown/", "/api/ours/more"])
def test_an_empty_gateway_as_a_mount_answers_what_no_route_does(serve, path, method):
    client = serve(Router("/api", [ours, add_ours]), Mount("/api", Gateway([])), fallthrough=True)
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert client.get("/api/ours").text == "typed ours"
    assert client.get("/api/ours/").headers["location"] == "/api/ours"
    assert client.delete("/api/ours").status_code == 405
    assert client.get("/apis/").text == "django /apis/ {}"
