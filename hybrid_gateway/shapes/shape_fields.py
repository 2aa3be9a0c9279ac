"""The class statement of a shape → the fields of its Struct: those that the source has left, and those of the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET

from hybrid_gateway.class_annotations import Namespace, computed
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.shapes.field_paths import Selection
from hybrid_gateway.shapes.source_classes import SourceClass, SourceField, no_default
from hybrid_gateway.spelling import suggestion

_FIELD: Any = type(msgspec.field())
Rename = str | Callable[[str], str | None] | Mapping[str, str]
METHODS = frozenset(("create", "apply", "from_instance"))
"""Names of methods, which no field can have."""


class ShapeSpec(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The class statement of a shape, or of one that is made for a class inside its source."""

    name: str
    module: str
    of: SourceClass
    selection: Selection
    rename: Rename | None = None
    is_partial: bool = False
    declared: Mapping[str, object] = {}  # annotations in the body, of computed fields as well
    defaults: Mapping[str, Any] = {}  # what is assigned to them
    computed: Mapping[str, computed[object]] = {}
    members: Mapping[str, object] = {}  # what else is in the body
    options: Mapping[str, object] = {}  # of the Struct


SHAPE_SPEC = "__shape_spec__"


def spec_of(shape: type) -> ShapeSpec:
    """Return what the statement of a shape says."""
    spec: ShapeSpec = getattr(shape, SHAPE_SPEC)
    return spec


class ShapeField(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A field of a shape."""

    name: str
    wire: str | None  # its name to clients; None where msgspec's ``rename`` makes it
    source: SourceField | None  # None for what the source has no field for
    annotation: object  # text where a name in it is not known yet
    is_declared: bool = False  # in the body of the class
    is_read_only: bool = False
    is_write_only: bool = False
    may_be_absent: bool = False
    default: object = msgspec.field(default_factory=no_default)
    default_factory: Any = msgspec.field(default_factory=no_default)
    is_computed: bool = False

    @property
    def is_written(self) -> bool:
        """Return whether instances of the source get its value."""
        return self.source is not None and not self.is_read_only

    @property
    def is_always_answered(self) -> bool:
        """Return whether each instance has the field, though clients need not send it."""
        if self.is_computed:
            return True
        return self.may_be_absent and self.source is not None and self.source.is_always_there


def plan_fields(spec: ShapeSpec) -> list[ShapeField]:
    """Return the fields of a shape: those of the source in their order, then what the body adds."""
    source, selection = spec.of, spec.selection
    known = {*source.by_name, *spec.declared}
    selection.check_names(known, spec.name, source.name)
    contradicted = [name for name in spec.declared if (name,) in selection.exclude]
    if contradicted:
        raise ConfigurationError(
            f"{spec.name}: {contradicted[0]!r} is excluded, and stands in the body. Do one of both.", id="X003"
        )
    unknown = [name for name in spec.rename if name not in known] if isinstance(spec.rename, Mapping) else ()
    if unknown:
        raise ConfigurationError(
            f"{spec.name}: rename names {unknown[0]!r}.{suggestion(unknown[0], known, word='field')}", id="X002"
        )
    added = [name for name in spec.declared if name not in source.by_name and name not in spec.computed]
    kept = [field for field in source.fields if field.name in spec.declared or selection.keeps(field.name)]
    found = [_field(spec, entry.name, entry) for entry in kept if entry.name not in spec.computed]
    found += [_field(spec, name, None) for name in added]
    found += [_computed_field(spec, name, entry) for name, entry in spec.computed.items()]
    for field in found:
        if field.name in METHODS:
            raise ConfigurationError(
                f"{spec.name}.{field.name}: a Shape has a method {field.name}(). Exclude the field.", id="X005"
            )
    if not found:
        raise ConfigurationError(f"{spec.name} has no fields: {source.name} has none that are not excluded.", id="X006")
    return found


def _field(spec: ShapeSpec, name: str, source: SourceField | None) -> ShapeField:
    is_declared = source is None or name in spec.declared
    shown = _declared_field(spec, name) if source is None or is_declared else source
    is_read_only = (name,) in spec.selection.read_only or shown.is_read_only
    is_write_only = (name,) in spec.selection.write_only or shown.is_write_only
    if is_read_only and is_write_only:
        raise ConfigurationError(
            f"{spec.name}: {name!r} is read-only and write-only: no client would use it.", id="X003"
        )
    may_be_absent = spec.is_partial or is_read_only or UNSET in (shown.default, shown.default_factory)
    return ShapeField(
        name=name,
        wire=_wire(spec, name, source.wire if source is not None and shown.wire == name else shown.wire),
        source=source,
        annotation=shown.type,
        is_declared=is_declared,
        is_read_only=is_read_only,
        is_write_only=is_write_only,
        may_be_absent=may_be_absent,
        default=UNSET if may_be_absent else shown.default,
        default_factory=NODEFAULT if may_be_absent else shown.default_factory,
    )


def _declared_field(spec: ShapeSpec, name: str) -> SourceField:
    """Return a field as the body of the class declares it."""
    given = spec.defaults.get(name, NODEFAULT)
    if not isinstance(given, _FIELD):
        return SourceField(name=name, wire=name, type=spec.declared[name], argument=name, default=given)
    return SourceField(
        name=name,
        wire=given.name or name,
        type=spec.declared[name],
        argument=name,
        default=given.default,
        default_factory=given.default_factory,
    )


def _wire(spec: ShapeSpec, name: str, wire: str) -> str | None:
    """Return the name of a field to clients; ``None`` where msgspec's ``rename`` makes it."""
    if isinstance(spec.rename, Mapping):
        return spec.rename.get(name, wire)
    return wire if spec.rename is None else None


def _computed_field(spec: ShapeSpec, name: str, entry: computed[object]) -> ShapeField:
    for column in entry.columns:
        if column not in spec.of.by_name and not hasattr(spec.of.cls, column):
            raise ConfigurationError(
                f"{spec.name}.{name} is computed of {column!r}, which {spec.of.name} has not got. Its fields: "
                f"{', '.join(spec.of.by_name)}.",
                id="X002",
            )
    return ShapeField(
        name=name,
        wire=_wire(spec, name, name),
        source=None,
        annotation=spec.declared[name],
        is_read_only=True,
        may_be_absent=True,
        default=UNSET,
        is_computed=True,
    )


def struct_namespace(spec: ShapeSpec, fields: Sequence[ShapeField]) -> Namespace:
    """Return the namespace that msgspec makes the Struct of; the types come later."""
    namespace: Namespace = {**spec.members}
    for field in fields:
        default: Any = {"default": field.default, "default_factory": field.default_factory}
        namespace[field.name] = msgspec.field(**default, name=field.wire)
    shown = [field for field in fields if not field.is_write_only]
    namespace |= {
        "__annotations__": {field.name: Any for field in fields},
        "__module__": spec.module,
        "__read_only__": frozenset(field.name for field in fields if field.is_read_only),
        "__answered__": frozenset(field.name for field in shown if not spec.is_partial and field.is_always_answered),
    }
    hidden = [field.name for field in fields if field.is_write_only]
    if hidden:
        namespace["__post_init__"] = _hiding(hidden, namespace.get("__post_init__"))
    return namespace


# --- write-only values ---------------------------------------------------------------------------------------------

# SECURITY: they are kept beside the fields of the Struct, so that no encoder sees them, whoever sends the value and
# whatever the annotation says. msgspec reads the memory of a field, Python the attribute of the class.


class WriteOnlyAttribute:
    """The attribute of a write-only field."""

    def __init__(self, name: str, slot: Any) -> None:
        self._name = name
        self.slot = slot

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = self.slot.__get__(instance, owner)
        return instance.__dict__.get(self._name, UNSET) if value is UNSET else value

    def __set__(self, instance: Any, value: object) -> None:
        instance.__dict__[self._name] = value

    def hide(self, instance: Any) -> None:
        """Put the value aside."""
        value = self.slot.__get__(instance, type(instance))
        if value is not UNSET:
            self.slot.__set__(instance, UNSET)
            instance.__dict__[self._name] = value


def hide_write_only(shape: Any, names: Sequence[str]) -> None:
    """Let the class keep the values of these fields where no encoder sees them."""
    for name in names:
        slot = getattr(shape, name)
        setattr(shape, name, WriteOnlyAttribute(name, slot.slot if isinstance(slot, WriteOnlyAttribute) else slot))


def _hiding(names: Sequence[str], then: Callable[[Any], object] | None) -> Callable[[Any], None]:
    """Return a ``__post_init__`` that puts values aside, and calls that of the class."""

    def __post_init__(self: Any) -> None:  # noqa: N807
        for name in names:
            getattr(type(self), name).hide(self)
        if then is not None:
            then(self)

    return __post_init__
