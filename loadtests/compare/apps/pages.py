"""Django's own side, the same for everybody: a page from a template behind ``/page/``, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/page.html", {"lines": [f"Line {number}" for number in range(20)]})


urlpatterns = [path("page/", page), path("admin/", admin.site.urls)]
