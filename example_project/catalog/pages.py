"""The shop as a page: htmx swaps in what the search finds, and a basket in the session counts what was taken.

Without JavaScript the search is a form like any other.
"""

from typing import Annotated
from urllib.parse import urlencode

from django.shortcuts import get_object_or_404
from msgspec import Meta

from hybrid_gateway import Messages, Session, Template, get, post
from hybrid_gateway.auth import CSRFProtect
from hybrid_gateway.htmx import HTMXRequest, PushUrl, TriggerEvent

from .models import Product

Search = Annotated[str, Meta(max_length=100)]


@get("/shop", include_in_schema=False)
def shop(htmx: HTMXRequest, session: Session, search: Search = "") -> Template:
    """Show what the search finds: the page, or its rows alone."""
    products = Product.objects.filter(name__icontains=search)[:10]
    if htmx.partial:
        shown = PushUrl("/shop?" + urlencode({"search": search}))
        return Template("catalog/shop_rows.html", {"products": products}, headers=shown)
    count = len(session.get("basket", []))
    return Template("catalog/shop.html", {"products": products, "search": search, "count": count})


@post("/shop/basket/{product_id:int}", guards=[CSRFProtect], include_in_schema=False, status_code=200)
def take(product_id: int, session: Session, messages: Messages) -> Template:
    """Put a product into the basket, and show that."""
    product = get_object_or_404(Product, pk=product_id)
    session["basket"] = [*session.get("basket", []), product.pk]
    messages.success(f"{product.name} is in the basket.")
    count = {"count": len(session["basket"])}
    return Template("catalog/shop_basket.html", count, headers=TriggerEvent("basketChanged", count))


routes = [shop, take]
