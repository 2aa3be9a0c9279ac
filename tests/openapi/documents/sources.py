"""Python modules made from a seed: classes of every kind that may be in a signature, and the routes that use them.

They are text, as a user writes them, so what goes wrong can be read, and tried by itself.
"""

from __future__ import annotations

import random

HEAD = """\
import datetime, decimal, enum, typing, uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Required, TypedDict, TypeVar
import attrs
import msgspec
import pydantic
from django.db import models
from django.db.models import QuerySet
from msgspec import UNSET, Meta, Struct, UnsetType
from hybrid_gateway import Body, Cookie, File, Form, Header, Path, Query, UploadFile, get, post, put
from hybrid_gateway.orm import Column, Cursor, LimitOffset, Lookup, ModelStruct, Ordering, PageNumber, Search
from tests.library.models import Book, Publisher
T = TypeVar("T")

class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5
class Colour(models.TextChoices):
    RED = "red", "Red as a rose"
    BLUE = "blue"
class Only(enum.Enum):
    ONE = "one"
"""

NAMES = ["Item", "Order", "Row", "Tag", "item", "A_B", "AB"]
WORDS = ["", "a", "ab", "null", "x y", "ä€", "12", "true", "a,b", "2020-01-02"]

COLUMNS = {
    "title": "str", "isbn": "str", "status": "str", "pages": "int", "price": "decimal.Decimal", "data": "Any",
    "weight": "float | None", "is_rare": "bool", "printed": "datetime.datetime | None", "day": "datetime.date | None",
    "hour": "datetime.time | None", "lent_for": "datetime.timedelta | None", "checksum": "bytes",
    "publisher": "int | None",
}  # fmt: skip
FILTERS = [
    "pages: int | None = None",
    "title__icontains: str | None = None",
    "status: Annotated[list[Literal['planned', 'sold']] | None, Lookup('status__in')] = None",
    "priced: Annotated[decimal.Decimal | None, Lookup('price__gte')] = None",
    "is_rare: bool | None = None",
    "day__gte: datetime.date | None = None",
    "q: Annotated[str | None, Search('title', 'isbn')] = None",
    "most: Annotated[Annotated[int, Meta(ge=1, le=9)] | None, Lookup('pages__lte')] = None",
    "sort: Annotated[Literal['pages', '-price'], Ordering()] = '-price'",
]
FILES = ["file: UploadFile", "file: Annotated[UploadFile | None, File()] = None", "files: list[UploadFile]"]
STYLES = [
    *("LimitOffset(max_limit=2)", "PageNumber(size=1, max_size=3)", "PageNumber(size=2, count=False)"),
    *("Cursor(size=2, max_size=4)", "None"),
]


class Module:
    """One module in the making. ``others`` are names of classes that it may import: expression → module."""

    def __init__(self, rng: random.Random, name: str, others: dict[str, str]) -> None:
        self.rng = rng
        self.name = name
        self.lines: list[str] = []
        self.classes: list[str] = []
        self.models: list[str] = []
        self.generics: list[str] = []
        self.flat: list[str] = []  # of scalars and lists alone: for queries and forms
        self.of_books: list[str] = []  # what their rows are shown as
        self.routes: list[str] = []
        self.others = others

    @property
    def text(self) -> str:
        return "\n".join([HEAD, *self.lines, f"routes = [{', '.join(self.routes)}]", ""])

    # --- types

    def number(self, kind: str) -> str:
        rng = self.rng
        low, high = rng.randint(-3, 3), rng.randint(4, 9)
        limits = rng.choice(
            ["", "", f"ge={low}", f"gt={low}", f"lt={high}", f"ge={low}, le={high}", f"gt={low}, lt={high}"]
        )
        if kind == "int" and rng.random() < 0.2:
            limits += f"{', ' if limits else ''}multiple_of={rng.choice([2, 3])}"
        return limits

    def text_limits(self) -> str:
        rng = self.rng
        return rng.choice(
            ["", "", "min_length=1", "max_length=3", "min_length=2, max_length=4", "pattern='^[a-z]*$'", "pattern='b'"]
        )

    def constrained(self) -> tuple[str, str]:
        """A scalar, and the constraints it has, for Meta or a marker."""
        kind = self.rng.choice(["int", "int", "float", "str", "str"])
        return kind, (self.text_limits() if kind == "str" else self.number(kind))

    def scalar(self) -> str:
        rng = self.rng
        if rng.random() < 0.5:
            kind, limits = self.constrained()
            return f"Annotated[{kind}, Meta({limits})]" if limits else kind
        return rng.choice(
            [
                "bool", "uuid.UUID", "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta",
                "Annotated[datetime.datetime, Meta(tz=True)]", "Annotated[datetime.datetime, Meta(tz=False)]",
                "Annotated[datetime.time, Meta(tz=False)]", "decimal.Decimal", "Size", "Level", "Colour", "Only",
                "Literal['a', 'b']", "Literal[1, 2]", "Literal['x']", "Literal['a', 1]",
            ]
        )  # fmt: skip

    def limited_list(self, item: str) -> str:
        rng = self.rng
        kind = rng.choice(["list", "list", "set", "frozenset", "tuple"])
        kind = f"tuple[{item}, ...]" if kind == "tuple" else f"{kind}[{item}]"
        limits = rng.choice(["", "", "min_length=1", "max_length=2", "min_length=1, max_length=3"])
        return f"Annotated[{kind}, Meta({limits})]" if limits else kind

    def text_kind(self) -> str:
        """What text can hold."""
        roll = self.rng.random()
        if roll < 0.65:
            return self.scalar()
        if roll < 0.8:
            return self.limited_list(self.scalar())
        return self.rng.choice(["int | str", "int | bool", "int | float", "datetime.date | int", "Literal['a'] | int"])

    def any_kind(self, depth: int = 2) -> str:
        """What JSON can hold."""
        rng = self.rng
        roll = rng.random()
        if depth == 0 or roll < 0.3:
            return self.scalar()
        inner = depth - 1
        if roll < 0.4 and self.classes:
            return rng.choice(self.classes)
        if roll < 0.45 and self.others:
            return rng.choice(list(self.others))
        if roll < 0.5 and self.generics:
            return f"{rng.choice(self.generics)}[{self.any_kind(inner)}]"
        if roll < 0.55 and self.models:
            return rng.choice(self.models)
        if roll < 0.65:
            hashable = rng.choice(["int", "str", "Size"])
            return (
                self.limited_list(rng.choice([self.scalar(), hashable]))
                if rng.random() < 0.5
                else f"list[{self.any_kind(inner)}]"
            )
        if roll < 0.73:
            return f"tuple[{', '.join(self.any_kind(inner) for _ in range(rng.randint(1, 3)))}]"
        if roll < 0.83:
            key = rng.choice(
                ["str", "str", "int", "Size", "uuid.UUID", "Annotated[str, Meta(min_length=1)]", "Literal['a', 'b']"]
            )
            limits = rng.choice(["", "", "min_length=1", "max_length=2"])
            kind = f"dict[{key}, {self.any_kind(inner)}]"
            return f"Annotated[{kind}, Meta({limits})]" if limits else kind
        if roll < 0.95:
            return " | None".join(
                [next(kind for kind in iter(lambda: self.any_kind(inner), None) if kind != "msgspec.Raw"), ""]
            )
        return rng.choice(
            ["int | str", "int | list[str] | None", "dict[str, int] | int", "Any", "bytes", "msgspec.Raw"]
        )

    # --- values

    def default(self, kind: str) -> str | None:
        """An expression of a value for a type, or None where none is at hand."""
        rng = self.rng
        known = {
            "bool": ["True", "False"],
            "int": ["0", "7"],
            "float": ["0.5", "2.0"],
            "str": [repr(word) for word in WORDS],
            "uuid.UUID": ["uuid.UUID(int=5)"],
            "datetime.date": ["datetime.date(2020, 1, 2)"],
            "datetime.datetime": ["datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)"],
            "datetime.timedelta": ["datetime.timedelta(hours=2)"],
            "decimal.Decimal": ["decimal.Decimal('1.50')"],
            "Size": ["Size.LARGE"],
            "Level": ["Level.LOW"],
            "Colour": ["Colour.BLUE"],
            "Only": ["Only.ONE"],
            "Literal['a', 'b']": ["'b'"],
            "Literal[1, 2]": ["2"],
        }
        if kind in known:
            return rng.choice(known[kind])
        return "None" if kind.endswith("| None") else None

    # --- classes

    def fresh(self) -> str:
        free = [name for name in NAMES if name not in self.classes and f"class {name}(" not in self.text]
        return self.rng.choice(free) if free and self.rng.random() < 0.7 else f"C{len(self.lines)}"

    def fields(self, kinds: list[str], default: str = "{}", mutable: bool = False, factory: str = "") -> list[str]:
        """Lines of fields, the required ones first."""
        required, optional = [], []
        for number, kind in enumerate(kinds):
            name = self.rng.choice(["a", "first_name", "kind", "x"]) + str(number)
            value = self.default(kind)
            if value is not None and self.rng.random() < 0.6:
                optional.append(f"    {name}: {kind} = {default.format(value)}")
            elif mutable and self.rng.random() < 0.2:
                optional.append(f"    {name}: list[int] = []")
            elif factory and self.rng.random() < 0.2:
                optional.append(f"    {name}: list[int] = {factory}(default_factory=lambda: [1, 2])")
            else:
                required.append(f"    {name}: {kind}")
        return [*required, *optional] or ["    nothing: int"]

    def add_class(self) -> None:
        makers = [
            self.struct, self.struct, self.flat_struct, self.tagged, self.generic, self.dataclass, self.typed_dict,
            self.named_tuple, self.attrs_class, self.pydantic_model, self.pydantic_model, self.recursive,
            self.model_struct, self.model_struct,
        ]  # fmt: skip
        self.rng.choice(makers)()

    def some(self, depth: int = 1) -> list[str]:
        return [self.any_kind(depth) for _ in range(self.rng.randint(1, 4))]

    def options(self) -> str:
        rng = self.rng
        chosen = [
            *(["forbid_unknown_fields=True"] if rng.random() < 0.3 else []),
            *([f"rename={rng.choice(['camel', 'kebab', 'upper'])!r}"] if rng.random() < 0.3 else []),
            *(["omit_defaults=True"] if rng.random() < 0.15 else []),
            *(["frozen=True"] if rng.random() < 0.2 else []),
        ]
        return "".join(f", {option}" for option in chosen)

    def struct(self) -> None:
        name = self.fresh()
        like = ", array_like=True" if self.rng.random() < 0.1 else ""
        fields = self.fields(self.some(), mutable=True, factory="msgspec.field")
        if not like and self.rng.random() < 0.2:
            fields.append("    unset: int | UnsetType = UNSET")
        self.lines += [f"class {name}(Struct{self.options()}{like}):", *fields]
        self.classes.append(name)

    def flat_struct(self) -> None:
        """A class for the query or a form."""
        name, rng = self.fresh(), self.rng
        kinds = [self.text_kind() for _ in range(rng.randint(1, 4))]
        style = rng.choice(["Struct", "Struct", "dataclass", "attrs", "pydantic"])
        if style == "Struct":
            self.lines += [f"class {name}(Struct{self.options()}):", *self.fields(kinds, mutable=True)]
        elif style == "dataclass":
            self.lines += ["@dataclass", f"class {name}:", *self.fields(kinds, factory="field")]
        elif style == "attrs":
            self.lines += ["@attrs.define", f"class {name}:", *self.fields(kinds)]
        else:
            low = rng.randint(0, 3)
            lines = [
                f"    py_int: int = pydantic.Field({low + 1}, ge={low}, le={low + 5})",
                "    py_text: Annotated[str, pydantic.Field(min_length=1, max_length=3)]",
                "    py_list: list[int] = []",
                "    py_kind: Literal['a', 'b'] | None = None",
                "    py_alias: str = pydantic.Field('ab', alias='pyOther')",
                "    py_size: Size = Size.LARGE",
            ]
            self.lines += [f"class {name}(pydantic.BaseModel):", *rng.sample(lines, rng.randint(1, 4))]
        (self.models if style == "pydantic" else self.classes).append(name)
        self.flat.append(name)

    def tagged(self) -> None:
        one, other = self.fresh(), f"C{len(self.lines)}x"
        field = self.rng.choice(["", ", tag_field='kind'"])
        self.lines += [f"class {one}(Struct, tag=True{field}):", *self.fields(self.some(0))]
        self.lines += [f"class {other}(Struct, tag='other'{field}):", *self.fields(self.some(0))]
        self.classes += [one, f"({one} | {other})"]

    def generic(self) -> None:
        name = self.fresh()
        self.lines += [f"class {name}(Struct, Generic[T]):", "    data: T", "    more: list[T] = []"]
        self.generics.append(name)

    def recursive(self) -> None:
        name = self.fresh()
        self.lines += [f"class {name}(Struct, kw_only=True):", f"    children: 'list[{name}]' = []"]
        self.lines += [f"    parent: '{name} | None' = None", *self.fields(self.some(0))]
        self.classes.append(name)

    def dataclass(self) -> None:
        name = self.fresh()
        self.lines += ["@dataclass", f"class {name}():", *self.fields(self.some(), factory="field")]
        self.classes.append(name)

    def typed_dict(self) -> None:
        name = self.fresh()
        kinds = self.some(1)
        lines = [
            f"    k{number}: {self.rng.choice(['{}', 'NotRequired[{}]']).format(kind)}"
            for number, kind in enumerate(kinds)
        ]
        self.lines += [f"class {name}(TypedDict{self.rng.choice(['', ', total=False'])}):", *lines]
        self.classes.append(name)

    def named_tuple(self) -> None:
        name = self.fresh()
        self.lines += [f"class {name}(NamedTuple):", *self.fields(self.some(0))]
        self.classes.append(name)

    def attrs_class(self) -> None:
        name = self.fresh()
        self.lines += ["@attrs.define", f"class {name}():", *self.fields(self.some(0))]
        self.classes.append(name)

    def pydantic_kind(self) -> str:
        rng = self.rng
        if self.models and rng.random() < 0.4:
            return rng.choice([rng.choice(self.models), f"list[{rng.choice(self.models)}]"])
        low = rng.randint(0, 3)
        return rng.choice(
            [
                f"Annotated[int, pydantic.Field(ge={low})]",
                "Annotated[str, pydantic.Field(min_length=1, max_length=3)]",
                "bool", "datetime.date", "uuid.UUID", "Size", "Colour", "list[int]", "dict[str, int]",
                "int | None", "Literal['a', 'b']", "datetime.datetime", "set[int]",
            ]
        )  # fmt: skip

    def pydantic_model(self) -> None:
        name = self.fresh()
        kinds = [self.pydantic_kind() for _ in range(self.rng.randint(1, 3))]
        lines = self.fields(kinds)
        if self.rng.random() < 0.2:
            lines.append("    renamed: int = pydantic.Field(alias='reNamed')")
        if self.rng.random() < 0.2:
            lines.append("    twice: int = pydantic.Field(validation_alias='in', serialization_alias='out')")
        if self.rng.random() < 0.2:
            lines.append("    model_config = pydantic.ConfigDict(extra='forbid')")
        if self.rng.random() < 0.2:
            lines += [
                "    @pydantic.computed_field",
                "    @property",
                "    def total(self) -> int:",
                "        return 3",
            ]
        self.lines += [f"class {name}(pydantic.BaseModel):", *lines]
        self.models.append(name)

    def model_struct(self) -> None:
        name = self.fresh()
        rng = self.rng
        lines = []
        for column in rng.sample(list(COLUMNS), rng.randint(1, 6)):
            kind = COLUMNS[column]
            option = rng.choice(["", "", "", "read_only", "write_only"])
            lines.append(f"    {column}: " + (f"Annotated[{kind}, Column({option}=True)]" if option else kind))
        partial = ", partial=True" if rng.random() < 0.2 else ""
        self.lines += [f"class {name}(ModelStruct, model=Book{partial}{self.options()}):", *lines]
        self.classes.append(name)
        if not partial:
            self.of_books.append(name)

    # --- routes

    def add_route(self, number: int) -> None:
        makers = [
            self.query_route, self.query_route, self.form_route, self.body_route, self.body_route, self.answer_route,
            self.echo_route, self.list_route,
        ]  # fmt: skip
        self.rng.choice(makers)(f"{self.name}_r{number}")

    def parameter(self, number: int) -> str:
        rng = self.rng
        source = rng.choice(["Query", "Query", "Query", "Header", "Cookie"])
        name = f"{rng.choice(['q', 'long_name'])}{number}"
        alias = f"alias='{rng.choice(['X-Al', 'al.ias', 'al'])}{number}'" if rng.random() < 0.2 else ""
        if rng.random() < 0.3:
            kind, limits = self.constrained()
            marked = f"Annotated[{kind}, {source}({', '.join(filter(None, [alias, limits]))})]"
        else:
            kind = self.text_kind() if source == "Query" else self.scalar()
            marked = f"Annotated[{kind}, {source}({alias})]"
        value = self.default(kind)
        if value is None or rng.random() < 0.4:
            if rng.random() < 0.2:
                return f"{name}: {marked.replace(kind, f'{kind} | None', 1)} = None"
            return f"{name}: {marked}"
        return f"{name}: {marked} = {value}"

    def query_route(self, name: str) -> None:
        rng = self.rng
        parameters = [self.parameter(number) for number in range(rng.randint(1, 3))]
        path = f"/{name}"
        if rng.random() < 0.5:
            kind, limits = rng.choice([("int", self.number("int")), ("str", self.text_limits())])
            parameters.append(f"at: Annotated[{kind}, Path({limits})]")
            path += "/{at}"
        if self.flat and rng.random() < 0.4:
            parameters.append(f"many: Annotated[{rng.choice(self.flat)}, Query()]")
        self.route("get", path, name, parameters)

    def form_route(self, name: str) -> None:
        rng = self.rng
        if self.flat and rng.random() < 0.5:
            parameters = [f"form: Annotated[{rng.choice(self.flat)}, Form()]"]
        else:
            parameters = []
            for number in range(rng.randint(1, 3)):
                kind = self.text_kind()
                value = self.default(kind)
                end = f" = {value}" if value is not None and rng.random() < 0.5 else ""
                parameters.append(f"f{number}: Annotated[{kind}, Form()]{end}")
        if self.rng.random() < 0.3:
            parameters.append(self.rng.choice(FILES))
        self.route("post", f"/{name}", name, parameters)

    def body_route(self, name: str) -> None:
        kind = self.any_kind(3)
        left_out = " = None" if kind.endswith("| None") and self.rng.random() < 0.5 else ""
        self.route(self.rng.choice(["post", "put"]), f"/{name}", name, [f"data: Annotated[{kind}, Body()]{left_out}"])

    def list_route(self, name: str) -> None:
        rng = self.rng
        if not self.of_books:
            return self.answer_route(name)
        fields = rng.sample(FILTERS, rng.randint(0, 4))
        self.lines += [f"class F{name}(Struct):", *[f"    {field}" for field in fields or ["pages: int | None = None"]]]
        style = rng.choice(STYLES)
        shown = rng.choice(self.of_books)
        self.lines += [
            f"@get('/{name}', response=list[{shown}], filters=F{name}, pagination={style})",
            f"def {name}() -> QuerySet[Book]:",
            "    return Book.objects.order_by('-pages')",
        ]
        self.routes.append(name)
        return None

    def route(self, verb: str, path: str, name: str, parameters: list[str]) -> None:
        self.lines += [f"@{verb}({path!r})", f"def {name}(*, {', '.join(parameters)}) -> None:", "    seen(locals())"]
        self.routes.append(name)

    def answer_route(self, name: str) -> None:
        self.lines += [f"@get('/{name}')", f"def {name}() -> {self.answer_kind()}:", f"    return given({name!r})"]
        self.routes.append(name)

    def answer_kind(self) -> str:
        """What a handler says it returns. Of Any nothing is known, and an int behind a value is a status."""
        while True:
            kind = self.any_kind(3)
            if kind != "Any" and not (kind.startswith("tuple[") and kind.endswith(", int]")):
                return kind

    def echo_route(self, name: str) -> None:
        kind = self.answer_kind()
        self.lines += [
            f"@put('/{name}')",
            f"def {name}(*, data: Annotated[{kind}, Body()]) -> {kind}:",
            "    return data",
        ]
        self.routes.append(name)


def write(seed: int, routes: int) -> list[Module]:
    """Two modules, the second of which may use what the first has."""
    rng = random.Random(seed)
    modules: list[Module] = []
    others: dict[str, str] = {}
    for name in ("shop", "back"):
        module = Module(rng, name, others)
        for other in others:
            module.lines.append(f"import {others[other]}")
        for _ in range(rng.randint(3, 8)):
            module.add_class()
        for number in range(routes):
            module.add_route(number)
        others = {
            f"documents_{name}.{kind}": f"documents_{name}"
            for kind in [*module.classes, *module.models]
            if kind.isidentifier()
        }
        modules.append(module)
    return modules
