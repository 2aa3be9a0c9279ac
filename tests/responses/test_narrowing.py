"""What a return annotation has not got is never sent, whatever a handler returns in its place."""

from __future__ import annotations

import collections.abc
import dataclasses
from collections.abc import Callable, Collection, Container, Iterable, Mapping, MutableSequence, Reversible, Sequence
from typing import Annotated, Any, Generic, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from django.http import HttpResponse

from hybrid_gateway import JSONResponse, Response, get, post
from hybrid_gateway.exceptions import ResponseValidationError
from hybrid_gateway.orm import Column, LimitOffset, ModelStruct
from hybrid_gateway.responses.encoders import make_encoder
from hybrid_gateway.responses.return_filter.filter_builder import build_filter, compile_fits
from tests.library.models import Book, Publisher

T = TypeVar("T")
SECRET = "hunter2"


# --- one thing, made in every way


class Inner(msgspec.Struct):
    city: str


class Public(msgspec.Struct):
    id: int
    name: str = "n"
    home: Inner | None = None


class Renamed(msgspec.Struct, rename="camel"):
    id: int
    full_name: str = "n"


@dataclasses.dataclass
class AsDataclass:
    id: int
    name: str = "n"
    home: Inner | None = None


@attrs.define(slots=False)
class AsAttrs:
    id: int
    name: str = "n"
    home: Inner | None = None


class AsDict(TypedDict):
    id: int
    name: NotRequired[str]
    home: NotRequired[Inner | None]


class InnerPydantic(pydantic.BaseModel):
    city: str


class AsPydantic(pydantic.BaseModel):
    id: int
    name: str = "n"
    home: InnerPydantic | None = None


class Node(msgspec.Struct):
    id: int
    nodes: list[Node] = []


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    total: int = 1


class Cat(msgspec.Struct, tag="cat"):
    id: int
    lives: int = 9


class Dog(msgspec.Struct, tag="dog"):
    id: int
    name: str = "rex"


class Shelf(list[T]):
    """A list of one's own."""


class Drawers(dict[str, T]):
    """And a dict."""


class Wrapped(pydantic.RootModel[T], Generic[T]):
    """A model that is written as what it holds."""


class Array(msgspec.Struct, array_like=True):
    id: int
    name: str


class Named(NamedTuple):
    first: Public
    second: int


# --- and with more in it


class MorePublic(Public):
    password: str = SECRET


class MoreInner(msgspec.Struct):
    city: str = "x"
    password: str = SECRET


class Other(msgspec.Struct):
    id: int = 1
    name: str = "n"
    password: str = SECRET
    home: Any = None


@dataclasses.dataclass
class MoreDataclass(AsDataclass):
    password: str = SECRET


@attrs.define(slots=False)
class MoreAttrs(AsAttrs):
    password: str = SECRET


class MorePydantic(AsPydantic):
    password: str = SECRET


class MoreCat(Cat, tag="cat"):
    password: str = SECRET


class Plain:
    def __init__(self) -> None:
        self.id, self.name, self.password = 1, "n", SECRET


def grown() -> Any:
    found: Any = AsAttrs(1)
    found.password = SECRET
    return found


VALUES: dict[str, Callable[[], Any]] = {
    "dict": lambda: {"id": 1, "name": "n", "password": SECRET},
    "nested dict": lambda: {"id": 1, "name": "n", "home": {"city": "x", "password": SECRET}, "password": SECRET},
    "nested other": lambda: {"id": 1, "home": MoreInner()},
    "mapping": lambda: type("Own", (dict,), {})({"id": 1, "password": SECRET}),
    "subclass": lambda: MorePublic(1),
    "nested in the class": lambda: Public(1, home={"city": "x", "password": SECRET}),  # type: ignore[arg-type]
    "other Struct": Other,
    "dataclass": lambda: MoreDataclass(1),
    "attrs": lambda: MoreAttrs(1),
    "attrs that have grown": grown,
    "pydantic": lambda: MorePydantic(id=1),
    "any object": Plain,
}
Alias = NewType("Alias", Public)
KINDS: dict[str, Any] = {
    "Struct": Public,
    "dataclass": AsDataclass,
    "attrs": AsAttrs,
    "TypedDict": AsDict,
    "pydantic": AsPydantic,
    "Annotated": Annotated[Public, "words"],
    "NewType": Alias,
}


class Shape(NamedTuple):
    annotation: Callable[[Any], Any]
    value: Callable[[Any], Any]
    find: Callable[[Any], Any]  # the one thing in what came back


SHAPES: dict[str, Shape] = {
    "itself": Shape(lambda kind: kind, lambda value: value, lambda found: found),
    "list": Shape(lambda kind: list[kind], lambda value: [value], lambda found: found[0]),  # type: ignore[valid-type]
    "tuple as list": Shape(lambda kind: list[kind], lambda value: (value,), lambda found: found[0]),  # type: ignore[valid-type]
    "Sequence": Shape(lambda kind: Sequence[kind], lambda value: [value], lambda found: found[0]),  # type: ignore[valid-type]
    **{
        of.__name__: Shape(lambda kind, of=of: of[kind], lambda value: [value], lambda found: found[0])  # type: ignore[misc]
        for of in (Iterable, Collection, Reversible, MutableSequence, collections.abc.Set, Container, Shelf)
    },
    "a list by name": Shape(
        lambda kind: type("Shelves", (Shelf,), {"__orig_bases__": (Shelf[kind],)}),  # type: ignore[valid-type]
        lambda value: [value],
        lambda found: found[0],
    ),
    "dict of one's own": Shape(lambda kind: Drawers[kind], lambda value: {"a": value}, lambda found: found["a"]),  # type: ignore[valid-type]
    "dict": Shape(lambda kind: dict[str, kind], lambda value: {"a": value}, lambda found: found["a"]),  # type: ignore[valid-type]
    "Mapping": Shape(lambda kind: Mapping[str, kind], lambda value: {"a": value}, lambda found: found["a"]),  # type: ignore[valid-type]
    "optional": Shape(lambda kind: kind | None, lambda value: value, lambda found: found),
    "list of optional": Shape(lambda kind: list[kind | None], lambda value: [None, value], lambda found: found[1]),
    "tuple": Shape(lambda kind: tuple[kind, ...], lambda value: (value,), lambda found: found[0]),
    "pair": Shape(lambda kind: tuple[kind, str], lambda value: (value, "x"), lambda found: found[0]),
    "with a status": Shape(lambda kind: tuple[kind, int], lambda value: (value, 202), lambda found: found),
    "dict of lists": Shape(
        lambda kind: dict[str, list[kind]],  # type: ignore[valid-type]
        lambda value: {"a": [value]},
        lambda found: found["a"][0],
    ),
    "generic": Shape(
        lambda kind: Page[kind], lambda value: {"items": [value], "password": SECRET}, lambda f: f["items"][0]
    ),  # type: ignore[valid-type]
    "generic, made": Shape(lambda kind: Page[kind], lambda value: Page([value]), lambda found: found["items"][0]),  # type: ignore[valid-type]
    "one for many": Shape(lambda kind: list[kind], lambda value: value, lambda found: found),  # type: ignore[valid-type]
    "many for one": Shape(lambda kind: kind, lambda value: [value], lambda found: found[0]),
    "or a text": Shape(lambda kind: kind | str, lambda value: value, lambda found: found),
    "or a response": Shape(lambda kind: kind | Response[Any], lambda value: value, lambda found: found),
}

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "application/json": msgspec.json.decode,
    "application/msgpack": msgspec.msgpack.decode,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_not_annotated_is_encoded(kind: str, shape: str) -> None:
    annotation, shaped, find = SHAPES[shape]
    for media_type, decode in DECODERS.items():
        encode = make_encoder(annotation(KINDS[kind]), method="GET", media_type=media_type)
        for name, make in VALUES.items():
            status, headers, body = encode(shaped(make()))  # type: ignore[misc]
            assert SECRET.encode() not in body, (name, body)
            if dict(headers)[b"content-type"] != media_type.encode():  # of annotations that are no JSON alone
                decode = msgspec.json.decode
            found = find(decode(body))
            assert set(found) <= {"id", "name", "home"}, (name, body)
            assert found["id"] == 1
            assert status == (202 if shape == "with a status" else 200)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_generated_says_what_the_rule_says(kind: str, shape: str) -> None:
    annotation, shaped, _ = SHAPES[shape]
    rule = build_filter(annotation(KINDS[kind]))
    assert rule is not None
    fits = compile_fits(rule)
    for make in (*VALUES.values(), EXACT[kind], lambda: None, lambda: 5, list, dict, lambda: "text"):
        value = shaped(make())
        assert fits(value) is rule.fits(value)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_nor_where_answers_are_checked(kind: str, shape: str) -> None:
    annotation, shaped, _ = SHAPES[shape]
    encode = make_encoder(annotation(KINDS[kind]), method="GET", validate=True)
    for name, make in VALUES.items():
        try:
            body = encode(shaped(make()))[2]  # type: ignore[index]
        except ResponseValidationError:  # what is no instance of it, as far as msgspec looks
            continue
        assert SECRET.encode() not in body, (name, body)


EXACT: dict[str, Callable[[], Any]] = {
    "Struct": lambda: Public(1, home=Inner("x")),
    "dataclass": lambda: AsDataclass(1, home=Inner("x")),
    "attrs": lambda: AsAttrs(1, home=Inner("x")),
    "TypedDict": lambda: {"id": 1, "name": "n", "home": Inner("x")},
    "pydantic": lambda: AsPydantic(id=1, home={"city": "x"}),
    "Annotated": lambda: Public(1, home=Inner("x")),
    "NewType": lambda: Alias(Public(1, home=Inner("x"))),
}


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "one for" not in shape and "many for" not in shape])
@pytest.mark.parametrize("kind", EXACT)
def test_instances_of_what_is_annotated_are_sent_as_they_are(kind: str, shape: str) -> None:
    annotation, shaped, find = SHAPES[shape]
    found = build_filter(annotation(KINDS[kind]).__args__[0] if shape == "with a status" else annotation(KINDS[kind]))
    assert found is not None
    value = EXACT[kind]()
    if shape not in ("with a status", "generic"):
        assert found.fits(shaped(value))
        assert compile_fits(found)(shaped(value))
    body = make_encoder(annotation(KINDS[kind]), method="GET")(shaped(value))[2]  # type: ignore[index]
    assert find(msgspec.json.decode(body)) == {"id": 1, "name": "n", "home": {"city": "x"}}


@pytest.mark.parametrize(
    "annotation", [int, str, dict, list, dict[str, Any], list[int], Any, None, dict[str, int], Response]
)
def test_annotations_without_fields_cost_nothing(annotation: Any) -> None:
    assert build_filter(annotation) is None


class Many(pydantic.RootModel[list[AsPydantic]]):
    pass


class ByName(pydantic.RootModel[dict[str, AsPydantic]]):
    pass


class Nested(pydantic.RootModel[list["Nested | AsPydantic"]]):
    pass


@pytest.mark.parametrize("wrap", [lambda kind: kind, lambda kind: kind | None, lambda kind: Annotated[kind, "words"]])
@pytest.mark.parametrize(
    ("kind", "shape", "find"),
    [
        (Many, lambda value: [value], lambda found: found[0]),
        (ByName, lambda value: {"a": value}, lambda found: found["a"]),
        (Nested, lambda value: [[value]], lambda found: found[0][0]),
    ],
)
def test_a_model_without_fields_of_its_own_is_what_it_holds(kind: Any, shape: Any, find: Any, wrap: Any) -> None:
    encode = make_encoder(wrap(kind), method="GET")
    exact = {"id": 1, "name": "n", "home": None}
    for value in (AsPydantic(id=1), MorePydantic(id=1), {"id": 1, "name": "n", "home": None, "password": SECRET}):
        made = [kind.model_construct(root=shape(value)), shape(value)]
        for given in made[:1] if kind is Nested else made:
            assert find(msgspec.json.decode(encode(given)[2])) == exact  # type: ignore[index]


@pytest.mark.parametrize("value", [{"password": SECRET}, [Other()], SECRET, SECRET.encode(), 5, MorePydantic(id=1)])
def test_nothing_is_sent_where_nothing_is_annotated(serve: Any, value: Any) -> None:
    @get("/")
    def index() -> None:
        return value  # type: ignore[no-any-return]

    @post("/")
    async def made() -> None:
        return value  # type: ignore[no-any-return]

    @get("/own")
    async def own() -> None:
        return Response("said so", 202)  # type: ignore[return-value]

    client = serve(index, made, own)
    assert [(answer.status_code, answer.text) for answer in (client.get("/"), client.post("/"))] == [
        (204, ""),
        (201, ""),
    ]
    assert (client.get("/own").status_code, client.get("/own").text) == (202, "said so")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("declared", ["annotation", "response="])
def test_over_every_driver(serve: Any, is_async: bool, declared: str) -> None:
    routes = []
    for name, make in VALUES.items():
        routes.append(route_of(name, make, is_async=is_async, declared=declared))
    client = serve(*routes)
    for name in VALUES:
        answer = client.get(f"/{name.replace(' ', '-')}")
        assert SECRET not in answer.text
        assert set(answer.json()[0]) <= {"id", "name", "home"}


def route_of(name: str, make: Callable[[], Any], *, is_async: bool, declared: str) -> Any:
    def respond() -> Any:
        return [make()]

    async def arespond() -> Any:
        return [make()]

    handler: Any = arespond if is_async else respond
    if declared == "response=":
        return get(f"/{name.replace(' ', '-')}", response=list[Public])(handler)
    handler.__annotations__["return"] = list[Public]
    return get(f"/{name.replace(' ', '-')}")(handler)


# --- what else a handler's answer comes through


def before() -> Public | None:
    return {"id": 1, "password": SECRET}  # type: ignore[return-value]


def after(response: Response[Any]) -> Public:
    return MorePublic(2)


def test_what_hooks_return_has_what_they_annotate(serve: Any) -> None:
    first = get("/first", before_request=before)(lambda: "never")
    last = get("/last", after_request=after)(lambda: "replaced")
    client = serve(first, last)
    assert client.get("/first").json() == {"id": 1}
    assert client.get("/last").json() == {"id": 2, "name": "n", "home": None}


class Failed(Exception):
    pass


def on_failure(error: Failed) -> Public:
    return {"id": 1, "password": SECRET}  # type: ignore[return-value]


@get("/fails", exception_handlers={Failed: on_failure})
def fails() -> Public:
    raise Failed


@get("/own")
def own() -> Public:
    return JSONResponse({"id": 1, "password": "shown"})  # type: ignore[return-value]


@get("/django")
def django() -> Public:
    return HttpResponse(b"shown")  # type: ignore[return-value]


@get("/inside")
async def inside() -> Response[list[Public]]:
    return Response([{"id": 1, "password": SECRET}, MorePublic(2)])


@get("/inside/json")
def inside_json() -> JSONResponse[Public] | None:
    return JSONResponse({"id": 1, "password": SECRET}, headers={"X-Own": "1"})


@get("/inside/exact")
def inside_exact() -> Response[Public]:
    return Response(Public(1))


@post("/either")
async def either(data: dict[str, Any]) -> Cat | Dog:
    return data  # type: ignore[return-value]


@get("/cat")
async def cat() -> Cat | Dog:
    return MoreCat(1)


@get("/deep")
async def deep() -> Node:
    return {"id": 1, "nodes": [{"id": 2, "x": SECRET, "nodes": [{"id": 3, "y": SECRET}]}]}  # type: ignore[return-value]


@get("/array")
async def array() -> Array:
    return {"id": 1, "name": "n", "password": SECRET}  # type: ignore[return-value]


@get("/named")
async def named() -> Named:
    return (MorePublic(1), 2)  # type: ignore[return-value]


@get("/renamed")
async def renamed() -> list[Renamed]:
    return [{"id": 1, "full_name": "a", "password": SECRET}, {"id": 2, "fullName": "b"}, Other()]  # type: ignore[list-item]


def test_answers_of_other_ways(serve: Any) -> None:
    client = serve(fails, own, django, either, cat, deep, array, named, renamed, inside, inside_json, inside_exact)
    assert client.get("/inside").json() == [{"id": 1}, {"id": 2, "name": "n", "home": None}]
    answer = client.get("/inside/json")
    assert (answer.json(), answer.headers["X-Own"], answer.headers["Content-Length"]) == ({"id": 1}, "1", "8")
    assert client.get("/inside/exact").json() == {"id": 1, "name": "n", "home": None}
    answer = client.get("/fails")
    assert (answer.status_code, answer.json()) == (500, {"id": 1})
    assert client.get("/own").json() == {"id": 1, "password": "shown"}
    assert client.get("/django").text == "shown"
    for kind, more in (("cat", {"lives": 3}), ("dog", {"name": "a"})):
        given = {"type": kind, "id": 1, **more}
        assert client.post("/either", json={**given, "password": SECRET}).json() == given
    assert client.get("/cat").json() == {"type": "cat", "id": 1, "lives": 9}
    assert client.get("/deep").json() == {"id": 1, "nodes": [{"id": 2, "nodes": [{"id": 3}]}]}
    assert client.get("/array").json() == [1, "n"]
    assert client.get("/named").json() == [{"id": 1, "name": "n", "home": None}, 2]
    assert client.get("/renamed").json() == [{"id": 1, "fullName": "a"}, {"id": 2, "fullName": "b"}, {"id": 1}]


class Weak(msgspec.Struct):
    id: int
    owner: str


def test_something_with_fields_in_the_place_of_a_value_is_no_answer(serve: Any) -> None:
    @get("/")
    def misfit() -> Weak:
        return {"id": 1, "owner": {"name": "n", "password": SECRET}}  # type: ignore[return-value]

    answer = serve(misfit, raises=False).get("/")
    assert answer.status_code == 500
    assert SECRET not in answer.text


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def test_custom_classes_are_made_plain_before(serve: Any) -> None:
    def encode(money: Money) -> dict[str, Any]:
        return {"id": money.cents, "password": SECRET}

    @get("/", type_encoders={Money: encode})
    def paid() -> list[Public]:
        return [Money(5)]  # type: ignore[list-item]

    assert serve(paid).get("/").json() == [{"id": 5}]


@dataclasses.dataclass
class Unresolved:
    id: int
    other: Missing  # type: ignore[name-defined]  # noqa: F821


class UnresolvedStruct(msgspec.Struct):
    id: int
    other: Missing  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("kind", [Unresolved, UnresolvedStruct])
def test_fields_of_unknown_types_are_known_by_name(kind: Any) -> None:
    encode = make_encoder(list[kind], method="GET")
    assert encode([{"id": 1, "other": {"a": 2}, "password": SECRET}])[2] == b'[{"id":1,"other":{"a":2}}]'  # type: ignore[index]


# --- rows


class PublisherOut(ModelStruct, model=Publisher):
    name: str


class BookOut(ModelStruct, model=Book):
    id: int
    title: str
    publisher: PublisherOut | None = None


class Size(msgspec.Struct):
    width: int
    height: int = 0


class BookWithSizes(ModelStruct, model=Book):
    id: int
    sizes: Annotated[list[Size], Column("data")]


class BookWithNamedSizes(ModelStruct, model=Book):
    id: int
    sizes: Annotated[dict[str, Size], Column("data")]


class BookIn(ModelStruct, model=Book):
    title: str
    isbn: Annotated[str, Column(write_only=True)]
    invitation: Annotated[str, Column(None)] = ""


class BookPlain(msgspec.Struct):
    id: int
    title: str


@pytest.fixture
def book(db: Any) -> Book:
    house = Publisher.objects.create(name="House")
    sizes = [{"width": 1, "height": 2, "password": SECRET}]
    return Book.objects.create(title="T", isbn=SECRET, publisher=house, data=sizes)


def rows(view: Callable[..., Any], annotation: Any, **options: Any) -> Any:
    view.__annotations__["return"] = annotation
    return get(f"/{view.__name__}", **options)(view)


def values() -> Any:
    return list(Book.objects.values("id", "title", "isbn"))


def values_queryset() -> Any:
    return Book.objects.values("id", "title", "isbn")


def instances() -> Any:
    return list(Book.objects.all())


def one() -> Any:
    return Book.objects.values("id", "title", "isbn").get()


def mixed() -> Any:
    return [{"id": 1, "title": "T", "publisher": {"name": "House", "password": SECRET}, "isbn": SECRET}]


class MoreBook(BookOut):
    isbn: str


def more() -> Any:
    return MoreBook.fetch(Book.objects.all())


@pytest.mark.parametrize(
    ("view", "annotation"),
    [
        (values, list[BookOut]), (values, list[BookPlain]), (values_queryset, list[BookPlain]),
        (instances, list[BookOut]), (instances, list[BookPlain]), (one, BookOut), (one, BookPlain),
        (mixed, list[BookOut]), (more, list[BookOut]), (more, list[BookPlain]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("checked", [False, True])
def test_rows_have_what_is_annotated(serve: Any, book: Book, view: Any, annotation: Any, checked: bool) -> None:
    answer = serve(rows(view, annotation, validate_response=checked), raises=False).get(f"/{view.__name__}")
    assert SECRET not in answer.text
    if answer.status_code == 500:
        assert checked
        return
    found = answer.json()[0] if isinstance(answer.json(), list) else answer.json()
    assert found["title"] == "T"
    assert set(found) <= {"id", "title", "publisher"}


def test_pages_too(serve: Any, book: Book) -> None:
    @get("/", pagination=LimitOffset())
    def listed() -> list[BookOut]:
        return {"items": mixed(), "password": SECRET}  # type: ignore[return-value]

    answer = serve(listed).get("/")
    assert SECRET not in answer.text
    assert answer.json()["items"][0]["title"] == "T"


@pytest.mark.parametrize("struct", [BookWithSizes, BookWithNamedSizes])
@pytest.mark.parametrize("way", ["fetch", "get", "from_model", "queryset", "instance"])
def test_a_json_column_shows_the_fields_of_its_structs(serve: Any, book: Book, struct: Any, way: str) -> None:
    if struct is BookWithNamedSizes:
        Book.objects.update(data={"a": {"width": 1, "height": 2, "password": SECRET}})

    @get("/", response=struct)
    def shown() -> Any:
        everything = Book.objects.all()
        ways = {
            "fetch": lambda: struct.fetch(everything)[0],
            "get": lambda: struct.get(everything),
            "from_model": lambda: struct.from_model(everything.get()),
            "queryset": lambda: everything,
            "instance": everything.get,
        }
        return ways[way]()

    size = {"width": 1, "height": 2}
    assert serve(shown).get("/").json()["sizes"] == ([size] if struct is BookWithSizes else {"a": size})


@pytest.mark.parametrize("response", [BookIn, list[BookIn], BookIn | None, dict[str, BookIn]])
def test_what_clients_only_write_is_never_sent(serve: Any, response: Any) -> None:
    @post("/", response=response, status_code=200)
    def echo(data: BookIn) -> Any:
        return {list[BookIn]: [data], dict[str, BookIn]: {"a": data}}.get(response, data)

    answer = serve(echo).post("/", json={"title": "T", "isbn": SECRET, "invitation": SECRET})
    assert answer.status_code == 200
    assert SECRET not in answer.text
    assert "T" in answer.text


def test_nor_does_it_keep_an_instance_from_being_shown(serve: Any, book: Book) -> None:
    shown = BookIn.from_model(book)
    assert msgspec.to_builtins(shown) == {"title": "T"}

    @get("/")
    def instance() -> BookIn:
        return book  # type: ignore[return-value]

    assert serve(instance).get("/").json() == {"title": "T"}
