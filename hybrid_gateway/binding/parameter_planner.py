"""The head of a request in the plan of a route: values in its path, query, headers and cookies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hybrid_gateway.binding.input_types import InputTypes, type_to_read
from hybrid_gateway.binding.markers import Marker
from hybrid_gateway.binding.parameters import ParameterGroup, path_reader, struct_reader
from hybrid_gateway.binding.plan import (
    Chain,
    Code,
    Phase,
    PlanBuilder,
    Step,
    code,
    format_chain,
    format_type,
    hashable,
)
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter
from hybrid_gateway.binding.struct_fields import is_closed
from hybrid_gateway.binding.text_converters import TextType, documented
from hybrid_gateway.exceptions import DependencyError

__all__ = ["ParameterPlanner"]


class _PlannedGroup(msgspec.Struct):
    """The parameters of one source in one phase, which one function reads."""

    source: str
    phase: Phase
    variable: Code
    reader: str  # what the code calls that function
    group: ParameterGroup


class ParameterPlanner:
    """Plans the parameters of one route. ``path`` is name → type that the route tree converts to."""

    def __init__(self, builder: PlanBuilder, where: str, path: Mapping[str, object], types: InputTypes) -> None:
        self.sees_path = False  # as a whole, not name by name
        self.query_names: set[str] = set()  # which parameters the query may have; complete when everything is planned
        self._builder = builder
        self._where = where
        self._path = path
        self._types = types
        self._groups: list[_PlannedGroup] = []
        self._named_in_path: set[str] = set()

    def end(self, *, whole_path: bool) -> None:
        """Generate the readers: everything is planned.

        With ``whole_path`` raise :class:`DependencyError` unless somebody has asked for all of the path.
        """
        for planned in self._groups:
            self._builder.plan.names[planned.reader] = planned.group.build(self._where)
        self.query_names |= {entry.name for entry in self._builder.plan.inputs if entry.source == "query"}
        unused = self._path.keys() - self._named_in_path
        if whole_path and unused and not self.sees_path:
            names = ", ".join(sorted(unused))
            raise DependencyError(
                f"{self._where}: the path names {names}, but neither the handler nor anything it needs takes a "
                "parameter of that name. Add it to the signature, or ask for http.PathParams."
            )

    # --- the path

    def path_value(self, parameter: Parameter, phase: Phase) -> Code:
        """Return the variable of a value in the path."""
        self._named_in_path.add(parameter.name)
        key = ("path", parameter.name, hashable(parameter.type))
        return self._builder.once(key, parameter.name, phase.readers, lambda: self._read_path(parameter))

    def _read_path(self, parameter: Parameter) -> Step:
        position = list(self._path).index(parameter.name)
        converted = self._path[parameter.name]
        kind = converted if parameter.type is NO_DEFAULT else parameter.type
        self._builder.document(parameter, "path", parameter.name, documented(kind), parameter.marker)
        if not parameter.checked or kind is converted:
            return Step(call=Code(f"ctx.path_values[{position}]"))
        reader = path_reader(parameter, position, self._path_type(parameter, converted), converted)
        call = Code(f"{self._builder.name('read_path', reader)}(ctx.path_values, errors)")
        return Step(call=call, can_fail=True)

    def _path_type(self, parameter: Parameter, converted: object) -> TextType:
        """Return how a value of the path becomes one of ``parameter``; the tree has made it ``converted``."""
        where = f"{self._where}: {parameter.name!r}"
        if not self._types.is_scalar(parameter.type):
            raise DependencyError(
                f"{where} is one piece of the path, which cannot hold {format_type(parameter.type)}. Annotate a "
                "scalar; what comes from elsewhere needs another name."
            )
        kind = self._types.text_type(parameter.type, where)
        if converted is not str and not kind.follows(converted):
            raise DependencyError(
                f"{where} is {format_type(converted)} by the converter in the path, and {format_type(parameter.type)} "
                "by its annotation. Leave the converter out, or annotate what it gives."
            )
        return kind

    # --- query, headers, cookies

    def text(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        """Return the variable of a query parameter, header or cookie, or of a Struct of them."""
        source, wire_name = marker.source, marker.wire_name(parameter.name)
        key = (source, wire_name, hashable(parameter.type), repr(parameter.default), parameter.checked)
        if key not in self._builder.variables:
            if parameter.info.is_structure:
                self._builder.variables[key] = self._text_struct(parameter, marker, chain, phase)
            else:
                self._builder.variables[key] = self._single_text(parameter, marker, chain, phase)
        return self._builder.variables[key]

    def _single_text(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        where, wire_name = f"{format_chain(chain)}: {parameter.name!r}", marker.wire_name(parameter.name)
        if not self._types.fits_text(parameter.type):
            raise DependencyError(
                f"{where} is marked {type(marker).__name__}(), but text cannot hold {format_type(parameter.type)}. "
                "Use a scalar, a list of scalars, or a Struct of them."
            )
        kind = str if parameter.type is NO_DEFAULT else parameter.type
        self._builder.document(parameter, marker.source, wire_name, documented(kind), marker)
        read = self._types.text_type(type_to_read(parameter), where)
        return self._grouped(parameter, marker.source, wire_name, read, phase)

    def _text_struct(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        source, wire_name = marker.source, type(marker)().wire_name
        kinds: dict[str, TextType] = {}
        for field, kind, inner in self._types.fields(parameter, chain):
            where = f"{format_chain(chain)}: the field {field.encode_name!r} of {parameter.name!r}"
            if not (kind is Any or self._types.fits_text(kind)):
                raise DependencyError(
                    f"{where} is {format_type(kind)}, which the {source} cannot hold. Use a scalar, or a list of "
                    "scalars."
                )
            if not parameter.info.is_pydantic:
                kinds[field.encode_name] = self._types.text_type(kind, where, raw=True)
            self._builder.document(field, source, wire_name(field.encode_name), documented(kind), inner)
        # Other headers and cookies are there whatever a client does: in the query alone unknown names are rejected.
        asked = self.query_names if source == "query" and is_closed(parameter.info.origin) else None
        reader = struct_reader(parameter, source, wire_name, kinds, self._types.hook, asked)
        call = Code(f"{self._builder.name(f'read_{source}', reader)}(ctx, errors)")
        return self._builder.assign(parameter.name, phase.readers, Step(call=call, can_fail=True))

    def _grouped(self, parameter: Parameter, source: str, wire_name: str, kind: TextType, phase: Phase) -> Code:
        """Return the place of a parameter among all of one source."""
        for planned in self._groups:
            if planned.source == source and planned.phase is phase:
                position = planned.group.add(parameter, wire_name, kind)
                if position is not None:
                    return code(f"{{}}[{position}]", planned.variable)
        group = ParameterGroup(source)
        reader = self._builder.name(f"read_{source}", group)
        call = Code(f"{reader}(ctx, errors)")
        variable = self._builder.assign(source, phase.readers, Step(call=call, can_fail=True))
        self._groups.append(_PlannedGroup(source, phase, variable, reader, group))
        return code(f"{{}}[{group.add(parameter, wire_name, kind)}]", variable)
