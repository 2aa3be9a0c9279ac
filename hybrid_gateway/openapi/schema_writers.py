"""One writer per kind of type, as ``msgspec.inspect`` tells them."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from types import NoneType
from typing import Any, Final, Union

import msgspec
from msgspec import inspect as mi

from hybrid_gateway.binding.uploads import UploadFile
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.openapi.schema_types import JSON_TYPES, Schema, SchemaWriter, Use, WriteType, admits
from hybrid_gateway.responses.enc_hook import enc_hook

NOT_JSON: Final = object()


def as_json(value: object) -> object:
    """Return a default as the document shows it, or ``NOT_JSON`` for what cannot be shown."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=enc_hook, order="deterministic"))
    except (TypeError, ValueError, RecursionError):
        return NOT_JSON


# --- names and words of a class ------------------------------------------------------------------------------------


def title_of(cls: object) -> str:
    """Return the name of a class with its arguments: ``Envelope[list[int]]``."""
    if cls in (None, NoneType):
        return "None"
    arguments = typing.get_args(cls)
    origin = typing.get_origin(cls)
    if origin in (Union, types.UnionType):
        return " or ".join(map(title_of, arguments))
    if origin is typing.Annotated:
        return title_of(arguments[0])
    name: str = getattr(origin or cls, "__name__", None) or str(cls)
    return f"{name}[{', '.join(map(title_of, arguments))}]" if arguments else name


def _about(cls: type) -> Schema:
    """Return title and description of a class; docstrings that Python makes up by itself are none."""
    own = typing.get_origin(cls) or cls
    doc = inspect.cleandoc(vars(own).get("__doc__") or "")
    about: Schema = {"title": title_of(cls)}
    if doc and doc != "An enumeration." and not doc.startswith(f"{own.__name__}("):
        about["description"] = doc
    return about


# --- scalars -------------------------------------------------------------------------------------------------------


def _constant(**schema: object) -> WriteType:
    return lambda writer, info: dict(schema)


def _limited(kind: str, limits: Mapping[str, str]) -> WriteType:
    return lambda writer, info: {"type": kind, **_limits(info, limits)}


def _limits(info: mi.Type, limits: Mapping[str, str]) -> Schema:
    return {keyword: value for name, keyword in limits.items() if (value := getattr(info, name)) is not None}


def _zoned(kind: str) -> WriteType:
    """Return a writer of times. SPEC: OpenAPI's registry of formats has ``...-local`` for what has no zone."""
    return lambda writer, info: {"type": "string", "format": f"{kind}-local" if info.tz is False else kind}


def _write_decimal(writer: SchemaWriter, info: mi.DecimalType) -> Schema:
    """Write text as which it is sent, for a float may be another number; a number is understood all the same."""
    schema: Schema = {"type": "string", "format": "decimal", "pattern": _DECIMAL}
    return {**schema, "type": ["string", "number"]} if writer.use is Use.RECEIVED else schema


def _one_of(values: Iterable[object]) -> Schema:
    values = list(values)
    kinds = sorted({name for value in values for kind, name in JSON_TYPES if type(value) is kind})
    schema: Schema = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    return {**schema, "const": values[0]} if len(values) == 1 else {**schema, "enum": values}


def _write_enum(writer: SchemaWriter, info: mi.EnumType) -> Schema:
    if issubclass(info.cls, enum.Flag):
        return {**_about(info.cls), "type": "integer", **_sums_of(info.cls)}
    members = {member.name: as_json(member.value) for member in info.cls}
    shown = [value for value in members.values() if value is not NOT_JSON]
    schema = {**_about(info.cls), **_one_of(shown)}
    if "enum" in schema and len(shown) == len(members):
        schema["x-enum-varnames"] = list(members)
    return schema


def _sums_of(flags: type[enum.Flag]) -> Schema:
    """Return the numbers that stand for a set of flags; no limit for flags that allow numbers without a meaning."""
    if flags._boundary_ is not enum.STRICT:  # type: ignore[attr-defined]
        return {}
    every = ~flags(0)
    if every.value & (every.value + 1) == 0:  # no bit between is without a name; a negative number names what is left
        return {"minimum": ~every.value, "maximum": every.value}
    if len(flags) > MAX_LISTED_FLAGS:
        return {}
    sums = {0}
    for flag in flags:
        sums |= {total | flag.value for total in sums}
    return {"enum": sorted(sums)}


def write_unknown(writer: SchemaWriter, info: mi.Type) -> Schema:
    """Write the schema of the plain base class as which a value is sent; anything where there is none."""
    cls = getattr(info, "cls", None)
    if not isinstance(cls, type):
        return {}
    return next((dict(schema) for base, schema in _PLAIN_BASES if issubclass(cls, base)), {})


# --- containers ----------------------------------------------------------------------------------------------------


def _write_array(writer: SchemaWriter, info: mi.ListType | mi.SetType | mi.FrozenSetType | mi.VarTupleType) -> Schema:
    schema = {"type": "array", "items": writer.write(info.item_type), **_limits(info, _ITEMS)}
    # What comes twice is received as once; that is wrong only where it is too few then.
    if isinstance(info, mi.SetType | mi.FrozenSetType) and (writer.use is Use.SENT or info.min_length):
        schema["uniqueItems"] = True
    return schema


def _fixed_array(entries: Sequence[Schema], required: int) -> Schema:
    """Return an array of just these entries, in the one form that every generator takes.

    ``maxItems`` ends it. Linters want ``items`` beside ``prefixItems``; ``false`` is more than some can read, and what
    is no choice of two or more others take for the type of one more entry.
    """
    schema: Schema = {"type": "array", "minItems": required, "maxItems": len(entries)}
    if not entries:
        return {**schema, "items": {}}
    choices = list(entries) if len(entries) > 1 else list(entries) * 2
    return {**schema, "prefixItems": list(entries), "items": {"anyOf": choices}}


def _write_dict(writer: SchemaWriter, info: mi.DictType) -> Schema:
    schema = {"type": "object", "additionalProperties": writer.write(info.value_type), **_limits(info, _PROPERTIES)}
    keys = _write_key(writer, info.key_type)
    return {**schema, "propertyNames": keys} if keys else schema


def _write_key(writer: SchemaWriter, info: mi.Type) -> Schema:
    """Write the names of an object: the key as text; ``{}`` for any, or where nothing can be said."""
    while isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.CustomType | mi.EnumType) and isinstance(info.cls, type) and issubclass(info.cls, enum.Enum):
        return {"enum": [as_text(member.value) for member in info.cls]}
    if isinstance(info, mi.LiteralType):
        return {"enum": [as_text(value) for value in info.values]}
    if isinstance(info, mi.IntType | mi.FloatType):
        return {"pattern": _KEYS[type(info)]}
    keys = writer.write(info)
    return {name: value for name, value in keys.items() if name != "type"} if keys.get("type") == "string" else {}


def as_text(value: object) -> str:
    """Return a key of an object as JSON has it."""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=enc_hook).decode().strip('"')


# --- classes with fields -------------------------------------------------------------------------------------------


def _write_object(writer: SchemaWriter, info: Any) -> Schema:
    own = typing.get_origin(info.cls) or info.cls
    never_received, always_sent = getattr(own, "__read_only__", ()), getattr(own, "__answered__", ())  # a shape's
    fields = {field.encode_name: (field, _write_field(writer, field)) for field in info.fields}
    if writer.use is Use.SENT:
        fields = {name: known for name, known in fields.items() if not known[1].get("writeOnly")}
    else:
        fields = {name: known for name, known in fields.items() if known[0].name not in never_received}
    properties = {name: schema for name, (_, schema) in fields.items()}
    sent = always_sent if writer.use is Use.SENT else ()
    required = [name for name, (field, _) in fields.items() if field.required or field.name in sent]
    tag = getattr(info, "tag_field", None)
    if tag is not None:
        properties, required = {tag: _one_of([info.tag]), **properties}, [tag, *required]
    if isinstance(info, mi.NamedTupleType) or getattr(info, "array_like", False):
        array = {**_about(info.cls), **_fixed_array(list(properties.values()), len(required))}
        if writer.use is Use.RECEIVED and getattr(info, "forbid_unknown_fields", None) is False:
            del array["maxItems"]  # what comes behind the fields of a Struct is passed over
            array["items"] = {}
        return array
    schema = {**_about(info.cls), "type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if getattr(info, "forbid_unknown_fields", False):
        schema["additionalProperties"] = False
    return schema


def _write_field(writer: SchemaWriter, field: mi.Field) -> Schema:
    schema = writer.write(field.type)
    if field.default is None:  # ``price: float = None`` is sent as null
        return schema if writer.use is not Use.SENT or admits(schema, None, writer.components) else _nullable(schema)
    default = default_of(field.default, field.default_factory)
    return schema if default is None else with_default(writer, schema, default)


def with_default(writer: SchemaWriter, schema: Schema, default: object) -> Schema:
    """Return ``schema`` with its default. One of another type is left out, but where it is sent it may be.

    One beyond the bounds is what a request without it means, all the same.
    """
    shown, is_sent = as_json(default), writer.use is Use.SENT
    if shown is NOT_JSON:
        return schema
    if writer.use is Use.TEXT and schema.get("format") == "decimal":
        shown = str(shown)
    if admits(schema, shown, writer.components, bounds=is_sent):
        return {**schema, "default": shown}
    return {"anyOf": [schema, _one_of([shown])], "default": shown} if is_sent else schema


def default_of(default: object, factory: object) -> object:
    """Return the default of a field, or ``None`` where there is none to show, as of functions that make one."""
    if isinstance(factory, type):
        if factory in _EMPTY:
            return factory()
        if issubclass(factory, msgspec.Struct) and all(
            not field.required and field.default_factory in (msgspec.NODEFAULT, *_EMPTY)
            for field in msgspec.structs.fields(factory)
        ):
            return factory()
    return None if default in (msgspec.NODEFAULT, msgspec.UNSET) else default


def _write_union(writer: SchemaWriter, info: mi.UnionType) -> Schema:
    members = [member for member in info.types if not isinstance(member, mi.NoneType)]
    if not members:
        return {"type": "null"}
    schemas = [writer.write(member) for member in members]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas, **_discriminator(members, schemas)}
    return schema if len(members) == len(info.types) else _nullable(schema)


def _discriminator(members: Sequence[mi.Type], schemas: Sequence[Schema]) -> Schema:
    structs = [member for member in members if isinstance(member, mi.StructType) and member.tag_field is not None]
    fields = {struct.tag_field for struct in structs}
    if len(structs) < len(members) or len(fields) > 1:
        return {}
    mapping = {str(struct.tag): schema["$ref"] for struct, schema in zip(structs, schemas, strict=True)}
    return {"discriminator": {"propertyName": fields.pop(), "mapping": mapping}}


def _nullable(schema: Schema) -> Schema:
    if not schema:
        return {}
    if not schema.keys() & {"enum", "const"}:
        kinds = schema.get("type", [])
        if kinds:
            return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


MAX_LISTED_FLAGS = 6  # of an enum whose sums are listed
_EMPTY = (list, dict, set, frozenset, tuple, str, int, float, bool)
_NUMBERS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_TEXTS = {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"}
_ITEMS = {"min_length": "minItems", "max_length": "maxItems"}
_PROPERTIES = {"min_length": "minProperties", "max_length": "maxProperties"}
_PLAIN_BASES: tuple[tuple[type | tuple[type, ...], Schema], ...] = (
    (UploadFile, {"type": "string", "format": "binary"}),
    (SecretString, {"type": "string", "format": "password"}),
    (SecretBytes, {"type": "string", "format": "password", "contentEncoding": "base64"}),
    ((str, PurePath), {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
)
_OBJECTS = (mi.StructType, mi.DataclassType, mi.TypedDictType, mi.NamedTupleType)
COMPONENTS = (*_OBJECTS, mi.EnumType)

_DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_number = r"[0-9]+(\.[0-9]+)?"
# What is read of ISO 8601's durations: no years, months and weeks, whose lengths depend.
_DURATION = rf"^[+-]?P(?=.)({_number}D)?(T(?=.)({_number}H)?({_number}M)?({_number}S)?)?$"
_KEYS = {mi.IntType: "^-?[0-9]+$", mi.FloatType: r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"}

_base64 = _constant(
    type="string",
    contentEncoding="base64",
    pattern="^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
)

WRITERS: dict[type[mi.Type], WriteType] = {
    **dict.fromkeys((mi.AnyType, mi.RawType), _constant()),
    mi.NoneType: _constant(type="null"),
    mi.BoolType: _constant(type="boolean"),
    mi.IntType: _limited("integer", _NUMBERS),
    mi.FloatType: _limited("number", _NUMBERS),
    mi.StrType: _limited("string", _TEXTS),
    **dict.fromkeys((mi.BytesType, mi.ByteArrayType, mi.MemoryViewType), _base64),
    mi.DateTimeType: _zoned("date-time"),
    mi.DateType: _constant(type="string", format="date"),
    mi.TimeType: _zoned("time"),
    mi.TimeDeltaType: _constant(type="string", format="duration", pattern=_DURATION),
    mi.UUIDType: _constant(type="string", format="uuid"),
    mi.DecimalType: _write_decimal,
    **dict.fromkeys((mi.ListType, mi.SetType, mi.FrozenSetType, mi.VarTupleType), _write_array),
    mi.TupleType: lambda writer, info: _fixed_array(list(map(writer.write, info.item_types)), len(info.item_types)),
    mi.DictType: _write_dict,
    mi.UnionType: _write_union,
    mi.LiteralType: lambda writer, info: _one_of(info.values),
    mi.EnumType: _write_enum,
    **dict.fromkeys(_OBJECTS, _write_object),
}
if hasattr(mi, "FrozenDictType"):  # msgspec 0.22 and later
    WRITERS[mi.FrozenDictType] = _write_dict
