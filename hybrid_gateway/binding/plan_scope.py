"""The things that a route, or a function around the plan of one, is planned with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from hybrid_gateway.binding.components import AppComponents, Components, Mode
from hybrid_gateway.binding.decoders import Decoders
from hybrid_gateway.binding.shared_components import Sharing
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import HANDLED

__all__ = ["DjangoContextSource", "PlanScope"]


class DjangoContextSource(Protocol):
    """Makes Django's view of a request."""

    @property
    def builders(self) -> Mapping[type, tuple[Callable[[RequestContext], object], Mode]]:
        """By the type that asks for it: the function of a context, and where it runs."""
        ...

    def give_body(self, ctx: RequestContext, body: bytes) -> None:
        """Let it have the body."""


class PlanScope(msgspec.Struct, frozen=True, kw_only=True):
    """The surroundings of the plan of a route, or of a function that ``follows`` one and ends at ``moment``."""

    where: str
    components: Components
    app: AppComponents
    constants: Mapping[object, object]  # ready values by type
    path: Mapping[str, object]  # name → type that the route tree converts to
    max_body_size: int
    max_upload_size: int
    media_types: Sequence[str]
    decoders: Decoders | None
    body_allowed: bool = False
    needs_content_type: bool = False  # a JSON body without one is none
    parameters: Mapping[str, object] = {}  # name → annotation: what layers declare for every handler
    given: Mapping[type, str] = {}  # ready variables by type: ``Exception`` in error handlers, for one
    django: DjangoContextSource | None = None
    sharing: Sharing | None = None  # the components that a route shares with the functions around it
    follows: bool = False
    moment: int = HANDLED
