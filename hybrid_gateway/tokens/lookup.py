"""A token and its user by digest, in one query whose SQL is compiled once per connection.

How this works: what ``select_related("user").get(digest=...)`` does to find a token is the same for every request but
for one value, and Django's compiler takes longer than the database. So its result is kept beside the connection it was
made for, and only the value changes. Rows become instances as ``ModelIterable`` makes them: by ``from_db``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from hybrid_gateway.tokens.models import Token

__all__ = ["find_token"]

_PLACE = "digest"  # stands where the digest will be; none looks like it
_KEPT = "hybrid_gateway_token_lookup"  # the attribute of a connection


def find_token(queryset: Any, using: str, digest: str) -> Token | None:
    """The token of ``digest`` with its user, or ``None``; ``queryset`` is all tokens."""
    connection = connections[using]
    lookup = connection.__dict__.get(_KEPT)
    if lookup is None:
        lookup = connection.__dict__[_KEPT] = _Lookup(queryset, using)
    return lookup.find(connection, digest)  # type: ignore[no-any-return]


class _Lookup:
    """The compiled query."""

    def __init__(self, queryset: Any, using: str) -> None:
        query = queryset.using(using).select_related("user").filter(digest=_PLACE).query
        # DJANGO: ModelIterable and RelatedPopulator (db/models/query.py)
        compiler = query.get_compiler(using=using)
        self._sql, self._parameters = compiler.as_sql()
        self._apply = compiler.apply_converters
        self._converters = compiler.get_converters([column for column, *_ in compiler.select])
        self._using = using
        info = compiler.klass_info
        [related] = info["related_klass_infos"]
        self._token = _Columns(info, compiler.select)
        self._user = _Columns(related, compiler.select)
        self._set_user = related["local_setter"]

    def find(self, connection: Any, digest: str) -> Any:
        """The instance, or ``None``."""
        parameters = [digest if value == _PLACE else value for value in self._parameters]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            rows = cursor.fetchall()
        if not rows:
            return None
        [row] = self._apply(rows, self._converters) if self._converters else rows
        token = self._token.instance(self._using, row)
        self._set_user(token, self._user.instance(self._using, row))
        return token


class _Columns:
    """Which columns of a row are one instance."""

    def __init__(self, info: Any, select: Any) -> None:
        self._model = info["model"]
        self._start, self._end = info["select_fields"][0], info["select_fields"][-1] + 1
        self._names = [column.target.attname for column, *_ in select[self._start : self._end]]

    def instance(self, using: str, row: Any) -> Any:
        return self._model.from_db(using, self._names, row[self._start : self._end])
