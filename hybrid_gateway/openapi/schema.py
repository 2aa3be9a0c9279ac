"""Types → JSON Schema 2020-12, as OpenAPI 3.1 wants it; classes with fields and enums become shared components.

How this works: ``msgspec.inspect`` reads the type, and a table picks a writer per kind of type. This is not
``msgspec.json.schema_components``, because code generators trip over what that leaves out: a format for datetimes
without a declared zone, the type and the order of enums, ``const`` for tags, ``type: [string, "null"]``. It also raises
for two classes of one name in one module, and for types it does not know.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from types import NoneType
from typing import Any

import msgspec
from msgspec import inspect as mi

from hybrid_gateway.binding.custom import is_pydantic
from hybrid_gateway.binding.uploads import UploadFile
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.responses.kinds import plain

__all__ = ["NOT_JSON", "Schemas", "as_json"]

Schema = dict[str, Any]

NOT_JSON: Any = object()

_REF = "#/components/schemas/"


class Schemas:
    """Writes schemas and collects the components they refer to, by name, in ``components``."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self.custom: Mapping[Any, Any] = {}  # classes of the project → the type that stands for them
        self._names: dict[Any, str] = {}

    def schema(self, kind: Any) -> Schema:
        """The schema of a type; of one that msgspec does not know, ``{}``: anything goes."""
        try:
            info = mi.type_info(kind)
        except TypeError:  # not a type at all, or a union that msgspec could not decode (but a handler may return)
            return {}
        return self._write(info)

    def _write(self, info: Any) -> Schema:
        extra: Schema = {}
        while isinstance(info, mi.Metadata):
            extra = {**(info.extra_json_schema or {}), **extra}
            info = info.type
        if isinstance(info, mi.CustomType) and isinstance(info.cls, type) and issubclass(info.cls, Enum):
            info = mi.EnumType(info.cls)  # Django's choices: msgspec.inspect knows enums by their metaclass alone
        if isinstance(info, mi.CustomType) and is_pydantic(info.cls):
            return {"$ref": _REF + self._pydantic(info.cls), **extra}
        if isinstance(info, mi.CustomType) and info.cls in self.custom:
            return {**self.schema(self.custom[info.cls]), **extra}
        if isinstance(info, _COMPONENTS):
            return {"$ref": _REF + self._name(info), **extra}
        return {**_WRITERS.get(type(info), _write_unknown)(self, info), **extra}

    def _name(self, info: Any) -> str:
        """The component of a class, written when first asked for; its name is known before, for it may hold itself."""
        if info.cls not in self._names:
            name = self._names[info.cls] = self._free_name(info.cls)
            self.components[name] = {}
            self.components[name] = _WRITERS[type(info)](self, info)
        return self._names[info.cls]

    def _pydantic(self, cls: Any) -> str:
        """The component of a model of pydantic, which writes its own schema, and those of the models inside it."""
        if cls not in self._names:
            name = self._names[cls] = self._free_name(cls)
            schema = cls.model_json_schema(ref_template=_REF + "{model}", by_alias=True)
            self.components |= schema.pop("$defs", {})
            self.components[name] = schema
        return self._names[cls]

    def _free_name(self, cls: Any) -> str:
        short = _plain_name(_title(cls))
        names = [short, f"{_plain_name(cls.__module__)}.{short}"]
        names += [f"{short}_{number}" for number in range(2, len(self.components) + 3)]
        return next(name for name in names if name not in self.components)


def as_json(value: Any) -> Any:
    """A default as the document shows it, or ``NOT_JSON`` for what cannot be shown."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=plain))
    except (TypeError, ValueError, RecursionError):
        return NOT_JSON


# --- names and words of a class ------------------------------------------------------------------------------------


def _title(cls: Any) -> str:
    arguments = typing.get_args(cls)
    name: str = getattr(typing.get_origin(cls) or cls, "__name__", "Object")
    if not arguments:
        return name
    return f"{name}[{', '.join(getattr(argument, '__name__', str(argument)) for argument in arguments)}]"


def _plain_name(name: str) -> str:
    # SPEC: OpenAPI 3.1, components object: names match ^[a-zA-Z0-9._-]+$
    return re.sub(r"[^a-zA-Z0-9._-]+", "_", name).strip("_")


def _about(cls: Any) -> Schema:
    """Title and description of a class; the docstrings that Python makes up by itself are none."""
    own = typing.get_origin(cls) or cls
    doc = inspect.cleandoc(vars(own).get("__doc__") or "")
    about = {"title": _title(cls)}
    if doc and doc != "An enumeration." and not doc.startswith(f"{own.__name__}("):
        about["description"] = doc
    return about


# --- writers -------------------------------------------------------------------------------------------------------


def _constant(**schema: Any) -> Callable[[Schemas, Any], Schema]:
    return lambda writer, info: dict(schema)


def _limited(kind: str, limits: Mapping[str, str], **more: Any) -> Callable[[Schemas, Any], Schema]:
    def write(writer: Schemas, info: Any) -> Schema:
        return {"type": kind, **more, **_limits(info, limits)}

    return write


def _limits(info: Any, limits: Mapping[str, str]) -> Schema:
    return {keyword: value for name, keyword in limits.items() if (value := getattr(info, name)) is not None}


def _write_array(writer: Schemas, info: Any) -> Schema:
    schema = {"type": "array", "items": writer._write(info.item_type), **_limits(info, _ITEMS)}
    if isinstance(info, mi.SetType | mi.FrozenSetType):
        schema["uniqueItems"] = True
    return schema


def _write_tuple(writer: Schemas, info: Any) -> Schema:
    return _fixed_array([writer._write(item) for item in info.item_types], len(info.item_types))


def _fixed_array(items: Sequence[Schema], required: int) -> Schema:
    schema: Schema = {"type": "array", "minItems": required, "maxItems": len(items)}
    return {**schema, "prefixItems": list(items), "items": False} if items else schema


def _write_dict(writer: Schemas, info: Any) -> Schema:
    schema = {"type": "object", "additionalProperties": writer._write(info.value_type), **_limits(info, _PROPERTIES)}
    keys = writer._write(info.key_type)
    if keys.get("type") == "string" and len(keys) > 1:
        schema["propertyNames"] = keys
    return schema


def _write_object(writer: Schemas, info: Any) -> Schema:
    properties = {field.encode_name: _write_field(writer, field) for field in info.fields}
    required = [field.encode_name for field in info.fields if field.required]
    tag = getattr(info, "tag_field", None)
    if tag is not None:
        properties, required = {tag: _one_of([info.tag]), **properties}, [tag, *required]
    if isinstance(info, mi.NamedTupleType) or getattr(info, "array_like", False):
        return {**_about(info.cls), **_fixed_array(list(properties.values()), len(required))}
    schema = {**_about(info.cls), "type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if getattr(info, "forbid_unknown_fields", False):
        schema["additionalProperties"] = False
    return schema


def _write_field(writer: Schemas, field: Any) -> Schema:
    schema = writer._write(field.type)
    default = field.default
    if field.default_factory in (list, dict, set):
        default = field.default_factory()
    if default is not msgspec.NODEFAULT and default is not None and (shown := as_json(default)) is not NOT_JSON:
        schema["default"] = shown
    return schema


def _write_union(writer: Schemas, info: Any) -> Schema:
    members = [member for member in info.types if not isinstance(member, mi.NoneType)]
    if not members:
        return {"type": "null"}
    schemas = [writer._write(member) for member in members]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas, **_discriminator(members, schemas)}
    return schema if len(members) == len(info.types) else _nullable(schema)


def _discriminator(members: Sequence[Any], schemas: Sequence[Schema]) -> Schema:
    tags = [getattr(member, "tag_field", None) for member in members]
    if None in tags:
        return {}
    mapping = {str(member.tag): schema["$ref"] for member, schema in zip(members, schemas, strict=True)}
    return {"discriminator": {"propertyName": tags[0], "mapping": mapping}}


def _nullable(schema: Schema) -> Schema:
    if not schema:
        return {}
    if isinstance(schema.get("type"), str) and not schema.keys() & {"enum", "const"}:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _write_literal(writer: Schemas, info: Any) -> Schema:
    return _one_of(info.values)


def _one_of(values: Iterable[Any]) -> Schema:
    values = list(values)
    kinds = sorted({name for value in values for kind, name in _JSON_TYPES if type(value) is kind})
    schema: Schema = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    return {**schema, "const": values[0]} if len(values) == 1 else {**schema, "enum": values}


def _write_enum(writer: Schemas, info: Any) -> Schema:
    members = {member.name: as_json(member.value) for member in info.cls}
    shown = [value for value in members.values() if value is not NOT_JSON]
    schema = {**_about(info.cls), **_one_of(shown)}
    if "enum" in schema and len(shown) == len(members):
        schema["x-enum-varnames"] = list(members)
    return schema


def _write_unknown(writer: Schemas, info: Any) -> Schema:
    """What is sent by way of its plain base class; anything where there is none."""
    cls = getattr(info, "cls", None)
    if not isinstance(cls, type):
        return {}
    return next((dict(schema) for base, schema in _PLAIN_BASES if issubclass(cls, base)), {})


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
_JSON_TYPES = ((str, "string"), (bool, "boolean"), (int, "integer"), (float, "number"), (NoneType, "null"))
_PLAIN_BASES: tuple[tuple[type, Schema], ...] = (
    (UploadFile, {"type": "string", "format": "binary"}),
    (SecretString, {"type": "string", "format": "password"}),
    (SecretBytes, {"type": "string", "format": "password", "contentEncoding": "base64"}),
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
)
_COMPONENTS = (mi.StructType, mi.DataclassType, mi.TypedDictType, mi.NamedTupleType, mi.EnumType)

_DECIMAL = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_base64 = _constant(type="string", contentEncoding="base64")

_WRITERS: dict[Any, Callable[[Schemas, Any], Schema]] = {
    mi.AnyType: _constant(),
    mi.RawType: _constant(),
    mi.NoneType: _constant(type="null"),
    mi.BoolType: _constant(type="boolean"),
    mi.IntType: _limited("integer", _NUMBERS),
    mi.FloatType: _limited("number", _NUMBERS),
    mi.StrType: _limited("string", _TEXTS),
    mi.BytesType: _base64,
    mi.ByteArrayType: _base64,
    mi.MemoryViewType: _base64,
    mi.DateTimeType: _constant(type="string", format="date-time"),
    mi.DateType: _constant(type="string", format="date"),
    mi.TimeType: _constant(type="string", format="time"),
    mi.TimeDeltaType: _constant(type="string", format="duration"),
    mi.UUIDType: _constant(type="string", format="uuid"),
    mi.DecimalType: _constant(type="string", format="decimal", pattern=_DECIMAL),
    mi.ListType: _write_array,
    mi.SetType: _write_array,
    mi.FrozenSetType: _write_array,
    mi.VarTupleType: _write_array,
    mi.TupleType: _write_tuple,
    mi.DictType: _write_dict,
    mi.UnionType: _write_union,
    mi.LiteralType: _write_literal,
    mi.EnumType: _write_enum,
    mi.StructType: _write_object,
    mi.DataclassType: _write_object,
    mi.TypedDictType: _write_object,
    mi.NamedTupleType: _write_object,
}
if hasattr(mi, "FrozenDictType"):  # msgspec 0.22 and later
    _WRITERS[mi.FrozenDictType] = _write_dict
