"""From a shape to an instance of its source and back: ``create()``, ``apply()``, ``from_instance()``.

How this works: for each field whose type has shapes inside, a function that converts its values is made with the class.
Errors of all fields are collected with their places, as they are for bodies.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Annotated, Any, Union, cast

import msgspec
from django.core.exceptions import ValidationError
from msgspec import NODEFAULT, UNSET

from hybrid_gateway.binding.decoders import pydantic_entries
from hybrid_gateway.binding.validation import missing, named_errors
from hybrid_gateway.class_annotations import computed
from hybrid_gateway.exceptions import (
    ConfigurationError,
    ErrorEntry,
    Location,
    RequestValidationError,
    error_entry,
)
from hybrid_gateway.shapes.shape_fields import ShapeField
from hybrid_gateway.shapes.source_classes import SourceClass, SourceField
from hybrid_gateway.spelling import check_options

SHAPE_INFO = "__shape__"
"""The attribute of a shape."""

Convert = Callable[[Any, Location, list[ErrorEntry]], object]
"""Converts a value at a place; adds what is wrong with it to a list."""


class ShapeInfo:
    """Facts about one shape, and the ways between it and its source."""

    def __init__(
        self,
        name: str,
        source: SourceClass,
        fields: Sequence[ShapeField],
        computed_fields: Mapping[str, computed[object]],
        *,
        is_partial: bool,
    ) -> None:
        self.name = name
        self.shape: Any = None  # which is made after this
        self.of = source
        self.source = source.cls
        self.fields = tuple(fields)
        self.is_partial = is_partial
        self._shown = tuple(field.name for field in fields if not (field.is_computed or field.is_write_only))
        self._added = [field for field in fields if field.source is None and field.name in self._shown]
        self._computed = computed_fields
        columns = {column for entry in self._computed.values() for column in entry.columns}
        self._read = source.reader([*self._shown, *sorted(columns - set(self._shown))])
        self._hidden = columns - set(self._shown)
        self._arguments = {entry.name: entry.argument for entry in source.fields if entry.argument is not None}

    def prepare(self) -> None:
        """Make what converts values now; at their first use, where an annotation names what is not known yet."""
        with suppress(NameError):
            _ = self._written, self._shapers

    @cached_property
    def _known(self) -> Mapping[str, msgspec.structs.FieldInfo]:
        return {field.name: field for field in msgspec.structs.fields(self.shape)}

    @cached_property
    def _wires(self) -> Mapping[str, str]:
        """The names to clients, by those of fields and of the constructor's arguments."""
        wires = {name: field.encode_name for name, field in self._known.items()}
        return {**wires, **{argument: wires[name] for name, argument in self._arguments.items() if name in wires}}

    @cached_property
    def _renamed(self) -> Mapping[str, str]:
        """Names to clients, where those are no names of fields as well: a dict may have them."""
        wires = {name: self._wires[name] for name in self._shown}
        return {name: wire for name, wire in wires.items() if wire not in self.of.by_name}

    @cached_property
    def _written(self) -> Sequence[tuple[str, str, SourceField, Convert | None]]:
        return [
            (
                field.name,
                self._wires[field.name],
                field.source,
                make_converter(self._known[field.name].type, _to_source),
            )
            for field in self.fields
            if field.source is not None and field.is_written
        ]

    @cached_property
    def _shapers(self) -> Mapping[str, Convert]:
        found = {name: make_converter(field.type, _to_shape) for name, field in self._known.items()}
        return {name: convert for name, convert in found.items() if convert is not None}

    @cached_property
    def _absent(self) -> Sequence[tuple[str, str]]:
        """Fields that ``create()`` must be given, and the paths of what is missing in them."""
        return list(self._find_absent(()))

    def _find_absent(self, around: tuple[ShapeInfo, ...]) -> Iterator[tuple[str, str]]:
        written = {name for name, *_ in self._written}
        for entry in self.of.fields:
            if entry.is_required and entry.name not in written:
                yield entry.name, entry.name
        for name in written:
            for inner in shapes_in(self._known[name].type):
                info = info_of(inner)
                if info not in around:
                    yield from ((name, f"{name}.{path}") for _, path in info._find_absent((*around, info)))

    # --- instances → shapes

    def read(self, instance: object) -> dict[str, object]:
        """Return the fields of a shape by name, of an instance of the source, or of what has its attributes."""
        found = self._read(instance)
        if type(instance) is not self.source and isinstance(instance, collections.abc.Mapping):
            found |= {name: instance[wire] for name, wire in self._renamed.items() if wire in instance}
        for field in self._added:
            if field.name not in found and field.default is not NODEFAULT:
                found[field.name] = field.default
            elif field.name not in found and field.default_factory is not NODEFAULT:
                found[field.name] = field.default_factory()
        for name, entry in self._computed.items():
            if found.keys() >= set(entry.columns):
                found[name] = entry.function(*(found[column] for column in entry.columns))
        for name in self._hidden:
            found.pop(name, None)
        return found

    def from_instance(self, instance: object) -> Any:
        found = self.read(instance)
        faults: list[ErrorEntry] = []
        for name, convert in self._shapers.items():
            if name in found:
                found[name] = convert(found[name], (), faults)
        hidden = {field.name: UNSET for field in self.fields if field.is_write_only}
        return self.shape(**{**hidden, **found})

    # --- shapes → instances

    def create(self, data: object, extra: Mapping[str, object], location: Location) -> object:
        """Return a new instance of the source."""
        if extra:
            self._check_extra(extra, "create")
        absent = [path for name, path in self._absent if name not in extra]
        if absent:
            raise ConfigurationError(
                f"{self.name}.create(): {self.of.name} cannot be made without {', '.join(absent)}, which the shape "
                f"does not take from clients. Give it, create({absent[0].partition('.')[0]}=...), or let the class "
                "have a default.",
                id="X011",
            )
        errors: list[ErrorEntry] = []
        values: dict[str, object] = {}
        for name, wire, entry, convert in self._written:
            value = getattr(data, name)
            if value is UNSET or name in extra:
                if entry.is_required and name not in extra:
                    errors.append(missing((*location, wire)))
                continue
            if convert is not None:
                value = convert(value, (*location, wire), errors)
            values[entry.argument or name] = value
        values |= {self._arguments.get(name, name): value for name, value in extra.items()}
        if errors:
            raise RequestValidationError(errors)
        return self._checked(self.of.make, data, location, values)

    def apply(self, data: object, instance: Any, extra: Mapping[str, object], location: Location) -> object:
        """Return the instance with what was sent."""
        if not self.of.has(instance):
            raise TypeError(f"{self.name}.apply() changes a {self.of.name}, not a {type(instance).__name__}.")
        if extra:
            self._check_extra(extra, "apply")
        errors: list[ErrorEntry] = []
        values: dict[str, object] = {}
        for name, wire, _, convert in self._written:
            value = getattr(data, name)
            if value is UNSET or name in extra:
                continue
            if convert is not None:
                [current] = self.of.reader([name])(instance).values() or [None]
                value = _merged(current, value, convert, (*location, wire), errors)
            values[name] = value
        if errors:
            raise RequestValidationError(errors)
        return self._checked(self.of.change, data, location, instance, {**values, **extra})

    def _check_extra(self, extra: Mapping[str, object], method: str) -> None:
        known = {*self.of.by_name, *self._arguments.values()}
        check_options(extra, known, f"{self.name}.{method}(): {self.of.name}", word="field")

    def _checked(self, make: Callable[..., object], data: object, location: Location, *arguments: object) -> object:
        """Call what the source's own checks may reject, which is 422."""
        try:
            return make(*arguments)
        except RequestValidationError:
            raise
        except ValidationError as error:
            raise RequestValidationError(named_errors(error, type(data), location)) from error
        except (ValueError, msgspec.ValidationError) as error:
            raise RequestValidationError(self._entries(error, location)) from error

    def _entries(self, error: Exception, location: Location) -> list[ErrorEntry]:
        entries = pydantic_entries(error, ())
        if entries is None:
            field = getattr(next(iter(error.args[1:]), None), "name", None)  # of a validator of attrs
            place = (self._wires.get(field, field),) if isinstance(field, str) else ()
            entries = [error_entry(place, str(error.args[0]) if error.args else str(error))]
        for entry in entries:
            first = [self._wires.get(str(step), step) for step in entry["loc"][:1]]
            entry["loc"] = [*location, *first, *entry["loc"][1:]]
        return entries


def info_of(shape: Any) -> ShapeInfo:
    """Return what is known of a shape."""
    info: ShapeInfo = getattr(shape, SHAPE_INFO)
    return info


def is_shape(kind: object) -> bool:
    """Return whether a class is a shape of some other."""
    return isinstance(kind, type) and getattr(kind, SHAPE_INFO, None) is not None


def _merged(current: Any, value: Any, convert: Convert, location: Location, errors: list[ErrorEntry]) -> object:
    """Return what stands in for ``current``: itself with what was sent of it, where that may be a part."""
    info = getattr(type(value), SHAPE_INFO, None)
    if info is None or not info.is_partial or not info.of.has(current):
        return convert(value, location, errors)
    try:
        return info.apply(value, current, {}, location)
    except RequestValidationError as error:
        errors += cast("list[ErrorEntry]", error.errors)
        return current


def shapes_in(annotation: object) -> Iterator[Any]:
    """Yield the shapes in a type, without those inside of these."""
    if is_shape(annotation):
        yield annotation
    else:
        for argument in typing.get_args(annotation):
            yield from shapes_in(argument)


# --- values with shapes inside -------------------------------------------------------------------------------------

Accepts = Callable[[object], bool]
Leaf = Callable[[Any], tuple[Accepts, Convert]]


def _to_source(shape: Any) -> tuple[Accepts, Convert]:
    def convert(value: Any, location: Location, errors: list[ErrorEntry]) -> object:
        try:
            return info_of(type(value)).create(value, {}, location)
        except RequestValidationError as error:
            errors += cast("list[ErrorEntry]", error.errors)
            return None

    return lambda value: isinstance(value, shape), convert


def _to_shape(shape: Any) -> tuple[Accepts, Convert]:
    def accepts(value: object) -> bool:
        return not isinstance(value, shape) and info_of(shape).of.has(value)

    return accepts, lambda value, location, errors: info_of(shape).from_instance(value)


def make_converter(annotation: object, leaf: Leaf) -> Convert | None:
    """Return what converts values of an annotation; ``None`` for one without shapes inside."""
    rows = _rows(annotation, leaf)
    if not rows:
        return None

    def convert(value: object, location: Location, errors: list[ErrorEntry]) -> object:
        for accepts, change in rows:
            if accepts(value):
                return change(value, location, errors)
        return value

    return convert


def _rows(annotation: object, leaf: Leaf) -> list[tuple[Accepts, Convert]]:
    """Return what converts values of one class or another."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _rows(arguments[0], leaf)
    if origin in (Union, types.UnionType):
        return [row for member in arguments for row in _rows(member, leaf)]
    if is_shape(annotation):
        return [leaf(annotation)]
    if not arguments or not isinstance(origin, type):
        return []
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return _of_entries([make_converter(entry, leaf) for entry in arguments])
    is_mapping = issubclass(origin, collections.abc.Mapping)
    inner = make_converter(arguments[-1 if is_mapping else 0], leaf)
    if inner is None:
        return []
    return _of_values(inner) if is_mapping else _of_items(inner)


def _of_entries(inner: Sequence[Convert | None]) -> list[tuple[Accepts, Convert]]:
    def convert(value: Any, location: Location, errors: list[ErrorEntry]) -> object:
        pairs = enumerate(zip(value, inner, strict=True))
        return tuple(
            entry if change is None else change(entry, (*location, place), errors) for place, (entry, change) in pairs
        )

    return [(lambda value: isinstance(value, tuple) and len(value) == len(inner), convert)] if any(inner) else []


def _of_items(inner: Convert) -> list[tuple[Accepts, Convert]]:
    def convert(value: Any, location: Location, errors: list[ErrorEntry]) -> object:
        items = (inner(entry, (*location, place), errors) for place, entry in enumerate(value))
        return type(value)(items)

    return [(lambda value: isinstance(value, (list, tuple, collections.deque)), convert)]


def _of_values(inner: Convert) -> list[tuple[Accepts, Convert]]:
    def convert(value: Any, location: Location, errors: list[ErrorEntry]) -> object:
        return {key: inner(entry, (*location, str(key)), errors) for key, entry in value.items()}

    return [(lambda value: isinstance(value, collections.abc.Mapping), convert)]
