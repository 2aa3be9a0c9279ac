"""Structs → rows: what clients sent is assigned, checked by the model's own validators, and saved.

How this works: a field of the Struct is written to the column of its name, unless the server manages that (automatic
keys, ``auto_now``, ``editable=False``), the Struct only reads it, or it is ``UNSET``. Validators of the model run for
the fields that were written; a foreign key has to lead somewhere. What the database then refuses is looked at once more
to say which field it was. One transaction holds everything that is more than one statement.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    ProgrammingError,
    connections,
    models,
    router,
    transaction,
)
from django.db.models.fields.related import ForeignObjectRel
from django.utils import timezone
from msgspec import UNSET

from hybrid_gateway.exceptions import (
    ConfigurationError,
    Conflict,
    HTTPException,
    NotFound,
    PreconditionFailed,
    RequestValidationError,
)
from hybrid_gateway.orm.annotations import Column
from hybrid_gateway.orm.columns import bare, is_own, is_server_managed, real_field
from hybrid_gateway.orm.demands import takes_empty
from hybrid_gateway.orm.fetch import hints_of
from hybrid_gateway.orm.intake import taker
from hybrid_gateway.orm.settled import settle
from hybrid_gateway.orm.shape import find_field
from hybrid_gateway.orm.struct import columns_of, computed_of, is_model_struct

__all__ = ["claim", "create", "create_many", "update", "update_many", "writable"]

Location = tuple[str | int, ...]
_BODY: Location = ("body",)


class _Write(msgspec.Struct, frozen=True):
    """One field of a Struct that is written."""

    name: str
    wire: str
    field: Any
    column: Column
    is_left_out: bool  # where it is None: the class's own default, for a column that has no null but a default
    is_unknown: bool  # what it takes only the database can tell
    take: Callable[[Any, Any], Any]


def writable(struct: Any) -> list[_Write]:
    """The fields of ``struct`` that ``create()`` and ``update()`` write."""
    known: list[_Write] | None = struct.__dict__.get("__writes__")
    if known is None:
        known = struct.__writes__ = list(_writes(struct))
    return known


def _writes(struct: Any) -> Iterator[_Write]:
    columns, made, model = columns_of(struct), computed_of(struct), struct.__model__
    for field in msgspec.structs.fields(struct):
        column = columns.get(field.name) or Column()
        if field.name in made or column.read_only:
            continue
        path = field.name if column.source is ... else column.source
        target = find_field(model, path) if isinstance(path, str) else None
        if target is None or isinstance(target, models.FileField):  # files are no text: assign them by name
            continue
        if not isinstance(target, ForeignObjectRel) and (is_server_managed(target) or _is_parent_link(target)):
            continue
        take = taker(target) if getattr(target, "concrete", False) else _as_it_is
        yield _Write(
            field.name, field.encode_name, target, column, _is_left_out(field, target), _is_unknown(target), take
        )


def _is_unknown(target: Any) -> bool:
    return bool(target.concrete and is_own(real_field(target)))


def _is_left_out(field: Any, target: Any) -> bool:
    """Whether ``None`` is what the class says of an absent field, for a column that has no null but a default."""
    defaults = target.concrete and not target.null and (target.has_default() or target.has_db_default())
    return bool(defaults and field.default is None)


def _as_it_is(value: Any, connection: Any) -> Any:
    return value


def _is_parent_link(field: Any) -> bool:
    return bool(getattr(field.remote_field, "parent_link", False))


# --- one row -------------------------------------------------------------------------------------------------------


def create(data: Any, extra: dict[str, Any], *, using: str | None, full_clean: bool, loc: Location = _BODY) -> Any:
    """A new row of ``data``; ``extra`` are attributes that clients do not send."""
    model = type(data).__model__
    using = using or router.db_for_write(model)
    plan = _Plan(data, extra, using, loc)
    with plan.transaction():
        values = plan.columns(None)
        instance = model(**values, **extra)
        _check(instance, plan, values, full_clean=full_clean)
        _save(instance, plan, force_insert=True)
        settle(instance, using)
        plan.lists(instance, is_new=True)
    return instance


def update(
    data: Any, instance: Any, extra: dict[str, Any], *, using: str | None, full_clean: bool, loc: Location = _BODY
) -> Any:
    """``instance`` with what ``data`` says; columns it does not name are neither read nor written."""
    using = using or router.db_for_write(type(instance), instance=instance)
    plan = _Plan(data, extra, using, loc)
    with plan.transaction():
        values = plan.columns(instance)
        written = {**values, **extra}
        for name, value in written.items():
            setattr(instance, name, value)
        _check(instance, plan, values, full_clean=full_clean)
        if written:
            saved = _saved(instance, written)
            _save(instance, plan, update_fields=saved)
            settle(instance, using, saved)
        plan.lists(instance, is_new=False)
    return instance


class _Plan:
    """What one Struct writes."""

    def __init__(self, data: Any, extra: dict[str, Any], using: str, loc: Location) -> None:
        self.data = data
        self.using = using
        self.loc = loc
        self.wires: dict[str, str] = {}  # names of the model → names of the wire
        self.faults: dict[str, str] = {}  # of values that no column takes: names of the model → words
        self._ones: list[tuple[_Write, Any]] = []
        self._lists: list[tuple[_Write, Any]] = []
        self._columns: list[tuple[_Write, Any]] = []
        for write in writable(type(data)):
            value = getattr(data, write.name)
            # SECURITY: what the server gives wins, by whichever of its names (owner, owner_id) the client has sent it.
            names = {write.field.name, getattr(write.field, "attname", write.field.name)}
            if value is UNSET or not names.isdisjoint(extra) or ("pk" in extra and write.field.primary_key):
                continue
            self.wires[write.field.name] = write.wire
            if isinstance(write.field, ForeignObjectRel) or write.field.many_to_many:
                self._lists.append((write, value))
            elif write.field.is_relation and isinstance(value, msgspec.Struct):
                self._ones.append((write, value))
            else:
                self._columns.append((write, value))

    @property
    def columns_written(self) -> list[_Write]:
        return [write for write, _ in self._columns]

    def transaction(self) -> AbstractContextManager[Any]:
        """One for several statements; where another one is open, each of them has a savepoint of its own."""
        if self._ones or self._lists or type(self.data).__model__._meta.parents:
            return _translated(transaction.atomic(using=self.using), self)
        return _translated(nullcontext(), self)

    def columns(self, instance: Any) -> dict[str, Any]:
        """Values by attribute; what nested Structs stand for is written first."""
        values: dict[str, Any] = {}
        connection = connections[self.using]
        for write, value in self._columns:
            if value is None and write.is_left_out:
                if write.field.has_default():
                    values[write.field.attname] = write.field.get_default()
                continue
            if value is not None:
                try:
                    value = write.take(value, connection)
                except (ValueError, ValidationError) as error:
                    self.faults[write.field.name] = " ".join(getattr(error, "messages", None) or map(str, error.args))
            elif not write.field.null and write.field.empty_strings_allowed:
                value = ""
            values[write.field.attname] = value
        for write, value in self._ones:
            if write.column.write is None:
                raise _no_rule(self.data, write)
            inner = (*self.loc, write.wire)
            related = getattr(instance, write.field.name) if instance is not None else None
            if related is None:
                related = create(value, {}, using=self.using, full_clean=False, loc=inner)
            else:
                update(value, related, {}, using=self.using, full_clean=False, loc=inner)
            values[write.field.name] = related
        return values

    def lists(self, instance: Any, *, is_new: bool) -> None:
        """Write the other sides of an instance that has a key."""
        for write, value in self._lists:
            if _lists_structs(self.data, write):
                if write.column.write is None:
                    raise _no_rule(self.data, write)
                _write_list(self, write, instance, value or [], is_new=is_new)
            else:
                _set_keys(self, write, instance, value or [])


def _lists_structs(data: Any, write: _Write) -> bool:
    [item] = typing.get_args(bare(hints_of(type(data))[write.name])) or (None,)
    return is_model_struct(item)


def _no_rule(data: Any, write: _Write) -> ConfigurationError:
    return ConfigurationError(
        f"{type(data).__qualname__}.{write.name} is nested: say what writing it means, Annotated[..., "
        'Column(write="create")] or Column(write="replace").'
    )


def _write_list(plan: _Plan, write: _Write, instance: Any, items: Sequence[Any], *, is_new: bool) -> None:
    """Rows on the other side: changed where a Struct names one of this instance, otherwise new."""
    manager = getattr(instance, _accessor(write.field))
    there = {} if is_new else {row.pk: row for row in manager.using(plan.using).all()}
    kept, made = set(), []
    for number, item in enumerate(items):
        loc = (*plan.loc, write.wire, number)
        key_name = _key_name(type(item))
        key = getattr(item, key_name) if key_name is not None else UNSET
        if key is not UNSET and key is not None and key in there:
            update(item, there[key], {}, using=plan.using, full_clean=False, loc=loc)
            kept.add(key)
            continue
        extra = {} if _is_many_to_many(write.field) else {write.field.field.name: instance}
        made.append(create(item, extra, using=plan.using, full_clean=False, loc=loc))
    if write.column.write == "replace":
        gone = [row for key, row in there.items() if key not in kept]
        if _is_many_to_many(write.field):
            manager.remove(*gone)
        else:
            for row in gone:
                row.delete(using=plan.using)
    if _is_many_to_many(write.field):
        manager.add(*made)


def _set_keys(plan: _Plan, write: _Write, instance: Any, keys: Sequence[Any]) -> None:
    manager = getattr(instance, _accessor(write.field))
    known = set(manager.model._base_manager.using(plan.using).filter(pk__in=keys).values_list("pk", flat=True))
    faults = [
        {"loc": [*plan.loc, write.wire, number], "msg": f"There is no {key!r}", "type": "value_error"}
        for number, key in enumerate(keys)
        if key not in known
    ]
    if faults:
        raise RequestValidationError(faults)
    manager.set(keys)


def _accessor(field: Any) -> str:
    return str(field.get_accessor_name() if isinstance(field, ForeignObjectRel) else field.name)


def _is_many_to_many(field: Any) -> bool:
    return bool(field.many_to_many)


def _key_name(struct: Any) -> str | None:
    key = struct.__model__._meta.pk.name
    return next((name for name in ("pk", key) if name in struct.__struct_fields__), None)


# --- checks --------------------------------------------------------------------------------------------------------


def _check(instance: Any, plan: _Plan, written: Any, *, full_clean: bool) -> None:
    names = {_field_name(instance, name) for name in written}
    faults = [
        {"loc": [*plan.loc, plan.wires.get(name, name)], "msg": message, "type": "value_error"}
        for name, message in plan.faults.items()
    ]
    settled = {*plan.faults, *(name for name in names if _is_its_own_nothing(instance, name))}
    try:
        settled |= {name for name in names - settled if _is_checked_without_nulls(instance, name)}
        if full_clean:
            instance.full_clean(exclude=settled)
        else:
            others = {field.name for field in instance._meta.fields} - names
            instance.clean_fields(exclude=others | settled)
    except ValidationError as error:
        raise RequestValidationError([*faults, *_faults(error, plan)]) from None
    if faults:
        raise RequestValidationError(faults)


def _is_its_own_nothing(instance: Any, name: str) -> bool:
    """Whether a column holds a null that it may, or an empty value that is its default.

    DJANGO: to a model's validators it is missing without ``blank=True``, which is about forms.
    """
    field = instance._meta.get_field(name)
    value = instance.__dict__.get(field.attname) if field.concrete else field
    if value is None:
        return bool(field.null)
    return value in field.empty_values and takes_empty(field)


def _is_checked_without_nulls(instance: Any, name: str) -> bool:
    """Whether a column is an array with nulls that it may hold; the validators have seen its other items then.

    DJANGO: they take a null for missing, as in :func:`_is_its_own_nothing`.
    """
    field = instance._meta.get_field(name)
    base = getattr(field, "base_field", None)
    if base is None or not base.null or base.blank or field.get_internal_type() != "ArrayField":
        return False
    value = instance.__dict__[field.attname]
    if not isinstance(value, list) or None not in value:
        return False
    if others := [entry for entry in value if entry is not None]:
        try:
            field.clean(others, instance)
        except ValidationError as error:
            raise ValidationError({name: error}) from None
    return True


def _field_name(instance: Any, attribute: str) -> str:
    field = instance._meta._forward_fields_map.get(attribute)
    return field.name if field is not None else attribute


def _faults(error: ValidationError, plan: _Plan) -> list[dict[str, Any]]:
    by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    return [
        {
            "loc": [*plan.loc] if name == NON_FIELD_ERRORS else [*plan.loc, plan.wires.get(name, name)],
            "msg": message,
            "type": "value_error",
        }
        for name, errors in by_field.items()
        for entry in errors
        for message in entry.messages
    ]


def _saved(instance: Any, values: Any) -> list[str]:
    names = {_field_name(instance, name) for name in values}
    stamps = {field.name for field in instance._meta.concrete_fields if getattr(field, "auto_now", False)}
    return sorted(names | stamps)


def _save(instance: Any, plan: _Plan, **options: Any) -> None:
    try:
        with transaction.atomic(using=plan.using) if connections[plan.using].in_atomic_block else nullcontext():
            instance.save(using=plan.using, **options)
    except IntegrityError as error:
        raise _contradiction(instance, plan) from error
    except (DataError, OverflowError) as error:
        raise _unholdable(plan) from error
    except ProgrammingError as error:
        if not any(write.field.get_internal_type() == "SearchVectorField" for write in plan.columns_written):
            raise
        raise _unholdable(plan) from error  # the text of a vector has a syntax of its own
    except DatabaseError as error:
        if "update_fields" in options and "did not affect any rows" in str(error):  # DJANGO: Model.save_base
            raise NotFound from error
        raise


def _unholdable(plan: _Plan) -> RequestValidationError:
    """A value that no validator knew to be too large or no text of its kind; at its place, where one is unknown."""
    unknown = [write.wire for write in plan.columns_written if write.is_unknown]
    place = unknown if len(unknown) == 1 else []
    message = "The database cannot hold this value" if place else "The database cannot hold one of the values"
    return RequestValidationError([{"loc": [*plan.loc, *place], "msg": message, "type": "value_error"}])


def _contradiction(instance: Any, plan: _Plan) -> HTTPException:
    """What the database has refused, in the words of the model."""
    for check, error in ((_unique, Conflict), (_constraints, RequestValidationError)):
        try:
            check(instance, plan.using)
        except ValidationError as found:
            faults = _faults(found, plan)
            if error is Conflict:
                return Conflict("The row contradicts another one.", extra={"errors": faults})
            return RequestValidationError(faults)
    return Conflict("The row contradicts another one, or a rule of the database.")


def _unique(instance: Any, using: str) -> None:
    instance.validate_unique()
    unique = [
        constraint for constraint in instance._meta.constraints if isinstance(constraint, models.UniqueConstraint)
    ]
    for constraint in unique:
        constraint.validate(type(instance), instance, using=using)


def _constraints(instance: Any, using: str) -> None:
    for constraint in instance._meta.constraints:
        constraint.validate(type(instance), instance, using=using)


@contextmanager
def _translated(block: AbstractContextManager[Any], plan: _Plan) -> Iterator[None]:
    """A foreign key that is checked when the transaction ends may have lost its row since it was looked at."""
    try:
        with block:
            yield
    except IntegrityError as error:
        raise Conflict("The row contradicts another one, or a rule of the database.") from error


# --- many rows -----------------------------------------------------------------------------------------------------


def create_many(items: Sequence[Any], extra: dict[str, Any], *, using: str | None, full_clean: bool) -> list[Any]:
    """New rows, all of them or none; every fault of every item is told."""
    return _each(
        items,
        using,
        lambda item, loc, alias: create(item, dict(extra), using=alias, full_clean=full_clean, loc=loc),
    )


def update_many(items: Sequence[Any], queryset: Any, *, using: str | None, full_clean: bool) -> list[Any]:
    """The rows of ``queryset`` that the items name by their keys, changed: all of them or none."""
    if not items:
        return []
    name = _key_name(type(items[0]))
    if name is None:
        raise ConfigurationError(f"{type(items[0]).__qualname__} has no key, by which update_many() finds rows.")
    rows = queryset.in_bulk([getattr(item, name) for item in items])

    def change(item: Any, loc: Location, alias: str) -> Any:
        row = rows.get(getattr(item, name))
        if row is None:
            raise RequestValidationError([{"loc": [*loc, name], "msg": "There is no such row", "type": "value_error"}])
        return update(item, row, {}, using=alias, full_clean=full_clean, loc=loc)

    return _each(items, using, change)


def _each(items: Sequence[Any], using: str | None, write: Callable[[Any, Location, str], Any]) -> list[Any]:
    if not items:
        return []
    alias = using or router.db_for_write(type(items[0]).__model__)
    done: list[Any] = []
    faults: list[Any] = []
    conflict = False
    with transaction.atomic(using=alias):
        for number, item in enumerate(items):
            try:
                with transaction.atomic(using=alias):
                    done.append(write(item, ("body", number), alias))
            except RequestValidationError as error:
                faults += error.errors
            except Conflict as error:
                conflict = True
                told = error.extra.get("errors") or [{"loc": ["body", number], "msg": error.detail, "type": "conflict"}]
                faults += told
        if faults:
            raise Conflict(extra={"errors": faults}) if conflict else RequestValidationError(faults)
    return done


# --- versions ------------------------------------------------------------------------------------------------------


def claim(instance: Any, name: str, expected: Any, *, using: str | None = None) -> None:
    """Make the next version of a row, if ``expected`` is its version now; else 412. Call it in the transaction.

    The column is a whole number, which is counted up, or a time, which becomes now.
    """
    field = instance._meta.get_field(name)
    rows = type(instance)._base_manager.using(using or instance._state.db).filter(pk=instance.pk, **{name: expected})
    following = timezone.now() if isinstance(field, models.DateTimeField) else expected + 1
    if not rows.update(**{name: following}):
        raise PreconditionFailed("Somebody else has changed it since.")
    setattr(instance, name, following)
