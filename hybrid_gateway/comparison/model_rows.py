"""Rows of the database that fill the parameters of a path: ``/posts/{post_id}/comments/{id}`` has a row of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError
from django.db.models import Field, ForeignKey, Model

Values = dict[str, str]

_KEYS = frozenset(("id", "pk", "key"))


class PathParameter:
    """One parameter of a path, with the model and the column that it seems to name."""

    def __init__(self, name: str, segment: str) -> None:
        self.name = name
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        owner, _, column = words.rpartition("_")
        parts = [_singular(part) for part in reversed(re.split(r"[-_]", segment))]
        candidates = [words, owner, segment, _singular(segment), *parts]
        self.model = next((model for word in candidates if (model := _model_named(word))), None)
        if self.model is None and _has_column(get_user_model(), words):
            self.model = get_user_model()  # /profiles/{username}
        if self.model is None:
            self.model = next((model for word in candidates if (model := _model_ending(word, words))), None)
        self.column = self._column(words, column) if self.model else "pk"

    def _column(self, words: str, last: str) -> str:
        if words not in _KEYS and self.model and _has_column(self.model, words):
            return words  # also one that only looks like a key: Character.character_id
        if last in _KEYS or words in _KEYS:
            return "pk"
        return next((word for word in (words, last) if self.model and _has_column(self.model, word)), "pk")


def path_values(path: str, limit: int) -> Iterator[Values]:
    """Yield values for the parameters of ``path``, of so many rows at most; none where no model is to be found."""
    parameters = path_parameters(path)
    if not parameters:
        yield {}
        return
    last = parameters[-1]
    if last.model is None:
        return
    for row in _rows(last.model, limit):
        values = {last.name: _text(row, last.column)}
        for outer in parameters[:-1]:
            above = _related(row, outer)
            if above is not None:
                values[outer.name] = _text(above, outer.column)
        if len(values) == len(parameters):
            yield values


def path_parameters(path: str) -> list[PathParameter]:
    """Return the parameters of a template, each with the fixed segment that stands before it."""
    found, segment = [], ""
    for part in path.split("/"):
        names = re.findall(r"{(?:[^}]*:)?([^}:]+)}", part)
        found += [PathParameter(name, segment) for name in names]
        if part and not names:
            segment = part
    return found


def _related(row: Model, outer: PathParameter) -> Model | None:
    """Return the row that a parameter further left means: what ``row`` points to, else any."""
    if outer.model is None:
        return None
    for field in row._meta.get_fields():
        if isinstance(field, ForeignKey) and field.related_model is outer.model:
            target: Model | None = getattr(row, field.name)
            if target is not None:
                return target
    return next(iter(_rows(outer.model, 1)), None)


def _rows(model: type[Model], limit: int) -> Sequence[Model]:
    try:
        return list(model._default_manager.order_by("pk")[:limit])
    except DatabaseError:  # a model without a table, as unmanaged ones may be
        return []


def _text(row: Model, column: str) -> str:
    value = row.pk if column == "pk" else getattr(row, column)
    return str(value)


def _model_named(word: str) -> type[Model] | None:
    wanted = word.replace("-", "_").replace("_", "")
    if len(wanted) < 2 or wanted in _KEYS:
        return None
    models = [model for model in apps.get_models() if _spelled(model) & {wanted, _singular(wanted)}]
    # a project's own models come before those of packages, which are usually installed first
    return models[-1] if models else None


def _model_ending(word: str, column: str) -> type[Model] | None:
    """Return the model that is called so after a prefix of its project's: ``EveCharacter`` for ``character_id``.

    Of several, one with a column of the parameter's name, else the shortest.
    """
    wanted = _singular(word.replace("-", "_").replace("_", ""))
    found = [model for model in apps.get_models() if len(wanted) > 3 and model.__name__.lower().endswith(wanted)]
    return min(found, key=lambda model: (not _has_column(model, column), len(model.__name__)), default=None)


def _spelled(model: type[Model]) -> set[str]:
    plural = str(model._meta.verbose_name_plural).replace(" ", "").lower()
    return {model.__name__.lower(), str(model._meta.verbose_name).replace(" ", "").lower(), plural}


def _singular(word: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word


def _has_column(model: type[Model], name: str) -> bool:
    try:
        field = model._meta.get_field(name)
        return isinstance(field, Field) and field.name == name  # which finds the columns of relations, too
    except FieldDoesNotExist:
        return False
