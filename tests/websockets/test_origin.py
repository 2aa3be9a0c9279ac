"""Which pages may open a websocket: those of the same origin, and those that the project lists."""

import json
import logging

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import Client

from hybrid_gateway import CORS, Gateway, Router, WebSocket, get, websocket
from hybrid_gateway.auth import APIKeyAuthentication, SessionAuthentication, TokenAuthentication
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.test import TestClient
from hybrid_gateway.tokens.models import Token
from hybrid_gateway.websockets.origin import Origin, Trusted, parse_origin
from tests.websockets.handshakes import handshake, open_websocket

User = get_user_model()


@websocket("/live")
async def live(socket: WebSocket) -> None:
    await socket.accept()


@websocket("/own")
async def own(socket: WebSocket, user: User) -> None:
    await socket.accept()


def status(*origins, host="testserver", scheme="ws", more=(), routes=(live,), path="/live", **options):
    headers = [(b"host", host.encode()), *((b"origin", origin.encode("latin-1")) for origin in origins), *more]
    return handshake(Gateway(list(routes), **options), headers=headers, scheme=scheme, path=path)


# --- one spelling


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://shop.example", ("https", "shop.example", 443)),
        ("HTTPS://Shop.Example:443", ("https", "shop.example", 443)),
        ("http://localhost:5173", ("http", "localhost", 5173)),
        ("http://[::1]", ("http", "[::1]", 80)),
        ("http://[0:0:0::1]:8000", ("http", "[::1]", 8000)),
        ("http://xn--bcher-kva.example", ("http", "xn--bcher-kva.example", 80)),
        ("capacitor://localhost", ("capacitor", "localhost", None)),
    ],
)
def test_an_origin_has_one_spelling(text, expected):
    assert parse_origin(text) == Origin(*expected)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "null",
            "*",
            "shop.example",
            "//shop.example",
            "https://",
            "https://shop.example/",
            "https://shop.example:",
        ),
        *("https://user@shop.example", "https://user:word@shop.example", "https://shop.example:99999999", "https:shop"),
        *("https://shop.example/path", "https://shop.example?x", "https://shop.example#x", " https://shop.example"),
        *("https://shop.example\n", "https://a.example, https://b.example", "https://bücher.example", "https://[::g]"),
        *("https://[fe80::1%25eth0]", "https://shop%2eexample", "https://shop\\example", "https://a.example https://b"),
        *("https://shop.example\x00", "https://*.example", "http://[1.2.3.4]"),
    ],
)
def test_what_is_no_origin_is_none(text):
    assert parse_origin(text) is None


# --- the same origin


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://testserver", "testserver", "ws"),
        ("http://testserver", "testserver:80", "ws"),
        ("http://testserver:80", "testserver", "ws"),
        ("http://TestServer", "TESTSERVER", "ws"),
        ("http://localhost:8000", "localhost:8000", "ws"),
        ("https://testserver", "testserver", "wss"),
        ("https://testserver:443", "testserver", "wss"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
    ],
)
def test_a_page_of_the_same_origin_may(origin, host, scheme):
    assert status(origin, host=host, scheme=scheme) == 101


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://evil.example", "testserver", "ws"),
        ("http://testserver.evil.example", "testserver", "ws"),
        ("http://eviltestserver", "testserver", "ws"),
        ("http://testserver:8000", "testserver", "ws"),
        ("http://testserver", "testserver:8000", "ws"),
        ("https://testserver", "testserver", "ws"),
        # SECURITY: whoever is between a browser and http://testserver could write this page.
        ("http://testserver", "testserver", "wss"),
        ("http://testserver:443", "testserver", "wss"),
        ("http://testserver.", "testserver", "ws"),
        ("http://user@testserver", "testserver", "ws"),
        ("http://testserver@evil.example", "testserver", "ws"),
        ("http://testserver/", "testserver", "ws"),
        ("null", "testserver", "ws"),
        ("", "testserver", "ws"),
        ("file://", "testserver", "ws"),
    ],
)
def test_a_page_of_another_origin_may_not(origin, host, scheme):
    assert status(origin, host=host, scheme=scheme) == 403


def test_a_proxy_that_the_settings_trust_says_whether_it_was_https(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    secure, plain = (b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"http")
    assert status("https://testserver", more=[secure]) == 101
    assert status("https://testserver", more=[plain]) == 403
    assert status("http://testserver", more=[secure]) == 403


def test_a_proxy_that_the_settings_trust_says_which_host_was_asked_for(settings):
    forwarded = [(b"x-forwarded-host", b"www.example")]
    assert status("http://www.example", more=forwarded) == 403
    settings.USE_X_FORWARDED_HOST = True
    assert status("http://www.example", more=forwarded) == 101
    assert status("http://testserver", more=forwarded) == 403


def test_two_origins_are_refused_whatever_is_allowed():
    assert status("http://testserver", "http://testserver") == 403
    assert status("http://testserver", "http://testserver", allowed_origins=["*"]) == 403


# --- who is listed


def test_a_layer_allows_origins_and_the_closest_list_counts():
    shop, app = "https://shop.example", "http://app.example:5173"
    assert status(shop, allowed_origins=[shop, app]) == 101
    assert status("https://Shop.example:443", allowed_origins=[shop]) == 101
    for other in (
        "http://shop.example",
        "https://shop.example:8443",
        "https://a.shop.example",
        "https://shop.example.",
    ):
        assert status(other, allowed_origins=[shop]) == 403, other
    inside = Router("", [live], allowed_origins=[app])
    assert status(app, routes=[inside], allowed_origins=[shop]) == 101
    assert status(shop, routes=[inside], allowed_origins=[shop]) == 403
    assert status("http://testserver", routes=[inside], allowed_origins=[shop]) == 101


def test_a_pattern_is_a_host_and_all_below_it():
    pattern = ["https://*.shop.example"]
    for good in ("https://shop.example", "https://a.shop.example", "https://a.b.shop.example"):
        assert status(good, allowed_origins=pattern) == 101, good
    for bad in ("http://a.shop.example", "https://evilshop.example", "https://a.shop.example:8443", "https://example"):
        assert status(bad, allowed_origins=pattern) == 403, bad


def test_names_of_other_alphabets_are_compared_as_browsers_send_them():
    assert status("https://xn--bcher-kva.example", allowed_origins=["https://bücher.example"]) == 101
    assert Origin("https", "a.xn--bcher-kva.example", 443) in Trusted(["https://*.BÜCHER.example"])


def test_an_application_in_a_shell_of_its_own_may_be_listed():
    assert status("capacitor://localhost", allowed_origins=["capacitor://localhost"]) == 101
    assert status("capacitor://localhost") == 403


def test_an_asterisk_is_everybody():
    for origin in ("https://evil.example", "null", "https://user@x"):
        assert status(origin, allowed_origins=["*"]) == 101


def test_pages_that_django_trusts_for_forms_may_as_well(settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://shop.example", "https://*.app.example", "no-scheme.example"]
    assert status("https://shop.example") == status("https://a.app.example") == 101
    assert status("http://shop.example") == status("https://no-scheme.example") == 403
    settings.CSRF_TRUSTED_ORIGINS = []
    assert status("https://shop.example") == 403


def test_pages_that_cors_knows_may_but_everybody_of_cors_may_not():
    assert status("https://shop.example", cors=CORS(["https://shop.example"])) == 101
    assert status("https://evil.example", cors=CORS(["https://shop.example"])) == 403
    assert status("https://evil.example", cors=CORS(["*"])) == 403


@pytest.mark.parametrize(
    "entry", ["shop.example", "*.shop.example", "https://*", "https://a*b.example", "null", "", "https://x/"]
)
def test_what_is_no_origin_cannot_be_listed(entry):
    with pytest.raises(ConfigurationError, match="/live.*no origin"):
        Gateway([live], allowed_origins=[entry])


def test_one_origin_is_no_list():
    with pytest.raises(ConfigurationError, match="must be a list"):
        Gateway([live], allowed_origins="https://shop.example")


# --- the refusal


def test_a_refusal_is_a_problem_and_a_line_in_the_log_that_nobody_can_forge(caplog):
    async def run():
        headers = [(b"origin", b"https://evil.example/\xff")]
        async with open_websocket(Gateway([live]), headers=headers) as opened:
            return opened

    with caplog.at_level(logging.WARNING, "django.security.csrf"):
        opened = async_to_sync(run)()
    assert (opened.status, opened.headers[b"content-type"]) == (403, b"application/problem+json")
    problem = json.loads(opened.body)
    assert (problem["status"], problem["detail"]) == (403, "Pages of this origin may not open this websocket.")
    record = next(record for record in caplog.records if record.name == "django.security.csrf")
    assert record.getMessage() == (
        "Forbidden (the origin https://evil.example/\\xff is neither that of the websocket, http://testserver, "
        "nor allowed or trusted): /live"
    )


def test_requests_of_http_are_not_asked_for_their_origin():
    @get("/")
    async def home() -> str:
        return "home"

    client = TestClient(Gateway([home, live]))
    assert client.get("/", headers={"Origin": "https://evil.example"}).status_code == 200


# --- cookies


@pytest.fixture
def cookie(db):
    browser = Client()
    browser.force_login(User.objects.create_user("ada"))
    return (b"cookie", f"sessionid={browser.cookies['sessionid'].value}".encode())


SESSION = {"routes": [own], "path": "/own", "authentication": [SessionAuthentication()]}


@pytest.mark.django_db
def test_a_cookie_counts_with_a_good_origin_alone(cookie):
    assert status("http://testserver", more=[cookie], **SESSION) == 101
    assert status("https://evil.example", more=[cookie], **SESSION) == 403
    assert status("null", more=[cookie], **SESSION) == 403
    assert status(more=[cookie], **SESSION) == 403
    assert status(more=[cookie], csrf_exempt=True, **SESSION) == 403
    assert status(more=[cookie], allowed_origins=["*"], **SESSION) == 403
    assert status("http://testserver", **SESSION) == 401


@pytest.mark.django_db
def test_the_key_in_a_cookie_is_no_other(settings):
    _, plain = Token.objects.issue(User.objects.create_user("ada"))
    options = {**SESSION, "authentication": [APIKeyAuthentication(cookie="key")]}
    key = (b"cookie", f"key={plain}".encode())
    assert status("http://testserver", more=[key], **options) == 101
    assert status(more=[key], **options) == 403


@pytest.mark.django_db
def test_who_is_no_browser_needs_no_origin():
    _, plain = Token.objects.issue(User.objects.create_user("ada"))
    options = {**SESSION, "authentication": [TokenAuthentication()]}
    assert status(more=[(b"authorization", f"Bearer {plain}".encode())], **options) == 101
    assert status() == 101
