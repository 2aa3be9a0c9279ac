"""django-ninja inside Django: pydantic schemas; handlers are ``async def`` under ASGI where they touch no database."""

from typing import Annotated, Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import path
from ninja import NinjaAPI, Query, Schema
from ninja.pagination import PageNumberPagination, paginate
from ninja.security import HttpBearer
from rest_framework.authtoken.models import Token

from loadtests.compare.apps.common import ROUTES, as_the_protocol_wants
from loadtests.compare.apps.pages import urlpatterns as pages
from loadtests.compare.shop.models import Article, Gadget, Sale

api = NinjaAPI(docs_url=None, openapi_url=None)


class Message(Schema):
    message: str


class Product(Schema):
    product: int
    lang: str
    page: int


class Line(Schema):
    product: int
    quantity: int
    note: str


class Order(Schema):
    customer: str
    lines: list[Line]


class Receipt(Schema):
    lines: int
    quantity: int


class Me(Schema):
    id: int
    username: str


class Row(Schema):
    id: int
    name: str
    price: int
    stock: int
    is_active: bool


class BrandOut(Schema):
    id: int
    name: str


class LabelOut(Schema):
    id: int
    name: str


class GadgetOut(Schema):
    id: int
    name: str
    brand: BrandOut
    labels: list[LabelOut]


class SaleIn(Schema):
    name: str
    price: int


class SaleOut(SaleIn):
    id: int


GADGETS = Gadget.objects.select_related("brand").prefetch_related("labels").order_by("id")


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        found = Token.objects.select_related("user").filter(key=token).first()
        return found.user if found else None


@api.get("/hello", response=Message)
@as_the_protocol_wants
def hello(request: HttpRequest) -> Any:
    return {"message": "Hello, World!"}


@api.get("/products/{product_id}", response=Product)
@as_the_protocol_wants
def product(request: HttpRequest, product_id: int, lang: str = "en", page: Annotated[int, Query(ge=1)] = 1) -> Any:
    return {"product": product_id, "lang": lang, "page": page}


@api.post("/orders", response={201: Receipt})
@as_the_protocol_wants
def order(request: HttpRequest, data: Order) -> Any:
    return 201, {"lines": len(data.lines), "quantity": sum(line.quantity for line in data.lines)}


@api.get("/me", auth=Bearer(), response=Me)
def me(request: Any) -> Any:
    return request.auth


@api.get("/rows", response=list[Row])
def rows(request: HttpRequest, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Any:
    return Article.objects.order_by("id")[:limit]


@api.get("/rows/{row_id}", response=Row)
def row(request: HttpRequest, row_id: int) -> Any:
    return get_object_or_404(Article, pk=row_id)


@api.get("/gadgets", response=list[GadgetOut])
def gadgets(request: HttpRequest, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Any:
    return GADGETS[:limit]


@api.get("/listed", response=list[GadgetOut])
@paginate(PageNumberPagination, page_size=10)
def listed(request: HttpRequest) -> Any:
    return GADGETS


@api.post("/sales", response={201: SaleOut})
def sell(request: HttpRequest, data: SaleIn) -> Any:
    return 201, Sale.objects.create(**data.dict())


def item(request: HttpRequest, item_id: int) -> dict[str, int]:
    return {"item": item_id}


for number in range(ROUTES):
    api.get(f"/r{number}/{{item_id}}", url_name=f"r{number}")(as_the_protocol_wants(item))

urlpatterns = [*pages, path("", api.urls)]
