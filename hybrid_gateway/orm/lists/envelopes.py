"""Envelopes of pages, which are their own class, a class of the project's, or a bare list; and their headers.

How this works: a class of the project's is read when a gateway is built. Its fields are those of a page, under whatever
names clients see, or Structs of such fields; so an answer is filled by attributes, and is documented as the class is.
"""

from __future__ import annotations

import operator
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.lists.page import Page

AnyPage: TypeAlias = "Page[Any]"
Relation = Literal["first", "prev", "next", "last"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
Fill = Callable[[AnyPage], object]
"""A page → what is sent."""

_COUNTED = ("total", "pages")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # SPEC: RFC 9110, section 5.6.2: token


class Presentation(TypedDict, total=False):
    """The options of every style of pages that say how a page is sent."""

    envelope: type | None
    """A class that answers are made of, instead of the style's own. A Struct whose fields are those of a page (``items:
    list[T] = msgspec.field(name="results")``, in Structs inside it as well), or any class with a classmethod
    ``from_page(page)``. ``None`` sends a bare list, and says the rest in headers."""
    links: Sequence[Relation]
    """Which pages the ``Link`` header names (RFC 8288): ``("next", "prev")`` by default; ``()`` sends none."""
    total_header: str | None
    """The header with the number of rows in all, where they are counted: ``X-Total-Count`` for a bare list."""


PRESENTATION = frozenset(Presentation.__annotations__)


class PageWriter(msgspec.Struct, frozen=True):
    """The way the pages of one route are sent."""

    returns: object
    fill: Fill
    relations: Collection[Relation]
    """The neighbours that are looked for, beside the next and the previous one."""
    links: Sequence[Relation]
    total_header: str | None

    def add_headers(self, page: AnyPage, urls: Mapping[Relation, str | None], response: Response) -> None:
        """Set the headers that tell where the neighbours of ``page`` are, and how many rows there are."""
        found = [f'<{urls[name]}>; rel="{name}"' for name in self.links if urls[name] is not None]
        if found:
            response.headers["Link"] = ", ".join(found)
        if self.total_header is not None:
            response.headers[self.total_header] = str(getattr(page, "total"))  # noqa: B009 (of pages that are counted)

    @property
    def headers(self) -> dict[str, object]:
        """The schemas of the headers of an answer."""
        found: dict[str, object] = {}
        if self.links:
            found["Link"] = {"type": "string"}
        if self.total_header is not None:
            found[self.total_header] = {"type": "integer", "minimum": 0}
        return found


class PageOptions(msgspec.Struct, frozen=True):
    """A :class:`Presentation` that has been checked, with its defaults."""

    relations: Collection[Relation]
    """The neighbours that a style knows."""
    counts: bool
    envelope: type | UnsetType | None
    links: Sequence[Relation]
    total_header: str | None

    @staticmethod
    def of(chosen: Presentation, style: str, *, last: bool, counts: bool) -> PageOptions:
        """Read the options of a style that counts rows, and knows which page is the last, or does not.

        Raises :class:`ConfigurationError` for what that cannot show.
        """
        envelope, links = chosen.get("envelope", UNSET), chosen.get("links", ("next", "prev"))
        if isinstance(links, str) or not set(RELATIONS).issuperset(links):
            raise ConfigurationError(
                f"{style}(links={links!r}) must be a list of {', '.join(map(repr, RELATIONS))}.", id="L001"
            )
        if "last" in links and not last:
            raise ConfigurationError(
                f"{style}(links={links!r}): the last page is known by counting all rows, which this one does not do.",
                id="L001",
            )
        header = chosen.get("total_header", "X-Total-Count" if envelope is None and counts else None)
        if header is not None and (not isinstance(header, str) or _HEADER_NAME.fullmatch(header) is None):
            raise ConfigurationError(f"{style}(total_header={header!r}) must be the name of a header.", id="L001")
        if header is not None and not counts:
            raise ConfigurationError(
                f"{style}(total_header={header!r}) has nothing to say where nobody counts.", id="L001"
            )
        relations = RELATIONS if last else RELATIONS[:-1]
        return PageOptions(relations, counts, envelope, tuple(dict.fromkeys(links)), header)

    def plan(self, page: type[AnyPage], struct: type[msgspec.Struct]) -> PageWriter:
        """Return how pages of ``struct`` are sent, whose own class is ``page``.

        Raises :class:`ConfigurationError` for an envelope that cannot be filled.
        """
        fields = {field.name for field in msgspec.structs.fields(page)}
        known = fields | {"first", "last"}.intersection(self.relations)
        plan = _EnvelopePlan(known, () if self.counts else _COUNTED, types.GenericAlias(list, struct))
        returns, fill = plan.read(page if self.envelope is UNSET else self.envelope, page, struct)
        shown = {"next", "prev", *self.links, *plan.used}
        wanted: list[Relation] = [name for name in self.relations if name in shown]
        return PageWriter(returns, fill, wanted, self.links, self.total_header)


class _EnvelopePlan:
    """The reading of one envelope, for pages that have ``known``; what is ``uncounted`` is unknown of each."""

    def __init__(self, known: Collection[str], uncounted: Collection[str], items: object) -> None:
        self._known = known
        self._uncounted = uncounted
        self._items = items
        self.used: list[str] = []

    def read(self, envelope: Any, page: Any, struct: type[msgspec.Struct]) -> tuple[object, Fill]:
        """Return the type of the answers, and what makes one."""
        if envelope is None:
            return self._items, lambda found: found.items
        if envelope is page:
            return page[struct], lambda found: found
        if not isinstance(envelope, type):
            raise ConfigurationError(f"envelope={envelope!r} must be a class, or None for a bare list.", id="L002")
        self._name = f"envelope={envelope.__qualname__}"
        returns: Any = envelope
        if getattr(envelope, "__parameters__", ()):
            returns = returns[struct]
        from_page: Fill | None = getattr(envelope, "from_page", None)
        if from_page is not None:
            self.used += ("first", "last")
            return returns, from_page
        if not issubclass(envelope, msgspec.Struct):
            raise ConfigurationError(
                f"{self._name} must be a Struct whose fields are those of a page, or have a classmethod "
                "from_page(cls, page).",
                id="L002",
            )
        fill = self._fill(returns)
        if self.used.count("items") != 1:
            raise ConfigurationError(
                f"{self._name} must have one field `items: list[T]`, which shows the rows.", id="L002"
            )
        return returns, fill

    def _fill(self, cls: Any) -> Fill:
        """Return what makes a Struct of a page."""
        make: Callable[..., object] = typing.get_origin(cls) or cls
        parts: dict[str, Fill] = {}
        for field in msgspec.structs.fields(cls):
            is_known, inner = field.name in self._known, typing.get_origin(field.type) or field.type
            if field.name in self._uncounted and not field.required:
                continue
            if is_known and field.name not in self._uncounted:
                if field.name == "items" and field.type != self._items:
                    raise ConfigurationError(
                        f"{self._name}: items must be {self._items}, or list[T] of a Generic[T], not {field.type}.",
                        id="L002",
                    )
                self.used.append(field.name)
                parts[field.name] = operator.attrgetter(field.name)
            elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                parts[field.name] = self._fill(field.type)
            elif field.required:
                self._reject(field)
        return lambda page: make(**{name: part(page) for name, part in parts.items()})

    def _reject(self, field: msgspec.structs.FieldInfo) -> None:
        if field.name in self._uncounted:
            raise ConfigurationError(
                f"{self._name}: {field.name!r} is to be counted, and nobody counts. Leave it out.", id="L002"
            )
        raise ConfigurationError(
            f"{self._name}: {field.name!r} is nothing that such a page has: {', '.join(sorted(self._known))}. Call one "
            f"of these {field.encode_name!r} by msgspec.field(name={field.encode_name!r}), give it a default, or write "
            "a classmethod from_page(cls, page).",
            id="L002",
        )
