"""django-modern-rest inside Django: controllers with msgspec Structs; ``async def`` under ASGI where no database is."""

from typing import Annotated

import msgspec
from django.urls import path
from dmr import Body, Controller, Path, Query
from dmr.plugins.msgspec import MsgspecSerializer
from dmr.security.jwt import JWTSyncAuth

from loadtests.compare.apps.common import ROUTES, as_the_protocol_wants
from loadtests.compare.apps.pages import urlpatterns as pages
from loadtests.compare.apps.structs import Item, Me, Message, Order, Product, Receipt, Row, receipt_of
from loadtests.compare.shop.models import Article


class ProductPath(msgspec.Struct):
    product_id: int


class ProductQuery(msgspec.Struct):
    lang: str = "en"
    page: Annotated[int, msgspec.Meta(ge=1)] = 1


class RowsQuery(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


class ItemPath(msgspec.Struct):
    item_id: int


class Hello(Controller[MsgspecSerializer]):
    @as_the_protocol_wants
    def get(self) -> Message:
        return Message("Hello, World!")


class Products(Controller[MsgspecSerializer]):
    @as_the_protocol_wants
    def get(self, parsed_path: Path[ProductPath], parsed_query: Query[ProductQuery]) -> Product:
        return Product(parsed_path.product_id, parsed_query.lang, parsed_query.page)


class Orders(Controller[MsgspecSerializer]):
    @as_the_protocol_wants
    def post(self, parsed_body: Body[Order]) -> Receipt:
        return receipt_of(parsed_body)


class Account(Controller[MsgspecSerializer]):
    auth = (JWTSyncAuth(),)

    def get(self) -> Me:
        return Me(self.request.user.pk, self.request.user.get_username())


class Rows(Controller[MsgspecSerializer]):
    def get(self, parsed_query: Query[RowsQuery]) -> list[Row]:
        columns = Article.objects.order_by("id").values_list("id", "name", "price", "stock", "is_active")
        return [Row(*values) for values in columns[: parsed_query.limit]]


class Items(Controller[MsgspecSerializer]):
    @as_the_protocol_wants
    def get(self, parsed_path: Path[ItemPath]) -> Item:
        return Item(parsed_path.item_id)


urlpatterns = [
    *pages,
    path("hello", Hello.as_view()),
    path("products/<int:product_id>", Products.as_view()),
    path("orders", Orders.as_view()),
    path("me", Account.as_view()),
    path("rows", Rows.as_view()),
    *(path(f"r{number}/<int:item_id>", Items.as_view()) for number in range(ROUTES)),
]
