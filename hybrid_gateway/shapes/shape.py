"""``Shape``: what clients see and send of a class that is no Django model, checked when the class is made.

How this works: the metaclass reads the fields of the source and makes a Struct of those that are left, so that bodies,
answers and the document treat a shape like any other Struct.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import msgspec

from hybrid_gateway._compat.cpython_internals import caller_namespaces
from hybrid_gateway.class_annotations import (
    Namespace,
    declared_annotations,
    resolve_annotations,
    take_computed,
)
from hybrid_gateway.exceptions import ConfigurationError, Location
from hybrid_gateway.shapes.field_paths import OPTIONS, read_selection
from hybrid_gateway.shapes.shape_builder import ShapeBuilder
from hybrid_gateway.shapes.shape_fields import Rename, ShapeSpec, spec_of
from hybrid_gateway.shapes.source_classes import source_class
from hybrid_gateway.shapes.transfers import info_of, is_shape
from hybrid_gateway.spelling import check_options
from hybrid_gateway.type_info import format_type

ReadOnly = msgspec.Meta(extra_json_schema={"readOnly": True})
"""Marks a field that clients see and never send: ``id: Annotated[int, ReadOnly]``."""

WriteOnly = msgspec.Meta(extra_json_schema={"writeOnly": True})
"""Marks a field that clients send and never see: ``password: Annotated[str, WriteOnly]``."""

_STRUCT_KEYWORDS = ("kw_only", "frozen", "eq", "order", "tag", "tag_field", "forbid_unknown_fields", "omit_defaults")
_KEYWORDS = frozenset((*OPTIONS, "of", "rename", "partial", *_STRUCT_KEYWORDS))

if TYPE_CHECKING:
    # Type checkers cannot know the fields of a source: they take any, and know those that stand in the body.
    from typing_extensions import TypeVar as TypeVarWithDefault

    S = TypeVarWithDefault("S", default=Any)

    class _StructMeta(type): ...

    class _Struct:
        def __init__(self, **values: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
else:
    S = TypeVar("S")
    _StructMeta, _Struct = msgspec.StructMeta, msgspec.Struct


class ShapeMeta(_StructMeta):
    """Takes the options of :class:`Shape`; the other keywords are msgspec's."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: Namespace, **options: Any) -> Any:
        if not any(isinstance(base, ShapeMeta) for base in bases):  # Shape itself
            return super().__new__(mcls, name, bases, namespace)
        check_options(options, _KEYWORDS, f"class {name}")
        names = caller_namespaces(1)
        annotations = resolve_annotations(declared_annotations(namespace), namespace, names)
        computed_fields = take_computed(namespace, annotations)
        spec = _read_statement(name, bases, namespace, options)
        of_class = {key: namespace.pop(key) for key in _OF_ONE_CLASS & namespace.keys()}
        defaults = {field: namespace.pop(field) for field in annotations.keys() & namespace.keys()}
        spec = msgspec.structs.replace(
            spec,
            declared={**spec.declared, **annotations},
            computed={**spec.computed, **computed_fields},
            defaults={**spec.defaults, **defaults},
            members={**spec.members, **namespace},
        )
        if _NARROWING & options.keys():
            bases = (Shape,)  # a Struct cannot be without a field that its base has

        def make_struct(given: ShapeSpec, members: Namespace, struct_options: Mapping[str, Any]) -> Any:
            parents, more = (bases, of_class) if given is spec else ((Shape,), {})
            try:
                return _StructMeta.__new__(mcls, given.name, parents, {**more, **members}, **struct_options)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"{name}: {error}.", id="X012") from error

        return ShapeBuilder(make_struct).build(spec)


_NARROWING = frozenset(("of", "include", "exclude"))
_OF_ONE_CLASS = frozenset(
    (
        *("__module__", "__qualname__", "__doc__", "__orig_bases__", "__classcell__", "__annotations__"),
        *("__firstlineno__", "__static_attributes__", "__conditional_annotations__"),
    )
)


def _read_statement(
    name: str, bases: tuple[type, ...], namespace: Mapping[str, Any], options: Mapping[str, Any]
) -> ShapeSpec:
    """Return what the head of a class statement says, and what its base says."""
    outer = _outer_spec(name, bases)
    named = [options["of"]] if "of" in options else []
    for base in namespace.get("__orig_bases__", ()):
        named += typing.get_args(base) if typing.get_origin(base) is Shape else ()
    if len(named) > 1:
        raise ConfigurationError(f"{name}: Shape[{format_type(named[1])}] says it already: leave out of=.", id="X001")
    if not named and outer is None:
        raise ConfigurationError(f"{name} is a shape of nothing: write class {name}(Shape, of=Account).", id="X001")
    if named and is_shape(named[0]):
        shown = format_type(named[0])
        raise ConfigurationError(
            f"{name}: {shown} is a shape itself: inherit from it, class {name}({shown}, ...).", id="X001"
        )
    source = source_class(named[0], name) if named or outer is None else outer.of
    selection = read_selection(options, name)
    rename, is_partial = options.get("rename"), options.get("partial", False)
    own = {key: options[key] for key in _STRUCT_KEYWORDS if key in options}
    spec = ShapeSpec(
        name=name,
        module=namespace["__module__"],
        of=source,
        selection=selection,
        rename=rename,
        is_partial=is_partial,
        options={**source.struct_options, **own},
    )
    if outer is None:
        return spec
    return msgspec.structs.replace(
        outer,
        name=name,
        module=spec.module,
        of=source,
        selection=outer.selection.narrowed(selection, name),
        rename=rename or outer.rename,
        is_partial=options.get("partial", outer.is_partial),
        options={**source.struct_options, **outer.options, **own},
    )


def _outer_spec(name: str, bases: tuple[type, ...]) -> ShapeSpec | None:
    parents = [base for base in bases if is_shape(base)]
    if len(parents) > 1:
        raise ConfigurationError(
            f"{name} has two bases that are shapes. Make it a shape of one class, of=...", id="X001"
        )
    return spec_of(parents[0]) if parents else None


class Shape(_Struct, Generic[S], metaclass=ShapeMeta):
    """A class as clients see and send it: ``class Public(Shape, of=Account, exclude={"password"}, rename="camel")``.

    ``of`` is a Struct, a dataclass, a TypedDict, a class of attrs or a model of pydantic. ``include`` or ``exclude``
    choose among its fields, by paths: ``"address.street"`` is a field of a field, ``"orders.*.secret"`` one of each
    item of a list or of each value of a dict. Where the source holds itself, so does the shape. ``read_only`` fields
    are sent and never taken, ``write_only`` ones taken and never sent. ``partial=True`` lets every field be absent
    (``UNSET``). Annotations in the body of the class add fields, or declare one of the source's anew.

    ``Shape[Account]`` says the same as ``of=Account``, and type checkers then know what ``create()`` returns.

    Raises :class:`~hybrid_gateway.ConfigurationError` for a path that leads nowhere, and for a class of another kind.
    """

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            of: Any = ...,
            include: Iterable[str] = (),
            exclude: Iterable[str] = (),
            read_only: Iterable[str] = (),
            write_only: Iterable[str] = (),
            rename: Rename | None = None,
            partial: bool = False,
            **options: Any,
        ) -> None: ...

    def create(self, **extra: Any) -> S:
        """Return a new instance of the source; ``extra`` are fields that clients do not send (``id=uuid4()``).

        What the source's own checks reject (``__post_init__``, validators) is 422 with the place of the field.
        """
        return cast("S", info_of(type(self)).create(self, extra, _BODY))

    def apply(self, instance: S, **extra: Any) -> S:
        """Return ``instance`` with the fields that are not ``UNSET``: itself, or a copy where its class is frozen.

        A nested object changes as far as it was sent, where the shape is partial; lists and dicts are replaced.
        """
        return cast("S", info_of(type(self)).apply(self, instance, extra, _BODY))

    @classmethod
    def from_instance(cls, instance: S) -> Self:
        """Return what clients see of an instance. Handlers need not: their annotation does it."""
        return cast("Self", info_of(cls).from_instance(instance))


_BODY: Location = ("body",)
