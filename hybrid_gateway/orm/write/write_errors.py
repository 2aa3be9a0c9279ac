"""What models and databases refuse to have written, told to the client by the places of its fields.

How this works: validators of the model run for what was written; what the database then refuses is looked at once more,
to say which field it was. What cannot be traced to one is told of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DatabaseError, DataError, IntegrityError, ProgrammingError, connections, models, transaction

from hybrid_gateway.exceptions import (
    Conflict,
    ErrorEntry,
    HTTPException,
    Location,
    NotFound,
    RequestValidationError,
    error_entry,
)
from hybrid_gateway.orm.columns.column_types import column_type_of
from hybrid_gateway.orm.columns.model_fields import takes_empty

__all__ = [
    "INVALID_VALUE",
    "StructWrite",
    "validate_instance",
    "atomic_or_conflict",
    "field_name",
    "save_instance",
    "raise_conflicts",
]

INVALID_VALUE = "This is no value of the field"


class StructWrite(Protocol):
    """One Struct that is written."""

    @property
    def using(self) -> str: ...
    @property
    def loc(self) -> Location: ...
    @property
    def wires(self) -> Mapping[str, str]: ...  # names of the model → names of the wire
    @property
    def faults(self) -> Mapping[str, str]: ...  # names of the model → words: values that no column takes
    @property
    def columns_written(self) -> Sequence[Any]: ...


def validate_instance(instance: Any, plan: StructWrite, written: Any, *, full_clean: bool) -> None:
    """Run the model's validators for the attributes ``written``, or all of them; raises what they refuse as a 422."""
    names = {field_name(instance, name) for name in written}
    faults = [error_entry((*plan.loc, plan.wires.get(name, name)), message) for name, message in plan.faults.items()]
    try:
        settled = {*plan.faults, *(name for name in names - plan.faults.keys() if _is_settled(instance, name))}
        if full_clean:
            instance.full_clean(exclude=settled)
        else:
            others = {field.name for field in instance._meta.fields} - names
            instance.clean_fields(exclude=others | settled)
    except ValidationError as error:
        raise RequestValidationError([*faults, *_faults(error, plan)]) from None
    except DataError as error:  # of a foreign key, which has been looked up
        raise _unstorable(plan) from error
    except _UNFIT as error:
        _raise_unfit(instance, plan, error, lambda field, value: field.clean(value, instance))
        raise
    if faults:
        raise RequestValidationError(faults)


def _is_settled(instance: Any, name: str) -> bool:
    """Whether a column holds a null that it may, an empty value that is its default, or an array with such nulls.

    DJANGO: to a model's validators those are missing without ``blank=True``, which is about forms. Raises what they
    refuse of the other items of an array.
    """
    field = instance._meta.get_field(name)
    value = instance.__dict__.get(field.attname) if field.concrete else field
    if value is None:
        return bool(field.null)
    if type(value) is list and None in value and column_type_of(field).is_array:
        return _is_checked_without_nulls(instance, field, value)
    return not value and value in field.empty_values and takes_empty(field)


def _is_checked_without_nulls(instance: Any, field: Any, values: list[Any]) -> bool:
    if not field.base_field.null or field.base_field.blank:
        return False
    if others := [value for value in values if value is not None]:
        try:
            field.clean(others, instance)
        except ValidationError as error:
            raise ValidationError({field.name: error}) from None
    return True


def field_name(instance: Any, attribute: str) -> str:
    """The name of the field that an attribute is of."""
    field = instance._meta._forward_fields_map.get(attribute)
    return field.name if field is not None else attribute


def _faults(error: ValidationError, plan: StructWrite) -> list[ErrorEntry]:
    by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    return [
        error_entry(plan.loc if name == NON_FIELD_ERRORS else (*plan.loc, plan.wires.get(name, name)), message)
        for name, errors in by_field.items()
        for entry in errors
        for message in entry.messages
    ]


def save_instance(instance: Any, plan: StructWrite, **options: Any) -> None:
    """Save an instance; what the database refuses is a 409, or a 422 where its column cannot hold a value."""
    try:
        with transaction.atomic(using=plan.using) if connections[plan.using].in_atomic_block else nullcontext():
            instance.save(using=plan.using, **options)
    except IntegrityError as error:
        raise _conflict(instance, plan) from error
    except (DataError, OverflowError) as error:
        raise _unstorable(plan) from error
    except _UNFIT as error:
        connection = connections[plan.using]
        _raise_unfit(instance, plan, error, lambda field, value: field.get_db_prep_save(value, connection))
        raise
    except ProgrammingError as error:
        if not _is_of_a_value(plan, error):
            raise
        raise _unstorable(plan) from error
    except DatabaseError as error:
        if "update_fields" in options and "did not affect any rows" in str(error):  # DJANGO: Model.save_base
            raise NotFound from error
        raise


def _is_of_a_value(plan: StructWrite, error: Exception) -> bool:
    """Whether a driver knows no such class, or a text is none of those that have a syntax of their own."""
    if any(words in str(error) for words in ("Error binding parameter", "cannot adapt type")):
        return True
    return any(column_type_of(write.field).has_syntax for write in plan.columns_written)


_UNFIT = (TypeError, ValueError, ArithmeticError)
"""What fields, those of projects above all, raise for values of which they can make nothing."""


def _raise_unfit(instance: Any, plan: StructWrite, error: Exception, use: Callable[[Any, Any], Any]) -> None:
    """Raise the 422 of values that a client has sent and their fields fail on, where that is what ``error`` is of."""
    faults = []
    for write in plan.columns_written:
        try:
            use(write.field, instance.__dict__.get(write.field.attname))
        except ValidationError:
            continue
        except _UNFIT:
            faults.append(error_entry((*plan.loc, write.wire), INVALID_VALUE))
    if faults:
        raise RequestValidationError(faults) from error


def _unstorable(plan: StructWrite) -> RequestValidationError:
    """A value that no validator knew to be too large or no text of its kind; at its place, where one is unknown."""
    unknown = [write.wire for write in plan.columns_written if write.is_unknown]
    place = unknown if len(unknown) == 1 else []
    message = "The database cannot hold this value" if place else "The database cannot hold one of the values"
    return RequestValidationError([error_entry((*plan.loc, *place), message)])


def _conflict(instance: Any, plan: StructWrite) -> HTTPException:
    """What the database has refused, in the words of the model."""
    for find, error in ((_unique, Conflict), (_constraints, RequestValidationError)):
        try:
            find(instance, plan.using)
        except ValidationError as found:
            faults = _faults(found, plan)
            if error is Conflict:
                return Conflict("The row contradicts another one.", extra={"errors": faults})
            return RequestValidationError(faults)
    return Conflict(_CONFLICT)


def _unique(instance: Any, using: str) -> None:
    """Raise what a row contradicts others in.

    DJANGO: ``validate_unique()`` asks the default manager, which may hide the other row (of another tenant, deleted by
    a flag), and the default database.
    """
    faults: dict[str, list[Any]] = {}
    for model, names in instance._get_unique_checks(include_meta_constraints=True)[0]:
        fields = [instance._meta.get_field(name) for name in names]
        values = {field.name: getattr(instance, field.attname) for field in fields}
        rows = model._base_manager.using(using).filter(**values)
        if not instance._state.adding:
            rows = rows.exclude(pk=instance._get_pk_val(model._meta))
        if None not in values.values() and rows.exists():
            place = names[0] if len(names) == 1 else NON_FIELD_ERRORS
            faults.setdefault(place, []).append(instance.unique_error_message(model, names))
    if faults:
        raise ValidationError(faults)
    for constraint in instance._meta.constraints:
        if not isinstance(constraint, models.CheckConstraint):  # unique ones, and those that exclude
            constraint.validate(type(instance), instance, using=using)


def _constraints(instance: Any, using: str) -> None:
    for constraint in instance._meta.constraints:
        constraint.validate(type(instance), instance, using=using)


@contextmanager
def atomic_or_conflict(using: str | None, *, durable: bool = False) -> Iterator[None]:
    """A transaction whose end may find what was deferred until then: a contradiction is a 409.

    What its code raises itself stays as it is.
    """
    done = False
    try:
        with transaction.atomic(using=using, durable=durable):
            yield
            done = True
    except IntegrityError as error:
        if not done:
            raise
        raise Conflict(_CONFLICT) from error


@contextmanager
def raise_conflicts(block: AbstractContextManager[Any]) -> Iterator[None]:
    """Tell as a 409 whatever the database refuses of several rows, or of one when the transaction ends."""
    try:
        with block:
            yield
    except IntegrityError as error:
        raise Conflict(_CONFLICT) from error


_CONFLICT = "The row contradicts another one, or a rule of the database."
