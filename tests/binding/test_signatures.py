"""What a signature says is right on every request, or told at start-up: types × places × constraints × wrappings."""
# ruff: noqa: UP007, UP045 (types are built at run time)

import datetime
import decimal
import enum
import itertools
import pathlib
import typing
import uuid
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import msgspec
import pytest
from typing_extensions import TypeAliasType

from hybrid_gateway import Body, Cookie, Depends, File, Form, Gateway, Header, Path, Query, get, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.test import TestClient

D = decimal.Decimal
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 10


class Word(enum.StrEnum):
    YES = "yes"


DAY, MOMENT = datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 10, 30)
UTC = datetime.UTC
KEY = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")

# Each type, the texts it takes with what they mean, and texts that are no such value.
TEXTS: dict[Any, tuple[dict[str, Any], list[str]]] = {
    int: (
        {"5": 5, "-3": -3, "007": 7, "0": 0, "-0": 0, "9" * 30: int("9" * 30)},
        ["1e5", "1.0", "+1", "1_000", "x", "1" * 5000, "true", "0x1", "--1"],
    ),
    float: ({"1.5": 1.5, "1e5": 1e5, "-2": -2.0, "007": 7.0, "1E-3": 0.001}, ["nan", "inf", "1e999", "1_0", "x", "+1"]),
    D: (
        {"1.50": D("1.50"), "-2": D(-2), "1e3": D("1e3"), "007": D(7)},
        ["nan", "Infinity", "1_0", "x", "1e9999", "1" * 500],
    ),
    str: ({"a": "a", "1": "1", "null": "null", "true": "true"}, []),
    bool: ({"true": True, "1": True, "False": False, "0": False, "on": True, "off": False}, ["2", "yes", "t"]),
    bytes: ({"YWI=": b"ab"}, ["YWI", "*"]),
    datetime.date: ({"2020-01-31": DAY}, ["2020-1-31", "20200131", "2020-02-30", "1", "2020-01-31T10:30:00"]),
    datetime.datetime: (
        {"2020-01-31T10:30:00": MOMENT, "2020-01-31T10:30:00Z": MOMENT.replace(tzinfo=UTC)},
        ["2020-01-31", "1580466600", "2020-01-31T25:00:00", "x"],
    ),
    datetime.time: ({"10:30:00": datetime.time(10, 30)}, ["10:30", "25:00:00", "10"]),
    datetime.timedelta: ({"PT90S": datetime.timedelta(seconds=90), "P1D": datetime.timedelta(1)}, ["90", "1.5", "x"]),
    uuid.UUID: ({str(KEY): KEY, KEY.hex: KEY, str(KEY).upper(): KEY}, ["x", KEY.hex[1:], "5"]),
    Colour: ({"red": Colour.RED}, ["RED", "green"]),
    Level: ({"1": Level.LOW, "02": Level.HIGH}, ["3", "1.0", "LOW"]),
    Size: ({"10": Size.LARGE}, ["2", "1e1"]),
    Word: ({"yes": Word.YES}, ["no"]),
    Literal["a", 1, True]: ({"a": "a", "1": 1, "true": True}, ["b", "2", "1.0"]),
    Literal[1, 2]: ({"1": 1, "02": 2}, ["3", "a"]),
    Union[int, str]: ({"5": 5, "a": "a", "5.0": "5.0"}, []),
    Union[str, int]: ({"5": 5, "a": "a"}, []),
    Union[int, float]: ({"5": 5, "5.5": 5.5}, ["x"]),
    Union[bool, int]: ({"5": 5, "true": True, "1": 1}, ["x"]),
    Union[datetime.date, datetime.datetime]: ({"2020-01-31": DAY, "2020-01-31T10:30:00": MOMENT}, ["2020", "x"]),
    Union[datetime.datetime, datetime.date]: ({"2020-01-31": DAY, "2020-01-31T10:30:00": MOMENT}, ["2020", "x"]),
    Union[uuid.UUID, str]: ({str(KEY): KEY, "a": "a"}, []),
    Union[D, int]: ({"5": 5, "5.5": D("5.5")}, ["x"]),
    Union[Literal["all"], int]: ({"all": "all", "5": 5}, ["x"]),
    Union[Colour, datetime.date]: ({"red": Colour.RED, "2020-01-31": DAY}, ["x"]),
    pathlib.Path: ({"a": pathlib.Path("a")}, []),
    Optional[int]: ({"5": 5}, ["x", "null"]),
    Optional[str]: ({"null": "null"}, []),
}
LISTS: dict[Any, tuple[dict[tuple[str, ...], Any], list[tuple[str, ...]]]] = {
    list[int]: ({("1", "007"): [1, 7]}, [("1", "1.0"), ("x",)]),
    set[int]: ({("1", "1"): {1}}, [("x",)]),
    frozenset[D]: ({("1.5",): frozenset({D("1.5")})}, [("nan",)]),
    tuple[int, ...]: ({("1", "2"): (1, 2)}, [("x",)]),
    tuple[int, str]: ({("1", "2"): (1, "2")}, [("1",), ("x", "y"), ("1", "2", "3")]),
    list[datetime.date | datetime.datetime]: ({("2020-01-31", "2020-01-31T10:30:00"): [DAY, MOMENT]}, [("x",)]),
    list[Level]: ({("1", "2"): [Level.LOW, Level.HIGH]}, [("3",)]),
    list[bool]: ({("1", "off"): [True, False]}, [("2",)]),
    Union[int, list[int]]: ({("1",): 1, ("1", "2"): [1, 2]}, [("x",), ("1", "x")]),
    Optional[list[int]]: ({("1",): [1]}, [("x",)]),
    list: ({("a", "1"): ["a", "1"]}, []),
    typing.Sequence[int]: ({("1", "2"): [1, 2]}, [("x",)]),
}

WRAPPINGS: dict[str, Any] = {
    "itself": lambda kind: kind,
    "a NewType": lambda kind: NewType("New", kind),
    "an alias": lambda kind: TypeAliasType("Alias", kind),
    "an alias of Annotated": lambda kind: TypeAliasType("Alias", Annotated[kind, msgspec.Meta(description="words")]),
    "an alias of an alias": lambda kind: TypeAliasType("Outer", TypeAliasType("Inner", kind)),
    "a generic alias": lambda kind: TypeAliasType("One", Annotated[T, "words"], type_params=(T,))[kind],
    "a NewType of an alias": lambda kind: NewType("New", TypeAliasType("Alias", kind)),
}
WRAPPED = [name for name in WRAPPINGS if name != "itself"]
MARKERS = {"path": Path(), "query": Query(), "header": Header(), "cookie": Cookie(), "form": Form()}


def shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def handler(kind: Any, marker: Any = None) -> Any:
    """A handler with one parameter ``x``."""

    def show(x):
        return shown(x)

    show.__annotations__ = {"x": kind if marker is None else Annotated[kind, marker], "return": str}
    return show


def wrapped_in_a_struct(kind: Any, marker: Any) -> Any:
    def show(x):
        return shown(x.x)

    struct = msgspec.defstruct("Fields", [("x", kind)])
    show.__annotations__ = {"x": Annotated[struct, marker], "return": str}
    return show


PLACES = ("path", "query", "header", "cookie", "form", "query Struct", "form Struct")


def route(place: str, kind: Any, path: str = "/") -> Any:
    name, _, is_struct = place.partition(" ")
    made = wrapped_in_a_struct(kind, MARKERS[name]) if is_struct else handler(kind, MARKERS[name])
    return (post if name == "form" else get)(f"{path}/{{x}}" if name == "path" else path)(made)


def ask(client: Any, place: str, *texts: str, path: str = "/") -> Any:
    name = place.partition(" ")[0]
    if name == "path":
        return client.get(f"{path.rstrip('/')}/{texts[0]}")
    if name == "header":
        return client.get(path, headers={"X": texts[0]})
    if name == "cookie":
        return client.get(path, headers={"Cookie": f"x={texts[0]}"})
    if name == "form":
        return client.post(path, data={"x": list(texts)})
    return client.get(path, params={"x": list(texts)})


def client_for(*routes: Any, **options: Any) -> TestClient:
    return TestClient(Gateway(list(routes), **options), raise_request_exception=False)


def refused(answer: Any, place: str) -> bool:
    """404 in the path, and elsewhere 422 with the place."""
    if place == "path":
        return bool(answer.status_code == 404)
    source = {"form": "body"}.get(place.partition(" ")[0], place.partition(" ")[0])
    return answer.status_code == 422 and all(error["loc"][:2] == [source, "x"] for error in answer.json()["errors"])


def is_known_to_msgspec(kind: Any) -> bool:
    try:
        msgspec.json.Decoder(kind)
    except TypeError:
        return False
    return True


def some(entries: Any, wrapping: str) -> Any:
    """All of them, or, where a type is only wrapped, the first."""
    chosen = list(entries.items() if isinstance(entries, dict) else entries)
    return chosen if wrapping == "itself" else chosen[:1]


@pytest.mark.parametrize(
    ("place", "wrapping"),
    [(place, "itself") for place in PLACES] + list(itertools.product(("path", "query", "form Struct"), WRAPPED)),
)
def test_text_is_what_its_type_says_wherever_it_comes_from(place, wrapping):
    kinds = [kind for kind in TEXTS if is_known_to_msgspec(kind) or not place.endswith("Struct")]
    client = client_for(*(route(place, WRAPPINGS[wrapping](kind), f"/{i}") for i, kind in enumerate(kinds)))
    for i, kind in enumerate(kinds):
        values, wrong = TEXTS[kind]
        for text, value in some(values, wrapping):
            assert (kind, text, ask(client, place, text, path=f"/{i}").text) == (kind, text, shown(value))
        for text in some(wrong, wrapping):
            assert refused(ask(client, place, text, path=f"/{i}"), place), (kind, text)


@pytest.mark.parametrize(
    ("place", "wrapping"),
    [(place, "itself") for place in PLACES if place != "path"] + [("query Struct", wrapping) for wrapping in WRAPPED],
)
def test_lists_are_every_text_of_a_name(place, wrapping):
    most = 1 if place in ("header", "cookie") else 9
    kinds = [kind for kind in LISTS if is_known_to_msgspec(kind) or not place.endswith("Struct")]
    client = client_for(*(route(place, WRAPPINGS[wrapping](kind), f"/{i}") for i, kind in enumerate(kinds)))
    for i, kind in enumerate(kinds):
        values, wrong = LISTS[kind]
        for texts, value in some(values, wrapping):
            if len(texts) <= most:
                assert (kind, texts, ask(client, place, *texts, path=f"/{i}").text) == (kind, texts, shown(value))
        for texts in some(wrong, wrapping):
            if len(texts) <= most:
                assert refused(ask(client, place, *texts, path=f"/{i}"), place), (kind, texts)


@pytest.mark.parametrize("place", ["query Struct", "form Struct", "body"])
@pytest.mark.parametrize("kind", [kind for kind in (*TEXTS, *LISTS) if not is_known_to_msgspec(kind)])
def test_a_struct_that_cannot_be_read_is_told_at_start_up(kind, place):
    marker = Body() if place == "body" else MARKERS[place.partition(" ")[0]]
    with pytest.raises(ConfigurationError, match="the field 'x' of Fields, .* Take one of them"):
        client_for(post("/")(wrapped_in_a_struct(kind, marker)))


@pytest.mark.parametrize("place", ["query", "header", "cookie", "form"])
def test_what_is_not_there_is_the_default_or_missing(place):
    name, kinds = place, [*TEXTS, *LISTS]
    routes, expected = [], {}
    for i, kind in enumerate(kinds):
        value = next(iter((TEXTS.get(kind) or LISTS[kind])[0].values()))
        for j, default in enumerate((None, value)):
            show = handler(kind | None if default is None else kind, MARKERS[name])
            show.__defaults__ = (default,)
            routes.append((post if name == "form" else get)(f"/{i}/{j}")(show))
            expected[f"/{i}/{j}"] = shown(default)
        if type(None) not in typing.get_args(kind):
            routes.append(route(place, kind, f"/{i}/required"))
            expected[f"/{i}/required"] = None
    client = client_for(*routes)
    for path, answer in expected.items():
        found = client.post(path) if name == "form" else client.get(path)
        if answer is not None:
            assert found.text == answer
        else:
            place = ["body" if name == "form" else name, "x"]
            assert found.json()["errors"] == [{"loc": place, "msg": "Field required", "type": "missing"}]


@pytest.mark.parametrize("place", PLACES)
def test_every_type_and_every_constraint_is_in_the_document(place):
    kinds = [kind for kind in (*TEXTS, *LISTS) if is_known_to_msgspec(kind) or not place.endswith("Struct")]
    kinds = [kind for kind in kinds if place != "path" or kind in TEXTS]
    cells = [cell for cell in CELLS if cell[1] != "tz" and not (typing.get_origin(cell[0]) and place == "path")]
    cells = [cell for cell in cells if not (cell[0] is D and place.endswith("Struct"))]
    routes = [route(place, kind, f"/{i}") for i, kind in enumerate(kinds)]
    routes += [
        constrained(place, kind, "meta", f"/c/{i}", **{name: cell[0]}) for i, (kind, name, cell) in enumerate(cells)
    ]
    client = client_for(*routes, openapi=OpenAPISettings(enabled=True))
    document = client.get("/openapi.json").json()
    for i, kind in enumerate(kinds):
        assert (kind, schema_of(document, place, f"/{i}")) != (kind, {})
    for i, (kind, name, cell) in enumerate(cells):
        schema = schema_of(document, place, f"/c/{i}")
        found = {schema.get(keyword) for keyword in KEYWORDS[name] if not isinstance(schema.get(keyword), list)}
        assert (kind, name, cell[0] in found or kind is bytes) == (kind, name, True), schema


KEYWORDS = {"gt": ["exclusiveMinimum"], "ge": ["minimum"], "lt": ["exclusiveMaximum"], "le": ["maximum"],
            "multiple_of": ["multipleOf"], "pattern": ["pattern"], "min_length": ["minLength", "minItems"],
            "max_length": ["maxLength", "maxItems"]}  # fmt: skip


def schema_of(document: Any, place: str, path: str) -> Any:
    found = document["paths"][f"{path}/{{x}}" if place == "path" else path]
    if "form" in place:
        return found["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["x"]
    return found["get"]["parameters"][0]["schema"]


# --- constraints ---------------------------------------------------------------------------------------------------

NUMBERS = {"gt": (3, ["4"], ["3", "2"]), "ge": (3, ["3"], ["2"]), "lt": (3, ["2"], ["3", "4"]), "le": (3, ["3"], ["4"]),
           "multiple_of": (2, ["4", "-2", "0"], ["3"])}  # fmt: skip
LENGTHS: dict[Any, Any] = {
    str: {"min_length": (2, ["ab"], ["a"]), "max_length": (2, ["ab"], ["abc"]), "pattern": ("^a", ["ab"], ["ba"])},
    bytes: {"min_length": (2, ["YWI="], ["YQ=="]), "max_length": (1, ["YQ=="], ["YWI="])},
    list[str]: {"min_length": (2, [["a", "b"]], [["a"]]), "max_length": (1, [["a"]], [["a", "b"]])},
    set[int]: {"min_length": (2, [["1", "2"]], [["1", "1"]])},
    tuple[int, ...]: {"max_length": (1, [["1"]], [["1", "2"]])},
    list[Level]: {"max_length": (1, [["1"]], [["1", "2"]])},
    datetime.datetime: {"tz": (True, ["2020-01-31T10:30:00Z"], ["2020-01-31T10:30:00"])},
    datetime.time: {"tz": (False, ["10:30:00"], ["10:30:00Z"])},
}
BOUNDED = {int: NUMBERS, float: NUMBERS, D: NUMBERS, **LENGTHS}


def constrained(place: str, kind: Any, how: str, path: str = "/", **constraint: Any) -> Any:
    name, _, is_struct = place.partition(" ")
    path = f"{path}/{{x}}" if name == "path" else path
    verb = (post if name == "form" else get)(path)
    if is_struct:
        return verb(wrapped_in_a_struct(Annotated[kind, msgspec.Meta(**constraint)], MARKERS[name]))
    if how == "meta":
        return verb(handler(Annotated[kind, msgspec.Meta(**constraint)], MARKERS[name]))
    marker = type(MARKERS[name])(**constraint)
    if how == "optional":
        return verb(handler(kind | None, marker))
    return verb(handler(TypeAliasType("Alias", Annotated[kind, marker])) if how == "alias" else handler(kind, marker))


CELLS = [(kind, name, cell) for kind, cells in BOUNDED.items() for name, cell in cells.items()]


@pytest.mark.parametrize("how", ["marker", "meta", "optional", "alias"])
@pytest.mark.parametrize("place", PLACES)
def test_a_constraint_holds_wherever_a_value_comes_from(place, how):
    if place.endswith("Struct") and how != "meta":
        return
    of_one_text = place in ("path", "header", "cookie")
    cells = [
        (kind, name, cell)
        for kind, name, cell in CELLS
        if not (of_one_text and typing.get_origin(kind))
        and not (name == "tz" and how != "meta")
        and not (kind is D and place.endswith("Struct"))
    ]
    routes = [constrained(place, kind, how, f"/{i}", **{name: cell[0]}) for i, (kind, name, cell) in enumerate(cells)]
    client = client_for(*routes)
    for i, (kind, name, (_, kept, not_kept)) in enumerate(cells):
        for texts, holds in (*((texts, True) for texts in kept), *((texts, False) for texts in not_kept)):
            answer = ask(client, place, *([texts] if isinstance(texts, str) else texts), path=f"/{i}")
            assert (kind, name, texts, broken(answer, place) is False) == (kind, name, texts, holds)
            assert (answer.status_code < 300) is holds


def broken(answer: Any, place: str) -> bool:
    source = {"form": "body"}.get(place.partition(" ")[0], place.partition(" ")[0])
    return answer.status_code == 422 and [error["loc"] for error in answer.json()["errors"]] == [[source, "x"]]


@pytest.mark.parametrize(
    "constraint", [{"gt": 3}, {"multiple_of": 2}, {"min_length": 2}, {"pattern": "^a"}, {"tz": True}]
)
def test_a_constraint_that_means_nothing_is_told_at_start_up(constraint):
    [name] = constraint
    for kind in (*BOUNDED, *TEXTS):
        applies = name in BOUNDED.get(kind, {}) or kind in (Optional[int], Optional[str])
        if applies or (name == "min_length" and typing.get_origin(kind) in (list, set, tuple)):
            continue
        for place in ("query", "path", "form Struct") if kind in (int, str, Level) else ("query",):
            with pytest.raises(ConfigurationError, match=f"'x'.*{name}"):
                client_for(constrained(place, kind, "meta", **constraint))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (lambda: Query(10), r"`page: Annotated\[int, Query\(\)\] = 10`"),
        (lambda: Header(...), "A parameter without a default is required"),
        (lambda: Query(default=1), "A default goes after `=`"),
        (lambda: Path(regex="a"), "Did you mean 'pattern'"),
        (lambda: Form(max_lenght=1), "Did you mean 'max_length'"),
        (lambda: File(2_000), "File.* takes keywords alone"),
        (lambda: Query(pattern="("), r"pattern='\(' makes no sense: missing \)"),
        (lambda: Query(gt="3"), "gt='3' makes no sense"),
        (lambda: Depends("user"), "takes a function, a class or a component"),
    ],
)
def test_a_marker_tells_what_it_does_not_take(declared, words):
    with pytest.raises(ConfigurationError, match=words):
        declared()
