"""django-bolt: async handlers, Structs, a queryset returned as it is; served by ``runbolt``."""

from __future__ import annotations

from typing import Annotated

from django_bolt import BoltAPI, CurrentUser, PageNumberPagination, Request, paginate
from django_bolt.auth import IsAuthenticated, JWTAuthentication
from django_bolt.params import Query
from django_bolt.serializers import Serializer

from loadtests.compare.apps.common import ROUTES
from loadtests.compare.apps.structs import Item, Me, Message, Order, Product, Receipt, Row, SaleIn, SaleOut, receipt_of
from loadtests.compare.shop.models import Article, Gadget, Sale

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


class BrandOut(Serializer):
    id: int
    name: str


class LabelOut(Serializer):
    id: int
    name: str


class GadgetOut(Serializer):
    id: int
    name: str
    brand: BrandOut
    labels: list[LabelOut]


class TenPerPage(PageNumberPagination):
    page_size = 10


GADGETS = Gadget.objects.select_related("brand").prefetch_related("labels").order_by("id")


@api.get("/rows/{row_id}")
async def row(row_id: int) -> Row:
    found = await Article.objects.aget(pk=row_id)
    return Row(found.pk, found.name, found.price, found.stock, found.is_active)


@api.get("/gadgets")
async def gadgets(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[GadgetOut]:
    return await GadgetOut.afrom_models(GADGETS[:limit])


@api.get("/listed")
@paginate(TenPerPage)
async def listed(request: Request) -> list[GadgetOut]:
    return GADGETS


@api.post("/sales", status_code=201)
async def sell(data: SaleIn) -> SaleOut:
    made = await Sale.objects.acreate(name=data.name, price=data.price)
    return SaleOut(made.pk, made.name, made.price)


async def item(item_id: int) -> Item:
    return Item(item_id)


for number in range(ROUTES):
    api.get(f"/r{number}/{{item_id}}")(item)
