"""Starlette: its own router and JSON response; parameters are converted by hand, bodies are read as they are."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from loadtests.compare.apps.common import ROUTES


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello, World!"})


async def product(request: Request) -> JSONResponse:
    query = request.query_params
    page = int(query.get("page", "1"))
    return JSONResponse({"product": request.path_params["product_id"], "lang": query.get("lang", "en"), "page": page})


async def order(request: Request) -> JSONResponse:
    lines = (await request.json())["lines"]
    return JSONResponse({"lines": len(lines), "quantity": sum(line["quantity"] for line in lines)}, 201)


async def item(request: Request) -> JSONResponse:
    return JSONResponse({"item": request.path_params["item_id"]})


application = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/products/{product_id:int}", product),
        Route("/orders", order, methods=["POST"]),
        *(Route(f"/r{number}/{{item_id:int}}", item) for number in range(ROUTES)),
    ]
)
