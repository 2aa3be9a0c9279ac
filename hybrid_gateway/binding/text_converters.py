"""Annotated type → how text becomes a value of it: parameters of the path and the query, headers, cookies, form fields.

How this works: a type is taken apart at start-up. Every plain type has one reader (``text_values.py``), a union asks
those of its members, the strictest first, and constraints are checked on the value. What text cannot hold, and
constraints that mean nothing for a type, are errors of the declaration; a reader raises
:class:`msgspec.ValidationError` for other text.
"""

from __future__ import annotations

import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, MutableSequence, MutableSet, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import msgspec

from hybrid_gateway.binding.constraints import Bounds, Check, checker, decimal_keywords, is_bounded
from hybrid_gateway.binding.decoders import DecodeHook, decode_known
from hybrid_gateway.binding.validation import one_error
from hybrid_gateway.exceptions import DependencyError, ErrorEntry, Location
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.text_values import READERS, read_bool, read_int
from hybrid_gateway.type_info import resolve_new_types, strip_annotated

Read = Callable[[str], object]

MAX_LIST_ERRORS = 100

COMMA_SEPARATED = "comma-separated"
"""Marks a list of a query (``Annotated[list[int], COMMA_SEPARATED]``) whose items stand in one text: ``?id=1,2``."""


class TextType(msgspec.Struct, frozen=True, kw_only=True):
    """The conversion of one text, or (``many``) of all the texts of a name; ``check`` holds the constraints."""

    rank: int  # the strictest first
    read_one: Read | None = None
    read_many: Callable[[list[str], Location, list[ErrorEntry]], object] | None = None
    check: Check | None = None
    kind: object = None  # of plain ones, and their bounds: what needs no function of its own
    bounds: Bounds | None = None
    is_ours: bool = True  # no decoder of the project is called

    @property
    def is_simple_text(self) -> bool:
        """True where every text is a value as it is."""
        return self.kind is str and self.check is None

    @property
    def is_simple_int(self) -> bool:
        """True for whole numbers that nothing but bounds constrains."""
        return self.kind is int and (self.check is None or self.bounds is not None)

    def bounded(self, variable: str, otherwise: str) -> list[str]:
        """Return the line of code that runs a statement where a variable breaks the bounds; none without bounds."""
        if self.bounds is None:
            return []
        kept = " and ".join(f"{variable} {_SIGNS[name]} {bound!r}" for name, bound in self.bounds.by_name.items())
        return [f"if not ({kept}): {otherwise}"]

    @property
    def many(self) -> bool:
        return self.read_many is not None

    def read(self, text: str) -> object:
        """Return the checked value of one text."""
        assert self.read_one is not None
        value = self.read_one(text)
        return value if self.check is None else self.check(value)

    def follows(self, converted: object) -> bool:
        """Return whether a value of the plain type ``converted`` says all that its text has said."""
        return self.kind in (None, converted) or (converted, self.kind) in _FOLLOWS

    def takes_empty(self) -> bool:
        """Return whether the empty text, of an input that was left empty, is a value."""
        try:
            self.read_one("") if self.read_one is not None else None
        except msgspec.ValidationError:
            return False
        return True

    def reader(self, location: Location) -> Callable[[Any, list[ErrorEntry]], object]:
        """Return ``read(text or texts, errors)``, which returns the value or adds an error."""

        def read(given: Any, errors: list[ErrorEntry]) -> object:
            try:
                if self.read_many is None:
                    return self.read(given)
                value = self.read_many(given, location, errors)
                return value if self.check is None or value is None else self.check(value)
            except msgspec.ValidationError as error:
                errors.append(one_error(error, location))
                return None

        return read


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_FOLLOWS = ((int, float), (int, Decimal), (Decimal, float))


def text_type(kind: object, hook: DecodeHook = decode_known, *, raw: bool = False) -> TextType:
    """Return how text becomes a value of ``kind``; raise :class:`DependencyError` for what it cannot.

    With ``raw``, values are what msgspec converts to ``kind``: of a member of an enum its value.
    """
    kind = resolve_new_types(kind)
    metas: list[object] = []
    while typing.get_origin(kind) is Annotated:
        kind, *extras = typing.get_args(kind)
        metas = [*extras, *metas]
    bounds = [meta for meta in metas if is_bounded(meta)]
    if typing.get_origin(kind) in (Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member not in _ABSENT]
        if len(members) == 1:
            return text_type(Annotated[(members[0], *bounds)] if bounds else members[0], hook, raw=raw)
        found = _union([text_type(member, hook, raw=raw) for member in members])
    else:
        found = _plain(kind, hook, raw)
    if COMMA_SEPARATED in metas:
        found = _split(found)
    if not bounds:
        return found
    is_fixed = typing.get_origin(kind) is tuple and Ellipsis not in typing.get_args(kind)
    # Of a container alone, for its items are checked already.
    plain = kind if is_fixed else _CONTAINERS.get(typing.get_origin(kind), kind)
    check, simple = checker(plain, bounds)
    return msgspec.structs.replace(found, check=check, bounds=simple)


_ABSENT = (types.NoneType, msgspec.UnsetType)


def _plain(kind: object, hook: DecodeHook, raw: bool) -> TextType:
    origin = typing.get_origin(kind) or kind
    if origin in _CONTAINERS:
        arguments = typing.get_args(kind)
        items = [text_type(item, hook, raw=raw) for item in arguments if item is not Ellipsis]
        return _container(_CONTAINERS[origin], items, is_fixed=origin is tuple and Ellipsis not in arguments)
    if origin is Literal:
        return TextType(rank=0, read_one=functools.partial(_read_literal, typing.get_args(kind)))
    if kind in _RANKS:
        return TextType(rank=_RANKS[kind], read_one=READERS[kind], kind=kind)
    if kind is Any:
        return TextType(rank=_RANKS[str], read_one=READERS[str], kind=str)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return TextType(rank=0, read_one=_enum(kind, raw))
    if isinstance(kind, type) and issubclass(kind, PurePath):

        def read_path(text: str) -> PurePath:
            if not text:
                raise msgspec.ValidationError("Expected a path")
            return kind(text)

        return TextType(rank=_RANKS[str], read_one=read_path)
    return TextType(
        rank=_RANKS[bytes],
        read_one=lambda text: msgspec.convert(text, kind, strict=False, dec_hook=hook),
        is_ours=False,
    )


_PLAIN = (UUID, datetime, date, time, timedelta, int, bool, Decimal, float, bytes, str)  # the strictest first
_RANKS: dict[object, int] = {kind: rank for rank, kind in enumerate(_PLAIN, start=1)}


def _enum(kind: type[enum.Enum], raw: bool) -> Read:
    values = {type(member.value) for member in kind}
    if values <= {str} or (values and all(issubclass(value, str) for value in values)):
        read: Read = READERS[str]
    elif all(issubclass(value, int) for value in values):
        read = read_int
    else:
        raise DependencyError(f"the values of {kind.__name__} must be all str or all int", id="P014")

    def read_member(text: str) -> object:
        member = msgspec.convert(read(text), kind)
        return member.value if raw else member

    return read_member


def _read_literal(values: Sequence[object], text: str) -> object:
    if text in values:
        return text
    for kind, read in ((int, read_int), (bool, read_bool)):
        try:
            value = read(text)
        except msgspec.ValidationError:
            continue
        if any(type(known) is kind and known == value for known in values):
            return value
    raise msgspec.ValidationError(f"Invalid enum value {text!r}")


def documented(kind: object) -> object:
    """Return ``kind`` as JSON Schema can show it: the bounds of a Decimal, which msgspec ignores, are keywords."""
    if kind is inspect.Parameter.empty:  # text
        return str
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated and arguments[0] is Decimal:
        rest = [extra for extra in arguments[1:] if not is_bounded(extra)]
        keywords = decimal_keywords(arguments[1:])
        extra = {"type": "number", **keywords} if keywords else {}
        return Annotated[(arguments[0], *rest, msgspec.Meta(extra_json_schema=extra))]
    if origin is Annotated:
        return Annotated[(documented(arguments[0]), *arguments[1:])]
    if origin in (Union, types.UnionType):
        members = tuple(documented(member) for member in arguments if member is not msgspec.UnsetType)
        return kind if members == arguments else Union[members]  # noqa: UP007 (built at run time)
    if origin is None or origin not in _CONTAINERS:
        return kind
    inner = tuple(argument if argument is Ellipsis else documented(argument) for argument in arguments)
    return kind if inner == arguments else origin[inner]


# --- what text can hold -------------------------------------------------------------------------------------------

_SCALARS: frozenset[object] = frozenset((*_PLAIN, SecretString, SecretBytes))
Knows = Callable[[object], bool]
"""Whether somebody makes values of a class out of text."""


def is_scalar(kind: object, knows: Knows = lambda kind: False) -> bool:
    """Return whether one piece of text can hold a value of this type."""
    kind = strip_annotated(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        return all(member in _ABSENT or is_scalar(member, knows) for member in typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        return True
    if isinstance(kind, type) and issubclass(kind, (enum.Enum, PurePath)):
        return True
    return kind in _SCALARS or knows(kind)


def is_list(kind: object, knows: Knows = lambda kind: False) -> bool:
    """Return whether the type is a list, set or tuple of scalars, perhaps beside scalars."""
    kind = strip_annotated(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member not in _ABSENT and not is_scalar(member, knows)]
        return bool(members) and all(is_list(member, knows) for member in members)
    if (typing.get_origin(kind) or kind) not in _CONTAINERS.keys() - {Iterable}:
        return False
    return all(item is Ellipsis or is_scalar(item, knows) for item in typing.get_args(kind))


# --- unions, and containers ----------------------------------------------------------------------------------------


def _union(members: Sequence[TextType]) -> TextType:
    lists = [member for member in members if member.many]
    single = sorted((member for member in members if not member.many), key=lambda member: member.rank)
    if len(lists) > 1:
        raise DependencyError("of two kinds of list nobody can tell which one a text is meant for", id="P014")

    def read_one(text: str) -> object:
        complaints = []
        for member in single:
            try:
                return member.read(text)
            except msgspec.ValidationError as error:
                complaints.append(str(error))
        raise msgspec.ValidationError(" or ".join(dict.fromkeys(complaints)))

    is_ours = all(member.is_ours for member in single)
    if not lists:
        return TextType(rank=single[0].rank, read_one=read_one, is_ours=is_ours)
    of_list = lists[0].reader

    def read_many(texts: list[str], location: Location, errors: list[ErrorEntry]) -> object:
        if len(texts) == 1:
            try:
                return read_one(texts[0])
            except msgspec.ValidationError:
                pass
        return of_list(location)(texts, errors)

    return TextType(rank=0, read_one=read_one, read_many=read_many)


_CONTAINERS: dict[object, Callable[[Iterable[object]], object]] = {
    **{kind: kind for kind in (list, set, frozenset, tuple)},
    **dict.fromkeys((Sequence, MutableSequence, Collection, Iterable), list),
    **dict.fromkeys((Set, MutableSet), set),
}


def _container(make: Callable[[Iterable[object]], object], items: list[TextType], *, is_fixed: bool) -> TextType:
    if any(item.many for item in items):
        raise DependencyError("a list of lists has no text of its own", id="P014")
    is_fixed = is_fixed and bool(items)
    item = items[0] if items else TextType(rank=0, read_one=READERS[str])

    def read_many(texts: list[str], location: Location, errors: list[ErrorEntry]) -> object:
        if is_fixed and len(texts) != len(items):
            raise msgspec.ValidationError(f"Expected `array` of length {len(items)}, got {len(texts)}")
        values = _read_each(items if is_fixed else [item] * len(texts), texts, location, errors)
        return None if values is None else make(values)

    return TextType(rank=0, read_one=None if is_fixed else item.read_one, read_many=read_many)


def is_comma_separated(kind: object) -> bool:
    """Return whether the items of a list stand in one text."""
    if typing.get_origin(kind) in (Union, types.UnionType):
        return any(map(is_comma_separated, typing.get_args(kind)))
    return COMMA_SEPARATED in getattr(kind, "__metadata__", ())


def _split(found: TextType) -> TextType:
    read_many = found.read_many
    assert read_many is not None

    def read(texts: list[str], location: Location, errors: list[ErrorEntry]) -> object:
        return read_many([part for text in texts for part in text.split(",")], location, errors)

    return msgspec.structs.replace(found, read_many=read)


def _read_each(
    items: Sequence[TextType], texts: list[str], location: Location, errors: list[ErrorEntry]
) -> list[object] | None:
    values, before = [], len(errors)
    for position, (item, text) in enumerate(zip(items, texts, strict=True)):
        try:
            values.append(item.read(text))
        except msgspec.ValidationError as error:
            errors.append(one_error(error, (*location, position)))
            if len(errors) - before >= MAX_LIST_ERRORS:
                break
    return values if len(errors) == before else None
