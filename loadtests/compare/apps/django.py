"""Django alone: views and ``JsonResponse``."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from loadtests.compare.apps.common import ROUTES, as_the_protocol_wants
from loadtests.compare.apps.pages import urlpatterns as pages
from loadtests.compare.shop.models import Article


@as_the_protocol_wants
def hello(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"message": "Hello, World!"})


@as_the_protocol_wants
def product(request: HttpRequest, product_id: int) -> HttpResponse:
    number = int(request.GET.get("page", "1"))
    return JsonResponse({"product": product_id, "lang": request.GET.get("lang", "en"), "page": number})


@csrf_exempt
@as_the_protocol_wants
def order(request: HttpRequest) -> HttpResponse:
    lines = json.loads(request.body)["lines"]
    receipt = {"lines": len(lines), "quantity": sum(line["quantity"] for line in lines)}
    return JsonResponse(receipt, status=201)


def rows(request: HttpRequest) -> HttpResponse:
    values = Article.objects.order_by("id").values("id", "name", "price", "stock", "is_active")
    return JsonResponse(list(values[: int(request.GET.get("limit", "10"))]), safe=False)


@as_the_protocol_wants
def item(request: HttpRequest, item_id: int) -> HttpResponse:
    return JsonResponse({"item": item_id})


urlpatterns = [
    *pages,
    path("hello", hello),
    path("products/<int:product_id>", product),
    path("orders", order),
    path("rows", rows),
    *(path(f"r{number}/<int:item_id>", item) for number in range(ROUTES)),
]
