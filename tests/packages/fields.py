"""Fields, managers and models of other packages, read and written by typed routes."""

from decimal import Decimal
from typing import Any

from tests.packages.site import Site, row


def shelf(site: Site, model: Any, out: Any, data: Any) -> list[Any]:
    """A route that lists ``model`` as ``out`` and one that makes a row of ``data``."""
    from hybrid_gateway import get, post

    def listed() -> Any:
        return out.fetch(model.objects.order_by("pk"))

    def aone(pk: int) -> Any:
        return out.aget(model.objects.filter(pk=pk))

    async def one(pk: int) -> Any:
        return await aone(pk)

    def made(data: Any) -> Any:
        return out.from_model(data.create())

    listed.__annotations__["return"] = list[out]
    one.__annotations__["return"] = made.__annotations__["return"] = out
    made.__annotations__["data"] = data
    return [get("/rows")(listed), get("/rows/{pk}")(one), post("/rows")(made)]


def shows(client: Any, given: Any, shown: Any) -> bool:
    """Whether what was made of ``given`` is ``shown``, by each of the routes."""
    answer = client.post("/rows", json=given)
    listed = client.get("/rows").json()
    pk = answer.json().get("id")
    expected = {**shown, "id": pk}
    return answer.status_code == 201 and [answer.json(), listed[-1], client.get(f"/rows/{pk}").json()] == [expected] * 3


@row("django-money", apps=["djmoney"])
def money(site: Site) -> Any:
    from django.db import models
    from djmoney.models.fields import MoneyField
    from djmoney.money import Money
    from msgspec import Struct

    from hybrid_gateway import get, post
    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        price = MoneyField(max_digits=10, decimal_places=2, default_currency="EUR")

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        price: Decimal
        price_currency: str

    class In(Struct):
        price: Decimal
        currency: str

    @get("/rows")
    def listed() -> list[Out]:
        return Out.fetch(Thing.objects.order_by("pk"))

    @post("/rows")
    def made(data: In) -> Out:
        return Out.from_model(Thing.objects.create(price=Money(data.price, data.currency)))

    def ask(client: Any) -> bool:
        answer = client.post("/rows", json={"price": "12.50", "currency": "USD"}).json()
        return answer == client.get("/rows").json()[-1] and answer == {
            "id": answer["id"],
            "price": "12.50",
            "price_currency": "USD",
        }

    return [listed, made], ask


@row("django-phonenumber-field", apps=["phonenumber_field"])
def phonenumber(site: Site) -> Any:
    from django.db import models
    from phonenumber_field.modelfields import PhoneNumberField

    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        phone = PhoneNumberField()

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        phone: str

    class In(ModelStruct, model=Thing):
        phone: str

    def ask(client: Any) -> bool:
        wrong = client.post("/rows", json={"phone": "12"}).status_code
        return wrong == 422 and shows(client, {"phone": "+41 44 668 18 00"}, {"phone": "+41446681800"})

    return shelf(site, Thing, Out, In), ask


@row("django-countries", apps=["django_countries"])
def countries(site: Site) -> Any:
    from django.db import models
    from django_countries.fields import CountryField

    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        country = CountryField()
        others = CountryField(multiple=True, blank=True)

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        country: str

    class In(ModelStruct, model=Thing):
        country: str

    def ask(client: Any) -> bool:
        wrong = client.post("/rows", json={"country": "XX"}).status_code
        return wrong == 422 and shows(client, {"country": "NZ"}, {"country": "NZ"})

    return shelf(site, Thing, Out, In), ask


@row("django-extensions", apps=["django_extensions"])
def extensions(site: Site) -> Any:
    from datetime import datetime

    from django.db import models
    from django_extensions.db.fields import AutoSlugField
    from django_extensions.db.models import ActivatorModel, TimeStampedModel

    from hybrid_gateway.orm import ModelStruct

    class Thing(TimeStampedModel, ActivatorModel):
        name = models.CharField(max_length=20)
        slug = AutoSlugField(populate_from="name")

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str
        slug: str
        status: int
        created: datetime

    class In(ModelStruct, model=Thing):
        name: str

    def ask(client: Any) -> bool:
        made = client.post("/rows", json={"name": f"A Name {site.number()}"}).json()
        row = Thing.objects.get(pk=made["id"])
        assert row.slug.startswith("a-name")
        shown = {"name": row.name, "slug": row.slug, "status": 1}
        listed = client.get("/rows").json()[-1]
        return made == listed and shown.items() <= listed.items()

    return shelf(site, Thing, Out, In), ask


@row("django-taggit", apps=["taggit"])
def taggit(site: Site) -> Any:
    from django.db import models
    from taggit.managers import TaggableManager
    from taggit.models import Tag

    from hybrid_gateway import post
    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        name = models.CharField(max_length=20)
        tags = TaggableManager()

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class TagOut(ModelStruct, model=Tag):
        name: str

    class Out(ModelStruct, model=Thing):
        id: int
        name: str
        tags: list[TagOut]

    class In(ModelStruct, model=Thing):
        name: str

    @post("/tagged")
    def tagged(name: str, tag: list[str]) -> Out:
        thing = Thing.objects.create(name=name)
        thing.tags.add(*tag)
        return Out.from_model(thing)

    def ask(client: Any) -> bool:
        number = site.number()
        answer = client.post("/tagged", params={"name": "tagged", "tag": [f"a{number}", f"b{number}"]}).json()
        answer["tags"].sort(key=lambda tag: tag["name"])
        listed = client.get("/rows").json()[-1]
        listed["tags"].sort(key=lambda tag: tag["name"])
        return answer == listed and [tag["name"] for tag in answer["tags"]] == [f"a{number}", f"b{number}"]

    return [*shelf(site, Thing, Out, In), tagged], ask
