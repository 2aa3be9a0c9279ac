"""The columns of a model that an API shows and takes, with the annotations that their Structs are written with."""

from __future__ import annotations

import datetime
import decimal
import keyword
import re
import types
import typing
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.utils import translation
from django.utils.text import slugify

from hybrid_gateway.orm import ModelStruct
from hybrid_gateway.orm.columns.column_types import annotation_for, column_type_of, is_unknown
from hybrid_gateway.orm.columns.field_facts import (
    ModelField,
    choices_of,
    has_several_columns,
    is_server_managed,
    value_field,
)

# SECURITY: a column with such a name is shown to nobody and taken from nobody, whatever it holds.
_SECRET = re.compile(
    r"(?:^|_)(?:pass|password|passwd|passphrase|secret|secrets|token|tokens|salt|otp|pin|cvv|ssn|credential|credentials"
    r"|hash|digest|signature|session_?(?:key|data)|(?:api|private|public|secret|access|auth|consumer|client|recovery|"
    r"activation|reset|confirmation)_?(?:key|keys|code|codes)|keys?_?(?:hash|data))(?:$|_)",
    re.IGNORECASE,
)
_KEY_HOLDERS = re.compile(
    r"token|session|emailconfirmation|apikey|authenticator|nonce|association|secret", re.IGNORECASE
)
_TEXTS = ("CharField", "TextField", "SlugField")
_EMPTY_LIST = "msgspec.field(default_factory=list)"
_METHODS = frozenset(name for name in dir(ModelStruct) if not name.startswith("_"))


class ShapedField(msgspec.Struct, frozen=True):
    """A field of a Struct, as it is written."""

    column: str
    annotation: str
    default: str = ""
    is_key: bool = False

    @property
    def attribute(self) -> str:
        """The name in the class, which a method or a keyword may have taken."""
        return f"{self.column}_" if self.column in _METHODS or keyword.iskeyword(self.column) else self.column

    @property
    def source(self) -> str:
        """The line of the class."""
        if self.attribute == self.column:
            return f"{self.column}: {self.annotation}{f' = {self.default}' if self.default else ''}"
        options = f'name="{self.column}"' + (f", default={self.default}" if self.default else "")
        return f'{self.attribute}: Annotated[{self.annotation}, Column("{self.column}")] = msgspec.field({options})'


class ModelShape(msgspec.Struct):
    """All that is generated for one model."""

    model: type[models.Model]
    out: list[ShapedField]
    taken: list[ShapedField]
    why_read_only: str = ""  # empty where rows may be written
    hidden: list[str] = []
    from_user: list[str] = []  # foreign keys to who is logged in, which nobody sends

    @property
    def name(self) -> str:
        """The name of the model's class."""
        return self.model.__name__

    @property
    def slug(self) -> str:
        """The segment of the path, in English."""
        with translation.override("en"):
            plural = slugify(str(self.model._meta.verbose_name_plural))
        return plural or str(self.model._meta.model_name)

    @property
    def permissions(self) -> list[str]:
        """Django's permissions to add, change and delete."""
        meta = self.model._meta
        return [f"{meta.app_label}.{verb}_{meta.model_name}" for verb in ("add", "change", "delete")]


def is_secret(field: ModelField) -> bool:
    """Return whether nobody is to see a column: passwords, tokens, keys."""
    if _SECRET.search(field.name):
        return True
    owner = field.model.__name__
    return field.name in ("key", "code", "data", "seed") and bool(_KEY_HOLDERS.search(owner))


def shape_of(model: type[models.Model], *, read_only: bool = False) -> ModelShape:
    """Decide what of a model is shown and taken."""
    shape = ModelShape(model, [], [])
    columns = [field for field in model._meta.concrete_fields if isinstance(field, models.Field)]
    for field in columns:
        if is_parent_link(field) or has_several_columns(field):
            continue
        if is_secret(field):
            shape.hidden.append(field.name)
            continue
        shape.out.append(ShapedField(field.name, _shown(field), is_key=field.primary_key))
        if is_account(field):
            shape.from_user.append(field.name)
        elif _is_taken(field):
            shape.taken.append(ShapedField(field.name, _shown(field), _default(field)))
    for relation in model._meta.many_to_many:
        if type(relation) is models.ManyToManyField:
            keys = f"list[{source_of(annotation_for(relation.target_field))}]"
            shape.out.append(ShapedField(relation.name, keys))
            through: Any = relation.remote_field.through
            if through._meta.auto_created and relation.editable:
                shape.taken.append(ShapedField(relation.name, keys, _EMPTY_LIST))
    if isinstance(model._meta.pk, models.CompositePrimaryKey):
        parts = [source_of(annotation_for(part)) for part in model._meta.pk.fields if isinstance(part, models.Field)]
        shape.out.insert(0, ShapedField("pk", f"tuple[{', '.join(parts)}]", is_key=True))
    shape.why_read_only = "asked for" if read_only else _why_read_only(model, shape)
    return shape


def is_parent_link(field: ModelField) -> bool:
    """Return whether a column leads to the row of the parent, of which this one is a part."""
    return bool(getattr(field.remote_field, "parent_link", False))


def _shown(field: ModelField) -> str:
    kind = source_of(annotation_for(field))
    if kind == "Any" and is_unknown(field) and value_field(field).get_internal_type() in _TEXTS:
        kind = "str | None" if field.null else "str"  # of a class with a from_db_value of its own
    is_nothing = column_type_of(value_field(field)).is_file and field.blank
    is_blank_choice = field.blank and choices_of(field) and kind == "str"
    return f"{kind} | None" if (is_nothing or is_blank_choice) and "None" not in kind and kind != "Any" else kind


def is_account(field: ModelField) -> bool:
    """Return whether a column is a foreign key to the model of users, so that whoever sends it speaks for another."""
    model = field.remote_field.model if isinstance(field, models.ForeignKey) else None
    return isinstance(model, type) and model._meta.label == settings.AUTH_USER_MODEL and field.editable


def _is_taken(field: ModelField) -> bool:
    if is_server_managed(field) or column_type_of(value_field(field)).is_file:
        return False
    return not isinstance(value_field(field), models.BinaryField)


def _default(field: ModelField) -> str:
    """Return the default of a field that clients may leave out; none is empty."""
    if field.null:
        return "None"
    if field.has_default() and field.default in (list, dict):
        return _EMPTY_LIST if field.default is list else "msgspec.field(default_factory=dict)"
    if field.has_default() and isinstance(field.default, bool | int | float | str) and not choices_of(field):
        return _literal(field.default, field)
    if field.has_default() or getattr(field, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED:
        return "UNSET"
    if field.blank:
        return (
            '""'
            if isinstance(value_field(field), models.CharField | models.TextField) and not choices_of(field)
            else "UNSET"
        )
    return ""


def _literal(value: object, field: ModelField) -> str:
    stored = annotation_for(field)
    if isinstance(value, str) and stored is str:
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"' if escaped.isprintable() else "UNSET"
    if type(value) is bool and stored is bool:
        return repr(value)
    if type(value) is int and stored in (int, float):
        return repr(stored(value))
    return repr(value) if type(value) is float and stored is float and value == value else "UNSET"


def _why_read_only(model: type[models.Model], shape: ModelShape) -> str:
    """Say why rows are not written by generated routes; empty where they are."""
    if issubclass(model, AbstractBaseUser):
        return "accounts have passwords, flags and permissions, which a form or a route of your own should set"
    if hasattr(model, "add_root"):
        return "rows of a tree are added and moved by the methods of their model"
    if isinstance(model._meta.pk, models.CompositePrimaryKey):
        return "its key has several columns"
    needed = [field for field in model._meta.concrete_fields if isinstance(field, models.Field) and is_needed(field)]
    taken = {*shape.from_user, *(field.column for field in shape.taken)}
    missing = [field.name for field in needed if field.name not in taken]
    if missing:
        return f"clients cannot send {', '.join(missing)}, without which there is no row"
    return "" if taken else "there is nothing to send"


def is_needed(field: ModelField) -> bool:
    """Return whether there is no row without a value for the column."""
    has_value = field.null or field.blank or field.has_default() or field.generated or field.primary_key
    is_automatic = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    in_database = getattr(field, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED
    return not (has_value or is_automatic or in_database or is_parent_link(field))


# --- annotations as source -----------------------------------------------------------------------------------------

_NAMES: dict[object, str] = {
    Any: "Any",
    type(None): "None",
    datetime.datetime: "dt.datetime",
    datetime.date: "dt.date",
    datetime.time: "dt.time",
    datetime.timedelta: "dt.timedelta",
    decimal.Decimal: "Decimal",
    uuid.UUID: "UUID",
}
IMPORTS = (
    (r"\bdt\.", "import datetime as dt"),
    (r"\bDecimal\b", "from decimal import Decimal"),
    (r"\bUUID\b", "from uuid import UUID"),
)


def source_of(annotation: Any) -> str:
    """Return an annotation as it is written; what has no name here is ``Any``."""
    if annotation in _NAMES:
        return _NAMES[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, types.UnionType) or origin is typing.Union:
        parts = [source_of(part) for part in arguments]
        return "Any" if "Any" in parts else " | ".join(parts)
    if origin in (list, dict, tuple):
        return f"{origin.__name__}[{', '.join(map(source_of, arguments))}]"
    if annotation in (int, float, str, bool, bytes, list, dict):
        return str(annotation.__name__)
    return "Any"


def models_of(
    models_found: Iterator[type[models.Model]] | list[type[models.Model]], names: list[str]
) -> list[type[models.Model]]:
    """Return the models to write routes for: all that have a table of their own, or those that are named."""
    found = [m for m in models_found if m._meta.managed and not m._meta.proxy and not m._meta.swapped]
    if not names:
        return found
    return [model for model in found if model.__name__.lower() in {name.lower() for name in names}]
