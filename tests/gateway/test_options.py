"""What a gateway is built from: plugins, a path before all others, routes added later, names, start-up under WSGI."""

import subprocess
import sys
import textwrap

import pytest
from django.test import override_settings

from hybrid_gateway import ConfigurationError, Controller, Gateway, Mount, Request, Router, get, post
from hybrid_gateway.conf import READERS, GatewaySettings, HybridGatewaySettings, get_settings
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.gateway.options import GatewayArguments, GatewayOptions
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.test import TestClient


@get("/hello", name="hello", opt={"level": 3})
async def hello() -> str:
    return "hello"


@get("/health", name="health")
def health() -> str:
    return "fine"


class Health:
    """A plugin as a package would ship it."""

    def on_gateway_init(self, options: GatewayOptions) -> GatewayOptions:
        return options.replace(routes=[*options.routes, health], trailing_slash="strict").inside(
            response_headers={"X-Health": "1"}, tags=["health"]
        )


def test_a_plugin_adds_routes_and_options(serve):
    client = serve(hello, plugins=[Health], response_headers={"X-App": "a"})
    assert client.get("/health").text == "fine"
    answer = client.get("/hello")
    assert (answer.headers["X-App"], answer.headers["X-Health"]) == ("a", "1")
    assert client.get("/hello/").status_code == 404


def test_plugins_run_in_order_and_what_is_none_is_told():
    seen = []

    class Noting:
        def __init__(self, name):
            self.name = name

        def on_gateway_init(self, options):
            seen.append((self.name, len(options.routes)))
            return options.replace(routes=[*options.routes, get(f"/{self.name}")(lambda: None)])

    gateway = Gateway([hello], plugins=[Noting("a"), Noting("b")])
    assert seen == [("a", 1), ("b", 2)]
    assert [route.path for route in gateway.routes] == ["/hello", "/a", "/b"]
    with pytest.raises(ConfigurationError, match="is no plugin"):
        Gateway([hello], plugins=[object()])

    class Forgetful:
        def on_gateway_init(self, options):
            options.replace(routes=())

    with pytest.raises(ConfigurationError, match="returned None instead of the options"):
        Gateway([hello], plugins=[Forgetful()])


def test_what_type_checkers_read_lists_the_options_that_there_are():
    assert set(LayerOptions.__annotations__) == LAYER_OPTIONS
    assert set(HybridGatewaySettings.__annotations__) == set(READERS)


def test_every_setting_of_a_gateway_is_an_argument_of_it():
    apart = {"routes", "allowed_django_routes", "tokens", "channels", "stores", "layer"}
    assert set(GatewaySettings.__struct_fields__) - apart <= GatewayArguments.__annotations__.keys()
    assert set(GatewayOptions.__struct_fields__) - {
        "routes",
        "layers",
        "around_unrouted",
        "websocket_observers",
        "pool",
    } <= (GatewayArguments.__annotations__.keys())


def test_the_settings_take_every_option_of_a_layer():
    settings = {
        "ROUTES": "tests.routes",
        "PATH": "/api",
        "PLUGINS": ["tests.gateway.test_options.Health"],
        "RESPONSE_HEADERS": {"X-App": "a"},
        "TYPE_ENCODERS": {"decimal.Context": "builtins.str"},
        "ON_STARTUP": ["tests.gateway.test_options.health"],
    }
    with override_settings(HYBRID_GATEWAY=settings):
        assert get_settings().layer["type_encoders"].popitem()[1] is str
        answer = TestClient(default_gateway()).get("/api/health")
        assert (answer.status_code, answer.headers["X-App"]) == (200, "a")


# --- a path before all others


def test_a_path_stands_before_all_others(serve):
    @get("")
    def root() -> str:
        return "root"

    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["SCRIPT_NAME"].encode()]

    client = serve(hello, root, Mount("/old", app), path="/api/v1")
    assert client.get("/api/v1/hello").text == "hello"
    assert client.get("/api/v1").text == "root"
    assert client.get("/api/v1/old/x").text == "/api/v1/old"
    assert client.get("/hello").status_code == 404
    assert Gateway([hello], path="/api").reverse_url("hello") == "/api/hello"


# --- routes added later, and found by name


def test_routes_can_be_added_later(serve):
    client = serve(hello)
    assert client.get("/health").status_code == 404
    client.gateway.register(health)
    assert client.get("/health").text == "fine"
    with pytest.raises(ConfigurationError, match="answered twice"):
        client.gateway.register(get("/hello")(lambda: None))
    assert client.get("/hello").text == "hello"
    assert [route.path for route in client.gateway.routes] == ["/hello", "/health"]


def test_a_route_is_found_by_its_name():
    gateway = Gateway([Router("/v1", [hello], name="v1"), health])
    route = gateway.get_route("v1:hello")
    assert (route.path, route.methods, route.opt) == ("/v1/hello", ("GET",), {"level": 3})
    assert route.handler is hello.handler
    with pytest.raises(KeyError):
        gateway.get_route("hello")


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_request_makes_whole_urls(serve, kind):
    if kind == "async":

        @get("/links/{number:int}", name="link")
        async def link(request: Request, number: int) -> str:
            return str(request.url_for("link", number=number + 1))

    else:

        @get("/links/{number:int}", name="link")
        def link(request: Request, number: int) -> str:
            return str(request.url_for("link", number=number + 1))

    client = serve(Router("/v1", [link], name="v1"), link)
    assert client.get("/links/1", headers={"Host": "shop.example"}).text == "http://shop.example/links/2"


def test_a_controller_listed_twice_and_a_handler_at_several_paths(serve):
    class Items(Controller):
        @get(["", "/all"])
        async def items(self) -> str:
            return "items"

        @post("")
        def create(self, request: Request) -> str:
            return request.url.path

    client = serve(Router("/a", [Items], guards=[refuse]), Router("/b", [Items]))
    assert client.get("/b").text == client.get("/b/all").text == "items"
    assert client.post("/b").text == "/b"
    assert client.get("/a/all").status_code == 403


def refuse() -> None:
    raise Forbidden


# --- start-up under WSGI

PROGRAM = """
import django
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
)
django.setup()

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hybrid_gateway import Component, Gateway, State, get
from hybrid_gateway.test.transports import build_environ

class Pool:
    pass

class Pools(Component):
    lifetime = "app"
    async def resolve(self) -> AsyncIterator[Pool]:
        print("pool open")
        yield Pool()
        print("pool closed")

@asynccontextmanager
async def lifespan(gateway):
    gateway.state.started = "yes"
    print("enter")
    yield
    print("leave")

async def stop(gateway):
    print("stop")

@get("/")
{kind} view(state: State, pool: Pool) -> str:
    return state.started

gateway = Gateway([view], components=[Pools()], lifespan=[lifespan], on_shutdown=[stop])
print("built")
for _ in range(2):
    body = gateway.wsgi(build_environ("GET", "/"), lambda status, headers: print(status))
    print(b"".join(body).decode())
"""


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_under_wsgi_the_lifespan_starts_with_the_first_request_and_ends_with_the_process(kind):
    program = textwrap.dedent(PROGRAM.format(kind=kind)).replace(
        "from hybrid_gateway.test.transports import build_environ\n", ENVIRON
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    expected = "built|pool open|enter|200 OK|yes|200 OK|yes|stop|leave|pool closed"
    assert "|".join(ran.stdout.split("\n")).strip("|") == expected, ran.stderr


ENVIRON = """
from wsgiref.util import setup_testing_defaults
def build_environ(method, path):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    setup_testing_defaults(environ)
    return environ
"""


@pytest.mark.django_db(transaction=True)
def test_a_start_up_that_fails_is_the_first_requests_error_and_is_tried_again():
    tries = []

    def start():
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no broker")

    gateway = Gateway([hello], on_startup=[start])
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/hello", "wsgi.input": None}
    with pytest.raises(RuntimeError, match="no broker"):
        gateway.wsgi(environ, lambda *args: None)
    assert b"".join(gateway.wsgi(environ, lambda *args: None)) == b"hello"
    assert len(tries) == 2
