"""The intermediate form of an API that moves: what is written, and what is told of each route.

How this works: a reader makes one :class:`Move`. Everything it will write is text of Python already, because a reader
knows best what a field or a handler is called here; the form only holds what the writer has to lay out: classes, their
fields, attributes and methods. A name from another module is asked of :meth:`Names.use`, which remembers the import and
answers the name to write, another one where two modules have a thing of that name. Imports that no text uses in the end
are left out. So a reader is: walk the routes; ``names.use(...)`` for what a text needs; ``structs.append(...)``,
``views.append(...)``; and ``routes.append(RouteReport(...))`` for every method and path, whatever became of it.
"""

from __future__ import annotations

import builtins
import keyword
import re
from typing import Literal, TypeAlias

from msgspec import Struct, field

Grade: TypeAlias = Literal["moved", "bridged", "kept"]
"""What became of a route: written anew; written anew around pieces of the old framework; left to the old framework."""


class Difference(Struct, frozen=True):
    """Something that clients can see: where (``body.next``, ``body[].created``, ``status``, ``headers``), and what."""

    where: str
    what: str


class Decision(Struct, frozen=True):
    """Something that a person has to decide, and the line of the original that is about it: ``shop/api.py:31``."""

    what: str
    place: str = ""


class RouteReport(Struct):
    """The fate of one method of one path."""

    method: str
    path: str
    """As clients know it: ``/api/groups/{pk}/``."""
    name: str
    origin: str
    """The original, as ``shop/api.py:31 (GroupViewSet.list)``."""
    grade: Grade
    written: str = ""
    """The class or function that answers now."""
    differences: list[Difference] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    """What of the old framework is needed at run time."""

    @property
    def reads(self) -> bool:
        """Return whether the route changes nothing."""
        return self.method in ("GET", "HEAD", "OPTIONS")


class FieldForm(Struct):
    """A field of a Struct or an attribute of a view set: ``name: annotation = default  # comment``."""

    name: str
    annotation: str = ""
    default: str | None = None
    comment: str = ""


class FunctionForm(Struct):
    """A function, or a method of a class; ``body`` are lines, indented by what is inside of them alone."""

    name: str
    parameters: list[str]
    returns: str
    body: list[str]
    decorators: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


class TextForm(Struct):
    """A function, or another block of a module, that is written as it stands."""

    name: str
    text: str


class ClassForm(Struct):
    """A class: a Struct, a view set or a controller."""

    name: str
    bases: list[str]
    keywords: dict[str, str] = field(default_factory=dict)
    doc: str = ""
    fields: list[FieldForm] = field(default_factory=list)
    methods: list[FunctionForm] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    """Lines above the class: what a person has to decide."""


class Names:
    """The names of a module that is written: what it imports, and what it defines."""

    def __init__(self) -> None:
        self.imports: dict[str, tuple[str, str]] = {}
        """The name to write → the module and the name there, which is empty for the module itself."""
        self._defined: set[str] = set(dir(builtins)) | set(keyword.kwlist)

    def use(self, module: str, name: str = "", hint: str = "") -> str:
        """Return how ``name`` of ``module``, or the module itself, is written; ``hint`` tells it from a namesake."""
        head, dot, tail = name.partition(".")
        for local, found in self.imports.items():
            if found == (module, head):
                return f"{local}{dot}{tail}"
        local = head or module
        if local in self._defined or local in self.imports:
            local = self._free(f"{hint or camel(module.split('.')[0])}{local[:1].upper()}{local[1:]}")
        self.imports[local] = (module, head)
        return f"{local}{dot}{tail}"

    def use_module(self, module: str, local: str) -> str:
        """Return how a module is written that is imported by another name: ``import datetime as dt``."""
        self.imports.setdefault(local, (module, ""))
        return local

    def use_as(self, module: str, name: str, local: str) -> str:
        """Return how ``name`` of ``module`` is written: as ``local``, where that is free."""
        known = (module, name) in self.imports.values() or local in self._defined or local in self.imports
        if known or not name:
            return self.use(module, name, hint=local)
        self.imports[local] = (module, name)
        return local

    def use_object(self, value: type | object, hint: str = "") -> str:
        """Return how a class or a function of some module is written."""
        return self.use(getattr(value, "__module__"), getattr(value, "__qualname__"), hint)  # noqa: B009

    def define(self, name: str, hint: str = "") -> str:
        """Return a free name for something of the module itself."""
        wanted = identifier(name)
        if wanted in self._defined or wanted in self.imports:
            wanted = self._free(f"{hint}{wanted}" if hint else wanted)
        self._defined.add(wanted)
        return wanted

    def forget(self, name: str) -> None:
        """Give up a name that was defined, and is not written after all."""
        self._defined.discard(name)

    def _free(self, name: str) -> str:
        taken, number = name, 2
        while taken in self._defined or taken in self.imports:
            taken, number = f"{name}{number}", number + 1
        return taken


class Move(Struct):
    """An API as it will be written, and what there is to say of it."""

    source: str
    """What it comes from: ``Django REST framework 3.16``."""
    doc: str = ""
    names: Names = field(default_factory=Names)
    constants: list[FieldForm] = field(default_factory=list)
    functions: list[FunctionForm] = field(default_factory=list)
    structs: list[ClassForm] = field(default_factory=list)
    styles: list[FieldForm] = field(default_factory=list)
    """Constants that are made of the classes before them."""
    views: list[ClassForm | FunctionForm | TextForm] = field(default_factory=list)
    """Classes and functions that are routes, in the order of ``listed``."""
    listed: list[str] = field(default_factory=list)
    """The entries of ``routes = [...]``."""
    routes: list[RouteReport] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    """Keys of ``HYBRID_GATEWAY`` that the written routes need, and their values as text."""
    general: list[Difference] = field(default_factory=list)
    """What differs of every route."""
    unread: list[Decision] = field(default_factory=list)
    """What the reader has seen and does not understand, beside routes."""


def camel(text: str) -> str:
    """Return words as the name of a class: ``shop_items`` → ``ShopItems``."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", text) if word)


def snake(text: str) -> str:
    """Return words as the name of a function: ``ShopItems`` → ``shop_items``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^0-9A-Za-z]+", "_", text)
    return spaced.strip("_").lower()


def identifier(text: str) -> str:
    """Return a text as a name that Python takes."""
    name = re.sub(r"\W+", "_", text).strip("_") or "item"
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) else name
