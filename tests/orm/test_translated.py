"""Columns in several languages, as django-modeltranslation makes them: Structs show what instances do.

The package itself is tried by ``scripts/packages``; this has its habits: an attribute that chooses among columns, a
manager that rewrites names, lists for orders, and conditions that it changes where they stand.
"""

from typing import Annotated, Any

import pytest
from django.db import connection, models
from django.db.models import Q
from django.utils import translation

from hybrid_gateway.orm import Column, Cursor, ModelStruct, computed

LANGUAGES = ("en", "de")


def language() -> str:
    """The language of the day, without its country."""
    return str(translation.get_language()).partition("-")[0]


class Chosen:
    """The attribute of a translated field."""

    def __init__(self, field: Any) -> None:
        self.field = field

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        values = [getattr(instance, f"{self.field.name}_{code}") for code in (language(), *LANGUAGES)]
        return next((value for value in values if value), "")

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.name] = value


def rewritten(name: Any) -> Any:
    """A name of the model as that of the language of the day."""
    start, dash, rest = str(name).partition("__")
    bare = start.lstrip("-")
    return f"{start}_{language()}{dash}{rest}" if bare in ("name", "word") else name


def rewrite(condition: Any) -> Any:
    if isinstance(condition, Q):
        condition.children = list(map(rewrite, condition.children))
        return condition
    return (rewritten(condition[0]), condition[1])


class Rewriting(models.QuerySet[Any]):
    def _filter_or_exclude(self, negate: bool, args: Any, kwargs: Any) -> Any:
        args = tuple(map(rewrite, args))
        return super()._filter_or_exclude(negate, args, {rewritten(path): value for path, value in kwargs.items()})

    def order_by(self, *names: Any) -> Any:
        ordered = super().order_by(*map(rewritten, names))
        ordered.query.order_by = list(ordered.query.order_by)
        return ordered


class Sign(models.Model):
    name = models.CharField(max_length=20)
    name_en = models.CharField(max_length=20, null=True)
    name_de = models.CharField(max_length=20, null=True)

    objects = Rewriting.as_manager()

    class Meta:
        app_label = "library"


class Arrow(models.Model):
    sign = models.ForeignKey(Sign, models.CASCADE, related_name="arrows")
    word = models.CharField(max_length=20)
    word_en = models.CharField(max_length=20, null=True)
    word_de = models.CharField(max_length=20, null=True)

    objects = Rewriting.as_manager()

    class Meta:
        app_label = "library"


for model, name in ((Sign, "name"), (Arrow, "word")):
    field = model._meta.get_field(name)
    setattr(model, name, Chosen(field))
    for code in LANGUAGES:
        model._meta.get_field(f"{name}_{code}").translated_field = field


class SignOut(ModelStruct, model=Sign):
    id: int
    name: str
    words: Annotated[list[str], Column("arrows__word", order_by="word", filter=Q(word__contains="r"))]

    @computed("name", "id")
    def title(name: str, number: int) -> str:
        return f"{number} {name}"


class ArrowOut(ModelStruct, model=Arrow):
    word: str
    sign: SignOut
    sign_name: Annotated[str, Column("sign__name")]


class NameOut(ModelStruct, model=Sign):
    name: str


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.create_model(Sign)
            editor.create_model(Arrow)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(Arrow)
            editor.delete_model(Sign)


@pytest.mark.django_db
def test_structs_speak_the_language_of_the_day():
    first = Sign.objects.create(name_en="b out", name_de="a aus")
    second = Sign.objects.create(name_en="a in", name_de=None)
    for sign, word_en, word_de in ((first, "right", "rechts"), (first, "forwards", "vor"), (second, "here", "dort")):
        Arrow.objects.create(sign=sign, word_en=word_en, word_de=word_de)
    seen = set()
    for code in ("en", "de", "en"):
        with translation.override(code):
            signs = Sign.objects.order_by("name")
            shown = SignOut.fetch(signs)
            assert shown == [SignOut.from_model(sign) for sign in signs]
            assert shown == [SignOut.get(Sign.objects.filter(pk=sign.pk)) for sign in signs]
            seen.add(str(shown))
            names = NameOut.fetch(signs)
            assert names == [NameOut.from_model(sign) for sign in signs]
            arrows = Arrow.objects.order_by("pk")
            assert ArrowOut.fetch(arrows) == [ArrowOut.from_model(arrow) for arrow in arrows]
            page, neighbours = Cursor(size=1).page(NameOut, signs, {"cursor": None})
            following = neighbours.get("next")
            rest, _ = Cursor(size=1).page(NameOut, signs, {"cursor": None, **following})
            assert [*page.items, *rest.items] == names
    assert len(seen) == 2
