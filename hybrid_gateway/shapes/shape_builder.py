"""The types of a shape's fields, with shapes of the classes inside its source.

How this works: the class is made with the names of its fields alone and gets their types afterwards, so that it may
hold itself. A class inside the source gets a shape of its own where a path leads into it, where it marks fields, or
where it holds the source again: that has one shape, wherever it stands.
"""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union

import msgspec

from hybrid_gateway.class_annotations import Namespace, may_be_absent
from hybrid_gateway.codegen import Names
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.shapes.field_paths import ITEMS, Path, Selection
from hybrid_gateway.shapes.shape_fields import (
    SHAPE_SPEC,
    ShapeField,
    ShapeSpec,
    hide_write_only,
    plan_fields,
    struct_namespace,
)
from hybrid_gateway.shapes.source_classes import SourceClass, find_source
from hybrid_gateway.shapes.transfers import SHAPE_INFO, ShapeInfo, info_of, is_shape
from hybrid_gateway.spelling import suggestion
from hybrid_gateway.type_info import cached_by_type, format_type, is_pydantic_model, resolve_new_types

_Key = tuple[object, Selection, bool]
MakeStruct = Callable[["ShapeSpec", Namespace, Mapping[str, object]], Any]
"""Makes the class of a namespace, with options of msgspec's."""


class ShapeBuilder:
    """Builds one shape, and those of the classes inside its source."""

    def __init__(self, make_struct: MakeStruct) -> None:
        self._make_struct = make_struct
        self._known: dict[_Key, Any] = {}
        self._names = Names()

    def build(self, spec: ShapeSpec) -> Any:
        """Return the class; raises :class:`ConfigurationError` for what it cannot be."""
        self._names.unique(spec.name)
        shape = self._build(spec, ())
        for made in self._known.values():
            info_of(made).prepare()
        return shape

    def _build(self, spec: ShapeSpec, around: Sequence[ShapeSpec]) -> Any:
        fields = plan_fields(spec)
        info = ShapeInfo(spec.name, spec.of, fields, spec.computed, is_partial=spec.is_partial)
        namespace = {**struct_namespace(spec, fields), SHAPE_INFO: info, SHAPE_SPEC: spec}
        hidden = [field.name for field in fields if field.is_write_only]
        options = {"kw_only": True, **spec.options, **({"dict": True} if hidden else {})}
        if isinstance(spec.rename, str) or callable(spec.rename):
            options["rename"] = spec.rename
        shape = info.shape = self._make_struct(spec, namespace, options)
        self._known[spec.of.kind, spec.selection, spec.is_partial] = shape
        specs = (*around, spec)
        shape.__annotations__ = {field.name: self._annotation(field, specs) for field in fields}
        hide_write_only(shape, hidden)
        return shape

    def _annotation(self, field: ShapeField, specs: Sequence[ShapeSpec]) -> object:
        annotation, spec = field.annotation, specs[-1]
        within = spec.selection.below(field.name)
        if isinstance(annotation, str):
            if within:
                raise ConfigurationError(
                    f"{spec.name}.{field.name}: {annotation} is not known yet. Define it above.", id="X007"
                )
        elif within or not field.is_declared or _holds_special(annotation, specs):
            merges = spec.is_partial and field.source is not None
            annotation = self.reshaped(annotation, within, specs, (field.name,), merges=merges)
        flags = {"readOnly": field.is_read_only, "writeOnly": field.is_write_only}
        said = {keyword: True for keyword, is_said in flags.items() if is_said}
        if said and not isinstance(annotation, str):
            annotation = Annotated[annotation, msgspec.Meta(extra_json_schema=said)]
        return may_be_absent(annotation) if field.may_be_absent else annotation

    # --- types

    def reshaped(
        self, annotation: object, selection: Selection, specs: Sequence[ShapeSpec], place: Path, *, merges: bool = False
    ) -> Any:
        """Return a type whose classes are what the shape shows of them.

        ``merges`` where a part of a value may be sent, for the rest is there already.
        """
        annotation = resolve_new_types(annotation)
        origin: Any = typing.get_origin(annotation)
        arguments = typing.get_args(annotation)
        if isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        if selection:
            _check_steps(annotation, selection, specs[0].name, place)
        if is_shape(annotation):
            return annotation
        reshape = functools.partial(self.reshaped, specs=specs, place=place, merges=merges)
        if origin is Annotated:
            inner = reshape(arguments[0], selection)
            return annotation if inner is arguments[0] else Annotated[(inner, *arguments[1:])]
        if origin in (Union, types.UnionType):
            members = [reshape(member, selection.only(_steps(member))) for member in arguments]
            return Union[tuple(members)]  # noqa: UP007 (built at run time)
        source = find_source(annotation)
        if source is not None:
            return self._shape_within(source, selection, specs, place, is_partial=merges) or annotation
        if not _is_container(origin):
            if _holds_special(annotation, specs):  # SECURITY: it would show what the shape hides
                raise ConfigurationError(
                    f"{specs[0].name}: {'.'.join(place)} is {format_type(annotation)}, inside of which a shape cannot "
                    f"change anything. Exclude it, or declare what is to be seen of it, {place[0]}: list[...].",
                    id="X009",
                )
            return annotation
        below = selection.below(ITEMS)
        items = [
            self.reshaped(entry, below.only(_steps(entry)), specs, (*place, ITEMS)) if is_item else entry
            for entry, is_item in _items(annotation)
        ]
        if items == list(arguments):
            return annotation
        if issubclass(origin, collections.abc.Set):
            raise ConfigurationError(
                f"{specs[0].name}: {'.'.join(place)} is a set, and what clients see of {format_type(arguments[0])} "
                f"cannot be in one. Declare the field in the shape, {place[0]}: list[...], with a Shape of it.",
                id="X009",
            )
        return origin[tuple(items)]

    def _shape_within(
        self, source: SourceClass, selection: Selection, specs: Sequence[ShapeSpec], place: Path, *, is_partial: bool
    ) -> Any:
        """Return the shape of a class inside the source; ``None`` where it is sent as it is."""
        root, outer = specs[0], next((spec for spec in reversed(specs) if spec.of.kind == source.kind), None)
        if outer is not None:
            if selection:
                raise ConfigurationError(
                    f"{root.name}: {'.'.join(place)} is a {source.name} again, which has one shape wherever it stands: "
                    "say of its fields what holds for all of them.",
                    id="X009",
                )
            spec = msgspec.structs.replace(outer, is_partial=is_partial)
        elif selection or is_partial or root.rename is not None or _holds_special(source.kind, specs):
            options = {**source.struct_options, **{key: root.options[key] for key in _HANDED_ON & root.options.keys()}}
            spec = ShapeSpec(
                name=f"{root.name}{source.name}",
                module=root.module,
                of=source,
                selection=selection,
                rename=None if isinstance(root.rename, Mapping) else root.rename,
                is_partial=is_partial,
                options=options,
            )
        else:
            return None
        known = self._known.get((source.kind, spec.selection, is_partial))
        if known is None:
            name = self._names.unique(spec.name)
            known = self._build(msgspec.structs.replace(spec, name=name.replace("_", "")), specs)
        return known


def _is_container(origin: object) -> bool:
    return isinstance(origin, type) and issubclass(origin, (collections.abc.Iterable, collections.abc.Container))


def _items(annotation: object) -> list[tuple[object, bool]]:
    """Return the arguments of a container, and whether each is the type of items."""
    origin: Any = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    is_mapping = issubclass(origin, collections.abc.Mapping)
    return [(entry, entry is not Ellipsis and not (is_mapping and place == 0)) for place, entry in enumerate(arguments)]


def _steps(annotation: object) -> set[str]:
    """Return the first steps of paths into a type."""
    annotation = resolve_new_types(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _steps(arguments[0])
    if origin in (Union, types.UnionType):
        return {step for member in arguments for step in _steps(member)}
    if is_shape(annotation):
        return set()
    source = find_source(annotation)
    if source is not None:
        return set(source.by_name)
    return {ITEMS} if _is_container(origin) and arguments else set()


def _check_steps(annotation: object, selection: Selection, where: str, place: Path) -> None:
    known, shown, path = _steps(annotation), format_type(annotation), ".".join(place)
    said = [(option, one) for option, paths in selection.options() for one in sorted(paths) if one[0] not in known]
    if not said:
        return
    option, rest = said[0]
    complaint = f"{where}: {option} names {'.'.join((*place, *rest))!r}, but {path} is {shown}"
    if ITEMS in known:
        raise ConfigurationError(f"{complaint}: write {'.'.join((*place, ITEMS, *rest))!r}.", id="X002")
    if not known:
        raise ConfigurationError(f"{complaint}, which has no fields to name.", id="X002")
    raise ConfigurationError(f"{complaint}.{suggestion(rest[0], known, word='field')}", id="X002")


@cached_by_type
def _classes_within(annotation: object) -> frozenset[object]:
    """Return the classes with fields in a type, and in the fields of those."""
    found: set[object] = set()
    opaque: set[type] = set()
    waiting = [annotation]
    while waiting:
        kind = resolve_new_types(waiting.pop())
        if typing.get_origin(kind) is typing.Literal or is_shape(kind):
            continue
        source = find_source(kind)
        if source is None:
            waiting += typing.get_args(kind)
            if isinstance(kind, type) and kind not in opaque:
                opaque.add(kind)
                waiting += _parts_of_class(kind)
        elif kind not in found:
            found.add(kind)
            waiting += [field.type for field in source.fields]
    return frozenset(found)


def _parts_of_class(cls: type) -> Iterator[object]:
    """Yield the types inside a class that no shape is made of: a named tuple, a ``RootModel``, a list of one's own."""
    if is_pydantic_model(cls):
        yield from (field.annotation for field in cls.model_fields.values())
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        yield from typing.get_type_hints(cls, include_extras=True).values()
    for parent in cls.__mro__:
        for base in vars(parent).get("__orig_bases__", ()):
            yield from typing.get_args(base)


def _holds_special(annotation: object, specs: Sequence[ShapeSpec]) -> bool:
    """Return whether a class in a type has marked fields, or is one that a shape is being made of."""
    within = _classes_within(annotation)
    return any(spec.of.kind in within for spec in specs) or any(
        field.is_read_only or field.is_write_only or field.name.startswith("_")
        for kind in within
        if (inner := find_source(kind)) is not None
        for field in inner.fields
    )


_HANDED_ON = {"forbid_unknown_fields", "frozen"}
"""Options of a shape that hold for the classes inside as well."""
