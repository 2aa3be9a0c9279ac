"""System checks of front ends: builds that are not there, and pages of Django's in their place."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage

from hybrid_gateway.checks.messages import report
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.static_files.frontend import FrontendHandler


def unbuilt_front_ends(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W050 for a front end whose page is not there."""
    for endpoint in gateway.endpoints:
        handler = endpoint.route.handler
        if endpoint.route.is_fallback and isinstance(handler, FrontendHandler) and handler.missing is not None:
            yield report("W050", f"{endpoint.route.path} is a front end, and there is no {handler.missing}.")


def hidden_front_ends(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W051 for a front end below which the URLconf answers every path, where ``FALLTHROUGH`` asks it first."""
    dispatcher = gateway.dispatcher
    for endpoint in gateway.endpoints if dispatcher.fallthrough else ():
        if endpoint.route.is_fallback and endpoint.method == "GET":
            prefix = endpoint.route.path.partition("{")[0]
            match = dispatcher.django.resolve(f"{prefix}no-such-page/of/anybody")
            if match is not None:
                message = f"The pattern {match.route!r} of the URLconf answers every path below {prefix!r}"
                yield report("W051", f"{message}: the front end that is there is never asked.")
