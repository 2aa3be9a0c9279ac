"""The other sides of rows: read, and written by keys or nested Structs, or refused before anything is written."""

from typing import Annotated, Any, Literal

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, models
from django.db.models import Exists, F, OuterRef, Q
from msgspec import UNSET

from hybrid_gateway import ConfigurationError, get, post
from hybrid_gateway.exceptions import RequestValidationError
from hybrid_gateway.orm import Column, ModelStruct, crud, run_in_transaction
from tests.orm.lamps import (  # noqa: F401 (a fixture)
    Bulb,
    Coded,
    Fuse,
    Keyed,
    Label,
    Lamp,
    Maker,
    Plug,
    Shade,
    Spot,
    Tag,
    lamps,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lamps")]


@pytest.fixture(autouse=True)
def no_content_types_of_other_tests():
    """Those are remembered, and their rows have been rolled back."""
    ContentType.objects.clear_cache()
    yield
    ContentType.objects.clear_cache()


def lamp_struct(name: str, kind: Any, write: Any = None, **more: Any) -> Any:
    """A class of a lamp with one field for an other side of it."""
    annotation = Annotated[kind, Column(write=write)] if write else kind
    namespace = {"__annotations__": {"name": str, name: annotation}, **more}
    return type(ModelStruct)("LampIn", (ModelStruct,), namespace, model=Lamp)


class PlugIn(ModelStruct, model=Plug):
    watts: int


class FuseIn(ModelStruct, model=Fuse):
    watts: int


class BulbIn(ModelStruct, model=Bulb):
    id: Annotated[int, Column(read_only=True)]
    watts: int


class ShadeIn(ModelStruct, model=Shade):
    id: Any = UNSET
    colour: str


class LabelIn(ModelStruct, model=Label):
    id: Any = UNSET
    text: str


class TagIn(ModelStruct, model=Tag):
    word: str


SIDES: dict[str, tuple[Any, Any, Any]] = {
    "bulbs": (Bulb, {"watts": 1}, BulbIn),
    "shades": (Shade, {"colour": "red"}, ShadeIn),
    "labels": (Label, {"text": "x"}, LabelIn),
    "tags": (Tag, {"word": "x"}, TagIn),
}


def rows_of(lamp: Any, name: str) -> list[Any]:
    return list(getattr(lamp, name).order_by("pk"))


def new(name: str, lamp: Any = None) -> Any:
    """A row on a side, of a lamp or of another one."""
    _, values, _ = SIDES[name]
    lamp = lamp or Lamp.objects.create(name="other")
    return getattr(lamp, name).create(**values)


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("write", ["create", "replace"])
def test_nested_rows_of_every_side(name, write):
    _, values, struct = SIDES[name]
    whole = lamp_struct(name, list[struct], write)
    made = whole(name="L", **{name: [struct(**values), struct(**values)]}).create()
    assert len(rows_of(made, name)) == 2
    assert len(getattr(whole.from_model(made), name)) == 2
    whole(name="M", **{name: [struct(**values)]}).update(made)
    assert len(rows_of(made, name)) == (3 if write == "create" else 1)
    shown = lamp_struct(name, list[struct])
    assert [len(getattr(row, name)) for row in shown.fetch(Lamp.objects.filter(pk=made.pk))] == [
        len(rows_of(made, name))
    ]
    whole(name="N", **{name: []}).update(made)
    assert len(rows_of(made, name)) == (3 if write == "create" else 0)


@pytest.mark.parametrize("name", SIDES)
def test_keys_of_every_side(name):
    keyed = lamp_struct(name, list[int])
    first, second = new(name), new(name)
    made = keyed(name="L", **{name: [first.pk, second.pk]}).create()
    assert rows_of(made, name) == [first, second]
    assert getattr(keyed.get(Lamp.objects.filter(pk=made.pk)), name) == [first.pk, second.pk]
    keyed(name="L", **{name: [second.pk, first.pk]}).update(made)
    for wrong in (10**9, 2**70, -1):
        with pytest.raises(RequestValidationError) as caught:
            keyed(name="L", **{name: [first.pk, wrong]}).update(made)
        assert [error["loc"] for error in caught.value.errors] == [["body", name, 1]]
    rest = keyed(name="L", **{name: [second.pk]})
    if name in ("shades", "tags"):  # which may belong to nobody
        rest.update(made)
        assert rows_of(made, name) == [second]
        return
    with pytest.raises(RequestValidationError) as caught:
        rest.update(made)
    assert [error["loc"] for error in caught.value.errors] == [["body", name]]
    assert str(first.pk) in caught.value.errors[0]["msg"]
    assert rows_of(made, name) == [first, second]
    replacing = lamp_struct(name, list[int], "replace")
    replacing(name="L", **{name: [second.pk]}).update(made)
    assert rows_of(made, name) == [second]
    assert not type(first).objects.filter(pk=first.pk).exists()


def test_a_nested_row_cannot_be_given_to_somebody_else():
    class Moving(ModelStruct, model=Bulb):
        id: Any = UNSET
        lamp: int
        watts: int

    ours, theirs = Lamp.objects.create(name="ours"), Lamp.objects.create(name="theirs")
    bulb = ours.bulbs.create(watts=1)
    whole = lamp_struct("bulbs", list[Moving], "create")
    whole(name="ours", bulbs=[Moving(id=bulb.pk, lamp=theirs.pk, watts=2)]).update(ours)
    bulb.refresh_from_db()
    assert (bulb.lamp, bulb.watts) == (ours, 2)


# --- one-to-one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "struct"), [("plug", PlugIn), ("fuse", FuseIn)])
@pytest.mark.parametrize("write", ["create", "replace"])
def test_the_other_side_of_a_one_to_one_relation(serve, name, struct, write):
    whole = lamp_struct(name, struct | None, write)
    client = serve(crud(Lamp, out=lamp_struct(name, struct | None), create=whole, path="/lamps"))
    made = client.post("/lamps", json={"name": "L", name: {"watts": 5}})
    assert (made.status_code, made.json()) == (201, {"name": "L", name: {"watts": 5}})
    url = made.headers["Location"]
    assert client.put(url, json={"name": "M", name: {"watts": 6}}).json() == {"name": "M", name: {"watts": 6}}
    model = struct.__model__
    assert model.objects.count() == 1
    gone = client.put(url, json={"name": "M", name: None})
    if name == "fuse" and write == "create":  # whose key is its lamp: it cannot belong to nobody
        assert (gone.status_code, gone.json()["errors"][0]["loc"]) == (422, ["body", "fuse"])
        return
    assert (gone.status_code, gone.json()) == (200, {"name": "M", name: None})
    assert model.objects.count() == (0 if write == "replace" else 1)
    assert client.put(url, json={"name": "M", name: {"watts": 7}}).json() == {"name": "M", name: {"watts": 7}}
    none = client.post("/lamps", json={"name": "N", name: None})
    assert (none.status_code, none.json()[name]) == (201, None)


def test_keys_of_the_other_side_of_a_one_to_one_relation(serve):
    keyed = lamp_struct("plug", int | None)
    client = serve(crud(Lamp, out=keyed, create=keyed, path="/lamps"))
    first, second = Plug.objects.create(watts=1), Plug.objects.create(watts=2)
    made = client.post("/lamps", json={"name": "L", "plug": first.pk})
    assert made.json() == {"name": "L", "plug": first.pk}
    url = made.headers["Location"]
    for key in (first.pk, second.pk, None, second.pk):
        assert client.put(url, json={"name": "L", "plug": key}).json() == {"name": "L", "plug": key}
    assert list(Plug.objects.filter(lamp=None)) == [first]
    answer = client.put(url, json={"name": "L", "plug": 10**9})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "plug"])
    stolen = client.post("/lamps", json={"name": "N", "plug": second.pk})
    assert stolen.json()["plug"] == second.pk
    assert client.get(url).json()["plug"] is None


def test_what_was_written_is_seen_on_the_instance():
    whole = lamp_struct("plug", PlugIn | None, "create")
    made = whole(name="L", plug=PlugIn(watts=1)).create()
    assert made.plug.watts == 1
    whole(name="L", plug=PlugIn(watts=2)).update(made)
    assert made.plug.watts == 2
    whole(name="L", plug=None).update(made)
    assert whole.from_model(made).plug is None


# --- generic relations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "values"),
    [(Lamp, {"name": "a"}), (Coded, {"code": "a", "name": "a"}), (Keyed, {"name": "a"})],
)
def test_lists_over_the_text_of_a_key(model, values):
    class Texts(ModelStruct, model=model):
        labels: Annotated[list[str], Column("labels__text")]

    class Keys(ModelStruct, model=model):
        labels: list[int]

    class Rows(ModelStruct, model=model):
        labels: Annotated[list[LabelIn], Column(order_by="-text")]

    one, other = (
        model.objects.create(**values),
        model.objects.create(**{**values, "code": "b"} if "code" in values else values),
    )
    for thing, texts in ((one, "xy"), (other, "z")):
        for text in texts:
            thing.labels.create(text=text)
    Label.objects.create(thing=Maker.objects.create(name="m"), text="not ours")
    both = model.objects.filter(pk__in=[one.pk, other.pk])
    assert sorted(row.labels for row in Texts.fetch(both)) == [["x", "y"], ["z"]]
    assert sorted(len(row.labels) for row in Keys.fetch(both)) == [1, 2]
    assert sorted([label.text for label in row.labels] for row in Rows.fetch(both)) == [["y", "x"], ["z"]]
    assert [label.text for label in Rows.from_model(one).labels] == ["y", "x"]


# --- narrowed lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        Q(tags__word__in=["x", "y"]),
        Q(name="a") & (Q(tags__word="x") | Q(tags__word="y")),
        ~Q(tags__word="z"),
        Q(bulbs__watts__gt=F("bulbs__lamp__pk") * 0),
        Q(name="a", tags__lamps__maker__name="M"),
        Q(Exists(Tag.objects.filter(lamps=OuterRef("pk"), word__in=["x", "y"]))),
    ],
)
def test_a_list_that_is_narrowed_by_many_rows_has_each_row_once(condition):
    class LampOut(ModelStruct, model=Lamp):
        name: str

    class MakerOut(ModelStruct, model=Maker):
        lamps: Annotated[list[LampOut], Column(filter=condition)]
        names: Annotated[list[str], Column("lamps__name", filter=condition)]

    maker = Maker.objects.create(name="M")
    lamp = maker.lamps.create(name="a")
    lamp.tags.set([Tag.objects.create(word=word) for word in "xy"])
    for _ in range(2):
        lamp.bulbs.create(watts=1)
    maker.lamps.create(name="b").tags.add(Tag.objects.create(word="z"))
    for row in (MakerOut.get(Maker.objects.all()), MakerOut.from_model(maker)):
        assert ([lamp.name for lamp in row.lamps], row.names) == (["a"], ["a"])


def test_a_list_is_not_ordered_by_many_rows():
    with pytest.raises(ConfigurationError, match=r"MakerOut\.lamps cannot be ordered by 'tags__word'"):

        class MakerOut(ModelStruct, model=Maker):
            lamps: Annotated[list[int], Column(order_by="-tags__word")]


# --- what is refused before anything is written --------------------------------------------------------------------


def test_what_cannot_be_written_is_refused_when_the_routes_are_made():
    class Between(models.Model):
        lamp = models.ForeignKey("BetweenLamp", models.CASCADE)
        tag = models.ForeignKey(Tag, models.CASCADE, related_name="+")
        weight = models.IntegerField()

        class Meta:
            app_label = "between"

    class BetweenLamp(models.Model):
        tags = models.ManyToManyField(Tag, through=Between, related_name="+")

        class Meta:
            app_label = "between"

    class Wrong(ModelStruct, model=BetweenLamp):
        tags: list[int]

    class Out(ModelStruct, model=BetweenLamp):
        id: int

    with pytest.raises(ConfigurationError, match="goes through Between, whose rows need weight"):
        crud(BetweenLamp, out=Out, create=Wrong)
    with pytest.raises(ConfigurationError, match=r"WrongLabel\.thing: Label.thing leads to rows of any model"):

        class WrongLabel(ModelStruct, model=Label):
            thing: int


# --- what is deferred ----------------------------------------------------------------------------------------------


class SpotIn(ModelStruct, model=Spot):
    x: int
    y: int
    place: int | None = None


class SpotOut(SpotIn, model=Spot):
    id: int


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not connection.features.supports_deferrable_unique_constraints, reason="None is deferred here.")
def test_a_contradiction_that_is_found_when_the_transaction_ends_is_409(serve):
    @post("/ours", atomic=True)
    def ours(data: SpotIn) -> int:
        Spot.objects.create(x=data.x, y=data.y, place=data.place)
        return 1

    @post("/many", atomic=True)
    def many(data: SpotIn) -> int:
        return len(SpotIn.create_many([data, SpotIn(x=data.x + 1, y=0)]))

    @post("/alone")
    def alone(data: SpotIn) -> int:
        return len(SpotIn.create_many([data]))

    @post("/async")
    async def asynchronous(data: SpotIn) -> int:
        def work() -> int:
            data.create()
            return 1

        return await run_in_transaction(work)

    client = serve(ours, many, alone, asynchronous, crud(Spot, out=SpotOut, create=SpotIn, path="/spots"))
    Spot.objects.create(x=0, y=0, place=1)
    for number, path in enumerate(("/ours", "/many", "/alone", "/async", "/spots"), 1):
        assert client.post(path, json={"x": number, "y": 1, "place": 1}).status_code == 409, path
    assert Spot.objects.count() == 1
    assert client.post("/ours", json={"x": 9, "y": 9, "place": 2}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_rows_that_are_gone_when_the_transaction_ends_are_409(serve):
    """Foreign keys are deferred on SQLite and PostgreSQL."""

    @post("/bulbs", atomic=True)
    def bulbs(lamp: int) -> int:
        return Bulb.objects.create(lamp_id=lamp, watts=1).watts

    @post("/own", atomic=True)
    def own() -> int:
        raise IntegrityError("mine")

    @get("/none", atomic=True)
    def none() -> Literal[1]:
        return 1

    client = serve(bulbs, own, none, raises=False)
    assert client.post("/bulbs?lamp=99999").status_code == 409
    assert client.post("/own").status_code == 500
    assert client.get("/none").json() == 1
    assert not Bulb.objects.exists()
