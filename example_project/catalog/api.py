"""The typed API of the catalogue.

A `def` handler runs on one of the gateway's threads, where the ORM may wait for the database; an `async def` handler
runs on the event loop and awaits the ORM's async methods. Pick whichever reads better: both may use all of Django.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Annotated, Self

from django.db.models import Avg, Count
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from hybrid_gateway import (
    Cache,
    File,
    Header,
    Query,
    ServerSentEvent,
    StreamingResponse,
    UploadFile,
    delete,
    get,
    patch,
    post,
    put,
)
from hybrid_gateway.auth import IsAuthenticated
from hybrid_gateway.caching import ainvalidate, invalidate

from .models import Category, Product, Size

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Rating = Annotated[float, Meta(ge=0, le=5)]
Image = File(max_size=5_000_000, content_types=["image/png", "image/jpeg", "image/webp"])


# Exact as text; a number is understood as well. The model's own validators check it: see `save`.
Amount = Annotated[
    Decimal,
    Meta(
        extra_json_schema={
            "type": ["string", "number"],
            "pattern": r"^[0-9]{1,6}(\.[0-9]{1,2})?$",
            "minimum": 0,
            "maximum": 999_999,
            "multipleOf": 0.01,
        }
    ),
]


class ProductIn(Struct, forbid_unknown_fields=True):
    """A product as a client sends it."""

    name: Name
    category: Category
    size: Size
    price: Amount
    rating: Rating = 0.0


class ProductPatch(Struct, forbid_unknown_fields=True):
    """The fields that shall change; whatever is left out stays as it is."""

    name: Name | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    size: Size | UnsetType = UNSET
    price: Amount | UnsetType = UNSET
    rating: Rating | UnsetType = UNSET


class ProductOut(Struct):
    """A product as a client sees it."""

    id: int
    name: str
    category: Category
    size: Size
    price: Decimal
    rating: float
    image: str | None
    created_at: datetime

    @classmethod
    def from_model(cls, product: Product) -> Self:
        """Copy what clients may see from a row."""
        return cls(
            id=product.pk,
            name=product.name,
            category=Category(product.category),
            size=Size(product.size),
            price=product.price,
            rating=product.rating,
            image=product.image.url if product.image else None,
            created_at=product.created_at,
        )


class Price(Struct):
    """What the feed tells."""

    product: int
    price: Decimal


@get("/products")
def list_products(
    category: Category | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> list[ProductOut]:
    """List products in the order they were added, all of them or those of one category."""
    products = Product.objects.all()
    if category is not None:
        products = products.filter(category=category)
    return [ProductOut.from_model(product) for product in products[offset : offset + limit]]


@post("/products", guards=[IsAuthenticated])
def create_product(data: ProductIn) -> ProductOut:
    """Add a product."""
    return save(Product(**structs.asdict(data)))


@get("/products/{product_id}")
async def get_product(product_id: int) -> ProductOut:
    """Show one product; `Product.DoesNotExist` is answered with 404."""
    return ProductOut.from_model(await Product.objects.aget(pk=product_id))


@patch("/products/{product_id}", guards=[IsAuthenticated])
def update_product(product_id: int, data: ProductPatch) -> ProductOut:
    """Change some fields of a product."""
    product = Product.objects.get(pk=product_id)
    for field, value in structs.asdict(data).items():
        if value is not UNSET:
            setattr(product, field, value)
    return save(product)


@delete("/products/{product_id}", guards=[IsAuthenticated])
async def delete_product(product_id: int) -> None:
    """Remove a product."""
    product = await Product.objects.aget(pk=product_id)
    await product.adelete()
    await ainvalidate("products")


@put("/products/{product_id}/image", guards=[IsAuthenticated])
def upload_image(product_id: int, image: Annotated[UploadFile, Image]) -> ProductOut:
    """Show what a product looks like; the file goes where the settings keep media files."""
    product = Product.objects.get(pk=product_id)
    product.image.save(image.filename or "image", image.as_django_file())
    return ProductOut.from_model(product)


@get("/products.csv")
def export_products() -> StreamingResponse:
    """Download all products as a table; rows are fetched while they are sent, however many there are."""
    headers = {"Content-Disposition": 'attachment; filename="products.csv"'}
    return StreamingResponse(csv_lines(), media_type="text/csv", headers=headers)


def csv_lines() -> Iterator[str]:
    """One line after the other."""
    columns = ("id", "name", "category", "size", "price")
    line = io.StringIO()
    writer = csv.writer(line)
    for row in chain([columns], Product.objects.values_list(*columns).iterator(chunk_size=500)):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


@get("/search", throttle=["60/minute"])
async def search_products(q: Annotated[str, Query(min_length=2, max_length=50)]) -> list[ProductOut]:
    """Find products by a part of their name; sixty times a minute, because it reads the whole table."""
    return [ProductOut.from_model(product) async for product in Product.objects.filter(name__icontains=q)[:20]]


@get("/prices")
async def price_feed(
    last_event_id: Annotated[int, Header()] = 0, pause: Annotated[float, Query(ge=0, le=60)] = 1.0
) -> AsyncIterator[ServerSentEvent]:
    """Tell one price after the other, a second apart; a client that was cut off goes on where it stopped."""
    async for product in Product.objects.filter(pk__gt=last_event_id):
        price = Price(product=product.pk, price=product.price)
        yield ServerSentEvent(event="price", data=price, id=str(product.pk))
        await asyncio.sleep(pause)


@get("/categories", etag=True, cache_control={"public": True, "max_age": 300})
async def list_categories() -> dict[str, str]:
    """List the categories with their names; clients may keep the answer for five minutes."""
    return {value: str(label) for value, label in Category.choices}


class Statistics(Struct):
    """What there is of one category."""

    category: Category
    products: int
    average_price: Decimal


@get("/statistics", cache=Cache(60, tags=["products"]))
def list_statistics() -> list[Statistics]:
    """Count the products of each category; counted once a minute, or when one has changed."""
    rows = Product.objects.values("category").annotate(products=Count("id"), average=Avg("price")).order_by("category")
    return [Statistics(Category(row["category"]), row["products"], round(row["average"], 2)) for row in rows]


def save(product: Product) -> ProductOut:
    """Save a product that the model's own validators accept: their `ValidationError` is answered with 422."""
    product.full_clean()
    product.save()
    invalidate("products")
    product.refresh_from_db()  # as the database keeps it: a price of 9.5 is 9.50
    return ProductOut.from_model(product)


routes = [
    list_products,
    create_product,
    get_product,
    update_product,
    delete_product,
    upload_image,
    export_products,
    search_products,
    price_feed,
    list_categories,
    list_statistics,
]
