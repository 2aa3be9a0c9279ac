"""Security headers and the redirect to HTTPS, from Django's own settings, on every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import django
import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from hybrid_gateway import FileResponse, Gateway, Response, Router, StreamingResponse, get, post
from hybrid_gateway.exceptions import Conflict, RouteError
from hybrid_gateway.test import TestClient

SECURITY = "django.middleware.security.SecurityMiddleware"
FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"


@get("/json")
async def json() -> dict[str, int]:
    return {"a": 1}


@get("/own")
async def own() -> Response[None]:
    return Response("own", headers={"X-Frame-Options": "SAMEORIGIN", "Strict-Transport-Security": "max-age=1"})


@get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"

    return StreamingResponse(chunks())


@get("/file")
def file() -> FileResponse:
    return FileResponse(__file__)


@get("/django")
def from_django() -> HttpResponse:
    return HttpResponse("django")


@get("/conflict")
def conflict() -> None:
    raise Conflict


@post("/json")
def create() -> dict[str, int]:
    return {}


PATHS = ["/json", "/stream", "/file", "/django", "/conflict", "/nowhere", "/json/"]
ROUTES = [json, own, stream, file, from_django, conflict, create]


def expected(name: str, secure: bool = True) -> str | None:
    """What Django's own middleware says of a page."""
    from django.middleware.clickjacking import XFrameOptionsMiddleware
    from django.middleware.security import SecurityMiddleware

    page = SecurityMiddleware(XFrameOptionsMiddleware(lambda request: HttpResponse()))
    return page(RequestFactory().get("/", secure=secure)).headers.get(name)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"SECURE_CONTENT_TYPE_NOSNIFF": False, "SECURE_REFERRER_POLICY": None, "X_FRAME_OPTIONS": "SAMEORIGIN"},
        {"SECURE_REFERRER_POLICY": "origin, same-origin", "SECURE_CROSS_ORIGIN_OPENER_POLICY": None},
        {"SECURE_HSTS_SECONDS": 60, "SECURE_REFERRER_POLICY": ["no-referrer", "same-origin"]},
        {"SECURE_HSTS_SECONDS": 60, "SECURE_HSTS_PRELOAD": True, "SECURE_HSTS_INCLUDE_SUBDOMAINS": True},
    ],
)
def test_answers_have_what_djangos_middleware_would_add(serve, changes):
    with override_settings(MIDDLEWARE=[SECURITY, FRAMES], **changes):
        client = serve(*ROUTES)
        for secure in (False, True):
            for path in PATHS:
                answer = client.get(path, secure=secure)
                for name in ("X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
                             "X-Frame-Options", "Strict-Transport-Security"):  # fmt: skip
                    assert answer.headers.get(name) == expected(name, secure), (path, name, secure)


def test_without_the_middleware_nothing_is_added(serve):
    with override_settings(MIDDLEWARE=[], SECURE_HSTS_SECONDS=60):
        client = serve(*ROUTES)
        for path in PATHS:
            assert not {"x-frame-options", "referrer-policy", "strict-transport-security"} & {
                name.lower() for name in client.get(path, secure=True).headers
            }


def test_a_subclass_of_djangos_middleware_counts(serve):
    with override_settings(MIDDLEWARE=["tests.security.test_transport.Stricter"]):
        assert serve(json).get("/json").headers["x-content-type-options"] == "nosniff"


class Stricter(__import__("django.middleware.security", fromlist=["_"]).SecurityMiddleware):
    """Somebody's own."""


def test_what_an_answer_or_a_layer_says_wins(serve):
    with override_settings(MIDDLEWARE=[SECURITY, FRAMES], SECURE_HSTS_SECONDS=60):
        embedded = Router("/embedded", [json, conflict], response_headers={"x-frame-options": None})
        changed = Router("/changed", [json], response_headers={"X-Frame-Options": "SAMEORIGIN"})
        client = serve(*ROUTES, embedded, changed)
        answer = client.get("/own", secure=True)
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert answer.headers["Strict-Transport-Security"] == "max-age=1"
        for path in ("/embedded/json", "/embedded/conflict"):
            answer = client.get(path)
            assert "X-Frame-Options" not in answer.headers and answer.headers["Referrer-Policy"] == "same-origin"
        assert client.get("/changed/json").headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Content Security Policy came with Django 6.0")
def test_the_content_security_policy_of_the_settings(serve):
    from django.utils.csp import CSP

    with override_settings(
        MIDDLEWARE=["django.middleware.csp.ContentSecurityPolicyMiddleware"],
        SECURE_CSP={"default-src": [CSP.SELF], "script-src": [CSP.SELF, CSP.NONCE]},
        SECURE_CSP_REPORT_ONLY={"img-src": [CSP.NONE]},
    ):
        headers = serve(json).get("/json").headers
        assert headers["Content-Security-Policy"] == "default-src 'self'; script-src 'self'"
        assert headers["Content-Security-Policy-Report-Only"] == "img-src 'none'"


# --- the redirect


@pytest.mark.parametrize("settings", [{}, {"SECURE_SSL_HOST": "secure.example"}])
def test_plain_http_is_sent_to_https(serve, settings):
    with override_settings(
        MIDDLEWARE=[SECURITY], SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=["^json$"], **settings
    ):
        client = serve(*ROUTES, get("/probe", opt={"probe": True})(json.handler))
        host = settings.get("SECURE_SSL_HOST", "testserver")
        answer = client.get("/nowhere/é?a=b%20c&d=/")
        assert (answer.status_code, answer.headers["location"]) == (301, f"https://{host}/nowhere/%C3%A9?a=b%20c&d=/")
        answer = client.post("/own", content=b"x")
        assert (answer.status_code, answer.headers["location"]) == (308, f"https://{host}/own")
        assert client.get("/json").status_code == 200
        assert client.get("/probe").status_code == 200
        assert client.get("/own", secure=True).status_code == 200


def test_a_proxy_may_say_that_it_was_https(serve):
    with override_settings(
        MIDDLEWARE=[SECURITY],
        SECURE_SSL_REDIRECT=True,
        SECURE_HSTS_SECONDS=60,
        SECURE_PROXY_SSL_HEADER=("HTTP_X_SCHEME", "https"),
    ):
        client = serve(*ROUTES)
        for said, status in (("https", 200), ("https, http", 200), ("http", 301), ("HTTPS", 301), ("", 301)):
            answer = client.get("/json", headers={"X-Scheme": said})
            assert answer.status_code == status, said
            assert ("Strict-Transport-Security" in answer.headers) is (status == 200)
        assert client.get("/json", secure=True, headers={"X-Scheme": "http"}).status_code == 301


def test_hosts_are_checked_before_anybody_is_sent_there(serve):
    with override_settings(MIDDLEWARE=[SECURITY], SECURE_SSL_REDIRECT=True):
        answer = serve(json).get("/json", headers={"Host": "evil.test.invalid"})
        assert answer.status_code == 400 and "location" not in answer.headers


# --- hosts


def test_r_host_hosts_are_djangos_to_judge(serve):
    cases = [
        (["a.test"], "a.test", True), (["a.test"], "A.TEST:8000", True), (["a.test"], "b.a.test", False),
        ([".a.test"], "b.a.test", True), ([".a.test"], "a.test", True), ([".a.test"], "xa.test", False),
        (["*"], "whatever.test:1", True), (["*"], "what ever", False), (["axtest"], "a.test", False),
        (["a.test"], "axtest", False), (["[::1]"], "[::1]:80", True), (["a.test"], "a.test.", True),
    ]  # fmt: skip
    client = serve(json)
    for allowed, host, is_allowed in cases:
        with override_settings(ALLOWED_HOSTS=allowed):
            for _ in range(2):
                assert (client.get("/json", headers={"Host": host}).status_code == 200) is is_allowed, (allowed, host)


def test_a_test_clients_own_host_needs_no_setting():
    for protocol in ("asgi", "wsgi"):
        client = TestClient(Gateway([json]), protocol=protocol)
        with override_settings(ALLOWED_HOSTS=[]):
            assert client.get("/json").status_code == 200
            assert client.get("/json", headers={"Host": "testserver"}).status_code == 400


def test_r_host_a_forwarded_host_counts_where_the_project_says_so(serve):
    client = serve(json)
    headers = {"Host": "inside.invalid", "X-Forwarded-Host": "testserver"}
    assert client.get("/json", headers=headers).status_code == 400
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert client.get("/json", headers=headers).status_code == 200
        assert client.get("/json", headers={**headers, "X-Forwarded-Host": "evil.invalid"}).status_code == 400


def test_r_host_what_is_remembered_is_bounded(monkeypatch):
    gateway = Gateway([json])
    with override_settings(ALLOWED_HOSTS=["*"]):
        client = TestClient(gateway)
        monkeypatch.setattr("hybrid_gateway.dispatch.request_checks.MAX_KNOWN_HOSTS", 10)
        for number in range(50):
            assert client.get("/json", headers={"Host": f"h{number}.test"}).status_code == 200
        assert len(gateway.dispatcher.validator._hosts) <= 10


def test_r_host_under_debug_the_answer_says_what_to_do(serve, caplog):
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        client = serve(json)
        assert client.get("/json", headers={"Host": "localhost:8000"}).status_code == 200
        assert (
            "You may need to add 'other.test'" in client.get("/json", headers={"Host": "other.test"}).json()["detail"]
        )
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == [
        "django.security.DisallowedHost"
    ]


# --- letters that some take for others


def test_r_path_a_route_that_could_pass_for_djangos_is_refused_where_it_does(serve):
    @get("/{section}/{name}")
    def anything(section: str, name: str) -> str:
        return f"{section} {name}"

    client = serve(anything, django_routes=["/admin/"])
    assert client.get("/Other/x").text == "Other x"
    for path in ("/Admin/x", "/ADMIN/x", "/%61dmiN/x"):
        assert client.get(path).status_code == 400, path


def test_r_path_a_route_below_a_prefix_in_other_letters_is_a_mistake():
    with pytest.raises(RouteError, match="lies under '/admin/'"):
        Gateway([get("/Admin/x")(json.handler)], django_routes=["/admin/"])
