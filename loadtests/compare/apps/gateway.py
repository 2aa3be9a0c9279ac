"""hybrid_gateway: the API from typed functions, Django's page and admin behind their prefixes."""

from __future__ import annotations

import os
from typing import Annotated

import django

django.setup()  # before anything that imports models

from django.contrib.auth.models import User  # noqa: E402

from hybrid_gateway import Gateway, Query, Route, get, post  # noqa: E402
from hybrid_gateway.auth import IsAuthenticated, TokenAuthentication  # noqa: E402
from hybrid_gateway.orm import ModelStruct, prepare  # noqa: E402
from loadtests.compare.apps.common import ROUTES  # noqa: E402
from loadtests.compare.apps.structs import Item, Me, Message, Order, Product, Receipt, receipt_of  # noqa: E402
from loadtests.compare.shop.models import Article  # noqa: E402

PREPARED = os.environ.get("BENCH_PREPARED") == "1"


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


prepared_rows = prepare(ArticleOut, lambda limit: Article.objects.order_by("id")[:limit])


@get("/rows")
def rows(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[ArticleOut]:
    if PREPARED:
        return prepared_rows.fetch(limit=limit)
    return ArticleOut.fetch(Article.objects.order_by("id")[:limit])


async def item(item_id: int) -> Item:
    return Item(item_id)


many = [Route(f"/r{number}/{{item_id}}", item) for number in range(ROUTES)]
application = Gateway([hello, product, order, me, rows, *many], django_routes=["/page/", "/admin/"])
wsgi_application = application.wsgi
