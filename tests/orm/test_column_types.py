"""A kind of field is supported by its row in ``orm/columns/column_types.py``, and by nothing else."""

from __future__ import annotations

import msgspec
import pytest
from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from hybrid_gateway import get, post
from hybrid_gateway.openapi import OpenAPISettings
from hybrid_gateway.orm import ModelStruct
from hybrid_gateway.orm.columns.column_types import COLUMN_TYPES, ColumnType

pytestmark = pytest.mark.django_db(transaction=True)
apps = Apps(["tests.library"])


class Colour:
    def __init__(self, number: int) -> None:
        self.number = number

    def __str__(self) -> str:
        return f"#{self.number:06x}"


class ColourField(models.IntegerField):
    """A colour in Python, a whole number in the database, ``#ff0000`` to clients."""

    def get_internal_type(self) -> str:
        return "IntegerField"

    def from_db_value(self, value, expression, connection):
        return None if value is None else Colour(value)

    def to_python(self, value):
        return Colour(_parse(value)) if isinstance(value, str) else value

    def get_prep_value(self, value):
        return getattr(self.to_python(value), "number", value)

    def run_validators(self, value) -> None:
        if value.number > 0xFFFFFF:
            raise ValidationError("Too bright")


def _parse(text: str) -> int:
    if not (text.startswith("#") and len(text) == 7):
        raise ValueError("Not a colour")
    return int(text[1:], 16)


def violation(value: object) -> str | None:
    return None if str(value).startswith("#") else "Not a colour to compare with"


ROW = ColumnType(
    Colour,
    read=lambda target: target.check(str) or str,
    write=lambda value, connection: Colour(_parse(str(value))),
    predict=lambda field: lambda value, connection: value,
    annotation=lambda field: str,
    constraints=lambda field, kind: msgspec.Meta(pattern="^#[0-9a-f]{6}$", description="A colour of the web."),
    check_lookup=lambda field, value: violation(value),
)


class Paint(models.Model):
    name = models.CharField(max_length=10)
    colour = ColourField()

    class Meta:
        apps = apps
        app_label = "library"


@pytest.fixture
def client(monkeypatch, serve):
    monkeypatch.setitem(COLUMN_TYPES, ColourField, ROW)
    with connection.schema_editor() as editor:
        editor.create_model(Paint)

    class PaintOut(ModelStruct, model=Paint):
        name: str
        colour: str

    class PaintIn(ModelStruct, model=Paint):
        name: str
        colour: str

    class PaintFilter(msgspec.Struct):
        colour: str | None = None
        colour__gt: str | None = None

    @get("/paints", filters=PaintFilter)
    def paints() -> list[PaintOut]:
        return Paint.objects.order_by("pk")

    @post("/paints")
    def add(data: PaintIn) -> PaintOut:
        return data.create()

    yield serve(paints, add, openapi=OpenAPISettings(enabled=True))
    with connection.schema_editor() as editor:
        editor.delete_model(Paint)


def test_a_field_of_a_project_is_read_written_filtered_and_documented_by_its_row(client):
    with CaptureQueriesContext(connection) as captured:
        made = client.post("/paints", json={"name": "red", "colour": "#ff0000"})
    assert (made.status_code, made.json()) == (201, {"name": "red", "colour": "#ff0000"})
    assert len(captured) == 1, "The row says what the column makes of it, so nothing is read back."
    client.post("/paints", json={"name": "blue", "colour": "#0000ff"})
    assert [paint["name"] for paint in client.get("/paints").json()] == ["red", "blue"]
    assert [paint["name"] for paint in client.get("/paints?colour=%23ff0000").json()] == ["red"]
    assert [paint["name"] for paint in client.get("/paints?colour__gt=%2300ffff").json()] == ["red"]
    refused = client.get("/paints?colour=red")
    assert (refused.status_code, refused.json()["errors"][0]["msg"]) == (422, "Not a colour to compare with")
    refused = client.post("/paints", json={"name": "red", "colour": "red"})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "colour"])
    schema = client.get("/openapi.json").json()["components"]["schemas"]["PaintIn"]["properties"]["colour"]
    assert schema["pattern"] == "^#[0-9a-f]{6}$"


def test_every_field_of_django_has_a_row():
    without = (models.ForeignObject, models.ManyToManyField, models.GeneratedField)
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, models.Field)]
    columns = [kind for kind in kinds if kind is not models.Field and not issubclass(kind, without)]
    known = {kind: {base.__name__ for base in kind.__mro__} & COLUMN_TYPES.keys() for kind in columns}
    assert [kind for kind, rows in known.items() if not rows] == []
