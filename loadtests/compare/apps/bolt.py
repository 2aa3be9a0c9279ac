"""django-bolt: async handlers, Structs, a queryset returned as it is; served by ``runbolt``."""

from __future__ import annotations

from typing import Annotated

from django_bolt import BoltAPI, CurrentUser
from django_bolt.auth import IsAuthenticated, JWTAuthentication
from django_bolt.params import Query

from loadtests.compare.apps.common import ROUTES
from loadtests.compare.apps.structs import Item, Me, Message, Order, Product, Receipt, Row, receipt_of
from loadtests.compare.shop.models import Article

api = BoltAPI()


@api.get("/hello")
async def hello() -> Message:
    return Message("Hello, World!")


@api.get("/products/{product_id}")
async def product(product_id: int, lang: str = "en", page: Annotated[int, Query(ge=1)] = 1) -> Product:
    return Product(product_id, lang, page)


@api.post("/orders", status_code=201)
async def order(data: Order) -> Receipt:
    return receipt_of(data)


@api.get("/me", auth=[JWTAuthentication()], guards=[IsAuthenticated()])
async def me(user: CurrentUser) -> Me:
    return Me(user.id, user.username)


@api.get("/rows")
async def rows(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[Row]:
    return Article.objects.order_by("id")[:limit]


async def item(item_id: int) -> Item:
    return Item(item_id)


for number in range(ROUTES):
    api.get(f"/r{number}/{{item_id}}")(item)
