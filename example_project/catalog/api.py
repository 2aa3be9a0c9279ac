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
from typing import Annotated, Literal

from django.contrib.auth.models import User
from django.db.models import Avg, Count, QuerySet
from msgspec import Meta, Struct

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
    http,
    patch,
    post,
    put,
)
from hybrid_gateway.auth import IsAuthenticated
from hybrid_gateway.caching import ainvalidate, invalidate
from hybrid_gateway.orm import Column, Cursor, Lookup, ModelStruct, Ordering, Search, crud, prepare

from .models import Category, Product, Review, Size

Image = File(max_size=5_000_000, content_types=["image/png", "image/jpeg", "image/webp"])


class ProductIn(ModelStruct, model=Product, forbid_unknown_fields=True):
    """A product as a client sends it; lengths, bounds and choices are the model's."""

    name: str
    category: Category
    size: Size
    price: Decimal  # exact as text; a number is understood as well
    rating: float = 0.0


class ProductPatch(ProductIn, partial=True, forbid_unknown_fields=True):
    """The fields that shall change; whatever is left out stays as it is."""


class ProductOut(ModelStruct, model=Product):
    """A product as a client sees it."""

    id: int
    name: str
    category: Category
    size: Size
    price: Decimal
    rating: float
    image: str | None
    created_at: datetime


one_product = prepare(ProductOut, lambda product_id: Product.objects.filter(pk=product_id))
products_like = prepare(ProductOut, lambda text: Product.objects.filter(name__icontains=text)[:20])


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
    return ProductOut.fetch(products[offset : offset + limit])


@post("/products", guards=[IsAuthenticated])
def create_product(data: ProductIn) -> ProductOut:
    """Add a product."""
    product = data.create(full_clean=True)
    invalidate("products")
    return one_product.get(product_id=product.pk)


@get("/products/{product_id}")
async def get_product(product_id: int) -> ProductOut:
    """Show one product, or 404."""
    return await one_product.aget(product_id=product_id)


@patch("/products/{product_id}", guards=[IsAuthenticated])
def update_product(product_id: int, data: ProductPatch) -> ProductOut:
    """Change some fields of a product; `Product.DoesNotExist` is answered with 404."""
    data.update(Product.objects.get(pk=product_id), full_clean=True)
    invalidate("products")
    return one_product.get(product_id=product_id)


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
    return await products_like.afetch(text=q)


@get("/products.ndjson", response=list[ProductOut], chunked=True)
def stream_products() -> QuerySet[Product]:
    """All products as JSON, row by row: an array, or lines for who accepts `application/x-ndjson`."""
    return Product.objects.all()


@get("/prices")
async def price_feed(
    last_event_id: Annotated[int, Header()] = 0, pause: Annotated[float, Query(ge=0, le=60)] = 1.0
) -> AsyncIterator[ServerSentEvent[Price]]:
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


class ReviewIn(ModelStruct, model=Review, forbid_unknown_fields=True):
    """What somebody thinks of a product."""

    product: int
    stars: int
    text: str = ""


class ReviewPatch(ReviewIn, partial=True, exclude=["product"], forbid_unknown_fields=True):
    """A second thought."""


class ReviewOut(ModelStruct, model=Review):
    """A review with the names that go with it."""

    id: int
    product: int
    product_name: Annotated[str, Column("product__name")]
    author: Annotated[str, Column("author__username")]
    stars: int
    text: str
    created_at: datetime


class ReviewFilter(Struct):
    """Which reviews, in which order."""

    product: int | None = None
    stars: Annotated[list[Annotated[int, Meta(ge=1, le=5)]] | None, Lookup("stars")] = None
    q: Annotated[Annotated[str, Meta(max_length=50)] | None, Search("text", "product__name")] = None
    sort: Annotated[Literal["newest", "best", "worst"], Ordering(newest="-id", best="-stars", worst="stars")] = "newest"


def reviews_within_reach(method: http.Method, user: User | None) -> QuerySet[Review]:
    """Everybody reads all of them and writes their own."""
    return Review.objects.all() if method in ("GET", "HEAD") else Review.objects.filter(author=user)


def signed(user: User) -> dict[str, User]:
    """What a new review has beside what its author sends."""
    return {"author": user}


reviews = crud(
    Review,
    out=ReviewOut,
    create=ReviewIn,
    update=ReviewPatch,
    queryset=reviews_within_reach,
    given=signed,
    filters=ReviewFilter,
    pagination=Cursor(size=20, max_size=100),
    version="version",
    write_guards=[IsAuthenticated],
)


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
    stream_products,
    reviews,
]
