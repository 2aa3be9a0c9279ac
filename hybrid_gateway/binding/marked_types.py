"""Types with markers in them: which marker is the parameter's, and what remains of the type without."""

from __future__ import annotations

import inspect
import operator
import types
import typing
from collections.abc import Collection, Sequence, Set
from typing import Annotated, Any, Union

from hybrid_gateway.binding.markers import UNCHECKED, Depends, Marker
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.type_info import resolve_new_types, type_info


def split_markers(annotation: object, name: str, where: str) -> tuple[object, Marker | Depends | None]:
    """Return a type with the constraints of our marker in its place, and the marker; resolve aliases and new types."""
    found = LiftedMarkers(name, where)
    return found.lift(resolve_new_types(annotation)), found.marker


class LiftedMarkers:
    """The markers of a type: around the whole of it they are the parameter's, and inside they may only constrain."""

    def __init__(self, name: str, where: str) -> None:
        self.marker: Marker | Depends | None = None
        self.checked = True
        self._name = name
        self._where = where

    def lift(self, kind: object, *, whole: bool = True) -> object:
        """Return ``kind`` without markers."""
        if isinstance(kind, type):
            return kind
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            base, metas = self.lift(arguments[0], whole=whole), []
            for extra in arguments[1:]:
                metas += self._meta(extra, whole)
            if not metas:
                return base
            # The constraints go inside `| None`, where msgspec wants them.
            info = type_info(base)
            constrained: Any = Annotated[(info.without_none, *metas)]
            return Union[constrained, None] if info.is_optional else constrained  # noqa: UP007 (built at run time)
        if origin in (Union, types.UnionType):
            inner = [self.lift(member, whole=whole) for member in arguments]
            return kind if all(map(operator.is_, inner, arguments)) else Union[tuple(inner)]  # noqa: UP007
        if origin is not None and origin in _HOLDERS:
            inner = [argument if argument is Ellipsis else self.lift(argument, whole=False) for argument in arguments]
            return kind if all(map(operator.is_, inner, arguments)) else origin[tuple(inner)]
        return kind

    def _meta(self, extra: object, whole: bool) -> list[object]:
        """Return what is left of an extra: constraints, and what is not ours."""
        if extra is UNCHECKED:
            self.checked = False
            return []
        marker = extra() if inspect.isclass(extra) and issubclass(extra, Marker | Depends) else extra
        if not isinstance(marker, Marker | Depends):
            if (foreign := type(extra).__module__.partition(".")[0]) in _FOREIGN:
                raise DependencyError(
                    f"{self._where}: {self._name!r} carries {extra!r} of {foreign}, which nobody would check. Write "
                    "Query(ge=1), Path(), Header(), Body() of hybrid_gateway, or msgspec.Meta(ge=1).",
                    id="P007",
                )
            return [extra]
        if whole:
            if self.marker is not None:
                raise DependencyError(
                    f"{self._where}: the parameter {self._name!r} has two markers, {self.marker!r} and {marker!r}.",
                    id="P008",
                )
            self.marker = marker
        elif isinstance(marker, Depends) or marker.alias:
            raise DependencyError(
                f"{self._where}: in the type of {self._name!r} there is {marker!r}, which belongs around the whole: "
                "Annotated[list[...], Query(alias=...)].",
                id="P008",
            )
        return [marker.meta] if isinstance(marker, Marker) and marker.meta is not None else []


_HOLDERS: tuple[object, ...] = (list, set, frozenset, tuple, Sequence, Set, Collection)
_FOREIGN = ("pydantic", "annotated_types", "fastapi", "litestar", "ninja")
