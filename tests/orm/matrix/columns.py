"""The columns of the matrix: fields of Django and of projects, the values they hold, and what those may be sent as."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import random
import uuid
from collections.abc import Callable
from typing import Any, Literal, TypedDict

import msgspec
from django.core.validators import MaxValueValidator, MinLengthValidator, MinValueValidator
from django.db import models

D = decimal.Decimal
UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=14))
WEST = datetime.timezone(datetime.timedelta(hours=-12))


class Size(models.TextChoices):
    SMALL = "s", "Small"
    LARGE = "l", "Large"


class Sized(models.TextChoices):
    SMALL = "s"
    LARGE = "l"
    __empty__ = "(none)"


class PlainSize(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class BlankSize(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"
    NONE = ""


class Level(models.IntegerChoices):
    LOW = 1
    HIGH = 2


class PlainLevel(enum.Enum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    LOW = 1
    SMALL = "s"


class Part(msgspec.Struct):
    name: str
    since: datetime.date | None = None


class Piece(TypedDict):
    name: str


# --- fields of projects --------------------------------------------------------------------------------------------


class Color:
    """What a project made for its column."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __len__(self) -> int:  # for the validator of max_length
        return len(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Color) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class ColorField(models.CharField):
    """A text that is a class of its own in Python."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else Color(value)

    def to_python(self, value):
        return value if value is None or isinstance(value, Color) else Color(str(value))

    def get_prep_value(self, value):
        return None if value is None else str(value)


class CentsField(models.IntegerField):
    """Money, as a number of cents."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else D(value) / 100

    def to_python(self, value):
        return value if value is None else D(str(value))

    def get_prep_value(self, value):
        return None if value is None else int(D(str(value)) * 100)


class BackwardsField(models.TextField):
    """A text that nobody reads in the database."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else value[::-1]

    def get_prep_value(self, value):
        return None if value is None else str(value)[::-1]


class ShoutingField(models.CharField):
    """Changes what it saves, and not the instance."""

    def pre_save(self, model_instance, add):
        value = super().pre_save(model_instance, add)
        return value if value is None else value.upper()


class QuietField(models.CharField):
    """Changes what it is given."""

    def to_python(self, value):
        value = super().to_python(value)
        return value if value is None else value.lower()


class WholeSecondsField(models.DateTimeField):
    """Keeps no fractions."""

    def get_db_prep_value(self, value, connection, prepared=False):
        return super().get_db_prep_value(value and value.replace(microsecond=0), connection, prepared)


class WordsField(models.Field):
    """A list of words as text: a field that nobody but its owner knows."""

    def db_type(self, connection):
        return "varchar(200)"

    def from_db_value(self, value, expression, connection):
        return None if value is None else value.split(",") if value else []

    def get_prep_value(self, value):
        return ",".join(value) if isinstance(value, list) else value


class JSONTextField(models.TextField):
    """JSON in a text."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else json.loads(value)

    def to_python(self, value):
        return value

    def get_prep_value(self, value):
        return None if value is None else json.dumps(value)


# --- kinds ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Kind:
    """One kind of column."""

    name: str
    field: Callable[..., Any]  # of the options that all fields have
    values: list[Any]  # as a model is given them
    fits: list[Any]  # annotations
    hostile: list[Any] = dataclasses.field(default_factory=list)  # what clients send that no row can have
    messy: list[Any] = dataclasses.field(default_factory=list)  # what code assigns and the column makes something of
    empty: Any = None  # the value that ``blank`` allows
    choices: list[tuple[Any, list[Any]]] = dataclasses.field(default_factory=list)  # (choices, annotations)
    refuses: list[Any] = dataclasses.field(default_factory=list)  # annotations, beside those of other kinds
    own: bool = False
    is_key: bool = False
    vendor: str = ""
    written: bool = True
    orders: bool = True
    options: tuple[str, ...] = ("null", "blank", "default", "db_default")

    def value(self, rng: random.Random) -> Any:
        return rng.choice(self.values)


SIZES = [
    (Size, [Size, PlainSize, Literal["s", "l"], str]),
    (Sized, [Sized, Size, PlainSize, Literal["s", "l"], str]),
    ([("s", "Small"), ("l", "Large")], [Size, PlainSize, Literal["l", "s"], str, BlankSize]),
    ([("All", [("s", "Small")]), ("l", "Large")], [Size, PlainSize, Literal["s", "l"], str]),
    ([(None, "Choose"), (Size.SMALL, "Small"), (Size.LARGE, "Large")], [Size, Literal["s", "l"], str]),
    (lambda: [("s", "Small"), ("l", "Large")], [Size, PlainSize, str]),
]
LEVELS = [
    (Level, [Level, PlainLevel, Literal[1, 2], int, float]),
    ([(1, "Low"), (2, "High")], [Level, PlainLevel, Literal[1, 2], int, float]),
    ([(None, "?"), ("All", [(1, "Low"), (2, "High")])], [Level, PlainLevel, Literal[1, 2], int]),
]
TEXTS = ["x", "ä", "100%", "x'y", "long text here", '"', "\\", "a\nb", "🜁"]
NULS = ["\x00", "a\x00b"]
MOMENTS = [
    datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
    datetime.datetime(2024, 5, 6, 23, 30, tzinfo=EAST),
    datetime.datetime(1, 1, 1, 13, tzinfo=WEST),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
]
BEYOND = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:30:00+00:31"]
KEYS = [uuid.UUID(int=0), uuid.UUID(int=5), uuid.UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")]
DATES = [datetime.date(2024, 2, 29), datetime.date.min, datetime.date.max]
SPANS = [datetime.timedelta(days=-1, microseconds=1), datetime.timedelta(0), datetime.timedelta(days=1000, seconds=5)]
DOCUMENTS = [{"name": "x", "since": "2024-01-02"}, {"name": ""}, {"name": "y", "more": [1, 2.5, None, True]}]


def _whole(name: str, field: Any, low: int, high: int, **more: Any) -> Kind:
    values, hostile = [0, 1, 2, 77, low, high], [high + 1, low - 1, 2**63, 2**200, -(2**70), 1.5, "x", True]
    return Kind(name, field, values, [int, float, str], hostile, ["7", True, D(3)], choices=LEVELS, **more)


def _text(name: str, field: Any, **more: Any) -> Kind:
    more = {"hostile": [*NULS, 5], "messy": [5, Size.SMALL], "empty": "", **more}
    return Kind(name, field, more.pop("values", TEXTS), [str], **more)


def _char(cls: Any = models.CharField, length: int = 40) -> Callable[..., Any]:
    return lambda **options: cls(**{"max_length": length, **options})


def _decimal(digits: int, places: int) -> Callable[..., Any]:
    return lambda **options: models.DecimalField(max_digits=digits, decimal_places=places, **options)


SIMPLE = [
    _whole("integer", models.IntegerField, -(2**31), 2**31 - 1, is_key=True),
    _whole("small", models.SmallIntegerField, -(2**15), 2**15 - 1),
    _whole("big", models.BigIntegerField, -(2**63), 2**63 - 1, is_key=True),
    _whole("positive", models.PositiveIntegerField, 0, 2**31 - 1),
    _whole("positive_small", models.PositiveSmallIntegerField, 0, 2**15 - 1),
    _whole("positive_big", models.PositiveBigIntegerField, 0, 2**63 - 1),
    Kind(
        "bounded",
        lambda **own: models.IntegerField(validators=[MinValueValidator(D("0.5")), MaxValueValidator(9)], **own),
        [1, 5, 9],
        [int, float, str],
        [0, 10, -1, 2**64],
    ),
    Kind("boolean", models.BooleanField, [True, False], [bool, int], ["x", 2, "on"], [1, "True"]),
    _text("char", _char(), hostile=[*NULS, "x" * 41, 5], choices=SIZES, is_key=True),
    _text("text", models.TextField, choices=SIZES),
    _text("slug", models.SlugField, values=["a-b", "x_1"], hostile=[*NULS, "a b", "ä", "x" * 51], is_key=True),
    _text("email", models.EmailField, values=["a@example.org"], hostile=[*NULS, "a", "@", "a@b@c"], messy=[]),
    _text("url", models.URLField, values=["https://example.org/x?y=1"], hostile=[*NULS, "x", "ftp:"], messy=[]),
    _text("least", lambda **o: models.CharField(max_length=9, validators=[MinLengthValidator(2)], **o),
          values=["ab", "abc"], hostile=["a", "x" * 10], messy=[]),
    _text("address", models.GenericIPAddressField, values=["10.0.0.1", "::1", "2001:db8::5"],
          options=("null", "default"), hostile=[*NULS, "x", "10.0.0", "1.2.3.4/8", "::g", "10.0.0.256"],
          messy=["2001:0DB8::0005", "::ffff:10.0.0.1"]),
    _text("path", lambda **options: models.FilePathField(path="/", **options), values=["/etc/x"], messy=[]),
    Kind("file", models.FileField, ["a.txt", "d/ä b.png"], [str], written=False, options=("null", "blank")),
    Kind("decimal", _decimal(8, 2), [D("1.20"), D(2), D("-0.5"), D("999999.99"), D(0)], [D, float, str],
         ["1.234", "1e9", "NaN", "Infinity", "-Infinity", "sNaN", "1e1000000", "x", "1e-400", 10**30],
         [2, "2.5", 1.5, D("1E+3"), "7"], is_key=True),
    Kind("wide", _decimal(14, 4), [D("1.5"), D("1234567890.1234")], [D, float, str], ["0.00001", "1e11"], [3, "0.1"]),
    Kind("float", models.FloatField, [0.5, -1.25, 1e300, 5e-324, 3.0], [float], ["x", True], [1, "2.5", -0.0]),
    Kind("double", lambda **options: models.FloatField(validators=[MinValueValidator(D("0.1"))], **options),
         [0.5, 7.0], [float], [0.05, -1], [1]),
    Kind("rate", lambda **options: models.FloatField(choices=[(0.5, "half"), (1.5, "more")], **options),
         [0.5, 1.5], [float], [0.7], []),
    Kind("date", models.DateField, DATES, [datetime.date], ["x", "2024-02-30", 5],
         ["2024-05-06", datetime.datetime(2024, 5, 6, 7, tzinfo=UTC)], is_key=True),
    Kind("moment", models.DateTimeField, MOMENTS, [datetime.datetime], [*BEYOND, "x"],
         [datetime.datetime(2024, 1, 2, 3), "2024-01-02T03:04:05+02:00", datetime.date(2024, 1, 2)], is_key=True),
    Kind("hour", models.TimeField, [datetime.time(7, 8, 9, 10), datetime.time.min, datetime.time.max], [datetime.time],
         ["10:00:00+02:00", "10:00:00Z", "25:00:00", 5], ["07:08", datetime.datetime(2024, 1, 2, 3)]),
    Kind("span", models.DurationField, SPANS, [datetime.timedelta],
         ["P999999999999D", "-P999999999999D", "x", "PT99999999999999999999S"], []),
    Kind("uuid", models.UUIDField, KEYS, [uuid.UUID, str], ["x", "0" * 31, *NULS], [str(KEYS[1]), KEYS[2].hex],
         is_key=True),
    Kind("binary", lambda **options: models.BinaryField(editable=True, **options), [b"\x00\xff", b"x"], [bytes],
         ["%", 5], [bytearray(b"y")], orders=False, options=("null", "blank", "default")),
    Kind("json", models.JSONField, [*DOCUMENTS, {"a": {"b": [1e20, -0.0, "ä"]}, "zz": 1, "b": 2}],
         [dict[str, Any], Any, dict], [], [{"a": (1, 2)}], orders=False, options=("null", "blank", "default")),
    Kind("parts", models.JSONField, [[{"name": "x", "since": "2024-01-02"}, {"name": "y"}], []],
         [list[Part], list[Piece], list[dict[str, Any]], list, Any], [[{"nom": 1}], 5], [], orders=False,
         options=("null", "blank", "default"), refuses=[]),
    Kind("named", models.JSONField, [{"a": {"name": "x"}}, {}], [dict[str, Part], dict[str, dict[str, Any]]],
         [{"a": 5}], [], orders=False, options=("null", "blank", "default")),
]  # fmt: skip

OWN = [
    Kind("color", _char(ColorField), [Color("red"), Color("ä")], [str, Color, Any], [*NULS, "x" * 41], [], own=True,
         is_key=True, options=("null", "default")),
    Kind("cents", CentsField, [D("1.25"), D(0)], [D, float, str], ["x"], [], own=True, options=("null",)),
    Kind("backwards", BackwardsField, ["abc", "ä"], [str], NULS, [], own=True, options=("null", "default")),
    Kind("shouting", _char(ShoutingField), ["abc", "X"], [str], NULS, [], own=True, options=("null", "default")),
    Kind("quiet", _char(QuietField), ["ABC", "x"], [str], NULS, [], own=True, options=("null", "default")),
    Kind("seconds", WholeSecondsField, MOMENTS[:2], [datetime.datetime], BEYOND, [], own=True, options=("null",)),
    Kind("words", WordsField, [["a", "b"], ["c"]], [list[str], list, Any, str], [5], [], own=True, orders=False,
         options=("null", "default")),
    Kind("json_text", JSONTextField, [{"name": "x"}, {"name": "y", "since": "2024-01-02"}], [Part, dict[str, Any], Any],
         [], [], own=True, orders=False, options=("null",)),
]  # fmt: skip


def postgresql() -> list[Kind]:
    """What only PostgreSQL has."""
    from django.contrib.postgres import fields, search
    from django.db.backends.postgresql.psycopg_any import DateRange, DateTimeTZRange, NumericRange

    from hybrid_gateway.orm import Range

    def array(base: Any, **own: Any) -> Callable[..., Any]:
        return lambda **options: fields.ArrayField(base, **own, **options)

    def ranged(low: Any, high: Any) -> list[Any]:
        kind: Any = {int: NumericRange, D: NumericRange, datetime.date: DateRange}.get(type(low), DateTimeTZRange)
        return [kind(*ends) for ends in ((low, high), (low, None), (None, high), (None, None), (low, low))]

    def wire(low: Any, high: Any, **more: Any) -> Any:
        return {"lower": low, "upper": high, **more}

    day, later = datetime.date(2024, 1, 1), datetime.date(2024, 3, 1)
    moment = MOMENTS[0]
    common: dict[str, Any] = {"vendor": "postgresql", "options": ("null", "blank", "default")}
    return [
        Kind("tags", array(models.CharField(max_length=10)), [["a", "ä"], [], ["x,y", '"']],
             [list[str], list, Any, set[str]],
             [["x" * 11], ["\x00"], [1], "x", [None], [[]]], [("a", "b")], **common),
        Kind("sizes", array(models.CharField(max_length=10, choices=Size)), [["s", "l"], ["s"]],
             [list[Size], list[PlainSize], list[Literal["s", "l"]], list[str]], [["x"], ["\x00"]], [], **common),
        Kind("short", array(models.IntegerField(), size=2), [[1, 2], []], [list[int], list[float], list[str]],
             [[1, 2, 3], [2**40], [2**70], ["x"], [1.5]], [["1", "2"]], **common),
        Kind("grid", array(fields.ArrayField(models.DecimalField(max_digits=5, decimal_places=1))),
             [[[D(1), D("2.5")], [D(3), D(4)]], []], [list[list[D]], list[list[float]], list[list[str]], list[Any]],
             [[[1], [2, 3]], [["NaN"]], [["1.23"]], [1]], [], **common),
        Kind("moments", array(models.DateTimeField()), [MOMENTS[:2], []], [list[datetime.datetime], list],
             [[BEYOND[0]], ["x"]], [], **common),
        Kind("uuids", array(models.UUIDField()), [KEYS[:2], []], [list[uuid.UUID], list[str]], [["x"]], [], **common),
        Kind("optional", array(models.FloatField(null=True)), [[1.5, None], [None]], [list[float | None]],
             [["x"]], [], **common),
        Kind("colors", array(_char(ColorField)()), [[Color("red")], []], [list[str], list[Color]], [["\x00"]], [],
             own=True, **common),
        Kind("hstore", fields.HStoreField, [{"a": "b", "ä": None}, {}], [dict[str, str | None], dict, dict[str, Any]],
             [{"a": "\x00"}, {"\x00": "a"}, {"a": {}}, [], 5], [{"a": 5}], orders=False, **common),
        Kind("integers", fields.IntegerRangeField, ranged(1, 5), [Range, Range[int], Any],
             [wire(5, 1), wire("x", 1), wire(2**40, None), wire(1, 2, bounds="<"), 5], [(1, 3)], **common),
        Kind("bigs", fields.BigIntegerRangeField, ranged(-(2**40), 2**40), [Range, Range[int], Range[float]],
             [wire(2**70, None)], [], **common),
        Kind("decimals", fields.DecimalRangeField, ranged(D("1.50"), D(7)), [Range, Range[D], Range[str], Range[float]],
             [wire("7", "1"), wire("x", None), wire("NaN", "1"), wire("1", "NaN")], [], **common),
        Kind("days", fields.DateRangeField, ranged(day, later), [Range, Range[datetime.date]],
             [wire("2024-03-01", "2024-01-01"), wire("x", None), wire(5, None)], [("2024-01-01", None)], **common),
        Kind("times", fields.DateTimeRangeField, ranged(moment, datetime.datetime(2025, 1, 1, tzinfo=EAST)),
             [Range, Range[datetime.datetime]], [wire(BEYOND[0], None), wire(None, BEYOND[1])], [], **common),
        Kind("vector", search.SearchVectorField, ["'a':1 'b':2", "'x'"], [str, Any], ["'", "\x00"], [], own=True,
             vendor="postgresql", options=("null",), orders=False),
    ]  # fmt: skip
