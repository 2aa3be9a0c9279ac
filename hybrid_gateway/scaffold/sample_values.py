"""Values for rows of tests: of every column that needs one, valid, and new each time where they must differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from hybrid_gateway.orm.columns.column_types import stored_type
from hybrid_gateway.orm.columns.field_facts import ModelField, choices_of, value_field
from hybrid_gateway.scaffold.model_shapes import ModelShape, is_needed, is_parent_link

NUMBER = "{next(numbers)}"
_TEXTS = (
    *(
        "name{n}",
        "{n}",
        "a{n}",
        "A{n}",
        "a{n}@example.com",
        "https://example.com/{n}",
        "127.0.0.{n}",
        "en",
        "US",
        "UTC",
    ),
    *("#aabbcc", "+1201555012{n}", "2024-01-31", "12:00:00", "1.0", "example{n}.com", "/name{n}/", "x", "{n}{n}{n}{n}"),
)


class SampleValue(msgspec.Struct, frozen=True):
    """An expression for a row, and one for the body of a request."""

    row: str
    body: str
    needs: type[models.Model] | None = None


def row_fields(model: type[models.Model]) -> Iterator[ModelField]:
    """Yield the columns that a row cannot be without, or that must differ from those of other rows."""
    for field in model._meta.concrete_fields:
        if not isinstance(field, models.Field) or is_parent_link(field) or isinstance(field, models.AutoField):
            continue
        has_own = callable(field.default) or field.generated
        is_key = field.primary_key and not field.has_default()
        must_differ = field.unique and not field.null and not has_own and not field.primary_key
        if is_key or must_differ or is_needed(field):
            yield field


def sample(field: ModelField) -> SampleValue | None:
    """Return an expression for a value of a column; ``None`` where nobody knows one."""
    if isinstance(field, models.ForeignKey):
        return _row_of(field)
    if choices := choices_of(field):
        found = choices[0] if choices[0] not in field.empty_values or len(choices) == 1 else choices[1]
        return SampleValue(repr(found), repr(found)) if type(found) in (str, int, float, bool) else None
    if make := _PLAIN.get(field.get_internal_type()):
        return make(field)
    return _text(field) if stored_type(field) is str else None  # a field that Django does not know


def _row_of(field: models.ForeignKey[models.Model, models.Model]) -> SampleValue | None:
    target = field.related_model
    if not isinstance(target, type):
        return None
    if is_content_type(target):
        row = "ContentType.objects.get_for_model(ContentType)"
        return SampleValue(row, f"{row}.pk", target)
    made = f"make_{maker_name(target)}()"
    key = f"{made}.{field.target_field.attname}"
    is_text = stored_type(value_field(field)) not in (int, str)
    return SampleValue(made, f"str({key})" if is_text else key, target)


def is_content_type(model: type[models.Model]) -> bool:
    """Return whether it is ``ContentType``, which not every project can import."""
    return model._meta.label == "contenttypes.ContentType"


def maker_name(model: type[models.Model]) -> str:
    """Return the name of the function that makes rows of a model, without ``make_``."""
    return f"{model._meta.app_label}_{model._meta.model_name}".replace(".", "_")


def _text(field: ModelField) -> SampleValue | None:
    for text in _TEXTS:
        for number in ("1", "12"):
            try:
                value = text.replace("{n}", number)
                if field.max_length is not None and len(value) + (number == "1") > max(field.max_length, 1):
                    raise ValidationError("too long")
                field.clean(value, None)
            except (ValidationError, TypeError, AttributeError):
                break
        else:
            if field.unique and "{n}" not in text:
                continue
            code = f'f"{text.replace("{n}", NUMBER)}"' if "{n}" in text and _differs(field) else repr(value)
            return _same(f'"{code[1:-1]}"' if code.startswith("'") and '"' not in code else code)
    return None


def _differs(field: ModelField) -> bool:
    """Return whether a constraint of the model is about the column."""
    meta = field.model._meta
    together = {name for names in meta.unique_together for name in names}
    constrained = {name for entry in meta.constraints for name in getattr(entry, "fields", ())}
    return field.unique or field.name in together | constrained


def _number(field: ModelField) -> SampleValue | None:
    number = _first_valid(field, ("1", "0", "10", "100", "1000", "-1", "50", "2024"))
    if number == "1" and _differs(field):
        return _same("next(numbers)")
    return _same(number) if number is not None else None


def _decimal(field: ModelField) -> SampleValue | None:
    number = _first_valid(field, ("1", "0", "0.5", "10", "100", "-1"))
    return _same(f'"{number}"') if number is not None else None


def _first_valid(field: ModelField, texts: Iterable[str]) -> str | None:
    """Return the first of several texts that the column and its validators take for a value."""
    for text in texts:
        with suppress(ValidationError):
            field.clean(text, None)
            return text
    return None


def _same(code: str) -> SampleValue:
    return SampleValue(code, code)


_PLAIN: dict[str, Callable[[ModelField], SampleValue | None]] = {
    **dict.fromkeys(("CharField", "TextField", "SlugField", "GenericIPAddressField", "IPAddressField"), _text),
    **dict.fromkeys(("IntegerField", "BigIntegerField", "SmallIntegerField"), _number),
    **dict.fromkeys(("PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField"), _number),
    "DecimalField": _decimal,
    "FloatField": lambda field: _same("1.0"),
    "BooleanField": lambda field: _same("False"),
    "DateField": lambda field: _same('"2024-01-31"'),
    "DateTimeField": lambda field: _same('"2024-01-31T12:00:00Z"' if settings.USE_TZ else '"2024-01-31T12:00:00"'),
    "TimeField": lambda field: _same('"12:00:00"'),
    "DurationField": lambda field: SampleValue("dt.timedelta(hours=1)", '"PT1H"'),
    "UUIDField": lambda field: _same("str(uuid4())"),
    "JSONField": lambda field: _same('{"key": "value"}'),
    "BinaryField": lambda field: SampleValue('b"value"', '"dmFsdWU="'),
    "FileField": lambda field: _same('"file.txt"'),
    "FilePathField": lambda field: None,
}


def body_of(shape: ModelShape) -> dict[str, str] | None:
    """Return the body that makes a row: what has no default, or must differ; ``None`` where nobody knows one."""
    needed = {field.name for field in row_fields(shape.model)}
    body = {}
    for taken in shape.taken:
        field = shape.model._meta.get_field(taken.column)
        if taken.default and taken.column not in needed:
            continue
        found = sample(field) if isinstance(field, models.Field) else None
        if found is None:
            return None
        body[taken.column] = re.sub(r"^f(\"[^{]*\")$", r"\1", found.body)
    return body
