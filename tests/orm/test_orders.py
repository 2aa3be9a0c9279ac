"""Every row of a list is on one page of it, whatever its order is; links lead through all of them, and back."""

import datetime
import decimal
import random
from typing import Annotated, Any, Literal

import msgspec
import pytest
from django.db import connection
from django.db.models import Case, Count, F, Max, OuterRef, Subquery, When, Window
from django.db.models.functions import Lower, RowNumber
from django.db.models.functions import Random as RandomNumber

from hybrid_gateway import ConfigurationError, Gateway, Router, get
from hybrid_gateway.orm import Column, Cursor, LimitOffset, ModelStruct, Ordering, PageNumber, crud
from hybrid_gateway.orm.querysets.querysets import as_queryset, is_total_order, with_total_order
from hybrid_gateway.test import TestClient
from tests.library.models import Biography, Book, Publisher
from tests.orm.lamps import Lamp, Maker, Pair, Spot, Tag, lamps  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lamps")]


class LampOut(ModelStruct, model=Lamp):
    name: str


class CountedOut(ModelStruct, model=Lamp):
    name: str
    n: Annotated[int, Column("n")]


TEXTS = ["", "a", "A", "ä", "a b", "b%", "x'y", '"', "ß", "🦊", "zz", "-1"]


@pytest.fixture
def rows():
    rng = random.Random(7)
    makers = [Maker.objects.create(name=name, rank=rank) for name, rank in zip("abc", (2, None, 2), strict=True)]
    tags = [Tag.objects.create(word=word) for word in "xyz"]
    moment = datetime.datetime(2024, 3, 31, 0, 59, 59, 999_998, tzinfo=datetime.UTC)
    made = []
    for number in range(26):
        lamp = Lamp.objects.create(
            name=f"{rng.choice(TEXTS)}{number // 4}",
            note=rng.choice([None, *TEXTS[:4]]),
            price=rng.choice([None, decimal.Decimal("0.1"), decimal.Decimal("-2.005"), decimal.Decimal("99999.999")]),
            weight=rng.choice([None, 0.1, -1e300, 1e-300, 3.0]),
            lit=rng.choice([None, moment, moment + datetime.timedelta(microseconds=1)]),
            span=rng.choice([None, datetime.timedelta(days=-1, microseconds=1), datetime.timedelta(hours=30)]),
            maker=rng.choice([None, *makers]),
        )
        lamp.tags.set(rng.sample(tags, rng.randint(0, 3)))
        made.append(lamp)
    return made


COLUMNS = [
    "name",
    "note",
    "price",
    "weight",
    "lit",
    "span",
    "serial",
    "maker",
    "maker_id",
    "maker__name",
    "maker__rank",
]


def orders(seed: int, count: int) -> list[tuple[Any, ...]]:
    """Generated orders: some columns, up or down, nulls where they are or where they are told to be."""
    rng = random.Random(seed)

    def term(name: str) -> Any:
        column = F(name)
        return rng.choice(
            [name, f"-{name}", column.asc(), column.desc(), column.asc(nulls_last=True), column.asc(nulls_first=True)]
            + [column.desc(nulls_last=True), column.desc(nulls_first=True), Lower(name).desc()]
            if name in ("name", "note")
            else [name, f"-{name}", column.desc(nulls_last=True), column.asc(nulls_first=True), column.desc()]
        )

    return [tuple(map(term, rng.sample(COLUMNS, rng.randint(0, 3)))) for _ in range(count)]


def walk(style: Any, struct: Any, queryset: Any, size: int) -> tuple[list[Any], list[Any]]:
    """The names on all pages, by the links to the next ones, and again by the links back."""
    values: Any = {"cursor": None, "page": 1, "size": size, "limit": size, "offset": 0}
    found, back = [], []
    for _ in range(200):
        page, neighbours = style.page(struct, style.arranged(as_queryset(queryset)), values)
        following, previous = neighbours.get("next"), neighbours.get("prev")
        found.append([item.name for item in page.items])
        if following is None:
            break
        values = {**values, **following}
    back.append(found[-1])
    for _ in range(200):
        if previous is None:
            break
        page, neighbours = style.page(struct, style.arranged(as_queryset(queryset)), {**values, **previous})
        previous = neighbours.get("prev")
        back.append([item.name for item in page.items])
    return [name for page in found for name in page], [name for page in reversed(back) for name in page]


def kinds(order: tuple[Any, ...]) -> dict[str, Any]:
    """Querysets of the same order that Django makes other SQL of."""
    ordered = Lamp.objects.order_by(*order)
    found = {
        "plain": ordered,
        "reversed": ordered.reverse(),
        "counted": ordered.annotate(n=Count("tags")),
        "distinct": ordered.distinct(),
        "sliced": with_total_order(ordered)[3:20],
    }
    if all(isinstance(term, str) and "maker" not in term for term in order):
        union = Lamp.objects.filter(pk__lt=0).union(Lamp.objects.filter(pk__gt=0))
        found["union"] = union.order_by(*order) if order else union
    return found


@pytest.mark.parametrize("style", [PageNumber(), LimitOffset(), LimitOffset(count=False), Cursor()])
def test_every_row_is_on_one_page(rows, style):
    for number, order in enumerate(orders(1, 9)):
        Lamp.objects.all().update(name=F("pk"))
        for kind, queryset in kinds(order).items():
            expected = [lamp.name for lamp in with_total_order(queryset)]
            assert len(set(expected)) == (17 if kind == "sliced" else 26), kind
            forwards, backwards = walk(style, LampOut, queryset, size=(3, 5, 26)[number % 3])
            assert forwards == expected, (kind, order)
            assert sorted(backwards) == sorted(expected), (kind, order)
            if isinstance(style, Cursor):
                assert backwards == expected, (kind, order)


def test_rows_that_tie_are_told_apart_in_the_order_that_django_has(rows):
    """What ends an order changes nothing of it."""
    for order in orders(2, 40):
        first = [lamp.pk for lamp in Lamp.objects.order_by(*order, "pk")]
        assert [lamp.pk for lamp in with_total_order(Lamp.objects.order_by(*order))] == first, order
        turned = [lamp.pk for lamp in Lamp.objects.order_by(*order, "pk").reverse()]
        assert [lamp.pk for lamp in with_total_order(Lamp.objects.order_by(*order).reverse())] == turned, order


@pytest.mark.skipif(connection.vendor != "postgresql", reason="DISTINCT ON is PostgreSQL's.")
@pytest.mark.parametrize("style", [PageNumber(), LimitOffset(), Cursor(), Cursor(ordering="-name")])
@pytest.mark.parametrize("order", [(), ("maker_id", "-name"), ("maker_id",)])
def test_one_row_of_each(rows, style, order):
    Lamp.objects.all().update(name=F("pk"))
    queryset = Lamp.objects.order_by(*order).distinct("maker")
    expected = [lamp.name for lamp in with_total_order(queryset)]
    assert len(expected) == 4
    assert sorted(walk(style, LampOut, queryset, size=2)[0]) == sorted(expected)


def test_a_page_of_a_slice_is_a_part_of_it(rows):
    names = [lamp.name for lamp in Lamp.objects.order_by("pk")]
    sliced = Lamp.objects.order_by("pk")[5:12]
    page, neighbours = LimitOffset().page(LampOut, sliced, {"limit": 4, "offset": 0})
    following = neighbours.get("next")
    assert ([item.name for item in page.items], page.total, following) == (names[5:9], 7, {"limit": 4, "offset": 4})
    page, neighbours = PageNumber().page(LampOut, sliced, {"page": 2, "size": 4})
    following = neighbours.get("next")
    assert ([item.name for item in page.items], page.total, page.pages, following) == (names[9:12], 7, 2, None)
    page, _ = LimitOffset(count="estimate").page(LampOut, sliced, {"limit": 3, "offset": 30})
    assert page.items == []


@pytest.mark.parametrize("count", [True, "estimate"])
def test_pages_behind_the_last(rows, count):
    for queryset in kinds(("name",)).values():
        page, neighbours = LimitOffset(count=count).page(LampOut, queryset, {"limit": 5, "offset": 500})
        following, previous = neighbours.get("next"), neighbours.get("prev")
        assert (page.items, following, previous) == ([], None, {"limit": 5, "offset": 495})


def test_cursors_by_annotations(rows):
    Lamp.objects.all().update(name=F("pk"))
    queryset = Lamp.objects.annotate(n=Count("tags"))
    for style, given in ((Cursor(ordering="-n"), queryset), (Cursor(), queryset.order_by(F("n").asc(), "maker"))):
        forwards, backwards = walk(style, CountedOut, given, size=4)
        assert forwards == backwards
        assert sorted(map(int, forwards)) == [lamp.pk for lamp in rows]
    numbered = Lamp.objects.annotate(n=Window(RowNumber()))
    with pytest.raises(ConfigurationError, match="a window changes with the rows behind it"):
        Cursor().page(CountedOut, numbered.order_by("n"), {"cursor": None})


def test_cursors_while_rows_go(rows):
    """Whatever is deleted between two pages, nothing that stays is left out or shown twice."""
    rng = random.Random(3)
    for order in orders(4, 12):
        Lamp.objects.all().delete()
        Lamp.objects.bulk_create(
            Lamp(name=str(number), note=rng.choice([None, "a"]), weight=rng.choice([None, 1])) for number in range(20)
        )
        order = tuple(term for term in order if "maker" not in str(term))
        seen: list[str] = []
        values: Any = {"cursor": None, "size": 3}
        while True:
            page, neighbours = Cursor().page(LampOut, Lamp.objects.order_by(*order), values)
            following = neighbours.get("next")
            seen += [item.name for item in page.items]
            if following is None:
                break
            values = {**values, **following}
            gone = rng.choice([lamp.pk for lamp in Lamp.objects.all()])
            Lamp.objects.filter(pk=gone).delete()
        assert len(seen) == len(set(seen))
        assert set(Lamp.objects.values_list("name", flat=True)) <= set(seen), order


def union(**options: Any) -> Any:
    return Lamp.objects.filter(pk__lt=0).union(Lamp.objects.filter(pk__gt=0), **options)


FIRST_TAG = Tag.objects.filter(lamps=OuterRef("pk")).order_by("word").values("word")[:1]


@pytest.mark.parametrize(
    ("build", "by_cursor"),
    [
        (lambda: Lamp.objects.extra(order_by=["-name"]), True),
        (lambda: Lamp.objects.extra(select={"long": "length(name)"}).order_by("-long"), False),
        (lambda: Lamp.objects.order_by("tags__word"), False),
        (lambda: Lamp.objects.order_by("tags__word").distinct(), False),
        (lambda: Lamp.objects.order_by(Subquery(FIRST_TAG)), True),
        (lambda: Lamp.objects.order_by(Case(When(note="a", then=0)).desc(nulls_last=True)), True),
        (lambda: Lamp.objects.annotate(most=Max("tags__word")).order_by(F("most").desc(nulls_last=True)), True),
        (lambda: Lamp.objects.annotate(n=Count("tags")).filter(n__gt=0).order_by("n", "-maker"), True),
        (lambda: Lamp.objects.annotate(n=Window(Count("pk"), partition_by=[F("note")])).order_by("n"), False),
        (lambda: Lamp.objects.order_by("lit__year", "note"), True),
        (lambda: union(all=True), True),
        (lambda: union().order_by("-note"), True),
        (lambda: union().order_by("-note")[1:9], True),
        (lambda: Lamp.objects.filter(pk__gt=0).difference(Lamp.objects.filter(note=None)), True),
        (lambda: Lamp.objects.annotate(n=Count("tags")).order_by("-n")[2:13], True),
        (lambda: Lamp.objects.order_by("note", "pk").reverse()[2:], True),
        (lambda: Lamp.objects.order_by("note").distinct()[2:9], True),
        (lambda: Lamp.objects.order_by("note").select_related("maker").prefetch_related("tags"), True),
    ],
)
def test_whatever_django_can_order_is_paged(rows, build, by_cursor):
    Lamp.objects.all().update(name=F("pk"))
    expected = [lamp.name for lamp in with_total_order(build())]
    for style in (LimitOffset(), PageNumber(), LimitOffset(count=False)):
        assert walk(style, LampOut, build(), size=4)[0] == expected
    if by_cursor:
        assert walk(Cursor(), LampOut, build(), size=4) == (expected, expected)
    else:
        with pytest.raises(ConfigurationError, match="A cursor cannot order by"):
            walk(Cursor(), LampOut, build(), size=4)


def test_cursors_by_what_is_not_shown(rows):
    """``alias()`` names what cannot be selected."""
    Lamp.objects.all().update(name=F("pk"))
    queryset = Lamp.objects.alias(n=Count("tags")).order_by("-n", "name")
    forwards, backwards = walk(Cursor(), LampOut, queryset, size=4)
    assert forwards == backwards == [lamp.name for lamp in queryset]


def evaluated() -> Any:
    queryset = Lamp.objects.order_by("pk")
    assert queryset
    return queryset


@pytest.mark.parametrize("style", [LimitOffset(limit=2), PageNumber(size=2), Cursor(size=2), None])
@pytest.mark.parametrize(
    "handler",
    [
        evaluated,
        lambda: Lamp,
        lambda: list(Lamp.objects.order_by("pk")),
        lambda: tuple(LampOut.fetch(Lamp.objects.order_by("pk"))),
        lambda: Lamp.objects.raw("SELECT * FROM library_lamp ORDER BY id"),
    ],
)
def test_whatever_rows_a_handler_returns_are_paged(rows, style, handler):
    Lamp.objects.all().update(name=F("pk"))
    options = {} if style is None else {"pagination": style}
    client = TestClient(Gateway([get("/lamps", response=list[LampOut], **options)(handler)]))
    given = handler()
    if isinstance(style, Cursor) and not (given is Lamp or hasattr(given, "filter")):
        with pytest.raises(ConfigurationError, match="GET /lamps.*A cursor needs a queryset, not a list"):
            client.get("/lamps")
        return
    found, url = [], "/lamps"
    while url is not None:
        body = client.get(url).json()
        items, url = (body, None) if style is None else (body["items"], body["next"])
        found += [int(item["name"]) for item in items]
    assert found == [lamp.pk for lamp in rows]


def test_a_list_is_not_filtered_in_silence(rows):
    class Filter(msgspec.Struct):
        name: str | None = None

    for options in ({}, {"pagination": LimitOffset()}, {"chunked": True}):
        client = TestClient(
            Gateway(
                [get("/lamps", response=list[LampOut], filters=Filter, **options)(lambda: list(Lamp.objects.all()))]
            )
        )
        body = client.get("/lamps").json()
        assert len(body if isinstance(body, list) else body["items"]) >= 20
        with pytest.raises(TypeError, match="filters= narrow a QuerySet, not list"):
            client.get("/lamps?name=a")


# --- what leaves no ties -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "names", "total"),
    [
        (Lamp, ("name",), False),
        (Lamp, ("-pk",), True),
        (Lamp, ("name", "id"), True),
        (Lamp, ("maker",), False),
        (Book, ("isbn",), True),
        (Book, ("publisher__name",), False),  # unique there, not here
        (Publisher, ("name",), True),
        (Spot, ("x", "-y"), True),
        (Spot, ("x",), False),
        (Spot, ("place",), False),  # unique, but may be null
        (Pair, ("pk",), True),
        (Pair, ("number", "maker_id"), True),
        (Pair, ("number", "maker"), False),  # which makers are ordered by
        (Biography, ("author",), True),
    ],
)
def test_what_leaves_no_ties(model, names, total):
    assert is_total_order(model, tuple(name.lstrip("-") for name in names)) is total
    order = with_total_order(model.objects.order_by(*names)).query.order_by
    assert (order == names) is total


# --- what cannot be ordered by -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["nothing", "name__nothing", "tags", "tags__word", "?", RandomNumber(), 3, "labels"])
def test_what_a_cursor_cannot_order_by_is_told_at_the_start(order):
    handler = get("/lamps", response=list[LampOut], pagination=Cursor(ordering=[order]))(Lamp.objects.all)
    with pytest.raises(ConfigurationError, match=r"GET /lamps.*cursor (cannot order|orders)"):
        Gateway([handler])


def test_what_a_queryset_cannot_be_ordered_by_names_the_route():
    handler = get("/lamps", response=list[LampOut], pagination=Cursor())(lambda: Lamp.objects.order_by("?"))
    with pytest.raises(ConfigurationError, match="GET /lamps.*cursor orders by columns"):
        TestClient(Gateway([handler])).get("/lamps")


def test_what_the_routes_of_a_model_are_ordered_by_is_tried_at_the_start():
    for rows in (Lamp.objects.order_by("?"), Lamp.objects.order_by("tags__word")):
        routes = crud(Lamp, out=LampOut, queryset=rows, path="/lamps")
        with pytest.raises(ConfigurationError, match="GET /lamps.*cursor (orders|cannot order)"):
            Gateway([Router("", [routes], pagination=Cursor())])
        Gateway([Router("", [routes], pagination=Cursor(ordering="name"))])
        Gateway([Router("", [routes], pagination=LimitOffset())])
    counted = Lamp.objects.annotate(n=Count("tags")).order_by("-n")
    Gateway([crud(Lamp, out=LampOut, queryset=counted, path="/lamps", pagination=Cursor())])


def test_what_clients_may_order_by_is_tried_at_the_start():
    class Wrong(msgspec.Struct):
        sort: Annotated[Literal["tag"] | None, Ordering(tag="tags__word")] = None

    class Random(msgspec.Struct):
        sort: Annotated[Literal["random"] | None, Ordering(random="?")] = None

    def build(filters: Any, **options: Any) -> Any:
        return Gateway([get("/lamps", response=list[LampOut], filters=filters, **options)(Lamp.objects.all)])

    with pytest.raises(ConfigurationError, match="leads to many rows"):
        build(Wrong)
    build(Random)
    with pytest.raises(ConfigurationError, match="GET /lamps.*cursor orders by columns"):
        build(Random, pagination=Cursor())


@pytest.mark.parametrize("newest", ["-pk", F("pk").desc(nulls_last=True), (F("pk") * -1).asc()])
@pytest.mark.parametrize("style", [Cursor(ordering="name", size=5), LimitOffset(limit=5), PageNumber(size=5)])
def test_clients_order_is_heeded_and_filters_are_of_the_slice(rows, style, newest):
    class Filter(msgspec.Struct):
        name__gte: str | None = None
        sort: Annotated[Literal["newest"] | None, Ordering(newest=newest)] = None

    Lamp.objects.all().update(name=F("pk"))
    sliced = Lamp.objects.order_by("pk")[:10]
    client = TestClient(
        Gateway([get("/lamps", response=list[LampOut], filters=Filter, pagination=style)(lambda: sliced)])
    )
    names = [lamp.name for lamp in sliced]
    page = client.get("/lamps?sort=newest").json()
    assert [item["name"] for item in page["items"]] == names[:4:-1]
    page = client.get(page["next"]).json()
    assert [item["name"] for item in page["items"]] == names[4::-1]
    page = client.get(f"/lamps?name__gte={names[7]}").json()
    assert [item["name"] for item in page["items"]] == sorted(name for name in names if name >= names[7])
