"""Models as projects have them: managers that hide rows, lists whose rows are unique, names of columns like methods."""

import datetime
import zoneinfo
from typing import Annotated, Any, Literal

import msgspec
import pytest
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Lower

from hybrid_gateway import ConfigurationError
from hybrid_gateway.exceptions import Conflict, RequestValidationError
from hybrid_gateway.orm import Column, Cursor, LimitOffset, ModelStruct, Ordering, computed, crud, model_struct, prepare

pytestmark = pytest.mark.django_db


class VisibleManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(hidden=False)


class Band(models.Model):
    """Deleted by a flag, as its manager has it."""

    name = models.CharField(max_length=20, unique=True)
    town = models.CharField(max_length=20, default="")
    nick = models.CharField(max_length=20, null=True)
    hidden = models.BooleanField(default=False)
    founded = models.DateTimeField(null=True)
    score = models.FilePathField(path="", blank=True)

    objects = VisibleManager()

    class Meta:
        app_label = "library"
        unique_together = [("town", "nick")]


class Player(models.Model):
    band = models.ForeignKey(Band, models.CASCADE, related_name="players")
    name = models.CharField(max_length=20)
    number = models.IntegerField(null=True)
    email = models.CharField(max_length=20, null=True, unique=True)

    class Meta:
        app_label = "library"
        constraints = [
            models.UniqueConstraint(fields=["band", "name"], name="player_name"),
            models.UniqueConstraint("band", Lower("email"), name="player_email"),
            models.UniqueConstraint(fields=["number"], condition=Q(number__gt=0), name="player_number"),
            models.CheckConstraint(condition=Q(number__lt=100), name="player_low"),
        ]


class Words(models.Model):
    """Columns with the names of methods of a ModelStruct, and with others that look like it."""

    get = models.IntegerField(default=1)
    create = models.CharField(max_length=9, default="x")
    items = models.IntegerField(default=2, db_column="group by")
    model = models.CharField(max_length=9, default="m")
    row = models.IntegerField(default=3)
    connection = models.IntegerField(default=4)

    class Meta:
        app_label = "library"
        db_table = "a table of words"


class LoudField(models.CharField):
    def from_db_value(self, value, expression, connection):
        return None if value is None else value.upper()


class Shout(models.Model):
    word = LoudField(max_length=20)
    reply = LoudField(max_length=20, null=True)
    times = models.IntegerField(default=1)

    class Meta:
        app_label = "library"


class LongShout(Shout):
    echo = LoudField(max_length=20)

    class Meta:
        app_label = "library"


class KeyedShout(models.Model):
    pk = models.CompositePrimaryKey("town", "number")
    town = models.CharField(max_length=20)
    number = models.IntegerField()
    word = LoudField(max_length=20)

    class Meta:
        app_label = "library"


class Reply(models.Model):
    """Of a row with a composite key, by the columns that it shares with it."""

    town = models.CharField(max_length=20)
    number = models.IntegerField()
    shout = models.ForeignObject(
        KeyedShout, models.CASCADE, from_fields=("town", "number"), to_fields=("town", "number"), related_name="replies"
    )
    text = models.CharField(max_length=20)

    class Meta:
        app_label = "library"


MODELS = (Band, Player, Words, Shout, LongShout, KeyedShout, Reply)


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            for model in MODELS:
                editor.create_model(model)
        yield
        with connection.schema_editor() as editor:
            for model in reversed(MODELS):
                editor.delete_model(model)


# --- rows that contradict others -----------------------------------------------------------------------------------


class BandIn(ModelStruct, model=Band):
    name: str
    town: str = ""
    nick: str | None = None


class BandPatch(BandIn, partial=True):
    pass


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("sent", [{"name": "A"}, {"town": "T", "nick": "N"}])
def test_a_contradiction_is_traced_to_rows_that_a_manager_hides(sent, hidden):
    Band(name="A", town="T", nick="N", hidden=hidden).save()
    other = Band.objects.create(name="B")
    place = ["body", "name"] if "name" in sent else ["body"]
    for write in (BandIn(**{"name": "C", **sent}).create, lambda: BandPatch(**sent).update(other)):
        with pytest.raises(Conflict) as caught:
            write()
        assert [error["loc"] for error in caught.value.extra["errors"]] == [place]
        other.refresh_from_db()
    BandPatch(name="B").update(other)  # its own
    BandIn(name="D", town="T").create()  # a null is like no other
    BandIn(name="E", town="T").create()


class PlayerIn(ModelStruct, model=Player):
    id: Any = msgspec.UNSET
    name: str
    number: int | None = None
    email: str | None = None


class Line(ModelStruct, model=Band):
    name: str
    players: Annotated[list[PlayerIn], Column(write="replace")]


@pytest.mark.parametrize(
    "unique", [{"name": "x"}, {"name": "x", "email": "e"}, {"name": "x", "number": 7}, {"name": "x", "number": -7}]
)
def test_rows_of_a_replaced_list_may_be_like_those_that_go(unique):
    band = Line(name="A", players=[PlayerIn(**unique), PlayerIn(name="y")]).create()
    kept = band.players.get(name="y")
    for players in ([{**unique}], [{"name": "z"}, {**unique}], [{"id": kept.pk, "name": "q"}, {**unique}]):
        if "id" in players[0]:
            players[0]["id"] = Player.objects.create(band=band, name="new").pk
        Line(name="A", players=[PlayerIn(**player) for player in players]).update(band)
        assert sorted(band.players.values_list("name", flat=True)) == sorted(player["name"] for player in players)
    before = list(band.players.values_list("pk", flat=True).order_by("pk"))
    with pytest.raises(Conflict) as caught:
        Line(name="A", players=[PlayerIn(**unique), PlayerIn(**unique)]).update(band)
    assert caught.value.extra["errors"][0]["loc"][:3] == ["body", "players", 1]
    with pytest.raises(RequestValidationError):
        Line(name="A", players=[PlayerIn(name="n", number=100)]).update(band)
    assert list(band.players.values_list("pk", flat=True).order_by("pk")) == before  # nothing has gone


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["get", "create"])
def test_a_field_does_not_take_the_place_of_a_method(name):
    kind = int if name == "get" else str
    for make in (
        lambda: type(ModelStruct)("W", (ModelStruct,), {"__annotations__": {name: kind}}, model=Words),
        lambda: type(ModelStruct)("W", (ModelStruct,), {"__annotations__": {name: kind}}, model=Words, partial=True),
        lambda: model_struct(Words, fields=["id", name]),
        lambda: model_struct(Words, exclude=["id"]),
    ):
        with pytest.raises(ConfigurationError, match=r'has a method \w+\(\).*msgspec.field\(name="\w+"\)'):
            make()


class WordsOut(ModelStruct, model=Words):
    id: int
    get_: Annotated[int, Column("get")] = msgspec.field(name="get")
    create_: Annotated[str, Column("create")] = msgspec.field(name="create")
    items: int
    model: str
    row: int
    connection: int


class WordsIn(ModelStruct, model=Words):
    get_: Annotated[int, Column("get")] = msgspec.field(name="get")
    create_: Annotated[str, Column("create")] = msgspec.field(name="create", default="x")
    items: int = 2
    model: str = "m"


class WordsFilter(msgspec.Struct):
    get: int | None = None
    model: str | None = None
    sort: Annotated[Literal["get", "-items"] | None, Ordering()] = None


@pytest.mark.parametrize("pagination", [LimitOffset(), Cursor(ordering="-get")])
def test_columns_with_the_names_of_methods_and_keywords(serve, pagination):
    routes = crud(
        Words, out=WordsOut, create=WordsIn, update=WordsIn, path="/w", pagination=pagination, filters=WordsFilter
    )
    client = serve(routes)
    made = client.post("/w", json={"get": 7})
    assert made.status_code == 201
    shown = {**made.json(), "get": 8, "items": 5}
    assert client.put(f"/w/{shown['id']}", json={"get": 8, "items": 5}).json() == shown
    assert client.get("/w?get=8&model=m&sort=-items").json()["items"] == [shown]
    assert client.post("/w", json={"get": "x"}).json()["errors"][0]["loc"] == ["body", "get"]


# --- values --------------------------------------------------------------------------------------------------------


def test_a_path_leads_into_its_folder(tmp_path, monkeypatch):
    field = Band._meta.get_field("score")
    struct = type(ModelStruct)("B", (ModelStruct,), {"__annotations__": {"name": str, "score": str}}, model=Band)
    for path in (str(tmp_path), f"{tmp_path}/", tmp_path, lambda: str(tmp_path)):
        monkeypatch.setattr(field, "path", path)
        band = struct(name="A", score=f"{tmp_path}/a.txt").create()
        struct(name="A", score=f"{tmp_path}/b/c.txt").update(band)
        struct(name="A", score="").update(band)
        for wrong in ("/etc/passwd", f"{tmp_path}/../b.txt", f"{tmp_path}b.txt", "a.txt", str(tmp_path), "../a.txt"):
            with pytest.raises(RequestValidationError) as caught:
                struct(name="A", score=wrong).update(band)
            assert [error["loc"] for error in caught.value.errors] == [["body", "score"]]
        band.delete()


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Kathmandu", "America/New_York", "UTC"])
def test_cursors_by_moments_of_times_with_odd_offsets(serve, monkeypatch, zone):
    """Before there were zones, an offset had seconds, which RFC 3339 has not."""
    monkeypatch.setattr(connection, "timezone", zoneinfo.ZoneInfo(zone))
    if connection.vendor == "postgresql":
        connection.cursor().execute("SELECT set_config('TimeZone', %s, true)", [zone])
    days = [datetime.datetime(1850 + 10 * number, 1, 1, tzinfo=datetime.UTC) for number in range(18)]
    for number, day in enumerate(days):
        Band.objects.create(name=str(number), founded=day)
    out = type(ModelStruct)("B", (ModelStruct,), {"__annotations__": {"name": str}}, model=Band)
    client = serve(crud(Band, out=out, path="/b", pagination=Cursor(size=1, ordering="founded")))
    seen, url = [], "/b"
    while url and len(seen) < 2 * len(days):
        page = client.get(url).json()
        seen += [item["name"] for item in page["items"]]
        url = page["next"]
    assert seen == [str(number) for number in range(len(days))]


@pytest.mark.parametrize(
    ("model", "fields"),
    [(LongShout, ("word", "reply", "times", "echo")), (KeyedShout, ("town", "number", "word"))],
)
def test_what_is_read_back_is_the_row_however_often(model, fields):
    """The query of the first time is kept."""
    kinds = {"reply": str | None, "times": int, "number": int}
    annotations = {field: kinds.get(field, str) for field in fields}
    struct = type(ModelStruct)("S", (ModelStruct,), {"__annotations__": annotations}, model=model)
    patch = type(ModelStruct)("P", (ModelStruct,), {"__annotations__": annotations}, model=model, partial=True)
    rows = []
    for number in range(3):
        values = {"town": "t", "number": number, "word": f"a{number}", "echo": "b", "times": number, "reply": None}
        rows.append(struct(**{name: values[name] for name in fields}).create())
    for number in range(3):
        for row in rows:
            sent = {name: f"{name}{row.word}{number}" for name in ("word", "reply", "echo") if name in fields}
            for part in (sent, {"word": "x"}, {**sent, "word": f"q{number}"}):
                patch(**part).update(row)
                [stored] = models.QuerySet(model).filter(pk=row.pk)
                assert [getattr(row, name) for name in fields] == [getattr(stored, name) for name in fields]
                assert row.word == part["word"].upper()


# --- relations of several columns ----------------------------------------------------------------------------------


class ShoutOut(ModelStruct, model=KeyedShout):
    pk: tuple[str, int]
    word: str


class ReplyOut(ModelStruct, model=Reply):
    text: str
    shout: ShoutOut
    word: Annotated[str, Column("shout__word")]
    number: int

    @computed("shout__word", "text")
    @staticmethod
    def both(word: str, text: str) -> str:
        return f"{word} {text}"


def test_a_relation_of_several_columns_is_joined():
    for number in range(3):
        KeyedShout.objects.create(town="t", number=number, word=f"w{number}")
        Reply.objects.create(town="t", number=number, text=f"r{number}")
    rows = ReplyOut.fetch(Reply.objects.order_by("number"))
    assert rows == [ReplyOut.from_model(reply) for reply in Reply.objects.order_by("number")]
    assert [(row.text, row.shout, row.word, row.both) for row in rows] == [
        (f"r{number}", ShoutOut(pk=("t", number), word=f"W{number}"), f"W{number}", f"W{number} r{number}")
        for number in range(3)
    ]
    one = prepare(ReplyOut, lambda number: Reply.objects.filter(number=number))
    assert [one.get(number=number) for number in range(3)] == rows


class TextOut(ModelStruct, model=Reply):
    text: str


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [
        (Reply, "shout", Any),
        (Reply, "shout", tuple[str, int]),
        (Reply, "shout", int),
        (Reply, "word", Annotated[Any, Column("shout")]),
        (KeyedShout, "replies", list[int]),
        (KeyedShout, "replies", list[TextOut]),
        (KeyedShout, "texts", Annotated[list[str], Column("replies__text")]),
    ],
)
def test_what_a_relation_of_several_columns_cannot_show_is_refused(model, name, kind):
    with pytest.raises(ConfigurationError, match=r"shout.*is a relation of several columns"):
        type(ModelStruct)("R", (ModelStruct,), {"__annotations__": {name: kind}}, model=model)
