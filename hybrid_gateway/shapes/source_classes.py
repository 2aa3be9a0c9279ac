"""The classes that shapes are made of, one reader per kind: their fields, and how instances are made and changed."""

from __future__ import annotations

import dataclasses
import operator
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

import msgspec
from django.db.models import Model

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.shapes.pydantic_types import (
    decodable_type,
    default_of,
    input_name,
    is_foreign,
    serialized_fields,
)
from hybrid_gateway.type_info import (
    PydanticField,
    cached_by_type,
    field_types,
    format_type,
    has_flag,
    is_pydantic_model,
)

Values = Mapping[str, object]
ReadValues = Callable[[object], dict[str, object]]
_NO_DEFAULT: Any = msgspec.NODEFAULT


def no_default() -> Any:
    """Return what stands for no default: a Struct could not have it as a default by itself."""
    return _NO_DEFAULT


class SourceField(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A field of a class, however that was made."""

    name: str  # the attribute, or the key of a TypedDict
    wire: str  # its name to clients, unless a shape renames it
    type: object
    argument: str | None  # of the constructor; None for what is not given to it
    is_required: bool = False  # by the constructor
    is_always_there: bool = True
    default: object = msgspec.field(default_factory=no_default)
    default_factory: Any = msgspec.field(default_factory=no_default)

    @property
    def is_read_only(self) -> bool:
        return self.argument is None or has_flag(self.type, "readOnly")

    @property
    def is_write_only(self) -> bool:
        return has_flag(self.type, "writeOnly")


class SourceClass:
    """A class that shapes are made of, and one with type arguments: ``Box[int]``."""

    def __init__(self, kind: object) -> None:
        self.kind = kind
        self.cls: Any = typing.get_origin(kind) or kind
        self.fields: tuple[SourceField, ...] = tuple(self.read_fields())
        self.by_name: Mapping[str, SourceField] = {field.name: field for field in self.fields}

    @property
    def name(self) -> str:
        return format_type(self.cls)

    def read_fields(self) -> Iterator[SourceField]:
        """Yield the fields of the class."""
        raise NotImplementedError

    @property
    def is_frozen(self) -> bool:
        """Return whether instances cannot be changed, so that a changed one is a copy."""
        return False

    @property
    def struct_options(self) -> dict[str, object]:
        """Return the options of a Struct that clients see of the class: its tag, and whether unknown names fit."""
        return {}

    def has(self, value: object) -> bool:
        """Return whether ``value`` is an instance."""
        return isinstance(value, self.cls)

    def reader(self, names: Sequence[str]) -> ReadValues:
        """Return what reads attributes by name, as far as there are some; of a mapping, its entries."""
        cls, get = self.cls, operator.attrgetter(*names) if len(names) > 1 else None

        def read(instance: object) -> dict[str, object]:
            if get is not None and type(instance) is cls:  # PERF: all by one call, which fails where one is missing
                try:
                    return dict(zip(names, get(instance), strict=True))
                except AttributeError:
                    pass
            if isinstance(instance, Mapping):
                return {name: instance[name] for name in names if name in instance}
            found = {name: getattr(instance, name, msgspec.UNSET) for name in names}
            return {name: value for name, value in found.items() if value is not msgspec.UNSET}

        return read

    def make(self, arguments: Values) -> object:
        """Return a new instance. The constructor's errors are raised as they are."""
        return self.cls(**arguments)

    def change(self, instance: Any, values: Values) -> object:
        """Assign attributes, all of them or none; return the instance, or the copy that has them."""
        if self.is_frozen:
            return self.changed_copy(instance, values)
        before = {name: getattr(instance, name) for name in values if hasattr(instance, name)}
        try:
            for name, value in values.items():
                setattr(instance, name, value)
        except Exception:
            for name, value in before.items():
                object.__setattr__(instance, name, value)
            raise
        return instance

    def changed_copy(self, instance: object, values: Values) -> object:
        """Return a copy that has these attributes."""
        raise NotImplementedError


class _Struct(SourceClass):
    def read_fields(self) -> Iterator[SourceField]:
        for field in msgspec.structs.fields(cast("type[msgspec.Struct]", self.kind)):
            yield SourceField(
                name=field.name,
                wire=field.encode_name,
                type=field.type,
                argument=field.name,
                is_required=field.required,
                is_always_there=field.default is not msgspec.UNSET,
                default=field.default,
                default_factory=field.default_factory,
            )

    @property
    def _config(self) -> msgspec.structs.StructConfig:
        config: msgspec.structs.StructConfig = self.cls.__struct_config__
        return config

    @property
    def is_frozen(self) -> bool:
        return self._config.frozen

    @property
    def struct_options(self) -> dict[str, object]:
        config = self._config
        tag = {} if config.tag is None else {"tag": config.tag, "tag_field": config.tag_field}
        return {**tag, "forbid_unknown_fields": config.forbid_unknown_fields}

    def changed_copy(self, instance: Any, values: Values) -> object:
        return msgspec.structs.replace(instance, **values)


class _Dataclass(SourceClass):
    def read_fields(self) -> Iterator[SourceField]:
        hints = field_types(self.kind)
        for field in dataclasses.fields(self.cls):
            default = _NO_DEFAULT if field.default is dataclasses.MISSING else field.default
            factory = _NO_DEFAULT if field.default_factory is dataclasses.MISSING else field.default_factory
            has_default = default is not _NO_DEFAULT or factory is not _NO_DEFAULT
            yield SourceField(
                name=field.name,
                wire=field.name,
                type=hints[field.name],
                argument=field.name if field.init else None,
                is_required=field.init and not has_default,
                default=default,
                default_factory=factory,
            )

    @property
    def is_frozen(self) -> bool:
        return bool(self.cls.__dataclass_params__.frozen)

    def changed_copy(self, instance: Any, values: Values) -> object:
        return dataclasses.replace(instance, **values)


class _Attrs(SourceClass):
    def read_fields(self) -> Iterator[SourceField]:
        hints = field_types(self.kind)
        for field in self.cls.__attrs_attrs__:
            has_default = field.default is not _attr().NOTHING
            factory = getattr(field.default, "factory", _NO_DEFAULT)
            if getattr(field.default, "takes_self", False):  # it is known to an instance alone
                factory = _unset
            yield SourceField(
                name=field.name,
                wire=field.name,
                type=hints.get(field.name, Any),
                argument=field.alias if field.init else None,
                is_required=field.init and not has_default,
                default=field.default if has_default and factory is _NO_DEFAULT else _NO_DEFAULT,
                default_factory=factory,
            )

    def change(self, instance: Any, values: Values) -> object:
        try:
            return super().change(instance, values)
        except _attr().exceptions.FrozenError:
            names = {name: field.argument or name for name, field in self.by_name.items()}
            return _attr().evolve(instance, **{names[name]: value for name, value in values.items()})


class _TypedDict(SourceClass):
    def read_fields(self) -> Iterator[SourceField]:
        hints = typing.get_type_hints(self.cls, include_extras=True)
        for name, kind in field_types(self.kind).items():
            # Where annotations are text, Python itself does not see what they say of keys.
            said = {"Required": True, "NotRequired": False}.get(getattr(typing.get_origin(hints[name]), "_name", ""))
            required = name in self.cls.__required_keys__ if said is None else said
            yield SourceField(
                name=name,
                wire=name,
                type=kind,
                argument=name,
                is_required=required,
                is_always_there=required,
                default=_NO_DEFAULT if required else msgspec.UNSET,
            )

    def has(self, value: object) -> bool:
        return isinstance(value, dict)

    def change(self, instance: Any, values: Values) -> object:
        instance.update(values)
        return instance


class _Pydantic(SourceClass):
    def read_fields(self) -> Iterator[SourceField]:
        model = self.cls
        self._dumped = serialized_fields(model)
        for name, field in model.model_fields.items():
            kind = decodable_type(field.annotation, field.metadata, field.description)
            if is_foreign(kind):
                self._dumped.add(name)
            yield self._field(name, field, kind)
        for name, computed in model.model_computed_fields.items():
            self._dumped.add(name)
            kind = decodable_type(computed.return_type, (), computed.description)
            yield SourceField(name=name, wire=computed.alias or name, type=kind, argument=None)

    def _field(self, name: str, field: PydanticField, kind: Any) -> SourceField:
        default, factory = (_NO_DEFAULT, _NO_DEFAULT) if field.is_required() else default_of(field)
        if field.exclude:
            kind = Annotated[kind, msgspec.Meta(extra_json_schema={"writeOnly": True})]
        return SourceField(
            name=name,
            wire=field.serialization_alias or field.alias or name,
            type=kind,
            argument=input_name(self.cls, name, field),
            is_required=field.is_required(),
            default=default,
            default_factory=factory,
        )

    @property
    def _settings(self) -> Mapping[str, object]:
        config: Mapping[str, object] = self.cls.model_config
        return config

    @property
    def is_frozen(self) -> bool:
        return bool(self._settings.get("frozen"))

    @property
    def struct_options(self) -> dict[str, object]:
        return {"forbid_unknown_fields": self._settings.get("extra") == "forbid"}

    def reader(self, names: Sequence[str]) -> ReadValues:
        # What pydantic alone knows how to write is written by it.
        dumped = self._dumped.intersection(names)
        read, read_all = super().reader([name for name in names if name not in dumped]), super().reader(names)

        def read_model(instance: Any) -> dict[str, object]:
            if not isinstance(instance, self.cls):
                return read_all(instance)
            return {**read(instance), **instance.model_dump(mode="json", include=dumped)}

        return read_model if dumped else read

    def make(self, arguments: Values) -> object:
        return self.cls.model_validate(arguments)

    def change(self, instance: Any, values: Values) -> object:
        if not (self._settings.get("validate_assignment") and not self.is_frozen):
            values = self._validated(instance, values)
        return super().change(instance, values)

    def _validated(self, instance: Any, values: Values) -> Values:
        """Return values as the model takes them; its validators see the whole."""
        own = source_class(type(instance), type(instance).__name__)
        whole = {field.argument: getattr(instance, field.name) for field in own.fields if field.argument is not None}
        whole |= {own.by_name[name].argument or name: value for name, value in values.items()}
        checked = type(instance).model_validate(whole)
        return {name: getattr(checked, name) for name in values}

    def changed_copy(self, instance: Any, values: Values) -> object:
        return instance.model_copy(update=values)


_KINDS: tuple[tuple[Callable[[type], bool], type[SourceClass]], ...] = (
    (lambda cls: issubclass(cls, msgspec.Struct), _Struct),
    (typing.is_typeddict, _TypedDict),
    (lambda cls: hasattr(cls, "__attrs_attrs__"), _Attrs),
    (lambda cls: is_pydantic_model(cls) and not getattr(cls, "__pydantic_root_model__", False), _Pydantic),
    (dataclasses.is_dataclass, _Dataclass),
)


@cached_by_type
def find_source(kind: object) -> SourceClass | None:
    """Return what is known of a class; ``None`` for one that no shape is made of."""
    cls = typing.get_origin(kind) or kind
    read = next((source for is_one, source in _KINDS if isinstance(cls, type) and is_one(cls)), None)
    return None if read is None else read(kind)


def source_class(kind: object, where: str) -> SourceClass:
    """Return what is known of a class; raises :class:`ConfigurationError` for one that no shape is made of."""
    try:
        source = find_source(kind)
    except NameError as error:
        raise ConfigurationError(
            f"{where}: an annotation of {format_type(kind)} names {error.name!r}, which is not known yet. Write the "
            "shape below it.",
            id="X007",
        ) from error
    if source is not None:
        return source
    shown = format_type(kind)
    if isinstance(kind, type) and issubclass(kind, Model):
        raise ConfigurationError(
            f"{where}: {shown} is a Django model: write class {where}(ModelStruct, model={shown}).", id="X008"
        )
    raise ConfigurationError(
        f"{where}: {shown} has no fields to choose from. It must be a msgspec Struct, a dataclass, a TypedDict, a "
        "class of attrs or a model of pydantic.",
        id="X008",
    )


def _unset() -> object:
    return msgspec.UNSET


def _attr() -> Any:
    return sys.modules["attr"]  # which is loaded where a class of it is, and need not be installed
