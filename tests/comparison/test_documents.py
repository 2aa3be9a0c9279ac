"""OpenAPI documents side by side."""

import json

import pytest
from django.core.management import call_command

from hybrid_gateway.comparison.document_differences import document_differences


def document(operation=None, path="/a/{id}", method="get", **components):
    return {"paths": {path: {method: {"responses": {"200": {}}, **(operation or {})}}}, "components": components}


def found(old, new):
    return [(one.kind, one.place, one.detail) for _, one in document_differences(old, new)]


def body(schema):
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


def answer(schema, status="200"):
    return {"responses": {status: {"content": {"application/json": {"schema": schema}}}}}


def parameters(*given):
    return {"parameters": [{"in": "query", "schema": {"type": "string"}, **one} for one in given]}


def test_names_of_path_parameters_are_no_difference():
    assert found(document(), document(path="/a/{pk}")) == []


def test_routes_are_missing_and_added():
    routes = [(route, one.place) for route, one in document_differences(document(), document(path="/b"))]
    assert sorted(routes) == [("GET /a/{id}", "missing"), ("GET /b", "added")]


def test_parameters_differ_by_name_type_and_whether_they_must_be_there():
    old = document(parameters({"name": "a"}, {"name": "b"}, {"name": "c"}))
    new = document(
        parameters({"name": "b", "required": True}, {"name": "c", "schema": {"type": "integer"}}, {"name": "d"})
    )
    assert found(old, new) == [
        ("parameter", "query a", "missing"),
        ("parameter", "query b", "required"),
        ("parameter", "query c", "string→integer"),
        ("parameter", "query d", "added"),
    ]


def test_bodies_differ_by_their_places():
    old = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    new = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
    assert found(document(body(old)), document(body(new))) == [
        ("request", "$.a", "missing"),
        ("request", "$.a?", "added"),
        ("request", "$.b?", "string→integer"),
    ]


def test_answers_differ_by_status_and_places_through_references():
    row = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    old = document(answer({"type": "array", "items": {"$ref": "#/components/schemas/Row"}}), schemas={"Row": row})
    new = document({"responses": {"200": {"content": {"x": {"schema": {"type": "array", "items": {
        "type": "object", "properties": {"a": {"type": "string"}}}}}}}, "404": {}}})  # fmt: skip
    assert found(old, new) == [("response", "404", "added"), ("response", "200 $[].a", "null|string→string")]


def test_what_contains_itself_is_compared_to_a_depth():
    tree = {"type": "object", "properties": {"under": {"$ref": "#/components/schemas/Tree"}}}
    recursive = document(answer({"$ref": "#/components/schemas/Tree"}), schemas={"Tree": tree})
    assert found(recursive, recursive) == []


@pytest.mark.django_db
def test_documents_of_ninja_and_of_the_gateway_are_compared(settings, capsys):
    settings.ROOT_URLCONF = "tests.comparison.old_urls"
    settings.HYBRID_GATEWAY = {"ROUTES": "tests.comparison.new_routes", "OPENAPI": {"ENABLED": False}}
    with pytest.raises(SystemExit):
        call_command("gateway", "compare", "django", "gateway", "--no-answers", "--json", "--only=/api/*")
    groups = json.loads(capsys.readouterr().out)["differences"]
    assert ("route", "missing", ["GET /api/strangers/{word}"]) in [(g["kind"], g["place"], g["routes"]) for g in groups]
    assert {(g["kind"], g["place"], g["detail"]) for g in groups if g["kind"] != "route"} == {
        ("response", "404", "added"),
        ("response", "422", "added"),
    }
