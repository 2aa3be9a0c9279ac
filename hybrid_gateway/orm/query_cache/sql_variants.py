"""SQL that fits many values: compiled once, proven equal to what Django makes of the first of them, and kept.

How this works: a query with :class:`~.parameters.Hole` for lookups is compiled to text and to a list of parameters, in
which each hole says where its values go. Later values make the same lookups anew; as long as those come to the same
pieces of SQL, the text is theirs as well. Whatever has not been proven, by comparing it with the SQL of the ordinary
query, is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from django.db import DataError

from hybrid_gateway.orm.columns.postgresql_dates import ask_again
from hybrid_gateway.orm.query_cache.placeholders import FIRST_NUMBER, Fragment, ParamSlot, SliceParam, making

__all__ = ["Limits", "Unsafe", "Variant", "Variants", "compile_variant", "is_proven"]

Limits = tuple[int, int | None]
"""Where a slice begins and ends."""

_MOST = 64  # variants per query and connection


class Unsafe(Exception):
    """These values are for the ordinary way."""


class Variant(msgspec.Struct, frozen=True, eq=False):
    """SQL that fits all values whose lookups come to the same pieces."""

    pieces: list[Fragment]
    before: str
    after: str | None  # of the limits; None where there are none to be put between
    parameters: list[Any]
    read: Callable[[list[Any]], Any]

    def sql(self, connection: Any, limits: Limits | None) -> str:
        """The text with these limits."""
        if self.after is None or limits is None:
            return self.before
        if limits == (0, None):
            return f"{self.before[:-1]}{self.after}"
        return f"{self.before}{connection.ops.limit_offset_sql(*limits)}{self.after}"

    def bind(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """The parameters of the text, of those of its pieces."""
        return [found[entry.piece][entry.position] if type(entry) is ParamSlot else entry for entry in self.parameters]

    def run(self, connection: Any, limits: Limits | None, found: Sequence[Sequence[Any]]) -> Any:
        """Ask the database; what becomes of the rows."""
        with connection.cursor() as cursor:
            sql, parameters = self.sql(connection, limits), self.bind(found)
            cursor.execute(sql, parameters)
            try:
                rows = cursor.fetchall()
            except DataError:
                rows = ask_again(cursor, sql, parameters)
        return self.read(rows)


def compile_variant(
    query: Any, holes: int, connection: Any, values: Any, read: Callable[[Any], Any]
) -> tuple[Variant, list[Sequence[Any]]]:
    """The variant of ``query`` for ``values``, and the parameters of its pieces.

    Limits of the query that no table reaches are left open. Raises :class:`Unsafe` where a condition has gone, because
    these values make it superfluous.
    """
    if connection.features.interprets_empty_strings_as_nulls:  # where one value is another lookup
        raise Unsafe
    compiler = query.clone().get_compiler(connection=connection)
    making.values, making.pieces = values, []
    try:
        sql, parameters = compiler.as_sql()
        pieces = making.pieces
    finally:
        making.values, making.pieces = {}, []
    if len(pieces) < holes or any(isinstance(entry, SliceParam) for entry in parameters):
        raise Unsafe
    before, after = sql, None
    if query.is_sliced and max(query.low_mark, query.high_mark or 0) >= FIRST_NUMBER:
        marks = connection.ops.limit_offset_sql(query.low_mark, query.high_mark)
        if sql.count(marks) != 1:
            raise Unsafe
        before, _, after = sql.partition(marks)
    variant = Variant(pieces, before, after, list(parameters), read(compiler))
    return variant, [piece.bind(values)[1] for piece in pieces]


class Variants:
    """The variants of one query for one connection."""

    def __init__(self) -> None:
        self._leader: Variant | None = None
        self._known: dict[tuple[str, ...], Variant | None] = {}

    def find(
        self,
        values: Any,
        compile_: Callable[[], tuple[Variant, list[Sequence[Any]]]],
        prove: Callable[[Variant, list[Sequence[Any]]], bool],
    ) -> tuple[Variant, list[Sequence[Any]]]:
        """The variant that fits ``values``, and the parameters of its pieces; raises :class:`Unsafe` for none."""
        if self._leader is not None:
            bound = [piece.bind(values) for piece in self._leader.pieces]
            key = tuple([sql for sql, _ in bound])
            if key in self._known:
                known = self._known[key]
                if known is None:
                    raise Unsafe
                return known, [parameters for _, parameters in bound]
        variant, found = compile_()
        key = tuple([piece.sql for piece in variant.pieces])
        if len(self._known) >= _MOST:
            self._known.clear()
        self._leader = self._leader or variant
        self._known[key] = variant if prove(variant, found) else None
        if self._known[key] is None:
            raise Unsafe
        return variant, found


def is_proven(variant: Variant, found: Sequence[Sequence[Any]], limits: Limits | None, compiler: Any) -> bool:
    """Whether it comes to the same SQL and parameters as the ordinary query of these very values."""
    sql, parameters = compiler.as_sql()
    mine = variant.bind(found)
    same = variant.sql(compiler.connection, limits) == sql and len(mine) == len(parameters)
    return same and all(map(_is_same, mine, parameters))


def _is_same(mine: Any, others: Any) -> bool:
    if type(mine) is not type(others):
        return False
    wrapped = getattr(mine, "obj", None)  # psycopg's Jsonb does not compare
    return bool(mine == others) or (wrapped is not None and bool(wrapped == others.obj))
