"""An API of django-ninja with the shapes of large projects: helpers, errors of many kinds, decorators, an API class."""

import asyncio
import functools
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from ninja import Field, NinjaAPI, Query, Router, Schema
from ninja.decorators import decorate_view
from ninja.errors import HttpError
from ninja.pagination import PaginationBase, paginate
from ninja.security import HttpBearer
from ninja.throttling import AnonRateThrottle
from pydantic import BaseModel

from tests.library.models import Author, Publisher

api = NinjaAPI(urls_namespace="guild")


class Sort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"


class Member(BaseModel):
    id: int
    name: str
    share: float
    joined: datetime | None = None
    notes: list[str] = []
    rank: int = None


class Node(BaseModel):
    name: str
    parts: list["Node"] = []


class Trouble(BaseModel):
    detail: str
    id: str | None = None

    @classmethod
    def told(cls, detail):
        return cls(detail=detail, id="told")


class Counts(Schema):
    one: int = 0


class Overview(Schema):
    name: str
    counts: Counts = Counts()


class PublisherOut(Schema):
    id: int
    shout: str

    @staticmethod
    def resolve_shout(obj):
        return obj.name.upper()


def find(author_id):
    found = Author.objects.filter(pk=author_id).first()
    return found or (404, Trouble(detail="nobody"))


def needed(author_id):
    if author_id == 0:
        raise HttpError(409, "zero")
    return author_id


class Optional(HttpBearer):
    def __call__(self, request):
        return super().__call__(request) if request.headers.get("Authorization") else AnonymousUser()

    def authenticate(self, request, token):
        return token if token == "secret" else None


class Late(HttpBearer):
    async def authenticate(self, request, token):
        await asyncio.sleep(0)
        return token if token == "secret" else None


def marked(view):
    @functools.wraps(view)
    def wrapper(request, *args, **kwargs):
        response = view(request, *args, **kwargs)
        response["X-Marked"] = request.path
        return response

    return wrapper


def closed(view):
    @functools.wraps(view)
    def wrapper(request, *args, **kwargs):
        return HttpResponse(status=403)

    return wrapper


class Pages(PaginationBase):
    class Input(Schema):
        page: int = Field(1, ge=1)

    class Output(Schema):
        items: list[Any]
        total: int

    def paginate_queryset(self, queryset, pagination, **params):
        return {"items": list(queryset[pagination.page - 1 : pagination.page]), "total": queryset.count()}


class OwnThrottle(AnonRateThrottle):
    scope = "own"


@api.get("/members", response=list[Member])
def members(request, sort: Sort = Sort.NEWEST):
    result: list[Member] = []
    for author in Author.objects.order_by("id"):
        result.append(
            Member(
                # an amount of money
                share=Decimal("1.50"),
                id=author.pk,
                name=author.name,
                joined=datetime(2026, 1, 2, 3, 4, 5, 678000),
                unknown=sort.value,
            )
        )
    return result


@api.get("/loose", response=list[Member])
def loose(request):
    return [{"id": 1, "name": "dict", "share": 2, "unknown": True}]


@api.get("/found/{author_id}", response={200: Overview, 404: Trouble})
def found(request, author_id: int):
    return find(author_id)


@api.get("/errors/{number}", response={200: Overview, 400: Trouble, 403: str, 404: None})
def errors(request, number: int):
    if number == 400:
        trouble = Trouble.told("bad")
        return 400, trouble
    if number == 403:
        return 403, "no é"
    if number == 404:
        return 404, None
    return {"name": "fine"}


@api.get("/made/{author_id}")
def raised(request, author_id: int):
    return {"id": needed(author_id)}


@api.get("/tree", response=Node)
def tree(request):
    return Node(name="root", parts=[Node(name="leaf")])


@api.post("/accepted", response={202: Overview})
def accepted(request):
    return {"name": "later"}


@api.post("/queued", response={202: list[PublisherOut]})
def queued(request):
    return Publisher.objects.order_by("id")


@api.get("/optional", auth=Optional())
def optional(request):
    return {"anonymous": request.auth.__class__.__name__}


@api.get("/late", auth=Late())
def late(request):
    return {"token": request.auth}


@api.get("/marked", response=list[PublisherOut])
@decorate_view(marked)
def decorated(request):
    return Publisher.objects.order_by("id")


@api.get("/closed")
@decorate_view(closed)
def shut(request):
    return {"secret": True}


@api.get("/own-pages", response=list[PublisherOut])
@paginate(Pages)
def own_pages(request, name: str = Query(None)):
    rows = Publisher.objects.order_by("id")
    return rows.filter(name=name) if name else rows


@api.get("/limited", throttle=[OwnThrottle("2/m")])
def limited(request):
    return {"limited": True}


@api.get("/twice/first", url_name="twice")
def first(request):
    return {"first": True}


@api.get("/twice/second", url_name="twice")
def twice(request):
    return {"second": True}


inner = Router()


@inner.get("/hidden")
def hidden(request):
    return {"secret": True}


@inner.get("/marked")
@decorate_view(marked)
def hidden_and_marked(request):
    return {"secret": True}


inner.add_decorator(closed, mode="view")
api.add_router("/inner", inner)


class StampedAPI(NinjaAPI):
    def create_temporal_response(self, request):
        response = super().create_temporal_response(request)
        response["X-Stamp"] = getattr(request, "stamp", "none")
        return response


stamped = StampedAPI(urls_namespace="stamped")


@stamped.get("/stamped", response=Overview)
def stamp(request):
    request.stamp = "late"
    return {"name": "stamped"}


@api.get("/files/{path:name}/lines/{int:number}")
def lines(request, name: str, number: int):
    return {"name": name, "number": number}


@api.get("/halves/{int:number}")
def half(request, number: int):
    return {"half": number / 2}


@api.put("/halves/{int:number}", auth=Late())
def put_half(request, response: HttpResponse, number: int):
    response["X-Half"] = str(number)
    return {"by": request.auth}
