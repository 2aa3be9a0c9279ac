"""``{% load gateway %}``: the API's URLs in Django's templates."""

from __future__ import annotations

from django import template

from hybrid_gateway.gateway.settings_gateway import default_gateway

register = template.Library()


@register.simple_tag
def gateway_url(route_name: str, **path_params: object) -> str:
    """Return the path of a route: ``{% gateway_url "product_detail" product_id=3 %}``.

    Raises ``NoReverseMatch`` as ``{% url %}`` does.
    """
    return default_gateway().reverse_url(route_name, **path_params)
