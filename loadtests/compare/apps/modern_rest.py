"""django-modern-rest inside Django: controllers with msgspec Structs; ``async def`` under ASGI where no database is."""

from typing import Annotated, Any

import msgspec
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404
from django.urls import path
from dmr import Body, Controller, Path, Query
from dmr.plugins.msgspec import MsgspecSerializer
from dmr.security.jwt import JWTSyncAuth

from loadtests.compare.apps.common import ROUTES, as_the_protocol_wants
from loadtests.compare.apps.pages import urlpatterns as pages
from loadtests.compare.apps.structs import (
    Brand,
    Gadget,
    Item,
    Label,
    Me,
    Message,
    Order,
    Product,
    Receipt,
    Row,
    SaleIn,
    SaleOut,
    receipt_of,
)
from loadtests.compare.shop import models
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


class RowPath(msgspec.Struct):
    row_id: int


class OneRow(Controller[MsgspecSerializer]):
    def get(self, parsed_path: Path[RowPath]) -> Row:
        found = get_object_or_404(Article, pk=parsed_path.row_id)
        return Row(found.pk, found.name, found.price, found.stock, found.is_active)


GADGETS = models.Gadget.objects.select_related("brand").prefetch_related("labels").order_by("id")


def as_structs(found: Any) -> list[Gadget]:
    return [
        Gadget(
            gadget.pk,
            gadget.name,
            Brand(gadget.brand.pk, gadget.brand.name),
            [Label(label.pk, label.name) for label in gadget.labels.all()],
        )
        for gadget in found
    ]


class Gadgets(Controller[MsgspecSerializer]):
    def get(self, parsed_query: Query[RowsQuery]) -> list[Gadget]:
        return as_structs(GADGETS[: parsed_query.limit])


class ListedQuery(msgspec.Struct):
    page: Annotated[int, msgspec.Meta(ge=1)] = 1


class ListedPage(msgspec.Struct):
    items: list[Gadget]
    total: int


class Listed(Controller[MsgspecSerializer]):
    def get(self, parsed_query: Query[ListedQuery]) -> ListedPage:
        page = Paginator(GADGETS, 10).page(parsed_query.page)
        return ListedPage(as_structs(page.object_list), page.paginator.count)


class Sales(Controller[MsgspecSerializer]):
    def post(self, parsed_body: Body[SaleIn]) -> SaleOut:
        made = models.Sale.objects.create(name=parsed_body.name, price=parsed_body.price)
        return SaleOut(made.pk, made.name, made.price)


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
    path("rows/<int:row_id>", OneRow.as_view()),
    path("gadgets", Gadgets.as_view()),
    path("listed", Listed.as_view()),
    path("sales", Sales.as_view()),
    *(path(f"r{number}/<int:item_id>", Items.as_view()) for number in range(ROUTES)),
]
