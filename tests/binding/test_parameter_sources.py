"""A row of SOURCES is all that the gateway knows of a source: what it forgets, caches would give to others."""

from typing import Annotated

import msgspec
import pytest
from django.contrib.auth import get_user_model

from hybrid_gateway import Cookie, Gateway, Header, Query, get
from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.binding.markers import Marker
from hybrid_gateway.binding.parameter_sources import SOURCES, ParameterSource
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import ConfigurationError, DependencyError
from hybrid_gateway.test import TestClient

User = get_user_model()


class Certificate(Marker):
    """What a proxy tells of the client's certificate."""

    source = "certificate"


class Subject(msgspec.Struct):
    subject: str


def _lists(ctx):
    value = ctx.header(b"x-client-cert")
    return {} if value is None else {"subject": [value.decode()]}


def _values(ctx):
    return {name: values[-1] for name, values in _lists(ctx).items()}


@pytest.fixture
def certificates(monkeypatch):
    row = ParameterSource(
        marker=Certificate,
        values=_values,
        lists=_lists,
        varies_by=lambda name: "X-Client-Cert",
        is_private=lambda name: True,
        openapi_in="header",
        allowed_in_layers=True,
    )
    monkeypatch.setitem(SOURCES, "certificate", row)


def test_a_new_source_is_read(serve, certificates):
    @get("/whoami")
    def whoami(subject: Annotated[str, Certificate()]) -> str:
        return subject

    client = serve(whoami)
    assert client.get("/whoami", headers={"X-Client-Cert": "ada"}).text == "ada"
    response = client.get("/whoami")
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["certificate", "subject"]


def test_answers_vary_by_a_new_source_and_are_private(serve, certificates):
    @get("/whoami")
    def whoami(subject: Annotated[str, Certificate()] = "nobody") -> str:
        return subject

    client = serve(whoami)
    with_certificate = client.get("/whoami", headers={"X-Client-Cert": "ada"})
    assert with_certificate.headers["vary"] == "X-Client-Cert"
    assert with_certificate.headers["cache-control"] == "private"
    assert client.get("/whoami").headers["vary"] == "X-Client-Cert"


def test_cached_answers_are_kept_apart_by_a_new_source(serve, certificates):
    @get("/whoami-cached", cache=60)
    def whoami(subject: Annotated[str, Certificate()] = "nobody") -> str:
        return subject

    client = serve(whoami)
    for subject in ("ada", "bob", "ada"):
        response = client.get("/whoami-cached", headers={"X-Client-Cert": subject})
        assert response.text == subject
        assert "X-Client-Cert" in response.headers["vary"]
    assert client.get("/whoami-cached").text == "nobody"


def test_layers_may_declare_a_new_source(serve, certificates):
    @get("/whoami")
    def whoami(subject: str) -> str:
        return subject

    client = serve(whoami, parameters={"subject": Annotated[str, Certificate()]})
    assert client.get("/whoami", headers={"X-Client-Cert": "ada"}).text == "ada"


def test_the_document_shows_a_new_source_where_its_row_says(certificates):
    @get("/whoami")
    def whoami(subject: Annotated[str, Certificate()]) -> str:
        return subject

    gateway = Gateway([whoami], openapi=OpenAPISettings(enabled=True))
    paths = TestClient(gateway).get("/openapi.json").json()["paths"]
    [parameter] = paths["/whoami"]["get"]["parameters"]
    assert (parameter["in"], parameter["name"], parameter["required"]) == ("header", "subject", True)


def test_a_scheme_that_asks_for_a_new_source_is_documented_by_its_row(certificates):
    class ByCertificate(AuthenticationScheme):
        def authenticate(self, subject: Annotated[str | None, Certificate()] = None) -> Authentication | None: ...

    @get("/me")
    def me(user: User) -> str: ...

    gateway = Gateway([me], authentication=[ByCertificate()], openapi=OpenAPISettings(enabled=True))
    document = TestClient(gateway).get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert schemes == {"ByCertificate": {"type": "apiKey", "in": "header", "name": "subject"}}
    assert "parameters" not in document["paths"]["/me"]["get"]


@pytest.mark.parametrize("said", [{"is_private": lambda name: True}, {"is_header": True}], ids=["private", "header"])
def test_a_row_without_varies_by_is_rejected_where_caches_need_it(said):
    with pytest.raises(ConfigurationError, match=r"SOURCES: the row of Certificate\(\) .* varies_by=lambda name: "):
        ParameterSource(marker=Certificate, values=_values, lists=_lists, **said)


@pytest.mark.parametrize("said", [{"values": _values}, {"lists": _lists}], ids=["values", "lists"])
def test_a_row_has_values_and_lists_or_neither(said):
    with pytest.raises(ConfigurationError, match=r"SOURCES: the row of Certificate\(\) needs both values="):
        ParameterSource(marker=Certificate, **said)


@pytest.mark.parametrize("kind", [str, list[str], Subject], ids=["text", "texts", "struct"])
def test_a_source_without_texts_holds_no_parameters(monkeypatch, kind):
    monkeypatch.setitem(SOURCES, "certificate", ParameterSource(marker=Certificate))

    def whoami(subject: Annotated[kind, Certificate()]) -> str: ...

    with pytest.raises(DependencyError, match=r"'subject' is marked Certificate\(\), .* neither values= nor lists="):
        assert Gateway([get("/whoami")(whoami)]).endpoints


@pytest.mark.parametrize("row", SOURCES.values(), ids=lambda row: row.name)
def test_what_is_private_says_by_what_it_varies(row):
    for name in ("authorization", "cookie", "x"):
        assert not row.is_private(name) or row.varies_by is not None


@pytest.mark.parametrize("row", SOURCES.values(), ids=lambda row: row.name)
def test_a_source_goes_by_the_name_of_its_marker(row):
    assert SOURCES[row.marker.source] is row


def test_the_cookie_header_is_private_however_it_is_read(serve):
    @get("/by-header")
    def by_header(cookie: Annotated[str, Header()] = "") -> str:
        return cookie

    @get("/by-cookie")
    def by_cookie(theme: Annotated[str, Cookie()] = "") -> str:
        return theme

    client = serve(by_header, by_cookie)
    for path in ("/by-header", "/by-cookie"):
        response = client.get(path, headers={"Cookie": "theme=dark"})
        assert (response.headers["vary"], response.headers["cache-control"]) == ("Cookie", "private")


def test_only_sources_that_layers_may_declare_are_named():
    with pytest.raises(ConfigurationError, match=r"Header\(\)\], Query\(\), Cookie\(\) or Depends\(provider\)"):
        assert Gateway([], parameters={"x": Annotated[int, Query()], "y": int}).routes
