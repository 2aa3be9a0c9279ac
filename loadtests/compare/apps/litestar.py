"""Litestar: msgspec Structs, no OpenAPI pages."""

from __future__ import annotations

from typing import Annotated

from litestar import Litestar, get, post
from litestar.params import Parameter

from loadtests.compare.apps.common import ROUTES
from loadtests.compare.apps.structs import Item, Message, Order, Product, Receipt, receipt_of


@get("/hello")
async def hello() -> Message:
    return Message("Hello, World!")


@get("/products/{product_id:int}")
async def product(product_id: int, lang: str = "en", page: Annotated[int, Parameter(ge=1)] = 1) -> Product:
    return Product(product_id, lang, page)


@post("/orders")
async def order(data: Order) -> Receipt:
    return receipt_of(data)


@get([f"/r{number}/{{item_id:int}}" for number in range(ROUTES)] or "/r")
async def item(item_id: int) -> Item:
    return Item(item_id)


application = Litestar([hello, product, order, *([item] if ROUTES else [])], openapi_config=None)
