"""The sources of parameters: a row of :data:`SOURCES` says all that the rooms of the gateway know of each.

To add one whose values are texts by name, write a marker (``markers.py``) and a row here: reading, caches and checks
follow from it, and so does the documentation where ``openapi_in`` names a place. A body or a path needs a planner too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from hybrid_gateway.binding.markers import Body, Cookie, Form, Header, Marker, Path, Query
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.request.context import RequestContext


def _is_never_private(name: str) -> bool:
    return False


class ParameterSource(msgspec.Struct, frozen=True, kw_only=True):
    """One source of parameters.

    What does not follow from the URL must say by which request header a response ``varies_by`` it, or caches would give
    it to others. A row that ``is_private`` or ``is_header`` and does not say so is rejected; of others nobody can tell.
    """

    marker: type[Marker]
    values: Callable[[RequestContext], Mapping[str, str]] | None = None  # texts by name; None for what is no text
    lists: Callable[[RequestContext], Mapping[str, list[str]]] | None = None  # all texts by name; needed with values
    is_header: bool = False  # each value is one header, which the context looks up faster than all of them
    varies_by: Callable[[str], str] | None = None  # the request header that the value of a name comes from
    is_private: Callable[[str], bool] = _is_never_private  # whether it tells one client from another
    openapi_in: str | None = None  # OpenAPI's name of the place; None for what it shows among no parameters, as a body
    allowed_on_get: bool = True
    allowed_in_layers: bool = False  # whether layers may declare it for all their handlers

    def __post_init__(self) -> None:
        row = f"SOURCES: the row of {self.marker.__name__}()"
        if (self.values is None) != (self.lists is None):
            raise ConfigurationError(
                f"{row} needs both values= and lists=: list[...], Structs of parameters and cache= read the "
                "lists, all others the values. Where no name comes twice, the lists are {name: [value]} of the values.",
                id="P017",
            )
        if self.varies_by is None and (self.is_header or self.is_private is not _is_never_private):
            raise ConfigurationError(
                f"{row} must say by which request header its values vary, or a cache would give the response of one "
                'client to others: varies_by=lambda name: "X-Client-Cert".',
                id="P017",
            )

    @property
    def name(self) -> str:
        return self.marker.source


SOURCES: dict[str, ParameterSource] = {
    row.name: row
    for row in (
        ParameterSource(
            marker=Header,
            values=RequestContext.header_values,
            lists=RequestContext.header_lists,
            is_header=True,
            varies_by=lambda name: name,
            is_private=lambda name: name.lower() in ("authorization", "cookie"),
            openapi_in="header",
            allowed_in_layers=True,
        ),
        ParameterSource(
            marker=Query,
            values=RequestContext.query_values,
            lists=RequestContext.query_lists,
            openapi_in="query",
            allowed_in_layers=True,
        ),
        ParameterSource(
            marker=Cookie,
            values=RequestContext.cookies,
            lists=lambda ctx: {name: [value] for name, value in ctx.cookies().items()},
            varies_by=lambda name: "Cookie",
            is_private=lambda name: True,
            openapi_in="cookie",
            allowed_in_layers=True,
        ),
        ParameterSource(marker=Path, openapi_in="path"),
        ParameterSource(marker=Body, allowed_on_get=False),
        ParameterSource(marker=Form, allowed_on_get=False),
    )
}
