"""The test client: either spelling, either side, over either protocol, on the thread of the test."""

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import msgspec
import pytest
from django.contrib import admin
from django.contrib.auth.models import User as UserModel
from django.http import HttpResponse, JsonResponse
from django.test import Client, override_settings
from django.test.client import RedirectCycleError
from django.urls import path
from django.utils.translation import gettext_lazy

from hybrid_gateway import (
    Gateway,
    JSONResponse,
    RedirectResponse,
    Request,
    Response,
    Route,
    StreamingResponse,
    get,
    post,
)
from hybrid_gateway.auth import Authentication, TokenAuthentication
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.test import (
    AsyncTestClient,
    ClientResponse,
    TestClient,
    create_async_test_client,
    create_test_client,
    plugin,
)

ROOT = Path(__file__).parents[2]
VERBS = ["post", "put", "patch", "delete", "options"]

# --- the API ---------------------------------------------------------------------------------------------------------


async def echo(request: Request) -> dict[str, object]:
    """Say what arrived."""
    return {
        "method": request.method,
        "url": str(request.url),
        "query": request.query_params.multi_items(),
        "headers": dict(sorted(request.headers.items())),
        "cookies": request.cookies,
        "body": (await request.body()).decode(),
        "client": request.client.host,
    }


@get("/names")
def names() -> list[str]:
    return list(UserModel.objects.order_by("pk").values_list("username", flat=True))


@get("/names-async")
async def names_async() -> list[str]:
    return [name async for name in UserModel.objects.order_by("pk").values_list("username", flat=True)]


@get("/thread")
def thread_name() -> str:
    return threading.current_thread().name


@get("/me")
async def me(user: UserModel, authentication: Authentication) -> dict[str, object]:
    return {"name": user.username, "token": authentication.token}


@get("/moved")
async def moved(request: Request) -> Response:
    return RedirectResponse(f"/echo?{request.url.query}", status_code=308)


@post("/accepted")
async def accepted() -> Response:
    return RedirectResponse("/echo?from=accepted", status_code=303)


@get("/to-admin")
async def to_admin() -> Response:
    return RedirectResponse("/admin/login/", status_code=302)


@get("/round")
async def go_round() -> Response:
    return RedirectResponse("/round", status_code=302)


@get("/bake")
async def bake() -> Response:
    response = JSONResponse({})
    response.set_cookie("flavour", "two words", httponly=True)
    response.set_cookie("size", "large")
    response.headers.append("Vary", "Accept")
    response.headers.append("Vary", "Cookie")
    return response


@get("/eat")
async def eat() -> Response:
    response = JSONResponse({})
    response.delete_cookie("flavour")
    return response


@get("/text")
async def text() -> str:
    return "grün"


@get("/stream")
async def stream() -> Response:
    async def parts():
        for part in ("a", "b", "c"):
            await asyncio.sleep(0)
            yield part

    return StreamingResponse(parts(), media_type="text/plain")


@get("/broken")
async def broken() -> None:
    raise LookupError("the handler's own")


@get("/broken-sync")
def broken_sync() -> None:
    raise LookupError("the handler's own")


ROUTES = [
    Route("/echo", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    Route("/items/{name:path}", echo, methods=["GET"], name="item"),
    names,
    names_async,
    thread_name,
    me,
    moved,
    accepted,
    to_admin,
    go_round,
    bake,
    eat,
    text,
    stream,
    broken,
    broken_sync,
]

# --- Django's side ---------------------------------------------------------------------------------------------------


def page_echo(request):
    return JsonResponse(
        {
            "query": dict(request.GET.lists()),
            "form": dict(request.POST.lists()),
            "files": {name: [file.name, file.read().decode()] for name, file in request.FILES.items()},
            "body": "" if request.POST or request.FILES else request.body.decode(),
            "cookies": request.COOKIES,
            "path": request.path,
            "authorization": request.headers.get("Authorization"),
        }
    )


async def async_page(request):
    return JsonResponse({"names": [user.username async for user in UserModel.objects.all()]})


def bake_page(request):
    response = HttpResponse()
    response.set_cookie("page", "1")
    return response


urlpatterns = [
    path("admin/", admin.site.urls),
    path("pages/echo", page_echo),
    path("pages/grün", page_echo),
    path("pages/async", async_page),
    path("pages/bake", bake_page),
]

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(scope="module")
def gateway():
    return Gateway(ROUTES, django_routes=("/admin/", "/pages/"), authentication=[TokenAuthentication()])


@pytest.fixture(params=["asgi", "wsgi"])
def client(request, gateway):
    return TestClient(gateway, protocol=request.param)


@pytest.fixture
def ada(db):
    return UserModel.objects.create_superuser("ada", "ada@example.org", "lovelace")


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_is_django_client(client):
    assert isinstance(client, Client)


@pytest.mark.parametrize(
    ("path", "options", "expected"),
    [
        ("/echo?a=1", {}, [["a", "1"]]),
        ("/echo", {"params": {"a": 1, "b": [2, 3], "c": "é"}}, [["a", "1"], ["b", "2"], ["b", "3"], ["c", "é"]]),
        ("/echo", {"params": [("a", 1), ("a", 2)]}, [["a", "1"], ["a", "2"]]),
        ("/echo", {"params": "a=1&a=2"}, [["a", "1"], ["a", "2"]]),
        ("/echo", {"query_params": {"a": 1}}, [["a", "1"]]),
        ("/echo", {"data": {"a": [1, 2]}}, [["a", "1"], ["a", "2"]]),
    ],
)
def test_query_in_every_spelling(client, path, options, expected):
    assert client.get(path, **options).json()["query"] == expected


def test_params_join_the_query_of_the_path_and_djangos_data_replaces_it(client):
    assert client.get("/echo?a=1", params={"b": 2}).json()["query"] == [["a", "1"], ["b", "2"]]
    assert client.get("/echo?a=1", {"b": 2}).json()["query"] == [["b", "2"]]


def test_params_may_be_a_struct(client):
    class Page(msgspec.Struct):
        number: int
        tags: list[str]

    expected = [["number", "2"], ["tags", "a"], ["tags", "b"]]
    assert client.get("/echo", params=Page(2, ["a", "b"])).json()["query"] == expected


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_encoded_by_msgspec(client, verb):
    class Item(msgspec.Struct):
        name: str

    received = getattr(client, verb)("/echo", json=[Item("tea"), gettext_lazy("Yes")]).json()
    assert received["method"] == verb.upper()
    assert received["headers"]["content-type"] == "application/json"
    assert json.loads(received["body"]) == [{"name": "tea"}, "Yes"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("arguments", "options", "content_type", "body"),
    [
        (({"a": 1}, "application/json"), {}, "application/json", '{"a": 1}'),
        (({"a": [1, 2]}, "application/x-www-form-urlencoded"), {}, "application/x-www-form-urlencoded", "a=1&a=2"),
        (("raw", "text/plain"), {}, "text/plain", "raw"),
        ((b"raw",), {}, "application/octet-stream", "raw"),
        ((), {"content": "{", "headers": {"Content-Type": "application/json"}}, "application/json", "{"),
        ((), {"content": b"", "content_type": "application/json"}, "application/json", ""),
        ((), {}, None, ""),
    ],
)
def test_bodies(client, verb, arguments, options, content_type, body):
    received = getattr(client, verb)("/echo", *arguments, **options).json()
    assert (received["headers"].get("content-type"), received["body"]) == (content_type, body)


@pytest.mark.parametrize("path", ["/echo", "/pages/echo"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_dict_is_a_multipart_form_on_both_sides(client, path, verb):
    response = getattr(client, verb)(path, {"name": "Ada"})
    assert "Ada" in response.text
    if path == "/echo":
        assert response.json()["headers"]["content-type"].startswith("multipart/form-data")


def test_files_in_every_form(client):
    files = {"one": b"1", "two": ("2.txt", b"2"), "three": ("3.csv", "3", "text/csv"), "four": io.BytesIO(b"4")}
    received = client.post("/pages/echo", data={"a": "b"}, files=files).json()
    assert received["form"] == {"a": ["b"]}
    names = {name: filename for name, (filename, _) in received["files"].items()}
    assert names == {"one": "one", "two": "2.txt", "three": "3.csv", "four": "four"}
    assert [content for _, content in received["files"].values()] == ["1", "2", "3", "4"]
    body = client.post("/echo", files=files).json()["body"]
    assert 'filename="3.csv"' in body and "Content-Type: text/csv" in body
    assert client.post("/echo", files=list(files.items())[:3]).json()["body"].count("filename=") == 3
    twice = client.post("/echo", files=[("one", b"1"), ("one", ("2.txt", b"2"))]).json()["body"]
    assert twice.count('; name="one"') == 2


def test_a_request_has_one_body(client):
    with pytest.raises(TypeError, match="one body"):
        client.post("/echo", {"a": 1}, json={"a": 1})


def test_what_json_cannot_hold_is_refused(client):
    with pytest.raises(TypeError, match="object"):
        client.post("/echo", json=object())


def test_head_trace_and_any_other_method(client):
    assert client.head("/text").content == b""
    assert client.head("/text").headers["Content-Length"] == "5"
    assert client.trace("/echo").status_code == 405
    assert client.request("PUT", "/echo", json=1).json()["body"] == "1"
    assert client.request(PATH_INFO="/echo").json()["method"] == "GET"
    assert client.generic("PURGE", "/echo").status_code == 405


def test_headers_of_a_request_of_the_client_and_by_environ_key(gateway):
    client = TestClient(gateway, headers={"X-Client": "1"})
    received = client.get("/echo", headers={"X-Request": "2"}, HTTP_X_ENVIRON="3", REMOTE_ADDR="10.0.0.1").json()
    assert {name: received["headers"].get(name) for name in ("x-client", "x-request", "x-environ")} == {
        "x-client": "1",
        "x-request": "2",
        "x-environ": "3",
    }
    assert received["client"] == "10.0.0.1"


def test_host_and_scheme(client):
    assert client.get("/echo").json()["url"] == "http://testserver/echo"
    assert client.get("/echo", secure=True).json()["url"] == "https://testserver/echo"
    assert client.get("/echo", HTTP_HOST="example.org").json()["url"] == "http://example.org/echo"


def test_paths_beyond_ascii_reach_both_sides(client):
    assert client.get("/items/grün").json()["url"] == "http://testserver/items/grün"
    assert client.get("/pages/grün").json()["path"] == "/pages/grün"


# --- what comes back -------------------------------------------------------------------------------------------------


def test_the_answer_is_a_django_response(client):
    response = client.get("/text")
    assert isinstance(response, ClientResponse) and isinstance(response, HttpResponse)
    assert (response.status_code, response.text, response.content) == (200, "grün", "grün".encode())
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert not response.streaming


def test_streams_are_read_to_the_end(client):
    assert client.get("/stream").text == "abc"


def test_json_of_something_else_is_an_error(client):
    with pytest.raises(ValueError, match="text/plain"):
        client.get("/text").json()


def test_repr_shows_what_the_server_complained_about(client):
    shown = repr(client.get("/nowhere"))
    assert "GET /nowhere 404" in shown and "Not Found" in shown


def test_repeated_headers_are_joined_and_kept_apart(client):
    response = client.get("/bake")
    assert response.headers["Vary"] == "Accept, Cookie"
    assert [value for name, value in response.raw_headers if name == "vary"] == ["Accept", "Cookie"]


@pytest.mark.parametrize(
    ("verb", "path", "options"),
    [
        ("get", "/text", {}),
        ("get", "/bake", {}),
        ("get", "/nowhere", {}),
        ("get", "/stream", {}),
        ("post", "/text", {}),
        ("get", "/me", {}),
        ("get", "/moved?a=1", {}),
        ("get", "/echo?a=%C3%A9", {"headers": {"X-A": "é"}, "cookies": {"a": "b c"}, "secure": True}),
        ("post", "/echo", {"json": {"a": 1}}),
        ("get", "/items/a%20b/c", {"SCRIPT_NAME": "/prefix"}),
    ],
)
def test_both_protocols_give_the_same_answer(gateway, verb, path, options):
    clients = [TestClient(gateway, protocol=protocol) for protocol in ("asgi", "wsgi")]
    first, second = (getattr(client, verb)(path, **options) for client in clients)
    assert (first.status_code, first.raw_headers, first.content) == (
        second.status_code,
        second.raw_headers,
        second.content,
    )


# --- redirects -------------------------------------------------------------------------------------------------------


def test_redirects_are_not_followed_unless_told(client):
    response = client.get("/moved?a=1")
    assert (response.status_code, response.url) == (308, "/echo?a=1")
    assert not hasattr(response, "redirect_chain")


@pytest.mark.parametrize("spelling", ["follow", "follow_redirects"])
def test_a_followed_redirect_keeps_the_query_of_its_location(client, spelling):
    response = client.get("/moved?a=1", **{spelling: True})
    assert response.json()["query"] == [["a", "1"]]
    assert response.redirect_chain == [("/echo?a=1", 308)]


def test_303_becomes_get_without_body(client):
    received = client.post("/accepted", json={"a": 1}, follow_redirects=True).json()
    assert (received["method"], received["body"], received["query"]) == ("GET", "", [["from", "accepted"]])


def test_a_redirect_from_the_api_to_the_admin(client, db):
    response = client.get("/to-admin", follow=True)
    assert response.context["title"] == "Log in"


def test_a_redirect_loop_is_an_error(client):
    with pytest.raises(RedirectCycleError):
        client.get("/round", follow_redirects=True)


def test_an_answer_without_location_has_no_url(client):
    assert not hasattr(client.get("/text"), "url")


# --- cookies ---------------------------------------------------------------------------------------------------------


def test_cookies_of_the_api_reach_django_and_the_reverse(client):
    assert client.get("/bake").cookies["flavour"].value == "two words"
    assert client.get("/pages/echo").json()["cookies"] == {"flavour": "two words", "size": "large"}
    client.get("/pages/bake")
    assert client.get("/echo").json()["cookies"] == {"flavour": "two words", "page": "1", "size": "large"}


def test_a_cookie_the_api_deletes_is_not_sent_again(client):
    client.get("/bake")
    client.get("/eat")
    assert client.get("/echo").json()["cookies"] == {"size": "large"}


def test_cookies_of_one_request(client):
    client.cookies["kept"] = "1"
    assert client.get("/echo", cookies={"once": "2"}).json()["cookies"] == {"kept": "1", "once": "2"}
    assert client.get("/echo").json()["cookies"] == {"kept": "1"}


# --- who is asking ---------------------------------------------------------------------------------------------------


def test_force_authenticate_speaks_for_a_user_until_it_is_ended(client, ada):
    assert client.get("/me").status_code == 401
    client.force_authenticate(ada, token="a token")
    assert client.get("/me").json() == {"name": "ada", "token": "a token"}
    client.force_authenticate(None)
    assert client.get("/me").status_code == 401


def test_an_unsaved_user_needs_no_database(client):
    client.force_authenticate(UserModel(username="ghost"))
    assert client.get("/me").json()["name"] == "ghost"


def test_a_client_cannot_forge_an_authentication(client):
    assert client.get("/me", **{"hybrid_gateway.authentication": {"user": "ada"}}).status_code == 401


def test_credentials_go_to_the_api_alone(client):
    client.credentials(Authorization="Bearer abc", X_Trace="1")
    headers = client.get("/echo").json()["headers"]
    assert (headers["authorization"], headers["x-trace"]) == ("Bearer abc", "1")
    assert client.get("/pages/echo").json()["authorization"] is None
    assert client.get("/echo", headers={"Authorization": "Basic x"}).json()["headers"]["authorization"] == "Basic x"
    client.credentials()
    assert "authorization" not in client.get("/echo").json()["headers"]


def test_log_in_to_the_admin_and_out_again(client, ada):
    response = client.post("/admin/login/?next=/admin/", {"username": "ada", "password": "lovelace"})
    assert (response.status_code, response.url) == (302, "/admin/")
    assert client.get("/admin/").context["user"] == ada
    client.force_authenticate(ada)
    client.logout()
    assert client.get("/admin/").status_code == 302
    assert client.get("/me").status_code == 401


def test_force_login_is_djangos_session(client, ada):
    client.force_login(ada)
    assert client.get("/admin/").status_code == 200
    assert client.session["_auth_user_id"] == str(ada.pk)


# --- threads, rows, errors -------------------------------------------------------------------------------------------


def test_a_sync_handler_runs_on_the_thread_of_the_test(client):
    assert client.get("/thread").text == threading.current_thread().name


def test_rows_of_the_test_are_visible_on_both_sides(client, ada):
    for url in ("/names", "/names-async"):
        assert client.get(url).json() == ["ada"]
    assert client.get("/pages/async").json() == {"names": ["ada"]}


@pytest.mark.parametrize("path", ["/broken", "/broken-sync"])
def test_an_unexpected_exception_reaches_the_test(client, path):
    with pytest.raises(LookupError, match="the handler's own"):
        client.get(path)
    assert client.get("/text").status_code == 200


def test_or_is_the_500_that_users_would_see(gateway):
    for protocol in ("asgi", "wsgi"):
        response = TestClient(gateway, raise_request_exception=False, protocol=protocol).get("/broken")
        assert response.status_code == 500
        assert response.exc_info[0] is LookupError


def test_no_database_is_touched_without_need(gateway):
    assert TestClient(gateway).get("/text").text == "grün"  # pytest-django would refuse


# --- which gateway ---------------------------------------------------------------------------------------------------

routes = [text]


def test_without_a_gateway_the_settings_decide_at_each_request(monkeypatch):
    other = types.ModuleType("other_routes")
    other.routes = [bake]
    monkeypatch.setitem(sys.modules, other.__name__, other)
    client = TestClient()
    with override_settings(HYBRID_GATEWAY={"ROUTES": __name__}):
        assert client.get("/text").status_code == 200
    with override_settings(HYBRID_GATEWAY={"ROUTES": "other_routes", "ALLOWED_DJANGO_ROUTES": ("/pages/",)}):
        assert client.get("/text").status_code == 404
        assert client.get("/pages/echo").status_code == 200


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_unknown_paths_fall_through_to_django(protocol):
    client = TestClient(Gateway([text], fallthrough=True), protocol=protocol)
    assert client.get("/text").text == "grün"
    assert client.post("/pages/echo", {"a": "b"}).json()["form"] == {"a": ["b"]}


@pytest.mark.parametrize("handlers", [(text,), ([text],), ([text], [])])
def test_create_test_client_takes_handlers_or_a_list_of_them(handlers):
    assert create_test_client(*handlers).get("/text").text == "grün"


@pytest.mark.parametrize("protocol", ["asgi", "wsgi", "lane"])
def test_create_test_client_takes_the_options_of_the_gateway_and_of_the_client(protocol):
    @get("/fails")
    def fails() -> str:
        raise RuntimeError

    client = create_test_client(
        [text, fails],
        path="/api",
        response_headers={"X-Layer": "gateway"},
        protocol=protocol,
        raise_request_exception=False,
        headers={"Accept-Language": "de"},
    )
    assert client.get("/api/text").headers["X-Layer"] == "gateway"
    assert client.get("/api/fails").status_code == 500


def test_create_test_client_starts_its_gateway_in_a_with():
    events = []
    with create_test_client([text], on_startup=[lambda: events.append("start")]) as client:
        assert client.get("/text").text == "grün"
    assert events == ["start"]


def test_create_test_client_tells_of_an_option_that_nobody_has():
    with pytest.raises(ConfigurationError, match="Did you mean 'guards'"):
        create_test_client([text], gaurds=[])


def test_there_is_one_for_async_tests():
    async def ask() -> ClientResponse:
        async with create_async_test_client([text], response_headers={"X-Layer": "gateway"}) as client:
            return await client.get("/text")

    response = asyncio.run(ask())
    assert (response.text, response.headers["X-Layer"]) == ("grün", "gateway")


def test_as_a_context_manager_it_runs_the_lifespan():
    events = []

    async def start():
        events.append("start")

    async def stop():
        events.append("stop")

    gateway = Gateway([text], on_startup=[start], on_shutdown=[stop])
    TestClient(gateway).get("/text")
    assert events == []
    with TestClient(gateway) as client:
        assert client.get("/text").status_code == 200
        assert events == ["start"]
    assert events == ["start", "stop"]


# --- the asynchronous client -----------------------------------------------------------------------------------------


def test_async_client_in_plain_async_code(gateway):
    async def scenario():
        client = AsyncTestClient(gateway, headers={"X-Client": "1"})
        received = (await client.post("/echo", json={"a": 1}, params={"b": 2}, ACCEPT="text/html")).json()
        assert (received["body"], received["query"]) == ('{"a":1}', [["b", "2"]])
        assert (received["headers"]["x-client"], received["headers"]["accept"]) == ("1", "text/html")
        assert (await client.get("/moved?a=1", follow=True)).redirect_chain == [("/echo?a=1", 308)]
        assert (await client.get("/pages/grün", {"é": "1"})).json()["query"] == {"é": ["1"]}
        assert (await client.request(path="/text")).text == "grün"
        with pytest.raises(LookupError):
            await client.get("/broken")
        answers = await asyncio.gather(*(client.get("/text") for _ in range(5)))
        assert [answer.text for answer in answers] == ["grün"] * 5

    asyncio.run(scenario())


# --- the plugin ------------------------------------------------------------------------------------------------------


# Named here for runs from a checkout: an installed package brings them as a plugin.
gateway_client = plugin.gateway_client
async_gateway_client = plugin.async_gateway_client
reverse_url = plugin.reverse_url


def run_python(*arguments, cwd=ROOT):
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environ |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environ)


def test_the_fixtures_come_with_the_package(gateway_client, async_gateway_client, reverse_url):
    assert isinstance(gateway_client, TestClient)
    assert isinstance(async_gateway_client, AsyncTestClient)
    assert reverse_url("admin:index") == "/admin/"


def test_the_plugin_imports_no_test_client_until_a_fixture_is_used():
    script = "import sys, hybrid_gateway.test.plugin; print('django.test' in sys.modules)"
    assert run_python("-c", script).stdout == "False\n"


def test_without_settings_the_fixtures_skip(tmp_path):
    test = tmp_path / "test_it.py"
    test.write_text("def test_it(gateway_client, async_gateway_client, reverse_url): pass")
    shown = run_python("-m", "pytest", "-p", "hybrid_gateway.test.plugin", "-rs", str(test), cwd=tmp_path).stdout
    assert "no Django settings" in shown and "1 skipped" in shown
