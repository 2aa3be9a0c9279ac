"""The document as YAML, other people's pages, a document for staff alone, callbacks and webhooks."""

import re
import sys
from unittest.mock import patch

import msgspec
import pytest
import yaml
from django.contrib.auth.models import User
from openapi_spec_validator import validate

from hybrid_gateway import Gateway, Route, get, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.openapi.pages import VIEWERS
from hybrid_gateway.test import TestClient


@get("/hello", response_headers={"X-App": "shop"}, etag=True, throttle=["5/minute"])
async def hello() -> dict[str, str]:
    """Say hello — in any language."""
    return {}


def served(serve, **settings):
    return serve(hello, openapi=OpenAPISettings(enabled=True, title="A <b>", **settings))


def test_the_document_as_yaml(serve):
    client = served(serve)
    answer = client.get("/openapi.yaml")
    assert answer.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(answer.content) == client.get("/openapi.json").json()
    assert b"Say hello \xe2\x80\x94" in answer.content


def test_without_pyyaml_json_is_yaml_too(serve):
    with patch.dict(sys.modules, {"yaml": None}):
        answer = served(serve).get("/openapi.yaml")
    assert yaml.safe_load(answer.content)["paths"].keys() == {"/hello"}


@pytest.mark.parametrize("name", VIEWERS)
def test_other_peoples_pages_load_one_known_script(serve, name):
    answer = served(serve, assets="https://assets.example/npm/").get(f"/docs/{name}")
    page, policy = answer.text, answer.headers["Content-Security-Policy"]
    scripts = re.findall(r'<script src="([^"]+)" integrity="sha384-[A-Za-z0-9+/]{64}" crossorigin="anonymous">', page)
    assert scripts == [f"https://assets.example/npm/{VIEWERS[name].script[0]}"]
    assert page.count("<script") == 1 + bool(VIEWERS[name].start)
    assert "default-src 'none'; script-src https://assets.example" in policy and "unsafe-eval" not in policy
    assert "/openapi.json" in page and "A &lt;b&gt;" in page and "<b>" not in page


def test_a_page_that_nobody_made(serve):
    assert served(serve).get("/docs/other").status_code == 404


# --- for staff alone


@pytest.mark.django_db(transaction=True)
def test_a_document_for_staff(serve):
    client = served(serve, staff_only=True)
    for path in ("/docs", "/docs/redoc"):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/admin/login/?next={path}"
    assert [client.get(path).status_code for path in ("/openapi.json", "/openapi.yaml")] == [401, 401]
    client.force_login(User.objects.create_user("ada"))
    assert [client.get(path).status_code for path in ("/openapi.json", "/docs")] == [403, 302]
    client.force_login(User.objects.create_user("bea", is_staff=True))
    answers = [client.get(path) for path in ("/openapi.json", "/openapi.yaml", "/docs", "/docs/swagger")]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.headers["Cache-Control"] for answer in answers} == {"private"}
    assert client.get("/hello").status_code == 200


# --- callbacks, webhooks, headers


class Paid(msgspec.Struct):
    order: int


@post("", name="order_paid")
async def order_paid(data: Paid) -> None:
    """Tells that an order was paid."""


@post("/orders", callbacks={"paid": {"{$request.query.callback}": order_paid}})
async def order(callback: str) -> None: ...


def test_callbacks_and_webhooks_are_in_the_document_and_nowhere_else():
    settings = OpenAPISettings(enabled=True, webhooks=(order_paid,))
    gateway = Gateway([order, Route("/again", order.handler, methods=["POST"], name="again")], openapi=settings)
    document = build_document(gateway.endpoints[:1], settings, gateway.dispatcher.table.webhooks)
    validate(document)
    callback = document["paths"]["/orders"]["post"]["callbacks"]["paid"]["{$request.query.callback}"]["post"]
    assert callback["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Paid"}
    webhook = document["webhooks"]["order_paid"]["post"]
    assert webhook["summary"] == "Tells that an order was paid."
    assert webhook["operationId"] != callback["operationId"]
    assert TestClient(gateway).post("/").status_code == 404


def test_headers_of_answers_are_in_the_document():
    answer = build_document(Gateway([hello]).endpoints, OpenAPISettings())["paths"]["/hello"]["get"]["responses"]["200"]
    assert answer["headers"]["X-App"] == {"schema": {"type": "string", "const": "shop"}}
    assert answer["headers"].keys() == {"X-App", "ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
