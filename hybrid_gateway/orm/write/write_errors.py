"""Errors of models and databases → errors of a client, at the places of its fields.

How this works: validators of the model run for what was written; what the database then rejects is looked at once more,
to say which field it was. What cannot be traced to one is an error of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from types import TracebackType

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DatabaseError, DataError, IntegrityError, ProgrammingError, connections, models, transaction

from hybrid_gateway._compat.django_connection_internals import in_atomic_block
from hybrid_gateway._compat.django_orm_internals import is_unknown_value, is_vanished_row, unique_checks
from hybrid_gateway.exceptions import Conflict, ErrorEntry, HTTPException, NotFound, RequestValidationError, error_entry
from hybrid_gateway.orm.columns.column_types import column_type_of
from hybrid_gateway.orm.columns.field_facts import ModelField, base_field
from hybrid_gateway.orm.write.write_plan import INVALID_VALUE, ColumnWrite, StructWrite

_CONFLICT = "The row contradicts another one, or a rule of the database."
_CONVERSION_ERRORS = (TypeError, ValueError, ArithmeticError)
"""What fields, those of projects above all, raise for values of which they can make nothing."""


def validate_instance(
    instance: models.Model, write: StructWrite, values: dict[str, object], *, full_clean: bool
) -> None:
    """Run the model's validators for the attributes of ``values``, or all; raise what they reject as a 422."""
    written = [write.plan.by_attribute[name] for name in values]
    try:
        skipped = {*write.faults}
        for column in written:
            if column.field_name not in skipped and _needs_no_validation(instance, column):
                skipped.add(column.field_name)
        if full_clean:
            instance.full_clean(exclude=skipped)
        else:
            names = {column.field_name for column in written}
            instance.clean_fields(exclude=skipped | (_field_names(type(instance)) - names))
    except ValidationError as error:
        raise RequestValidationError([*write.fault_entries(), *_entries(error, write)]) from None
    except DataError as error:  # of a foreign key, which has been looked up
        raise _unstorable(write) from error
    except _CONVERSION_ERRORS as error:
        _raise_unfit(instance, write, error, lambda field, value: field.clean(value, instance))
        raise
    if write.faults:
        raise RequestValidationError(write.fault_entries())


@lru_cache(maxsize=1024)
def _field_names(model: type[models.Model]) -> frozenset[str]:
    return frozenset(field.name for field in model._meta.fields)


def _needs_no_validation(instance: models.Model, column: ColumnWrite) -> bool:
    """Return whether a value is a null that may be, an empty value that is the default, or an array with such nulls.

    DJANGO: to a model's validators those are missing without ``blank=True``, which is about forms. Raises what they
    reject of the other items of an array.
    """
    value = instance.__dict__.get(column.attname) if column.field.concrete else column.field
    if value is None:
        return column.is_null
    if column.is_array and type(value) is list and None in value:
        return _is_valid_without_nulls(instance, column.field, value)
    return not value and column.takes_empty and value in column.field.empty_values


def _is_valid_without_nulls(instance: models.Model, field: ModelField, values: list[object]) -> bool:
    item = base_field(field)
    if not item.null or item.blank:
        return False
    if others := [value for value in values if value is not None]:
        try:
            field.clean(others, instance)
        except ValidationError as error:
            raise ValidationError({field.name: error}) from None
    return True


def _entries(error: ValidationError, write: StructWrite) -> list[ErrorEntry]:
    by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    return [
        error_entry(write.location, message) if name == NON_FIELD_ERRORS else write.entry(name, message)
        for name, errors in by_field.items()
        for entry in errors
        for message in entry.messages
    ]


def save_instance(instance: models.Model, write: StructWrite, save: Callable[[], None], *, is_new: bool) -> None:
    """Call ``save``; what the database rejects is a 409, or a 422 where a column cannot hold a value."""
    connection = connections[write.using]
    try:
        with transaction.atomic(using=write.using) if in_atomic_block(connection) else nullcontext():
            save()
    except IntegrityError as error:
        raise _conflict(instance, write) from error
    except (DataError, OverflowError) as error:
        raise _unstorable(write) from error
    except _CONVERSION_ERRORS as error:
        _raise_unfit(instance, write, error, lambda field, value: field.get_db_prep_save(value, connection))
        raise
    except ProgrammingError as error:
        # Of a class that the driver does not know, or a text with a syntax of its own.
        if is_unknown_value(error) or any(column_type_of(column.field).has_syntax for column, _ in write.columns):
            raise _unstorable(write) from error
        raise
    except DatabaseError as error:
        if not is_new and is_vanished_row(error):
            raise NotFound from error
        raise


def _raise_unfit(
    instance: models.Model, write: StructWrite, error: Exception, use: Callable[[ModelField, object], object]
) -> None:
    """Raise the 422 of values that a client has sent and their fields fail on, where that is what ``error`` is of."""
    entries = []
    for column, _ in write.columns:
        try:
            use(column.field, instance.__dict__.get(column.attname))
        except ValidationError:
            continue
        except _CONVERSION_ERRORS:
            entries.append(write.entry(column.field_name, INVALID_VALUE))
    if entries:
        raise RequestValidationError(entries) from error


def _unstorable(write: StructWrite) -> RequestValidationError:
    """Return the 422 of a value that no validator knew to be too large, or no text of its kind."""
    unknown = [column.field_name for column, _ in write.columns if column.is_unknown]
    if len(unknown) == 1:
        return RequestValidationError([write.entry(unknown[0], "The database cannot hold this value")])
    return RequestValidationError([error_entry(write.location, "The database cannot hold one of the values")])


def _conflict(instance: models.Model, write: StructWrite) -> HTTPException:
    """Return what the database has rejected, in the words of the model."""
    try:
        _validate_unique(instance, write.using)
    except ValidationError as found:
        return Conflict("The row contradicts another one.", extra={"errors": _entries(found, write)})
    try:
        for constraint in instance._meta.constraints:
            constraint.validate(type(instance), instance, using=write.using)
    except ValidationError as found:
        return RequestValidationError(_entries(found, write))
    return Conflict(_CONFLICT)


def _validate_unique(instance: models.Model, using: str) -> None:
    """Raise what a row contradicts others in.

    DJANGO: ``validate_unique()`` asks the default manager, which may hide the other row (of another tenant, deleted by
    a flag), and the default database.
    """
    faults: dict[str, list[ValidationError]] = {}
    for model, names in unique_checks(instance):
        fields = [instance._meta.get_field(name) for name in names]
        values = {field.name: getattr(instance, field.attname) for field in fields if isinstance(field, models.Field)}
        rows = model._base_manager.using(using).filter(**values)
        if not instance._state.adding:
            rows = rows.exclude(pk=getattr(instance, model._meta.pk.attname))
        if None not in values.values() and rows.exists():
            place = names[0] if len(names) == 1 else NON_FIELD_ERRORS
            faults.setdefault(place, []).append(instance.unique_error_message(model, names))
    if faults:
        raise ValidationError(faults)
    for constraint in instance._meta.constraints:
        if not isinstance(constraint, models.CheckConstraint):  # unique ones, and those that exclude
            constraint.validate(type(instance), instance, using=using)


@contextmanager
def atomic_or_conflict(using: str | None, *, durable: bool = False) -> Iterator[None]:
    """Open a transaction whose end may find what was deferred until then: a contradiction is a 409.

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


class _ConflictsRaised:
    """Raises as a 409 whatever the database rejects of several rows, or of one when the transaction ends."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if isinstance(error, IntegrityError):
            raise Conflict(_CONFLICT) from error


CONFLICTS_RAISED = _ConflictsRaised()
