"""The development server of a front end behind the gateway: what is passed on, and that production has none of it."""

import socket
import subprocess
import sys
import threading

import pytest

from hybrid_gateway import Frontend, Gateway, WebSocket, get, websocket
from hybrid_gateway.test import TestClient
from tests.static_files import stand_in as standing_in

BROWSER = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(scope="module")
def origin():
    with standing_in.stand_in() as origin:
        yield origin


@pytest.fixture
def unused():
    """An origin that nobody serves."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(autouse=True)
def debug(settings):
    settings.DEBUG = True
    standing_in.SEEN.clear()
    standing_in.RELEASE.clear()


@get("/api/products")
async def products() -> list[int]:
    return [1]


def front_end(origin, path="/", **options):
    return Frontend(path, "never-built", dev_server=origin, **options)


# --- HTTP


def test_requests_go_on_as_they_came(serve, origin):
    client = serve(products, front_end(origin))
    answer = client.get("/src/Ä b.ts?v=1&t=%20", headers={"X-Own": "1", "Cookie": "a=b"})
    told = answer.json()
    assert (told["method"], told["path"], told["raw"]) == ("GET", "/src/Ä b.ts", "/src/%C3%84%20b.ts")
    assert told["query"] == "v=1&t=%20"
    headers = dict(told["headers"])
    assert (headers["x-own"], headers["cookie"]) == ("1", "a=b")
    assert answer.headers["X-Powered-By"] == "stand-in"
    assert {"a", "b"} <= answer.cookies.keys()
    assert client.get("/api/products").json() == [1]
    assert client.get("/@vite/client").json()["path"] == "/@vite/client"
    assert client.get("/@fs/home/x/a.js").json()["path"] == "/@fs/home/x/a.js"


def test_host_is_that_of_the_development_server(serve, origin):
    headers = dict(serve(front_end(origin)).get("/a.js").json()["headers"])
    assert headers["host"] == origin.removeprefix("http://")
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"]


def test_headers_of_one_connection_stay_there(serve, origin):
    sent = {
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
        "Keep-Alive": "5",
        "TE": "trailers",
        "X-Forwarded-For": "6.6.6.6",
    }
    answer = serve(front_end(origin)).get("/a.js", headers=sent)
    names = [name for name, _ in answer.json()["headers"]]
    assert not {"x-hop", "keep-alive", "te"} & set(names)
    assert dict(answer.json()["headers"])["connection"] == "close"
    assert names.count("x-forwarded-for") == 1
    assert "Keep-Alive" not in answer.headers and "Connection" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies_go_on_whatever_their_size(serve, origin, method):
    answer = serve(front_end(origin)).request(method, "/__save", content=b"x" * 3_000_000)
    assert (answer.json()["method"], answer.json()["size"]) == (method, 3_000_000)


def test_head_has_no_body(serve, origin):
    answer = serve(front_end(origin)).head("/a.js")
    assert (answer.status_code, answer.content, standing_in.SEEN[-1]["method"]) == (200, b"", "HEAD")


def test_conditions_go_on(serve, origin):
    answer = serve(front_end(origin)).get("/same.js", headers={"If-None-Match": '"a"'})
    assert (answer.status_code, answer.content) == (304, b"")


def test_responses_are_streamed(serve, origin):
    """The second half comes only once the first has been seen here."""
    client = serve(front_end(origin))
    timer = threading.Timer(0.3, standing_in.RELEASE.set)
    timer.start()
    assert client.get("/stream").text == "first\nsecond\n"
    timer.join()


def test_redirects_of_it_lead_to_us(serve, origin):
    client = serve(front_end(origin))
    assert client.get("/moved").headers["Location"] == "/there"
    assert client.get("/away").headers["Location"] == "http://elsewhere.example/there"


@pytest.mark.parametrize("path", ["/gone.js", "/missing.js", "/api/unknown"])
def test_its_404_is_that_of_the_api(serve, origin, path):
    """Vite sends its page in place of a 404 to ``fetch()`` as well: here as in production that is a 404."""
    answer = serve(products, front_end(origin)).get(path, headers={"Accept": "*/*"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_pages_are_for_browsers(serve, origin):
    client = serve(products, front_end(origin))
    assert "@vite/client" in client.get("/part.html").text
    for path in ("/", "/users"):
        assert "@vite/client" in client.get(path, headers=BROWSER).text


def test_below_a_prefix_the_path_stays_whole(serve, origin):
    client = serve(front_end(origin, "/app"))
    assert client.get("/app/main.ts").json()["path"] == "/app/main.ts"
    assert client.get("/main.ts").status_code == 404


def test_guards_are_before_it(serve, origin):
    def nobody() -> bool:
        return False

    client = serve(front_end(origin, guards=[nobody]))
    assert client.get("/a.js").status_code == 403
    assert standing_in.SEEN == []


def test_one_that_is_away_is_a_page_that_says_so(serve, unused):
    client = serve(front_end(unused))
    page = client.get("/", headers=BROWSER)
    assert page.status_code == 502
    assert unused in page.text and "npm run dev" in page.text
    answer = client.get("/a.js")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/problem+json")
    assert unused in answer.json()["detail"]


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
def test_one_that_speaks_no_http_is_502(serve, said):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        client = serve(front_end(f"http://127.0.0.1:{listening.getsockname()[1]}"))
        assert client.get("/a.js").status_code == 502
        thread.join(10)


def test_no_path_leads_anywhere_else(serve, origin):
    client = serve(front_end(origin))
    for path in ("//elsewhere.example/x", "/http://elsewhere.example/x", "/@elsewhere.example/"):
        answer = client.get(path)
        assert answer.status_code in (200, 400), path
        if answer.status_code == 200:
            assert dict(answer.json()["headers"])["host"] == origin.removeprefix("http://")


# --- websockets


@pytest.mark.parametrize("protocol", ["asgi", "lane"])
def test_websockets_go_on(origin, protocol):
    client = TestClient(Gateway([products, front_end(origin)]), protocol=protocol)
    with client.websocket("/?token=abc", subprotocols=["vite-hmr"], headers={"Cookie": "a=b"}) as socket:
        told = socket.receive(dict)
        assert socket.subprotocol == "vite-hmr"
        assert (told["path"], told["query"]) == ("/", "token=abc")
        assert told["headers"]["cookie"] == "a=b"
        assert told["headers"]["host"] == origin.removeprefix("http://")
        assert told["headers"]["origin"] == origin
        socket.send("text")
        assert socket.receive(str) == "text"
        socket.send(b"\x00\xff")
        assert socket.receive(bytes) == b"\x00\xff"
        socket.send("bye")
    with client.websocket("/deep/path") as socket:
        assert socket.receive(dict)["path"] == "/deep/path"


@pytest.mark.parametrize("protocol", ["asgi", "lane"])
def test_websockets_that_nobody_takes_are_refused(origin, unused, protocol):
    for dev_server, path in ((unused, "/"), (origin, "/refused")):
        client = TestClient(Gateway([front_end(dev_server)]), protocol=protocol)
        with client.websocket(path) as socket:
            assert socket.refusal.status_code == 502
            assert dev_server in socket.refusal.json()["detail"]


def test_websockets_of_the_project_come_first(origin):
    @websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.send("ours")

    client = TestClient(Gateway([live, front_end(origin)]))
    with client.websocket("/live") as socket:
        assert socket.receive(str) == "ours"


def test_pages_of_others_open_none(origin):
    client = TestClient(Gateway([front_end(origin)]))
    with client.websocket("/", headers={"Origin": "https://evil.example"}) as socket:
        assert socket.refusal.status_code == 403


def test_wsgi_says_that_it_has_none(origin):
    client = TestClient(Gateway([front_end(origin)]), protocol="wsgi")
    answer = client.get("/", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert (answer.status_code, "WSGI" in answer.json()["detail"]) == (426, True)


def test_below_django_middleware_there_is_no_websocket(origin):
    """It could not stand around one; Vite's client then connects to its own port."""
    middleware = ["django.middleware.locale.LocaleMiddleware"]
    client = TestClient(Gateway([front_end(origin)], django_middleware=middleware))
    assert client.get("/a.js").json()["path"] == "/a.js"
    with client.websocket("/") as socket:
        assert socket.refusal.status_code == 404


# --- never in production


def test_without_debug_the_folder_answers(serve, origin, settings, tmp_path):
    settings.DEBUG = False
    (tmp_path / "index.html").write_text("built")
    client = serve(Frontend("/", tmp_path, dev_server=origin))
    assert client.get("/", headers=BROWSER).text == "built"
    assert client.get("/src/main.ts", headers=BROWSER).status_code in (200, 404)
    assert client.post("/__save", content=b"x").status_code == 404
    assert standing_in.SEEN == []


def test_production_does_not_even_import_it():
    code = """
import sys
import django
from django.conf import settings
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"])
django.setup()
from hybrid_gateway import Frontend, Gateway
Gateway([Frontend("/", "/", dev_server="http://127.0.0.1:5173")])
print([name for name in sys.modules if "dev_server" in name or name == "h11"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
