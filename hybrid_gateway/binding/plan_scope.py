"""The things that a route, or a function around the plan of one, is planned with; the types that clients can send."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from hybrid_gateway.binding.components import AppComponents, Components, Mode
from hybrid_gateway.binding.decoders import DecodeHook, Decoders, check_decodable, decode_known, why_not
from hybrid_gateway.binding.marked_types import split_markers
from hybrid_gateway.binding.markers import Depends, Marker
from hybrid_gateway.binding.plan import Chain, format_chain, format_type
from hybrid_gateway.binding.shared_components import Shared, SharedMaker
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, StructField, struct_fields
from hybrid_gateway.binding.text_converters import TextType, is_list, is_scalar, text_type
from hybrid_gateway.binding.uploads import UploadFile, is_file, is_files
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import HANDLED


class DjangoValue(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that Django knows of a request, for parameters of its type."""

    make: Callable[[RequestContext], object]
    mode: Mode = "inline"
    reads_cookies: bool = True
    takes_body: bool = False  # where it is asked for after authentication
    check: Callable[[], None] = lambda: None  # raises ConfigurationError where the project does without


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
    from_django: Mapping[type, DjangoValue] = {}  # by the type that asks for it
    give_body: Callable[[RequestContext, bytes], None] | None = None  # to Django's request
    shared: Mapping[object, Shared] = {}  # components that a route shares with functions around it, by their key
    maker: SharedMaker | None = None  # of those
    follows: bool = False
    moment: int = HANDLED


class InputTypes:
    """The types that clients can send to one route, whose decoders may know some of its own."""

    def __init__(self, decoders: Decoders | None) -> None:
        self.hook: DecodeHook = decoders or decode_known
        self._decoders = decoders

    def knows(self, kind: object) -> bool:
        """Return whether a decoder of the route makes values of a type."""
        return self._decoders is not None and self._decoders.knows(kind)

    def is_scalar(self, kind: object) -> bool:
        """Return whether one text can hold a value of a type."""
        return is_scalar(kind, self.knows)

    def is_list(self, kind: object) -> bool:
        """Return whether several texts can hold a value of a type."""
        return is_list(kind, self.knows)

    def fits_text(self, kind: object) -> bool:
        """Return whether text, or a list of texts, can hold a value of a type."""
        return kind is NO_DEFAULT or self.is_scalar(kind) or self.is_list(kind)

    def text_type(self, kind: object, where: str, *, raw: bool = False) -> TextType:
        """Return how text becomes a value of a type; see :func:`text_type`."""
        try:
            return text_type(kind, self.hook, raw=raw)
        except DependencyError as error:
            raise DependencyError(f"{where} is {format_type(kind)}: {error.text}.", id=error.id) from error

    def fields(
        self, parameter: Parameter, chain: Chain
    ) -> Iterator[tuple[StructField, object, Marker | Depends | None]]:
        """Yield each field of a parameter that is a Struct of several, with its type and its marker."""
        if not parameter.checked:
            raise DependencyError(
                f"{chain[0]}: {parameter.name!r} is a Struct of several values, which cannot be left unchecked. Ask "
                "for each as SkipValidation[...].",
                id="P016",
            )
        where = f"{format_chain(chain)}: {format_type(parameter.info.origin)}"
        try:
            check_decodable(parameter.type, self.knows, UploadFile)
            fields = struct_fields(parameter.info.inner)
            msgspec.json.Decoder(parameter.type)
        except (TypeError, ValueError, re.error, DependencyError) as error:
            raise DependencyError(
                f"{where} cannot be read: {why_not(parameter.type, error)}.", id=getattr(error, "id", "B002")
            ) from error
        for field in fields:
            kind, marker = split_markers(field.type, field.encode_name, where)
            if isinstance(marker, Marker) and (marker.meta is not None or marker.alias is not None):
                raise DependencyError(
                    f"{where}: the field {field.encode_name!r} is constrained or renamed by {type(marker).__name__}(), "
                    "of which a Struct knows nothing. Use msgspec.Meta for constraints, and msgspec.field(name=...) or "
                    "rename= for names.",
                    id="P016",
                )
            yield field, kind, marker


def type_to_read(parameter: Parameter) -> object:
    """Return the type that is read for ``parameter``: its own, or text where that is not checked."""
    kind = str if parameter.type is NO_DEFAULT else parameter.type
    if parameter.checked or is_file(parameter.info) or is_files(parameter.info):
        return kind
    return list[str] if is_list(kind) else str
