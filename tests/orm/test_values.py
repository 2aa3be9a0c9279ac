"""Single values: nulls and blanks, choices, moments, JSON, and what an instance shows after a write.

What holds for every kind of column is in the matrix (``tests/orm/matrix``); here is what takes more than one.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import sys
import uuid
from typing import Annotated, Any, Literal, NewType, TypedDict

import django
import msgspec
import pytest
from django.apps.registry import Apps
from django.core.validators import MinLengthValidator
from django.db import connection, models
from django.db.models import F, Value
from django.db.models.functions import Upper

from hybrid_gateway import ConfigurationError, Gateway, get, patch, post
from hybrid_gateway.exceptions import RequestValidationError
from hybrid_gateway.orm import Column, ModelStruct, prepare
from tests.orm.matrix.columns import WordsField
from tests.orm.matrix.table import quiet

pytestmark = pytest.mark.django_db(transaction=True)

POSTGRESQL = pytest.mark.skipif(connection.vendor != "postgresql", reason="Only PostgreSQL has them.")
apps = Apps(["tests.library"])


class Mood(models.TextChoices):
    GOOD = "g"
    BAD = "b"


class Lamp(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    slug = models.SlugField(max_length=12, null=True)
    note = models.CharField(max_length=20, default="")
    watts = models.IntegerField(default="7")
    lumens = models.PositiveIntegerField(db_default=800)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    glow = models.FloatField(blank=True, default=0.5)
    mood = models.CharField(max_length=1, choices=Mood, blank=True)
    seen = models.DateTimeField(null=True, blank=True)
    data = models.JSONField(default=dict)
    words = WordsField(null=True, blank=True)
    loud = models.GeneratedField(
        expression=Upper("note"), output_field=models.CharField(max_length=20), db_persist=True
    )
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        apps = apps
        app_label = "library"


class LampOut(ModelStruct, model=Lamp):
    id: uuid.UUID
    slug: str | None
    note: str
    watts: int
    lumens: int
    price: decimal.Decimal
    mood: Mood | None
    seen: datetime.datetime | None
    data: dict[str, Any]
    words: list[str] | None
    loud: str
    changed: datetime.datetime


class LampIn(ModelStruct, model=Lamp):
    slug: str | None = None
    note: str = ""
    watts: int | None = None
    lumens: int | None = None
    price: decimal.Decimal = decimal.Decimal(1)
    mood: Mood | None = None
    seen: datetime.datetime | None = None
    data: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def table():
    with connection.schema_editor() as editor:
        editor.create_model(Lamp)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Lamp)


def decode(kind: Any, **values: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(values), type=kind)


def made(
    name: str, base: Any = ModelStruct, *, model: Any = Lamp, exclude: Any = (), partial: bool = False, **fields: Any
):
    import types

    def fill(namespace: dict[str, Any]) -> None:
        namespace |= {"__annotations__": fields, "__module__": __name__}

    return types.new_class(name, (base,), {"model": model, "exclude": exclude, "partial": partial}, fill)


def places(error: Any) -> list[list[Any]]:
    return [fault["loc"] for fault in error.value.errors]


# --- nulls, blanks, defaults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_clean", [False, True])
def test_what_the_document_lets_be_null_or_absent_may_be(full_clean):
    for data in (decode(LampIn), decode(LampIn, slug=None, note="", watts=None, mood=None, seen=None, data={})):
        row = Lamp.objects.get(pk=data.create(full_clean=full_clean).pk)
        assert (row.slug, row.note, row.watts, row.lumens, row.mood, row.seen, row.data) == (
            None, "", 7, 800, "", None, {},
        )  # fmt: skip
    decode(LampIn, slug=None, watts=9).update(row, full_clean=full_clean)
    row.refresh_from_db()
    assert (row.slug, row.watts, row.lumens) == (None, 9, 800)


def test_what_a_column_does_not_take_empty_is_not_in_the_document():
    class Strict(models.Model):
        title = models.CharField(max_length=9, validators=[MinLengthValidator(2)])
        other = models.CharField(max_length=9, blank=True, validators=[MinLengthValidator(2)])
        spare = models.CharField(max_length=9, default="x")
        data = models.JSONField()
        blob = models.BinaryField(editable=True)

        class Meta:
            apps = Apps(["tests.library"])
            app_label = "library"

    struct = made("In", model=Strict, title=str, other=str, spare=str, data=dict[str, Any], blob=bytes)
    [schema] = msgspec.json.schema(struct)["$defs"].values()
    least = {name: entry.get("minLength", entry.get("minProperties")) for name, entry in schema["properties"].items()}
    assert least == {
        "title": 2,
        "other": None,
        "spare": 1,
        "data": 1,
        "blob": 1 if least["blob"] == 1 else least["blob"],
    }
    assert least["blob"]


@pytest.mark.parametrize(
    "annotation",
    [
        str | None,
        Annotated[str | None, msgspec.Meta(description="In addresses")],
        Annotated[str, msgspec.Meta(min_length=2)] | None,
        Annotated[Annotated[str, msgspec.Meta(max_length=5)] | None, Column("slug")],
        Annotated[str | None, msgspec.Meta(max_length=5)],
    ],
)
def test_partial_and_exclude_of_what_a_column_demands(annotation):
    base = made("Base", slug=annotation, note=str)
    decode(base, slug="ab", note="x").create()
    kinds = [base, made("Patch", base, partial=True), made("Short", base, exclude=["note"])]
    kinds += [made("Shorter", kinds[1], exclude=["note"]), made("Again", kinds[1], partial=True)]
    for kind in kinds:
        assert decode(kind, slug="ab", **({"note": "x"} if kind is base else {})).slug == "ab"
        for wrong in ("x" * 13, 5):
            with pytest.raises(msgspec.ValidationError):
                decode(kind, slug=wrong, note="x")
        decode(kind, slug="ab", note="x").create()
        Gateway([post("/", name="lamp")(_taking(kind))])
        assert "maxLength" in str(msgspec.json.schema(kind))


def _taking(kind: Any) -> Any:
    def handler(data: Any) -> None: ...

    handler.__annotations__["data"] = kind
    return handler


def test_what_no_database_holds_is_refused_at_its_place():
    into = made("In", glow=float | None)
    for value in (None, float("nan"), float("inf")):
        with pytest.raises(RequestValidationError) as caught:
            into(glow=value).create()
        assert places(caught) == [["body", "glow"]]


def test_what_a_column_demands_is_asked_of_the_model_of_the_class():
    class Shade(models.Model):
        slug = models.SlugField(max_length=30, null=True)

        class Meta:
            apps = Apps(["tests.library"])
            app_label = "library"

    base = made("Base", slug=str | None, note=str)
    other = made("Other", base, model=Shade, partial=True, exclude=["note"])
    assert decode(other, slug="x" * 30).slug == "x" * 30
    with pytest.raises(msgspec.ValidationError):
        decode(other, slug="x" * 31)


# --- choices -------------------------------------------------------------------------------------------------------


class Mixed(enum.Enum):
    GOOD = "g"
    BAD = 2


class Half(enum.Enum):
    GOOD = "g"
    BAD = "b"

    @classmethod
    def _missing_(cls, value: object) -> Half | None:
        return cls.GOOD if value == "" else None


def test_a_blank_is_null_to_an_enum_without_a_member_for_it():
    Lamp.objects.create(mood="")
    Lamp.objects.create(mood="b")
    rows = Lamp.objects.order_by("mood")
    for kind, shown in (
        (Mood | None, [None, Mood.BAD]),
        (Half, [Half.GOOD, Half.BAD]),
        (Literal["g", "b"] | None, [None, "b"]),
        (Literal["g", "b", ""], ["", "b"]),
        (str, ["", "b"]),
    ):
        out = made("Out", mood=kind)
        assert [row.mood for row in out.fetch(rows)] == [out.from_model(row).mood for row in rows] == shown
    for kind, match in (
        (Mood, 'Mood has no "" for that'),
        (Literal["g", "b"], "may be blank"),
        (Mixed, "all texts or"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            made("Out", mood=kind)


def test_choices_that_a_function_gives_are_not_asked_for_beforehand():
    def later() -> Any:
        raise AssertionError("asked")

    class Late(models.Model):
        mood = models.CharField(max_length=1, choices=later)

        class Meta:
            apps = Apps(["tests.library"])
            app_label = "library"

    assert decode(made("In", model=Late, mood=str), mood="x").mood == "x"
    assert made("In", model=Late, mood=Mood)


# --- moments -------------------------------------------------------------------------------------------------------

BEYOND = [
    ("seen", "'0001-12-31 10:00+00 BC'", "0001-01-01T00:00:00Z"),
    ("seen", "'infinity'", "9999-12-31T23:59:59.999999Z"),
    ("seen", "'-infinity'", "0001-01-01T00:00:00Z"),
    ("seen", "'10000-01-01 00:00+00'", "9999-12-31T23:59:59.999999Z"),
]


@POSTGRESQL
@pytest.mark.parametrize(("column", "stored", "shown"), BEYOND)
def test_a_moment_that_python_has_not_is_read_as_the_nearest_one(column, stored, shown):
    for number in range(3):
        Lamp.objects.create(watts=number)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE library_lamp SET {column} = {stored} WHERE watts = 1")

    class Seen(ModelStruct, model=Lamp):
        watts: int
        seen: datetime.datetime | None

    def rows() -> Any:
        return Lamp.objects.order_by("watts")

    from hybrid_gateway.test import TestClient

    app = Gateway([get("/rows", response=list[Seen])(rows), get("/lines", response=list[Seen], chunked=True)(rows)])
    wanted = [{"watts": 0, "seen": None}, {"watts": 1, "seen": shown}, {"watts": 2, "seen": None}]
    prepared = prepare(Seen, lambda least: Lamp.objects.filter(watts__gte=least).order_by("watts"))
    for found in (Seen.fetch(rows()), Seen.fetch(rows()), Seen.fetch(rows().filter(watts__lt=F("watts") + 1))):
        assert msgspec.to_builtins(found) == wanted
    assert msgspec.to_builtins(prepared.fetch(least=0)) == msgspec.to_builtins(prepared.fetch(least=-1)) == wanted
    assert TestClient(app).get("/rows").json() == TestClient(app).get("/lines").json() == wanted


@POSTGRESQL
def test_lists_of_such_moments_are_read():
    registry = Apps(["tests.library"])

    class Shelf(models.Model):
        class Meta:
            apps = registry
            app_label = "library"

    class Glow(models.Model):
        shelf = models.ForeignKey(Shelf, models.CASCADE, related_name="glows")
        seen = models.DateTimeField(null=True)

        class Meta:
            apps = registry
            app_label = "library"

    with connection.schema_editor() as editor:
        editor.create_model(Shelf)
        editor.create_model(Glow)
    try:
        Glow.objects.create(shelf=Shelf.objects.create())
        with connection.cursor() as cursor:
            cursor.execute("UPDATE library_glow SET seen = 'infinity'")
        inner = made("Inner", model=Glow, seen=datetime.datetime | None)
        seen = Annotated[list[datetime.datetime | None], Column("glows__seen")]
        out = made("Out", model=Shelf, glows=list[inner], seen=seen)
        last = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        for _ in range(2):
            [row] = out.fetch(Shelf.objects.all())
            assert (row.seen, [glow.seen for glow in row.glows]) == ([last], [last])
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Glow)
            editor.delete_model(Shelf)


def test_a_moment_that_the_calendar_has_not_in_utc_is_refused(serve):
    @post("/lamps", response=LampOut)
    def create(data: LampIn) -> Any:
        return data.create()

    client = serve(create)
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        answer = client.post("/lamps", json={"seen": text})
        assert (answer.status_code, [fault["loc"] for fault in answer.json()["errors"]]) == (422, [["body", "seen"]])
    assert not Lamp.objects.exists()


def test_moments_of_a_project_without_time_zones(settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Paris"
    for text in ("2024-07-01T12:00:00Z", "2024-07-01T14:00:00", "2024-07-01T15:00:00+03:00"):
        row = decode(LampIn, seen=text).create()
        assert row.seen == Lamp.objects.get(pk=row.pk).seen == datetime.datetime(2024, 7, 1, 14)
        assert LampOut.from_model(row).seen == LampOut.get(Lamp.objects.filter(pk=row.pk)).seen


# --- after a write -------------------------------------------------------------------------------------------------


def test_what_is_shown_after_a_write_is_what_the_row_has(serve):
    @post("/lamps", response=LampOut)
    def create(data: LampIn) -> Any:
        return data.create(words=["a", "b"])

    @patch("/lamps/{pk}", response=LampOut)
    async def change(pk: uuid.UUID, data: LampIn) -> Any:
        return await data.aupdate(await Lamp.objects.aget(pk=pk), watts=F("watts") + 1)

    @get("/lamps/{pk}", response=LampOut)
    def show(pk: uuid.UUID) -> Any:
        return Lamp.objects.filter(pk=pk)

    client = serve(create, change, show)
    sent = {"price": "2", "seen": "2024-01-02T03:04:05+02:00", "note": "x", "data": {"b": 1e20, "a": [1.0]}}
    shown = client.post("/lamps", json=sent).json()
    path = f"/lamps/{shown['id']}"
    assert shown == client.get(path).json()
    assert (shown["price"], shown["seen"], shown["watts"], shown["loud"]) == ("2.00", "2024-01-02T01:04:05Z", 7, "X")
    changed = client.patch(path, json={"note": "y", "price": "1e1"}).json()
    assert changed == client.get(path).json()
    assert (changed["watts"], changed["loud"], changed["price"]) == (8, "Y", "10.00")


def test_instances_that_nobody_has_read_are_shown_as_far_as_that_can_be_told():
    with quiet():
        row = Lamp.objects.create(price=2, seen=datetime.datetime(2024, 1, 1), mood=Mood.BAD, note=Mood.GOOD)
    assert LampOut.from_model(row) == LampOut.get(Lamp.objects.filter(pk=row.pk))
    new = LampOut.from_model(Lamp(price="3", watts="5", note="n", loud="N", lumens=1, changed=row.changed))
    assert (new.price, new.watts, new.slug) == (decimal.Decimal("3.00"), 5, None)
    assert msgspec.json.decode(msgspec.json.encode(new))["price"] == "3.00"


def test_what_is_exact_costs_no_query():
    from django.test.utils import CaptureQueriesContext

    lean = made("Lean", note=str, price=decimal.Decimal, data=dict[str, Any])
    with CaptureQueriesContext(connection) as captured:
        row = decode(lean, note="x", price="2", data={"a": [1, None, "x"]}).create(words=["a"], watts=Value(3))
    assert ([query["sql"].split()[0] for query in captured], row.words, row.watts) == (["INSERT"], ["a"], 3)
    assert (str(row.price), row.loud) == ("2.00", "X")
    with CaptureQueriesContext(connection) as captured:
        decode(made("Patch", lean, partial=True), price="3").update(row)
    asked = [query["sql"].split()[0] for query in captured if query["sql"].split()[0] != "SAVEPOINT"]
    assert (row.price, asked[0]) == (decimal.Decimal("3.00"), "UPDATE")
    assert len(asked) == (2 if django.VERSION < (6, 0) else 1), "what is generated is read back before Django 6"


def test_a_class_made_of_one_that_was_used_reads_its_own_fields_alone():
    base = made("Base", slug=str | None, note=str)
    decode(base, slug="a", note="x").create()
    base.fetch(Lamp.objects.all())
    base.from_model(Lamp.objects.get())
    short = made("Short", base, exclude=["slug"])
    decode(short, note="y").create()
    assert [short.from_model(row) for row in Lamp.objects.order_by("note")] == short.fetch(
        Lamp.objects.order_by("note")
    )


# --- JSON and fields of projects -----------------------------------------------------------------------------------


class Part(msgspec.Struct):
    name: str


class Named(TypedDict):
    name: str


def test_json_is_sent_with_what_the_annotation_has():
    secret = {"name": "x", "secret": 1}
    row = Lamp.objects.create(data={"one": secret})
    for kind in (dict[str, Part], dict[str, Named], dict[str, Part | None], dict[Literal["one"], Part]):
        out = made("Out", data=kind)
        for found in (out.get(Lamp.objects.all()), out.from_model(row)):
            assert msgspec.json.decode(msgspec.json.encode(found)) == {"data": {"one": {"name": "x"}}}
    Lamp.objects.update(data=[secret])
    for kind in (list[Part], list[Named], tuple[Part, ...]):
        found = made("Out", data=kind).get(Lamp.objects.all())
        assert msgspec.json.decode(msgspec.json.encode(found)) == {"data": [{"name": "x"}]}
    Lamp.objects.update(data=Value(None, models.JSONField()))
    assert made("Out", data=Part).get(Lamp.objects.all()).data is None


@POSTGRESQL
def test_what_only_the_database_can_refuse_is_told_at_its_place():
    into = made("In", words=list[str] | None, note=str)
    with pytest.raises(RequestValidationError) as caught:
        decode(into, words=["x" * 300], note="n").create()
    assert places(caught) == [["body", "words"]]
    with pytest.raises(RequestValidationError) as caught:
        decode(into, words=["a\x00"], note="\x00").create()
    assert ["body", "note"] in places(caught)
    with pytest.raises(RequestValidationError) as caught:
        decode(made("In", data=dict[str, Any]), data={"a": [{"b\x00": 1}]}).create()
    assert places(caught) == [["body", "data"]]


# --- names of types ------------------------------------------------------------------------------------------------

Slug = NewType("Slug", str)


def test_names_of_types_are_the_types():
    assert decode(made("In", slug=Slug | None), slug="a").slug == "a"
    with pytest.raises(msgspec.ValidationError):
        decode(made("In", slug=Slug | None), slug="x" * 13)
    with pytest.raises(ConfigurationError, match="cannot hold"):
        made("In", watts=NewType("Wrong", bytes))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` statements are Python 3.12's.")
def test_type_statements_are_the_types():
    names: dict[str, Any] = {"msgspec": msgspec, "Annotated": Annotated}
    exec("type Short = Annotated[str, msgspec.Meta(max_length=3)]\ntype Maybe = Short | None", names)  # noqa: S102
    struct = made("In", slug=names["Maybe"], note=names["Short"])
    assert decode(struct, slug=None, note="abc").create().slug is None
    with pytest.raises(msgspec.ValidationError):
        decode(struct, slug="abcd", note="abc")
