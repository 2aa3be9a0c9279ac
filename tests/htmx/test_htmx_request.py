"""What htmx says of a request, injected by type; and caches that tell its answers apart."""

from typing import Annotated

import pytest
from msgspec import Struct

from hybrid_gateway import Cache, Depends, Gateway, Response, get, post
from hybrid_gateway.exceptions import DependencyError, NotFound
from hybrid_gateway.htmx import HTMXRequest

HTMX = {"HX-Request": "true"}
EVERYTHING = (
    "target",
    "trigger",
    "trigger_name",
    "prompt",
    "current_url",
    "current_url_abs_path",
    "boosted",
    "history_restore_request",
    "partial",
)


@get("/")
async def details(htmx: HTMXRequest) -> dict[str, str | bool | None]:
    return {"is": bool(htmx), **{name: getattr(htmx, name) for name in EVERYTHING}}


@get("/")
def sync_details(htmx: HTMXRequest) -> dict[str, str | bool | None]:
    return {"is": bool(htmx), **{name: getattr(htmx, name) for name in EVERYTHING}}


def vary(answer) -> set[str]:
    return {name.strip().lower() for name in answer.headers.get("Vary", "").split(",")} - {""}


@pytest.mark.parametrize("handler", [details, sync_details])
def test_the_details_of_htmx_2(serve, handler):
    client = serve(handler)
    sent = {
        **HTMX,
        "HX-Target": "list",
        "HX-Trigger": "save",
        "HX-Trigger-Name": "button",
        "HX-Prompt": "",
        "HX-Current-URL": "http://testserver/a?b=c#d",
    }
    assert client.get("/", headers=sent).json() == {
        "is": True,
        "target": "list",
        "trigger": "save",
        "trigger_name": "button",
        "prompt": "",
        "current_url": "http://testserver/a?b=c#d",
        "current_url_abs_path": "/a?b=c#d",
        "boosted": False,
        "history_restore_request": False,
        "partial": True,
    }


def test_without_htmx_there_is_nothing(serve):
    found = serve(details).get("/").json()
    assert set(found.values()) == {False, None}
    assert serve(details).get("/", headers={"HX-Request": "false"}).json()["is"] is False


@pytest.mark.parametrize(
    ("sent", "wants_part"),
    [
        ({}, True),
        ({"HX-Boosted": "true"}, False),
        ({"HX-History-Restore-Request": "true"}, False),
        ({"HX-Request-Type": "full"}, False),
        ({"HX-Request-Type": "partial", "HX-Boosted": "true"}, True),
    ],
)
def test_a_part_of_a_page_is_not_for_boosted_links_nor_for_the_history(serve, sent, wants_part):
    client = serve(details)
    assert client.get("/", headers={**HTMX, **sent}).json()["partial"] is wants_part
    assert client.get("/", headers=sent).json()["partial"] is False


def test_the_elements_of_htmx_4_are_told_by_their_ids(serve):
    sent = {**HTMX, "HX-Source": "button#gr%C3%B6%C3%9Fe", "HX-Target": "div#list"}
    found = serve(details).get("/", headers=sent).json()
    assert (found["trigger"], found["target"]) == ("größe", "list")
    bare = serve(details).get("/", headers={**HTMX, "HX-Source": "button", "HX-Target": "body"}).json()
    assert (bare["trigger"], bare["target"]) == (None, None)


@pytest.mark.parametrize("name", ["target", "trigger", "trigger_name", "prompt", "current_url"])
def test_values_that_htmx_has_encoded_are_decoded_and_no_others(serve, name):
    header = {"current_url": "HX-Current-URL"}.get(name, "HX-" + name.title().replace("_", "-"))
    encoded = {**HTMX, header: "%C5%82%0A%FF", f"{header}-URI-AutoEncoded": "true"}
    assert serve(details).get("/", headers=encoded).json()[name] == "ł\n�"
    assert serve(details).get("/", headers={**HTMX, header: "100%25"}).json()[name] == "100%25"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a",
        "http://testserver//evil.example",
        "http://testserver/\\evil.example",
        "http://testserver",
        "javascript:alert(1)",
        "http://[",
        "//",
        "a",
    ],
)
def test_the_path_is_one_of_this_host(serve, url):
    assert serve(details).get("/", headers={**HTMX, "HX-Current-URL": url}).json()["current_url_abs_path"] is None


# --- Vary ------------------------------------------------------------------------------------------------------------


def test_an_answer_varies_by_what_was_read(serve):
    @get("/asks")
    async def asks(htmx: HTMXRequest) -> str:
        return "same"

    @get("/reads")
    async def reads(htmx: HTMXRequest) -> str:
        return htmx.prompt or ""

    @get("/without")
    async def without() -> str:
        return "same"

    client = serve(asks, reads, without)
    assert vary(client.get("/asks")) == {"hx-request"}
    assert vary(client.get("/reads")) == {"hx-request", "hx-prompt"}
    assert vary(client.get("/reads", headers={"HX-Prompt": "a"})) == {
        "hx-request",
        "hx-prompt",
        "hx-prompt-uri-autoencoded",
    }
    assert vary(client.get("/without")) == set()


def test_errors_vary_too(serve):
    @get("/{number}")
    async def fails(number: int, htmx: HTMXRequest, size: int = 1) -> str:
        raise NotFound("part" if htmx else "page")

    client = serve(fails)
    assert vary(client.get("/1")) == {"hx-request"}
    assert vary(client.get("/1?size=x")) == {"hx-request"}


def test_components_exception_handlers_and_hooks_vary_too(serve):
    def layout(htmx: HTMXRequest) -> str:
        return "part" if htmx else "page"

    def lost(error: Exception, htmx: HTMXRequest) -> str:
        return "part" if htmx else "page"

    def stamp(response: Response, htmx: HTMXRequest) -> None:
        response.headers["X-Layout"] = htmx.target or "page"

    @get("/component")
    async def component(kind: Annotated[str, Depends(layout)]) -> str:
        return kind

    @get("/lost", exception_handlers={404: lost})
    async def fails() -> str:
        raise NotFound

    @get("/hook", after_request=stamp)
    async def hooked() -> str:
        return "x"

    client = serve(component, fails, hooked, exception_handlers={404: lost})
    assert (client.get("/component", headers=HTMX).text, vary(client.get("/component"))) == ("part", {"hx-request"})
    for path in ("/lost", "/nowhere"):
        answer = client.get(path, headers=HTMX)
        assert (answer.text, vary(answer)) == ("part", {"hx-request"}), path
    assert {"hx-request", "hx-target"} <= vary(client.get("/hook"))


def test_a_vary_of_the_handlers_own_is_kept(serve):
    @get("/")
    async def own(htmx: HTMXRequest) -> Response:
        return Response("a", headers={"Vary": "Accept-Language, hx-request"}, media_type="text/plain")

    answer = serve(own).get("/")
    assert answer.headers["Vary"].lower().count("hx-request") == 1
    assert vary(answer) == {"accept-language", "hx-request"}


# --- the gateway's cache ---------------------------------------------------------------------------------------------


def test_the_cache_keeps_pages_and_parts_apart(serve):
    @get("/", cache=Cache(60))
    async def page(htmx: HTMXRequest) -> str:
        return f"{bool(htmx)} {htmx.target}"

    client = serve(page)
    texts = [client.get("/", headers=sent).text for sent in ({}, HTMX, {**HTMX, "HX-Target": "a"}, {}, HTMX)]
    assert texts == ["False None", "True None", "True a", "False None", "True None"]
    hit = client.get("/", headers=HTMX)
    assert "hit" in hit.headers["Cache-Status"]
    assert {"hx-request", "hx-target"} <= vary(hit)


def test_the_cache_stores_for_clients_with_cookies_too(serve):
    @get("/", cache=Cache(60))
    async def page(htmx: HTMXRequest) -> str:
        return str(bool(htmx))

    client = serve(page)
    client.get("/", cookies={"a": "b"})
    assert "hit" in client.get("/", cookies={"a": "c"}).headers["Cache-Status"]


# --- what it costs, and what is told ---------------------------------------------------------------------------------


def test_a_route_that_does_not_ask_pays_nothing(serve):
    @get("/")
    async def plain() -> str:
        return ""

    [route] = Gateway([plain]).routes
    assert "change" not in route.source and "htmx" not in route.source.lower()


def test_a_handler_may_take_a_body_beside_it(serve):
    class Note(Struct):
        text: str

    @post("/")
    async def note(data: Note, htmx: HTMXRequest | None = None) -> str:
        return f"{data.text} {bool(htmx)}"

    assert serve(note).post("/", json={"text": "a"}, headers=HTMX).text == "a True"


def test_a_parameter_without_a_type_is_told():
    @get("/")
    async def untyped(htmx) -> str:
        return ""

    with pytest.raises(DependencyError, match="htmx: HTMXRequest"):
        Gateway([untyped])
