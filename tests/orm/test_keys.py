"""Keys of every kind, composite ones included: read, paged, written, and never changed by a client."""

import uuid
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from hybrid_gateway import ConfigurationError, Gateway
from hybrid_gateway.exceptions import Conflict, RequestValidationError
from hybrid_gateway.orm import (
    Column,
    Cursor,
    LimitOffset,
    ModelStruct,
    ModelViewSet,
    PageNumber,
    action,
    crud,
    prepare,
)
from tests.orm.lamps import Coded, Fuse, Keyed, Label, Lamp, Maker, Pair, SubCoded, lamps  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lamps")]


class PairOut(ModelStruct, model=Pair):
    pk: list[int]
    label: str
    maker: int


class PairIn(ModelStruct, model=Pair):
    maker: int
    number: int
    label: str


class PairPatch(PairIn, partial=True):
    pass


@pytest.fixture
def pairs():
    makers = [Maker.objects.create(name=name) for name in "ab"]
    return [Pair.objects.create(maker=maker, number=number, label=maker.name) for maker in makers for number in (1, 2)]


# --- composite keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (list[int], list),
        (tuple[int, int], tuple),
        (tuple[int, ...], tuple),
        (tuple[int, str], lambda pk: (pk[0], str(pk[1]))),
        (Any, tuple),
        (list, list),
    ],
)
def test_a_composite_key_is_read_as_its_columns(pairs, kind, made):
    namespace = {"__annotations__": {"label": str, "pk": kind, "number": int}}
    shown = type(ModelStruct)("Shown", (ModelStruct,), namespace, model=Pair)
    rows = shown.fetch(Pair.objects.order_by("pk"))
    assert [(row.label, row.pk, row.number) for row in rows] == [
        (pair.label, made(pair.pk), pair.number) for pair in pairs
    ]
    assert [shown.from_model(pair) for pair in pairs] == rows
    assert shown.get(Pair.objects.filter(pk=pairs[3].pk)) == rows[3]


@pytest.mark.parametrize("kind", [int, str, tuple[int], tuple[int, int, int], dict, list[uuid.UUID], list[int] | int])
def test_a_type_that_no_composite_key_has_is_refused_when_the_class_is_made(kind):
    with pytest.raises(ConfigurationError, match=r"Wrong\.pk"):
        type(ModelStruct)("Wrong", (ModelStruct,), {"__annotations__": {"pk": kind}}, model=Pair)


def test_lists_of_rows_with_composite_keys(pairs):
    class Makers(ModelStruct, model=Maker):
        name: str
        pairs: list[tuple[int, int]]

    class MakersWithRows(ModelStruct, model=Maker):
        name: str
        pairs: list[PairOut]

    keys = [[pair.pk for pair in pairs[:2]], [pair.pk for pair in pairs[2:]]]
    assert [row.pairs for row in Makers.fetch(Maker.objects.order_by("pk"))] == keys
    assert [Makers.from_model(maker).pairs for maker in Maker.objects.order_by("pk")] == keys
    listed = [[tuple(pair.pk) for pair in row.pairs] for row in MakersWithRows.fetch(Maker.objects.order_by("pk"))]
    assert listed == keys


@pytest.mark.parametrize("style", [PageNumber(), LimitOffset(), Cursor(), Cursor(ordering=["-label"])])
@pytest.mark.parametrize("order", [(), ("label",), ("-pk",), ("number", "maker_id")])
def test_pages_of_rows_with_composite_keys(pairs, style, order):
    for queryset in (Pair.objects.order_by(*order), Pair.objects.order_by(*order).distinct()):
        values: Any = {"cursor": None, "size": 1, "page": 1, "limit": 1, "offset": 0}
        found = []
        while values is not None:
            page, neighbours = style.page(PairOut, style.arranged(queryset), values)
            following = neighbours.get("next")
            found += [tuple(item.pk) for item in page.items]
            values = None if following is None else {**values, **following}
        assert sorted(found) == [pair.pk for pair in pairs]
        if order == ("-pk",) and not getattr(style, "ordering", ()):
            assert found == [pair.pk for pair in reversed(pairs)]
        sliced = style.page(PairOut, style.arranged(queryset[1:3]), {**style_values, "size": 5, "limit": 5})
        assert len(sliced[0].items) == 2


style_values: Any = {"cursor": None, "page": 1, "offset": 0}


def test_prepared_queries_of_rows_with_composite_keys(pairs):
    of_maker = prepare(PairOut, lambda maker: Pair.objects.filter(maker=maker).order_by("pk"))
    for _ in range(2):
        assert [tuple(row.pk) for row in of_maker.fetch(maker=pairs[2].maker_id)] == [pairs[2].pk, pairs[3].pk]
    with pytest.raises(ConfigurationError, match="something with its parameters that has no answer"):
        prepare(PairOut, lambda key: Pair.objects.filter(pk=key))


def test_six_routes_of_rows_with_composite_keys(serve, pairs):
    client = serve(
        crud(Pair, out=PairOut, create=PairIn, update=PairPatch, path="/pairs", pagination=Cursor(), version="version")
    )
    maker = pairs[0].maker_id
    made = client.post("/pairs", json={"maker": maker, "number": 7, "label": "new"})
    assert (made.status_code, made.headers["Location"]) == (201, f"/pairs/{maker}/7")
    assert made.json() == {"pk": [maker, 7], "label": "new", "maker": maker}
    assert client.post("/pairs", json={"maker": maker, "number": 7, "label": "again"}).status_code == 409
    url = made.headers["Location"]
    assert client.get(url).json() == made.json()
    assert len(client.get("/pairs").json()["items"]) == 5
    assert client.patch(url, json={"label": "other"}).json()["label"] == "other"
    same = client.put(url, json={"maker": maker, "number": 7, "label": "third"})
    assert (same.status_code, same.json()["label"]) == (200, "third")
    moved = client.put(url, json={"maker": maker, "number": 8, "label": "x"})
    assert (moved.status_code, moved.json()["errors"][0]["loc"]) == (422, ["body", "number"])
    assert client.get(f"/pairs/{maker}/99").status_code == 404
    assert client.get(f"/pairs/{maker}").status_code == 404
    assert client.get(f"/pairs/{maker}/x").status_code == 404
    assert client.delete(url, headers={"If-Match": '"1"'}).status_code == 412
    assert client.delete(url).status_code == 204
    assert [pair.pk for pair in Pair.objects.order_by("pk")] == [pair.pk for pair in pairs]


def test_composite_keys_in_names_of_routes_actions_and_the_document(pairs):
    class Pairs(ModelViewSet):
        path = "/pairs"
        out = PairOut

        @action(detail=True)
        def double(self, maker_id: int, number: int) -> int:
            return 2 * number

    gateway = Gateway([Pairs])
    assert gateway.reverse_url("pair_detail", maker_id=1, number=2) == "/pairs/1/2"
    assert gateway.reverse_url("pair_double", maker_id=1, number=2) == "/pairs/1/2/double"


def test_rows_with_composite_keys_are_written_together(pairs):
    class Change(ModelStruct, model=Pair, partial=True):
        maker_id: int
        number: int
        label: str

    changes = [Change(maker_id=pair.maker_id, number=pair.number, label=f"new {pair.number}") for pair in pairs[:2]]
    Change.update_many(changes, Pair.objects.all())
    assert [pair.label for pair in Pair.objects.order_by("pk")] == ["new 1", "new 2", "b", "b"]
    with pytest.raises(RequestValidationError) as caught:
        Change.update_many([Change(maker_id=0, number=1, label="x"), Change(label="y")], Pair.objects.all())
    assert [error["loc"] for error in caught.value.errors] == [["body", 0, "number"], ["body", 1, "number"]]

    class Line(ModelStruct, model=Pair):
        number: int
        label: str

    class MakerIn(ModelStruct, model=Maker):
        name: str
        pairs: Annotated[list[Line], Column(write="replace")]

    maker = pairs[0].maker
    MakerIn(name="a", pairs=[Line(number=2, label="kept"), Line(number=3, label="made")]).update(maker)
    assert list(maker.pairs.order_by("number").values_list("number", "label")) == [(2, "kept"), (3, "made")]
    assert MakerIn(name="c", pairs=[Line(number=2, label="x")]).create().pairs.get().label == "x"


# --- keys that are not automatic -----------------------------------------------------------------------------------


class CodedOut(ModelStruct, model=Coded):
    code: str
    name: str


class CodedPatch(CodedOut, partial=True):
    pass


class KeyedIn(ModelStruct, model=Keyed):
    key: uuid.UUID | UnsetType = UNSET
    name: str


class KeyedOut(ModelStruct, model=Keyed):
    key: uuid.UUID
    name: str


class SubOut(ModelStruct, model=SubCoded):
    code: str
    name: str
    extra: str


class FuseOut(ModelStruct, model=Fuse):
    lamp: int
    watts: int


def test_a_put_keeps_the_key(serve):
    client = serve(crud(Coded, out=CodedOut, create=CodedOut, update=CodedPatch, path="/coded"))
    assert client.post("/coded", json={"code": "a", "name": "A"}).headers["Location"] == "/coded/a"
    assert client.post("/coded", json={"code": "a", "name": "again"}).status_code == 409
    assert client.put("/coded/a", json={"code": "a", "name": "B"}).json() == {"code": "a", "name": "B"}
    for call in (client.put, client.patch):
        answer = call("/coded/a", json={"code": "b", "name": "C"})
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "code"])
    assert client.patch("/coded/a", json={"code": "a"}).status_code == 200
    assert client.patch("/coded/a", json={"name": "D"}).json() == {"code": "a", "name": "D"}
    assert list(Coded.objects.values_list("code", "name")) == [("a", "D")]


def test_keys_with_defaults(serve):
    client = serve(crud(Keyed, out=KeyedOut, create=KeyedIn, path="/keyed"))
    made = client.post("/keyed", json={"name": "A"}).json()
    key, mine = made["key"], str(uuid.uuid4())
    assert client.post("/keyed", json={"key": mine, "name": "B"}).json() == {"key": mine, "name": "B"}
    assert client.put(f"/keyed/{key}", json={"name": "C"}).json() == {"key": key, "name": "C"}
    assert client.put(f"/keyed/{key}", json={"key": key.upper(), "name": "D"}).json() == {"key": key, "name": "D"}
    assert client.put(f"/keyed/{key}", json={"key": mine, "name": "E"}).status_code == 422
    assert client.delete(f"/keyed/{key}").status_code == 204


def test_keys_of_parents_and_of_other_rows(serve):
    client = serve(
        crud(SubCoded, out=SubOut, create=SubOut, path="/sub"), crud(Fuse, out=FuseOut, create=FuseOut, path="/fuses")
    )
    lamp, other = Lamp.objects.create(name="a"), Lamp.objects.create(name="b")
    made = client.post("/sub", json={"code": "a", "name": "A", "extra": "x"})
    assert made.headers["Location"] == "/sub/a"
    assert client.put("/sub/a", json={"code": "a", "name": "B", "extra": "y"}).json()["name"] == "B"
    assert client.put("/sub/a", json={"code": "b", "name": "B", "extra": "y"}).status_code == 422
    made = client.post("/fuses", json={"lamp": lamp.pk, "watts": 1})
    assert made.headers["Location"] == f"/fuses/{lamp.pk}"
    assert client.put(f"/fuses/{lamp.pk}", json={"lamp": lamp.pk, "watts": 2}).json()["watts"] == 2
    moved = client.put(f"/fuses/{lamp.pk}", json={"lamp": other.pk, "watts": 2})
    assert (moved.status_code, moved.json()["errors"][0]["loc"]) == (422, ["body", "lamp"])
    assert (SubCoded.objects.count(), Coded.objects.count(), Fuse.objects.count()) == (1, 1, 1)


def test_the_key_of_a_parent_overwrites_no_parent():
    Coded.objects.create(code="a", name="theirs")
    with pytest.raises(Conflict):
        SubOut(code="a", name="mine", extra="x").create()
    assert Coded.objects.get().name == "theirs"


def test_a_lookup_that_is_another_row_or_has_slashes(serve):
    lamp = Lamp.objects.create(name="a")
    client = serve(
        crud(Fuse, out=FuseOut, create=FuseOut, lookup="lamp", path="/fuses"),
        crud(Coded, out=CodedOut, create=CodedOut, path="/coded"),
    )
    assert client.post("/fuses", json={"lamp": lamp.pk, "watts": 1}).headers["Location"] == f"/fuses/{lamp.pk}"
    assert client.get(f"/fuses/{lamp.pk}").json()["watts"] == 1
    made = client.post("/coded", json={"code": "a/b ü", "name": "A"})
    assert made.headers["Location"] == "/coded/a%2Fb%20%C3%BC"


def test_a_key_whose_name_the_routes_need_is_told():
    class Lookup(ModelStruct, model=Label):
        text: str

    assert msgspec.structs.fields(Lookup)
    with pytest.raises(ConfigurationError, match="must be a unique column"):
        crud(Label, out=Lookup, lookup="text")
