"""The OpenAPI document of a side: the gateway's own, django-ninja's and drf-spectacular's, or what a server shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import msgspec
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from hybrid_gateway.comparison.exchanges import ReplayedRequest
from hybrid_gateway.comparison.sides import ClientSide, MappedSide, Side
from hybrid_gateway.openapi.document import build_document

Document = dict[str, Any]


def side_document(side: Side) -> Document | None:
    """Return the document of a side, references and all, or None where it has none."""
    if isinstance(side, MappedSide):
        document = side_document(side.side)
        return document and _moved(document, side.after, side.before)
    if side.gateway is not None:
        gateway = side.gateway
        return _plain(build_document(gateway.endpoints, gateway.openapi, gateway.dispatcher.table.webhooks))
    if isinstance(side, ClientSide):
        return _merged([*ninja_documents(), *spectacular_documents()])
    answer = side.send(ReplayedRequest("GET", "/openapi.json"))
    return json.loads(answer.body) if answer.status == 200 and answer.is_json else None


def ninja_documents() -> Iterator[Document]:
    """Yield the document of each NinjaAPI in the URLconf, hidden ones too."""
    for api in mounted_ninja_apis():
        yield _plain(api.get_openapi_schema())


def mounted_ninja_apis() -> list[Any]:
    """Return the NinjaAPI objects that the URLconf leads to, in its order."""
    if find_spec("ninja") is None:
        return []
    kind = import_string("ninja.NinjaAPI")
    found: dict[int, Any] = {}
    for pattern in _patterns(get_resolver().url_patterns):
        bound = getattr(pattern.callback, "keywords", {}) if isinstance(pattern.callback, partial) else {}
        if isinstance(bound.get("api"), kind):  # its root, whose view is a function of the api
            found[id(bound["api"])] = bound["api"]
    return list(found.values())


def _patterns(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns)
        else:
            yield pattern


def spectacular_documents() -> Iterator[Document]:
    """Yield the document of Django REST framework's views, where drf-spectacular is installed."""
    if find_spec("drf_spectacular") is not None and find_spec("rest_framework") is not None:
        yield _plain(import_string("drf_spectacular.generators.SchemaGenerator")().get_schema(public=True))


def _plain(document: Mapping[str, Any]) -> Document:
    """Return a document as its readers get it."""
    plain: Document = json.loads(msgspec.json.encode(document, enc_hook=str))
    return plain


def _merged(documents: list[Document]) -> Document | None:
    """Return one document of several; schemas of equal names in later ones are renamed."""
    if not documents:
        return None
    merged: Document = {"paths": {}, "components": {}}
    for number, document in enumerate(documents):
        text = json.dumps(document).replace("#/components/", f"#/components/{number}/") if number else ""
        current = json.loads(text) if text else document
        merged["paths"].update(current.get("paths", {}))
        target = merged["components"].setdefault(str(number), {}) if number else merged["components"]
        target.update(current.get("components", {}))
    return merged


def _moved(document: Document, before: str, after: str) -> Document:
    paths = {
        after + path.removeprefix(before) if path.startswith(before) else path: item
        for path, item in document.get("paths", {}).items()
    }
    return {**document, "paths": paths}
