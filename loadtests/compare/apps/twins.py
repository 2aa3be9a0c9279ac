"""The same work twice: in a ``def`` handler, and awaited in an ``async def`` one, for ``loadtests.async_orm``."""

from __future__ import annotations

from typing import Any

import django

django.setup()  # before anything that imports models

from msgspec import Struct  # noqa: E402

from hybrid_gateway import Gateway, get, post  # noqa: E402
from loadtests.compare.apps.gateway import ArticleOut, SaleIn, SaleOut, prepared_rows  # noqa: E402
from loadtests.compare.shop.models import Article  # noqa: E402


class Name(Struct):
    name: str


@get("/def/prepared/{limit}")
def prepared_def(limit: int) -> list[ArticleOut]:
    return prepared_rows.fetch(limit=limit)


@get("/async/prepared/{limit}")
async def prepared_async(limit: int) -> list[ArticleOut]:
    return await prepared_rows.afetch(limit=limit)


@get("/def/list/{limit}")
def list_def(limit: int) -> list[ArticleOut]:
    return ArticleOut.fetch(Article.objects.order_by("id")[:limit])


@get("/async/list/{limit}")
async def list_async(limit: int) -> list[ArticleOut]:
    return await ArticleOut.afetch(Article.objects.order_by("id")[:limit])


@get("/def/get/{row_id}")
def get_def(row_id: int) -> ArticleOut:
    return ArticleOut.get(Article.objects.filter(pk=row_id))


@get("/async/get/{row_id}")
async def get_async(row_id: int) -> ArticleOut:
    return await ArticleOut.aget(Article.objects.filter(pk=row_id))


@get("/def/django/{row_id}")
def django_def(row_id: int) -> Name:
    return Name(Article.objects.get(pk=row_id).name)


@get("/async/django/{row_id}")
async def django_async(row_id: int) -> Name:
    return Name((await Article.objects.aget(pk=row_id)).name)


@get("/def/iterate/{limit}")
def iterate_def(limit: int) -> list[Name]:
    return [Name(article.name) for article in Article.objects.order_by("id")[:limit]]


@get("/async/iterate/{limit}")
async def iterate_async(limit: int) -> list[Name]:
    return [Name(article.name) async for article in Article.objects.order_by("id")[:limit]]


@post("/def/create", response=SaleOut)
def create_def(data: SaleIn) -> Any:
    return data.create()


@post("/async/create", response=SaleOut)
async def create_async(data: SaleIn) -> Any:
    return await data.acreate()


application = Gateway(
    [
        *(prepared_def, prepared_async, list_def, list_async, get_def, get_async),
        *(django_def, django_async, iterate_def, iterate_async, create_def, create_async),
    ]
)
