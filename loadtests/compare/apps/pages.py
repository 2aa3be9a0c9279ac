"""Django's own side, the same for everybody: a page from a template behind ``/page/``, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from loadtests.compare.shop.models import Gadget


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/page.html", {"lines": [f"Line {number}" for number in range(20)]})


def catalogue(request: HttpRequest) -> HttpResponse:
    """A page of a hundred rows with their relations, in a form as pages of shops and of content have them."""
    gadgets = Gadget.objects.select_related("brand").prefetch_related("labels").order_by("id")[:100]
    return render(request, "shop/catalogue.html", {"gadgets": gadgets})


urlpatterns = [path("page/", page), path("page/catalogue/", catalogue), path("admin/", admin.site.urls)]
