"""A template as a project names it: by name, by several names, or inline; loaded by the engines of ``TEMPLATES``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import django
import msgspec
from django.apps import apps
from django.http import HttpRequest
from django.template import TemplateDoesNotExist, engines
from django.template.backends.base import BaseEngine
from django.template.loader import get_template, select_template

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.type_info import is_pydantic_model


class LoadedTemplate(Protocol):
    """A template of any engine."""

    def render(self, context: dict[str, Any], request: HttpRequest | None) -> str:
        """Return the text; the engine escapes what its settings say."""
        ...


class TemplateSource(msgspec.Struct, frozen=True):
    """One of ``names``, the first that exists, or the ``text`` of a template; of the engine ``using``, or of any."""

    names: tuple[str, ...] = ()
    text: str | None = None
    using: str | None = None

    @classmethod
    def of(cls, name: str | Sequence[str] | None, text: str | None, using: str | None) -> TemplateSource:
        """Return the source that arguments name; raise ``TypeError`` where they name none, or two."""
        names = (name,) if isinstance(name, str) else tuple(name or ())
        if (text is None) is not bool(names):
            raise TypeError("A template is given by its name, or by its text as template_str=: one of the two.")
        return cls(names, text, using)

    def load(self) -> LoadedTemplate:
        """Return the template; raises what its engine raises."""
        if self.text is not None:
            return _compile_inline(engines[self.using] if self.using else engines.all()[0], self.text)
        if len(self.names) == 1:
            found: LoadedTemplate = get_template(self.names[0], using=self.using)
        else:
            found = select_template(list(self.names), using=self.using)
        return found

    def check(self) -> None:
        """Raise :class:`ConfigurationError` where the template cannot be loaded."""
        if self.using is not None and self.using not in engines.templates:
            known = ", ".join(map(repr, engines.templates)) or "none"
            raise ConfigurationError(
                f"template_engine={self.using!r} is no engine of TEMPLATES; those are {known}.", id="F001"
            )
        if not engines.templates:
            raise ConfigurationError(f"{self} needs an engine, and TEMPLATES has none.", id="F001")
        try:
            self.load()
        except TemplateDoesNotExist as error:
            raise ConfigurationError(f"{self} does not exist. {' '.join(self._remedies(error))}", id="F001") from error
        except Exception as error:  # each engine has its own
            raise ConfigurationError(f"{self} cannot be read: {error}", id="F001") from error

    def _remedies(self, error: TemplateDoesNotExist) -> Iterator[str]:
        tried = [entry for each in (error, *error.chain) for entry in each.tried]
        places = [str(entry[0]) for entry in tried if isinstance(entry, tuple)]  # DJANGO: of a part it is a name alone
        if places:
            yield f"Looked for: {', '.join(dict.fromkeys(places))}."
        else:
            yield "Correct its name, or the loaders of TEMPLATES."
        for name in self.names:
            page, mark, part = name.partition("#")
            if mark and not (django.VERSION >= (6, 0) or apps.is_installed("template_partials")):
                yield (
                    f"Parts of templates, as {name!r}, need Django 6.0, or the package django-template-partials with "
                    '"template_partials" in INSTALLED_APPS.'
                )
            elif mark:
                yield f"{page!r} has to exist, and to have a {{% partialdef {part} %}}."

    def __str__(self) -> str:
        return "template_str=" if self.text is not None else f"template={' or '.join(map(repr, self.names))}"


# Bounded: code may make its templates as it goes.
@lru_cache(maxsize=128)
def _compile_inline(engine: BaseEngine, text: str) -> LoadedTemplate:
    template: LoadedTemplate = engine.from_string(text)
    return template


# --- values as contexts ----------------------------------------------------------------------------------------------


def fields_of(value: object) -> dict[str, object]:
    """Return what a template finds by name in a value: keys of a mapping, or fields; nothing in any other."""
    for is_kind, read in _FIELDS:
        if is_kind(value):
            return dict(read(value))
    return {}


def context_of(value: object) -> dict[str, object]:
    """Return a handler's value as a context; raise ``TypeError`` for one without names."""
    if value is not None and not any(is_kind(value) for is_kind, _ in _FIELDS):
        raise TypeError(f"A context is a dict or a Struct, and not {value!r}.")
    return fields_of(value)


def _attributes(value: object, names: Sequence[str]) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}


_FIELDS: Sequence[tuple[Callable[[Any], bool], Callable[[Any], Mapping[str, object]]]] = (
    (lambda value: isinstance(value, Mapping), lambda value: {k: v for k, v in value.items() if isinstance(k, str)}),
    (
        lambda value: isinstance(value, msgspec.Struct),
        lambda value: _attributes(value, value.__struct_fields__),
    ),
    (
        lambda value: dataclasses.is_dataclass(value) and not isinstance(value, type),
        lambda value: _attributes(value, [field.name for field in dataclasses.fields(value)]),
    ),
    (lambda value: isinstance(value, tuple) and hasattr(value, "_fields"), lambda value: value._asdict()),
    (
        lambda value: hasattr(type(value), "__attrs_attrs__"),
        lambda value: _attributes(value, [field.name for field in type(value).__attrs_attrs__]),
    ),
    (
        lambda value: is_pydantic_model(type(value)),
        lambda value: _attributes(value, list(type(value).model_fields)),
    ),
)
"""What has names, and how they are read."""
