"""hybrid_gateway: the API from typed functions, Django's page and admin behind their prefixes."""

from __future__ import annotations

import os
from typing import Annotated, Any

import django

django.setup()  # before anything that imports models

from django.contrib.auth.models import User  # noqa: E402
from msgspec import Struct  # noqa: E402

from hybrid_gateway import Gateway, Query, Route, get, post  # noqa: E402
from hybrid_gateway.auth import IsAuthenticated, TokenAuthentication  # noqa: E402
from hybrid_gateway.orm import Column, ModelStruct, Page, PageNumber, prepare  # noqa: E402
from loadtests.compare.apps.common import ROUTES  # noqa: E402
from loadtests.compare.apps.structs import Item, Me, Message, Order, Product, Receipt, receipt_of  # noqa: E402
from loadtests.compare.shop.models import Article, Brand, Gadget, Label, Sale  # noqa: E402

PREPARED = os.environ.get("BENCH_PREPARED") == "1"
OBSERVED = os.environ.get("BENCH_OBSERVED") == "1"


@get("/hello")
async def hello() -> Message:
    return Message("Hello, World!")


@get("/products/{product_id}")
async def product(product_id: int, lang: str = "en", page: Annotated[int, Query(ge=1)] = 1) -> Product:
    return Product(product_id, lang, page)


@post("/orders")
async def order(data: Order) -> Receipt:
    return receipt_of(data)


@get("/me", authentication=[TokenAuthentication()], guards=[IsAuthenticated])
def me(user: User) -> Me:
    return Me(user.pk, user.get_username())


class ArticleOut(ModelStruct, model=Article):
    id: int
    name: str
    price: int
    stock: int
    is_active: bool


class BrandOut(ModelStruct, model=Brand):
    id: int
    name: str


class LabelOut(ModelStruct, model=Label):
    id: int
    name: str


class GadgetOut(ModelStruct, model=Gadget):
    id: int
    name: str
    brand: BrandOut
    labels: Annotated[list[LabelOut], Column(order_by="id")]


class SaleIn(ModelStruct, model=Sale):
    name: str
    price: int


class SaleOut(SaleIn, model=Sale):
    id: int


prepared_row = prepare(ArticleOut, lambda row_id: Article.objects.filter(pk=row_id))
prepared_gadgets = prepare(GadgetOut, lambda limit: Gadget.objects.order_by("id")[:limit])
prepared_page = prepare(GadgetOut, lambda page: Gadget.objects.order_by("id")[(page - 1) * 10 : page * 10])
prepared_count = prepare(lambda: Gadget.objects.all())
prepared_rows = prepare(ArticleOut, lambda limit: Article.objects.order_by("id")[:limit])


@get("/rows")
def rows(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[ArticleOut]:
    if PREPARED:
        return prepared_rows.fetch(limit=limit)
    return ArticleOut.fetch(Article.objects.order_by("id")[:limit])


@get("/rows/{row_id}")
def row(row_id: int) -> ArticleOut:
    return prepared_row.get(row_id=row_id) if PREPARED else ArticleOut.get(Article.objects.filter(pk=row_id))


@get("/async/rows")
async def async_rows(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[ArticleOut]:
    if PREPARED:
        return await prepared_rows.afetch(limit=limit)
    return await ArticleOut.afetch(Article.objects.order_by("id")[:limit])


@get("/async/rows/{row_id}")
async def async_row(row_id: int) -> ArticleOut:
    if PREPARED:
        return await prepared_row.aget(row_id=row_id)
    return await ArticleOut.aget(Article.objects.filter(pk=row_id))


@get("/gadgets")
def gadgets(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[GadgetOut]:
    if PREPARED:
        return prepared_gadgets.fetch(limit=limit)
    return GadgetOut.fetch(Gadget.objects.order_by("id")[:limit])


@get("/listed", pagination=PageNumber(size=10, max_size=None))
def listed(page: Page[GadgetOut]) -> Page[GadgetOut]:
    return page.fetch(Gadget.objects.order_by("id"))


class Listed(Struct):
    items: list[GadgetOut]
    total: int


@get("/listed")
def prepared_listed(page: Annotated[int, Query(ge=1)] = 1) -> Listed:
    return Listed(prepared_page.fetch(page=page), prepared_count.count())


@post("/sales", response=SaleOut)
def sell(data: SaleIn) -> Any:
    return data.create()


async def item(item_id: int) -> Item:
    return Item(item_id)


routes: list[Any] = [hello, product, order, me, rows, row, async_rows, async_row, gadgets, sell]
routes += [prepared_listed if PREPARED else listed]
routes += [Route(f"/r{number}/{{item_id}}", item) for number in range(ROUTES)]
options: dict[str, Any] = {}
if OBSERVED:
    from hybrid_gateway.telemetry import AccessLog, RequestIDs
    from hybrid_gateway.telemetry.metrics import Prometheus

    options = {"event_hooks": [AccessLog], "plugins": [RequestIDs(), Prometheus()]}
application = Gateway(routes, django_routes=["/page/", "/admin/"], **options)
wsgi_application = application.wsgi
