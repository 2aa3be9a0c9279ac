"""A single-page application beside the API: what it answers, and what it leaves to everybody else."""

import pytest

from hybrid_gateway import Frontend, Gateway, Mount, Router, StaticFiles, get, post, websocket
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.test import TestClient

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def dist(tmp_path):
    """A build as Vite makes it."""
    root = tmp_path / "dist"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<div id=app>")
    (root / "favicon.ico").write_bytes(b"icon")
    (root / "assets" / "index-DiwrgTda.js").write_text("let app")
    (root / "assets" / "index-DiwrgTda.js.br").write_bytes(b"br")
    (root / "assets" / "my-component.js").write_text("no digest")
    return root


@get("/api/products/{product_id:int}")
async def product(product_id: int) -> dict[str, int]:
    return {"id": product_id}


@post("/api/products")
async def add_product() -> dict[str, int]:
    return {"id": 1}


@get("/about")
def about() -> str:
    return "of the API"


# --- files and pages


def test_the_page_is_asked_for_again_each_time(serve, dist):
    client = serve(product, Frontend("/", dist))
    for method in (client.get, client.head):
        answer = method("/", headers=BROWSER)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["Cache-Control"] == "no-cache"
    again = client.get("/", headers={**BROWSER, "If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/").text == "<div id=app>"  # by whatever asks for the page itself


def test_assets_with_a_digest_are_for_ever(serve, dist):
    client = serve(Frontend("/", dist))
    answer = client.get("/assets/index-DiwrgTda.js", headers={"Accept-Encoding": "br"})
    assert (answer.headers["Cache-Control"], answer.content) == ("max-age=31536000, immutable", b"br")
    for name in ("/assets/my-component.js", "/favicon.ico"):
        assert client.get(name).headers["Cache-Control"] == "no-cache", name


def test_what_digests_look_like_may_be_said(serve, dist):
    options = {"immutable": r"\.ico$", "cache_control": {"max_age": 5}}
    client = serve(Frontend("/", dist, **options))
    assert client.get("/favicon.ico").headers["Cache-Control"] == "max-age=31536000, immutable"
    assert client.get("/assets/index-DiwrgTda.js").headers["Cache-Control"] == "max-age=5"


@pytest.mark.parametrize(
    "path", ["/users", "/users/3", "/users/3/", "/users/ann@example.com", "/v1.2", "/a/b/c?d=e.js"]
)
def test_paths_of_the_application_get_its_page(serve, dist, path):
    client = serve(product, about, Frontend("/", dist))
    for method in (client.get, client.head):
        answer = method(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("no-cache", "Accept")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/users", {}), ("/users", {"Accept": "*/*"}), ("/users", {"Accept": "application/json"}),
        ("/users", {"Accept": "text/html;q=0, */*"}), ("/api/unknown", {"Accept": "application/json"}),
        ("/assets/gone-Abcdefg1.js", BROWSER), ("/logo.png", BROWSER), ("/old.html", BROWSER), ("/robots.txt", BROWSER),
        ("/.env", {}), ("/%2e%2e/secret.txt", {}), ("/../secret.txt", {}),
    ],
)  # fmt: skip
def test_everything_else_is_a_404_of_the_api(serve, dist, path, headers):
    (dist / ".env").write_text("KEY=1")
    (dist.parent / "secret.txt").write_text("secret")
    answer = serve(product, Frontend("/", dist)).get(path, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_other_methods_find_nothing_there(serve, dist):
    client = serve(product, add_product, Frontend("/", dist))
    for path in ("/api/unknown", "/users", "/assets/index-DiwrgTda.js"):
        for method in ("POST", "PUT", "DELETE"):
            answer = client.request(method, path, headers=BROWSER)
            assert (answer.status_code, answer.json()["status"]) == (404, 404)
    assert client.post("/").status_code == 405
    assert client.get("/api/products").status_code == 405  # as without a front end


def test_excluded_paths_have_no_page(serve, dist):
    client = serve(product, Frontend("/", dist, exclude=["/api", "admin/"]))
    for path in ("/api", "/api/unknown", "/admin/x"):
        assert client.get(path, headers=BROWSER).headers["Content-Type"] == "application/problem+json"
    assert client.get("/apis", headers=BROWSER).status_code == 200


def test_without_history_it_is_a_site_of_files(serve, dist):
    (dist / "about").mkdir()
    (dist / "about" / "index.html").write_text("about")
    (dist / "404.html").write_text("not here")
    client = serve(product, Frontend("/", dist, history_fallback=False))
    assert client.get("/about/").text == "about"
    assert client.get("/about").headers["Location"] == "./about/"
    answer = client.get("/users", headers=BROWSER)
    assert (answer.status_code, answer.text) == (404, "not here")


# --- beside everything else


def test_routes_come_first(serve, dist):
    client = serve(product, about, Frontend("/", dist))
    assert client.get("/api/products/3", headers=BROWSER).json() == {"id": 3}
    assert client.get("/about", headers=BROWSER).text == "of the API"
    slash = client.get("/about/", headers=BROWSER)
    assert (slash.status_code, slash.headers["Location"]) == (308, "/about")


def test_mounts_keep_their_paths(serve, dist):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"mounted"})

    client = serve(Frontend("/", dist), Mount("/live", app), Frontend("/live/shop", dist, name="shop"))
    assert client.get("/live/x", headers=BROWSER).content == b"mounted"
    assert client.post("/live/shop/x").content == b"mounted"
    assert client.get("/live/shop/x", headers=BROWSER).text == "<div id=app>"
    assert client.get("/liver", headers=BROWSER).text == "<div id=app>"


@pytest.mark.parametrize("fallthrough", [False, True])
def test_pages_of_django_keep_theirs(serve, dist, settings, fallthrough):
    settings.ROOT_URLCONF = "tests.static_files.front_end_urls"
    client = serve(product, Frontend("/", dist), django_routes=["/admin/"], fallthrough=fallthrough)
    assert client.get("/admin/", headers=BROWSER).text == "Django's /admin/"
    assert client.get("/admin/unknown", headers=BROWSER).status_code == 404
    assert client.get("/users", headers=BROWSER).text == "<div id=app>"
    assert client.get("/page/", headers=BROWSER).text == ("Django's /page/" if fallthrough else "<div id=app>")
    assert client.get("/assets/index-DiwrgTda.js").text == "let app"


def test_several_stand_side_by_side(serve, dist, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("other")
    client = serve(Frontend("/", dist, name="shop"), Frontend("/backoffice", other, name="office"))
    assert client.get("/x", headers=BROWSER).text == "<div id=app>"
    for path in ("/backoffice/", "/backoffice/x"):
        assert client.get(path, headers=BROWSER).text == "other"
    assert client.get("/backoffice", headers=BROWSER).headers["Location"] == "/backoffice/"
    reverse = client.gateway.reverse_url
    assert (reverse("shop"), reverse("office"), reverse("office", path="a/b")) == (
        "/", "/backoffice/", "/backoffice/a/b",
    )  # fmt: skip


def test_routers_put_their_prefix_before_it(serve, dist):
    client = serve(Router("/site", [Frontend("/", dist)]))
    assert client.get("/site/x", headers=BROWSER).text == "<div id=app>"
    assert client.get("/x", headers=BROWSER).status_code == 404


# --- layers


def test_it_may_be_behind_a_guard(serve, dist):
    def members_only(authorization: str | None = None) -> bool:
        return authorization == "yes"

    def to_the_login() -> str:
        return "Please log in."

    layer = Router("", [Frontend("/", dist)], guards=[members_only], exception_handlers={403: to_the_login})
    client = serve(product, layer, throttle=["5/minute"])
    assert client.get("/api/products/3").status_code == 200
    for path in ("/", "/users", "/assets/index-DiwrgTda.js"):
        assert client.get(path, headers=BROWSER).text == "Please log in."
    assert client.get("/users?authorization=yes", headers=BROWSER).text == "<div id=app>"
    assert client.get("/", headers=BROWSER).status_code == 429


def test_headers_are_those_of_layers(serve, dist):
    policy = {"Content-Security-Policy": "default-src 'self'"}
    client = serve(Frontend("/", dist, response_headers=policy))
    for path in ("/", "/users", "/favicon.ico"):
        assert client.get(path, headers=BROWSER).headers["Content-Security-Policy"] == "default-src 'self'"


def test_documents_leave_it_out_and_lists_have_it(dist):
    from hybrid_gateway.management.subcommands.routes import as_table, rows_of
    from hybrid_gateway.openapi.document import build_document

    gateway = Gateway([product, Frontend("/", dist)])
    assert list(build_document(gateway.endpoints, gateway.openapi, ())["paths"]) == ["/api/products/{product_id}"]
    table = as_table(list(rows_of(gateway)))
    assert "/{path:path}" in table and f"Frontend({str(dist)!r})" in table


# --- told at start-up


def test_one_that_is_not_built_says_so(serve, dist):
    (dist / "index.html").unlink()
    client = serve(Frontend("/", dist))
    for path in ("/", "/users"):
        answer = client.get(path, headers=BROWSER)
        assert answer.status_code == 503
        assert "not built" in answer.json()["detail"]
    assert client.get("/favicon.ico").content == b"icon"


def catch_all(path: str) -> str:
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda dist: [Frontend("/", dist), Frontend("/", dist)], "answered twice|Two front ends"),
        (
            lambda dist: [Frontend("/", dist), get("/{path:path}")(catch_all)],
            "could never be reached: GET /{path:path}",
        ),
        (lambda dist: [Frontend("/app", dist), get("/{path:path}")(catch_all)], "could never be reached"),
        (lambda dist: [Frontend("/app", dist), StaticFiles("/app", dist)], "could never be reached"),
        (lambda dist: [Frontend("/app", dist), Mount("/app", lambda e, s: [])], "mount at '/app/' could never"),
        (lambda dist: [Router("/{tenant}", [Frontend("/app", dist)])], "parameters"),
        (lambda dist: [Frontend("/admin/app", dist)], "lies under '/admin/', which Django answers"),
        (lambda dist: [Frontend("/", dist, exclude="/api")], "must be a list"),
        (lambda dist: [Frontend("/", dist, immutable="[")], "no regular expression"),
        (lambda dist: [Frontend("/", dist, fallback=True)], "history_fallback"),
        (lambda dist: [Frontend("/", dist, gaurds=[])], "guards"),
        (lambda dist: [Frontend("/", dist, dev_server="127.0.0.1:5173")], "must be an origin"),
        (lambda dist: [Frontend("/", dist, dev_server="https://127.0.0.1:5173")], "must be an origin"),
        (lambda dist: [Frontend("/", dist, dev_server="http://127.0.0.1:5173/app")], "must be an origin"),
        (lambda dist: [Frontend("/", dist, dev_server="http://u@127.0.0.1:5173")], "must be an origin"),
        (lambda dist: [Frontend("/", dist, dev_server="http://127.0.0.1:x")], "must be an origin"),
    ],
)
def test_mistakes_are_told_at_start_up(dist, make, sentence):
    with pytest.raises(RouteError, match=sentence):
        Gateway(make(dist), django_routes=["/admin/"])


def test_a_route_for_any_path_elsewhere_is_no_mistake(serve, dist):
    client = serve(Frontend("/", dist), get("/files/{path:path}")(catch_all))
    assert client.get("/files/x", headers=BROWSER).text == "x"


def test_a_websocket_of_the_project_is_not_the_front_ends(dist):
    @websocket("/{path:path}")
    async def everything(path: str) -> None: ...

    assert TestClient(Gateway([Frontend("/", dist), everything])).get("/x", headers=BROWSER).status_code == 200
