"""BlackSheep: typed bindings, bodies as pydantic models, no OpenAPI pages."""

from __future__ import annotations

from blacksheep import Application, FromJSON, Response, json
from pydantic import BaseModel

from loadtests.compare.apps.common import ROUTES

application = Application()


class Line(BaseModel):
    product: int
    quantity: int
    note: str


class Order(BaseModel):
    customer: str
    lines: list[Line]


@application.router.get("/hello")
async def hello() -> Response:
    return json({"message": "Hello, World!"})


@application.router.get("/products/{product_id}")
async def product(product_id: int, lang: str = "en", page: int = 1) -> Response:
    return json({"product": product_id, "lang": lang, "page": page})


@application.router.post("/orders")
async def order(data: FromJSON[Order]) -> Response:
    lines = data.value.lines
    return json({"lines": len(lines), "quantity": sum(line.quantity for line in lines)}, 201)


async def item(item_id: int) -> Response:
    return json({"item": item_id})


for number in range(ROUTES):
    application.router.add_get(f"/r{number}/{{item_id}}", item)
