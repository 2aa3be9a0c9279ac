"""The side that it becomes: typed routes."""

from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache

from hybrid_gateway import JSONResponse, Request, Response, get, post
from hybrid_gateway.auth import SessionAuthentication
from hybrid_gateway.exceptions import NotFound
from hybrid_gateway.orm import ModelStruct
from tests.library.models import Author, Publisher


class PublisherOut(ModelStruct, model=Publisher):
    id: int
    name: str
    country: str | None


@get("/api/publishers")
def list_publishers(country: str | None = None) -> list[PublisherOut]:
    rows = Publisher.objects.order_by("id")
    return PublisherOut.fetch(rows if country is None else rows.filter(country=country))


@get("/api/publishers/{publisher_id}")
def get_publisher(publisher_id: int) -> PublisherOut:
    return PublisherOut.get(Publisher.objects.filter(pk=publisher_id))


@post("/api/publishers")
def add_publisher(name: str) -> PublisherOut:
    return PublisherOut.from_model(Publisher.objects.create(name=name))


@get("/me", authentication=[SessionAuthentication()])
def me(user: User | None) -> dict[str, str]:
    return {"name": user.username if user else ""}


@get("/agent")
def agent(request: Request) -> dict[str, str]:
    return {"agent": request.headers.get("X-Agent", "")}


@get("/both")
def both() -> JSONResponse:
    body = {"a": 2, "there": "value-that-moves", "text": 1, "many": [1], "turned": [2, 1], "more": None}
    return JSONResponse(body, headers={"Vary": "cookie,accept"})


@get("/unsteady")
def unsteady() -> dict[str, Any]:
    return {"number": -1, "steady": "new"}


@get("/cached")
def cached() -> dict[str, Any]:
    return {"by": cache.get_or_set("by", "new")}


@get("/told")
def told() -> JSONResponse:
    return JSONResponse({"detail": "é"}, 404)


@get("/author")
def author() -> dict[str, Any]:
    return {"count": Author.objects.count(), "made": Author.objects.create(name="Ada").name}


@get("/same")
def same() -> JSONResponse:
    return JSONResponse({"a": [1, {"b": None}]})


@get("/text")
def text() -> Response:
    return Response("new", media_type="text/plain")


@get("/lost")
def lost() -> None:
    raise NotFound


@get("/plain")
def plain() -> dict[str, int]:
    return {"a": 2, "b": 1}


routes = [
    list_publishers,
    get_publisher,
    add_publisher,
    me,
    agent,
    both,
    unsteady,
    cached,
    told,
    author,
    same,
    text,
    lost,
    plain,
]
