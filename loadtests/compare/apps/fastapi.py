"""FastAPI: pydantic models, return annotations as response models."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel

from loadtests.compare.apps.common import ROUTES

application = FastAPI(openapi_url=None)


class Message(BaseModel):
    message: str


class Product(BaseModel):
    product: int
    lang: str
    page: int


class Line(BaseModel):
    product: int
    quantity: int
    note: str


class Order(BaseModel):
    customer: str
    lines: list[Line]


class Receipt(BaseModel):
    lines: int
    quantity: int


class Item(BaseModel):
    item: int


@application.get("/hello")
async def hello() -> Message:
    return Message(message="Hello, World!")


@application.get("/products/{product_id}")
async def product(product_id: int, lang: str = "en", page: Annotated[int, Query(ge=1)] = 1) -> Product:
    return Product(product=product_id, lang=lang, page=page)


@application.post("/orders", status_code=201)
async def order(data: Order) -> Receipt:
    return Receipt(lines=len(data.lines), quantity=sum(line.quantity for line in data.lines))


async def item(item_id: int) -> Item:
    return Item(item=item_id)


for number in range(ROUTES):
    application.get(f"/r{number}/{{item_id}}")(item)
