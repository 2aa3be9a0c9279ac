"""A page from before the API: the gateway hands it to Django, which answers as it always did."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .models import Product


def product_list(request: HttpRequest) -> HttpResponse:
    """Show all products, twenty to a page."""
    page = Paginator(Product.objects.all(), 20).get_page(request.GET.get("page"))
    return render(request, "catalog/product_list.html", {"page": page})
