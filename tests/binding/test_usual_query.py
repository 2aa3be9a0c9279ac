"""The fast reader of usual queries gives what the general reader gives, value for value and error for error."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from django.test import override_settings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybrid_gateway import Gateway, Query, SkipValidation, get
from hybrid_gateway.concurrency.caller_threads import InlineThread
from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.request.context import RequestContext


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green-ish"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


TYPES: list[Any] = [
    *(str, int, float, bool, Annotated[bytes, Query()], decimal.Decimal, uuid.UUID),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(Colour, Level, Literal["a", "b", 1, True], int | None, int | str, float | bool, Colour | int),
    *(Annotated[int, Query(ge=1, le=50)], Annotated[int, Query(gt=-5)], Annotated[int, Query(multiple_of=3)]),
    *(Annotated[str, Query(min_length=2)], Annotated[str, Query(pattern="^a")], Annotated[float, Query(lt=2)]),
    *(Annotated[decimal.Decimal, Query(ge=1)], SkipValidation[int]),
]


def readers(kind: Any, other: Any = str, default: Any = ...) -> tuple[Any, Any]:
    """Return the fast reader of the parameters ``value`` and ``other``, and the general one."""

    async def handler(value: Any, other: Any = None) -> None: ...

    handler.__annotations__ = {"value": kind, "other": other, "return": None}
    if default is not ...:
        handler.__defaults__ = (default, None)
    [endpoint] = [found for found in Gateway([get("/x")(handler)]).endpoints if found.route.path == "/x"]
    assert endpoint.respond_now is not None
    fast = endpoint.respond_now.__globals__["read_query"]
    return fast, fast.__globals__["read_any"]


READERS = [(readers(kind), readers(kind, int, default=None), readers(str, kind)) for kind in TYPES]


def outcome(read: Any, raw: bytes) -> Any:
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": raw, "headers": []}

    async def receive() -> Any:
        raise AssertionError

    errors: list[Any] = []
    try:
        values = read(RequestContext(scope, receive, InlineThread), errors)
    except HTTPException as error:
        return type(error), str(error)
    return [(type(value), repr(value)) for value in values], errors


WORDS = """
0 1 7 007 -1 -0 +1 50 51 1.0 1e5 1e400 0.5 .5 true False ON off red green-ish RED 20 a ab b NaN Infinity 1_000 null
None 9999999999999999999 2024-02-29 2024-02-30 2024-02-29T10:11:12Z 10:11:12 P1D PT36H YWJj YWJj== １２ é %31 %zz a+b
a%20b 12345678-1234-5678-1234-567812345678
"""

texts = st.one_of(
    st.sampled_from(WORDS.split()),
    st.integers().map(str),
    st.just("1" * 4400),
    st.text(max_size=5),
    st.just(""),
)
names = st.sampled_from(["value", "other", "value", "other", "valu", "value2", "", "v%61lue", "Value", "value[]"])
pairs = st.one_of(st.tuples(names, texts).map("=".join), names, texts)
queries = st.one_of(
    st.tuples(texts, texts).map(lambda both: "value={}&other={}".format(*both)),
    st.tuples(texts, texts).map(lambda both: "other={}&value={}".format(*both)),
    texts.map("value={}".format),
    st.lists(pairs, max_size=4).map("&".join),
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("position", range(len(TYPES)), ids=lambda position: str(TYPES[position]))
def test_every_type_is_read_alike(position):
    @settings(max_examples=50)
    @given(queries)
    @example(b"value=1&other=1")
    @example(b"value=1&value=2")
    @example(b"value=&other=")
    @example(b"value=\xff")
    @example(b"value=\x00\n")
    @example(b"value=1=2")
    def compare(raw):
        for fast, general in READERS[position]:
            assert outcome(fast, raw) == outcome(general, raw)

    compare()


@pytest.mark.parametrize("raw", [b"value=5&other=abc", b"other=a-b_c.d~e&value=5", b"value=5", b"value=1" + b"0" * 17])
def test_a_usual_query_is_not_left_to_the_general_reader(raw, monkeypatch):
    fast, _ = readers(int)
    expected = outcome(fast, raw)
    monkeypatch.setitem(fast.__globals__, "read_any", None)
    assert outcome(fast, raw) == expected


@pytest.mark.parametrize("kind", [list[int], tuple[int, ...], set[str]])
def test_lists_are_read_by_the_general_reader_alone(kind):
    async def handler(value: Any = ()) -> None: ...

    handler.__annotations__ = {"value": kind, "return": None}
    [endpoint] = [found for found in Gateway([get("/x")(handler)]).endpoints if found.route.path == "/x"]
    assert "read_any" not in endpoint.respond_now.__globals__["read_query"].__globals__


def test_a_mutable_default_is_nobodys_own(serve):
    @get("/x")
    async def handler(other: int = 1, words: Annotated[str, Query()] = "a") -> list[Any]:
        return [other, words]

    assert serve(handler).get("/x?words=b").json() == [1, "b"]


def test_djangos_limit_of_fields_holds_where_it_is_lower_than_what_is_asked_for(serve):
    @get("/x")
    async def handler(a: int = 1, b: int = 2, c: int = 3) -> int:
        return a + b + c

    with override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=2):
        client = serve(handler)
        assert client.get("/x?a=1&b=2").status_code == 200
        assert client.get("/x?a=1&b=2&c=3").status_code == 400
