"""The things that a route, or a function around the plan of one, is planned with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from hybrid_gateway.binding.components import AppComponents, Components, Mode
from hybrid_gateway.binding.decoders import Decoders
from hybrid_gateway.binding.shared_components import Shared, SharedMaker
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import HANDLED

__all__ = ["PlanScope"]


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
    from_django: Mapping[type, tuple[Callable[[RequestContext], object], Mode]] = {}  # by the type that asks for it
    give_body: Callable[[RequestContext, bytes], None] | None = None  # to Django's request
    shared: Mapping[object, Shared] = {}  # components that a route shares with functions around it, by their key
    maker: SharedMaker | None = None  # of those
    follows: bool = False
    moment: int = HANDLED
