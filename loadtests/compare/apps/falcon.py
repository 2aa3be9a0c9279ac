"""Falcon's ASGI application, with msgspec as its JSON handler; bodies are checked by msgspec too."""

from __future__ import annotations

import falcon
import falcon.asgi
import msgspec
from falcon import media

from loadtests.compare.apps.common import ROUTES
from loadtests.compare.apps.structs import Order, receipt_of


class Hello:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.media = {"message": "Hello, World!"}


class Product:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, product_id: int) -> None:
        page = req.get_param_as_int("page", min_value=1, default=1)
        resp.media = {"product": product_id, "lang": req.get_param("lang", default="en"), "page": page}


class Orders:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.status = falcon.HTTP_201
        resp.media = receipt_of(msgspec.convert(await req.get_media(), Order))


class Item:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, item_id: int) -> None:
        resp.media = {"item": item_id}


application = falcon.asgi.App()
json_handler = media.JSONHandler(dumps=msgspec.json.Encoder().encode, loads=msgspec.json.Decoder().decode)
application.req_options.media_handlers[falcon.MEDIA_JSON] = json_handler
application.resp_options.media_handlers[falcon.MEDIA_JSON] = json_handler

application.add_route("/hello", Hello())
application.add_route("/products/{product_id:int}", Product())
application.add_route("/orders", Orders())
for number in range(ROUTES):
    application.add_route(f"/r{number}/{{item_id:int}}", Item())
