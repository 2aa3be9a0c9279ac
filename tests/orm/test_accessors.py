"""Relations from their other side go by the attribute of instances (``choice_set``), or by the name in queries."""

from typing import Annotated, Any

import pytest
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models.functions import Upper

from hybrid_gateway import ConfigurationError
from hybrid_gateway.orm import Column, ModelStruct, computed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tables")]


class Stall(models.Model):
    name = models.CharField(max_length=20)
    bills = GenericRelation("library.Bill")

    class Meta:
        app_label = "library"


class Thing(models.Model):
    word = models.CharField(max_length=20)

    class Meta:
        abstract = True
        app_label = "library"


class Melon(Thing):
    stall = models.ForeignKey(Stall, models.CASCADE)


class Crate(Thing):
    stalls = models.ManyToManyField(Stall, related_query_name="box")


class Placard(Thing):
    stall = models.OneToOneField(Stall, models.CASCADE, related_name="signboard", related_query_name="sign")


class Lantern(Thing):
    sign = models.ForeignKey(Placard, models.CASCADE)


class Bill(Thing):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    stall = GenericForeignKey()


@pytest.fixture(scope="module")
def tables(django_db_setup, django_db_blocker):
    made = (Stall, Melon, Crate, Placard, Lantern, Bill)
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            for model in made:
                editor.create_model(model)
        yield
        with connection.schema_editor() as editor:
            for model in reversed(made):
                editor.delete_model(model)
    ContentType.objects.clear_cache()


@pytest.fixture
def stall():
    ContentType.objects.clear_cache()
    stall = Stall.objects.create(name="First")
    Stall.objects.create(name="Second")
    for word in ("b", "a"):
        Melon.objects.create(stall=stall, word=word)
        Crate.objects.create(word=word).stalls.add(stall)
        Bill.objects.create(stall=stall, word=word)
    Lantern.objects.create(sign=Placard.objects.create(stall=stall, word="open"), word="red")
    yield stall
    ContentType.objects.clear_cache()


def part(model: type[models.Model]) -> Any:
    return type(ModelStruct)(f"{model.__name__}Part", (ModelStruct,), {"__annotations__": {"word": str}}, model=model)


MelonPart, CratePart, PlacardPart, BillPart = map(part, (Melon, Crate, Placard, Bill))
LISTS = [
    ("melon_set", MelonPart),
    ("melon", MelonPart),
    ("crate_set", CratePart),
    ("box", CratePart),
    ("bills", BillPart),
]


def stall_struct(**fields: Any) -> Any:
    return type(ModelStruct)("StallOut", (ModelStruct,), {"__annotations__": {"name": str, **fields}}, model=Stall)


def shown(struct: Any, stall: Stall, name: str) -> Any:
    """What a field shows of rows, once it is seen that it shows the same of an instance."""
    [first, second] = struct.fetch(Stall.objects.order_by("pk"))
    assert first == struct.from_model(stall)
    assert second == struct.from_model(Stall.objects.get(name="Second"))
    return getattr(first, name), getattr(second, name)


@pytest.mark.parametrize(("name", "item"), LISTS)
@pytest.mark.parametrize("is_renamed", [True, False])
def test_lists(stall, name, item, is_renamed):
    column = Column(name, order_by="word") if is_renamed else Column(order_by="word")
    field = "things" if is_renamed else name
    found = shown(stall_struct(**{field: Annotated[list[item], column]}), stall, field)
    assert found == ([item(word="a"), item(word="b")], [])


@pytest.mark.parametrize("name", ["melon_set", "melon", "crate_set", "box", "bills"])
def test_lists_of_values(stall, name):
    words = stall_struct(words=Annotated[list[str], Column(f"{name}__word", order_by="word")])
    assert shown(words, stall, "words") == (["a", "b"], [])
    keys = stall_struct(keys=Annotated[list[int], Column(name)])
    assert [len(entry) for entry in shown(keys, stall, "keys")] == [2, 0]


@pytest.mark.parametrize("name", ["signboard", "sign"])
def test_the_other_side_of_a_one_to_one_relation(stall, name):
    nested = stall_struct(board=Annotated[PlacardPart | None, Column(name)])
    assert shown(nested, stall, "board") == (PlacardPart(word="open"), None)
    assert shown(stall_struct(**{name: PlacardPart | None}), stall, name) == (PlacardPart(word="open"), None)
    assert shown(stall_struct(key=Annotated[int | None, Column(name)]), stall, "key") == (stall.signboard.pk, None)
    word = stall_struct(word=Annotated[str | None, Column(f"{name}__word")])
    assert shown(word, stall, "word") == ("open", None)
    colours = stall_struct(colours=Annotated[list[str], Column(f"{name}__lantern_set__word")])
    assert shown(colours, stall, "colours") == (["red"], [])


def test_paths_of_lists_and_of_computed_fields(stall):
    boards = type(ModelStruct)(
        "CrateOut",
        (ModelStruct,),
        {"__annotations__": {"boards": Annotated[list[str], Column("stalls__signboard__word")]}},
        model=Crate,
    )
    assert [row.boards for row in boards.fetch(Crate.objects.all())] == [["open"], ["open"]]

    class Loud(ModelStruct, model=Stall):
        @computed("signboard__word")
        @staticmethod
        def loud(word: str | None) -> str:
            return (word or "").upper()

    assert [row.loud for row in Loud.fetch(Stall.objects.order_by("pk"))] == ["OPEN", ""]
    assert Loud.from_model(stall).loud == "OPEN"


@pytest.mark.parametrize(("name", "item"), LISTS)
@pytest.mark.parametrize("rule", ["create", "replace"])
def test_lists_are_written(stall, name, item, rule):
    written = stall_struct(things=Annotated[list[item], Column(name, order_by="word", write=rule)])
    made = written(name="New", things=[item(word="x"), item(word="y")]).create()
    assert written.from_model(made).things == [item(word="x"), item(word="y")]
    written(name="First", things=[item(word="c")]).update(stall)
    [row] = written.fetch(Stall.objects.filter(pk=stall.pk))
    assert [entry.word for entry in row.things] == (["c"] if rule == "replace" else ["a", "b", "c"])


@pytest.mark.parametrize("name", ["melon_set", "crate_set"])
def test_lists_of_keys_are_written(stall, name):
    written = stall_struct(keys=Annotated[list[int], Column(name)])
    keys = written.from_model(stall).keys
    made = Stall.objects.create(name="Third")
    written(name="Third", keys=keys).update(made)
    assert sorted(written.from_model(made).keys) == sorted(keys)


@pytest.mark.parametrize("name", ["signboard", "sign"])
def test_the_other_side_of_a_one_to_one_relation_is_written(stall, name):
    written = stall_struct(board=Annotated[PlacardPart | None, Column(name, write="create")])
    made = written(name="New", board=PlacardPart(word="new")).create()
    assert written.from_model(Stall.objects.get(pk=made.pk)).board == PlacardPart(word="new")
    written(name="First", board=PlacardPart(word="shut")).update(stall)
    assert written.get(Stall.objects.filter(pk=stall.pk)).board == PlacardPart(word="shut")


@pytest.mark.parametrize(
    ("annotation", "meant"),
    [
        (Annotated[list[MelonPart], Column("melons")], "melon_set"),
        (Annotated[list[MelonPart], Column("nonsense")], ""),
        (Annotated[PlacardPart | None, Column("singboard")], "signboard"),
        (Annotated[list[CratePart], Column("crates", write="create")], "crate_set"),
    ],
)
def test_what_nests_is_no_annotation_of_a_queryset(annotation, meant):
    with pytest.raises(ConfigurationError, match=r"StallOut\.things: Stall has no '\w+'\.") as raised:
        stall_struct(things=annotation)
    assert raised.value.id.endswith("M005")
    assert (f"Did you mean {meant!r}?" in str(raised.value)) is bool(meant)
    assert "It has bills, crate_set, id, melon_set, name, pk, signboard." in str(raised.value)


def test_an_expression_nests_nothing():
    with pytest.raises(ConfigurationError, match=r"StallOut\.things is an expression, which gives single values"):
        stall_struct(things=Annotated[list[MelonPart], Column(Upper("name"))])


def test_a_single_value_may_still_be_an_annotation(stall):
    loud = stall_struct(loud=Annotated[str, Column("shout")])
    assert loud.get(Stall.objects.filter(pk=stall.pk).annotate(shout=Upper("name"))).loud == "FIRST"
