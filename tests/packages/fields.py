"""Fields, managers and models of other packages, read and written by typed routes."""

from decimal import Decimal
from typing import Any

from tests.packages.site import Site, row
from tests.packages.users import below  # noqa: F401


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


@row("django-model-utils", apps=["model_utils"])
def model_utils(site: Site) -> Any:
    from datetime import datetime

    from django.db import models
    from model_utils import Choices, FieldTracker
    from model_utils.fields import StatusField
    from model_utils.managers import InheritanceManager
    from model_utils.models import TimeStampedModel

    from hybrid_gateway import patch
    from hybrid_gateway.orm import ModelStruct

    class Thing(TimeStampedModel):
        STATUS = Choices("draft", "published")
        name = models.CharField(max_length=20)
        status = StatusField()
        tracker = FieldTracker(["name"])
        objects = InheritanceManager()
        previous = models.CharField(max_length=20, blank=True)

        class Meta:
            app_label = "packages"

        def save(self, **options: Any) -> None:
            if self.pk and self.tracker.has_changed("name"):
                self.previous = self.tracker.previous("name")
                options["update_fields"] = None
            super().save(**options)

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str
        status: str
        created: datetime
        modified: datetime

    class In(ModelStruct, model=Thing):
        name: str
        status: str = "draft"

    class Change(ModelStruct, model=Thing):
        name: str

    @patch("/rows/{pk}")
    def changed(pk: int, data: Change) -> str:
        row = Thing.objects.select_subclasses().get(pk=pk)
        return data.update(row).previous

    def ask(client: Any) -> bool:
        made = client.post("/rows", json={"name": "first"}).json()
        if made["status"] != "draft" or made != client.get("/rows").json()[-1]:
            return False
        return client.patch(f"/rows/{made['id']}", json={"name": "second"}).text == "first"

    return [*shelf(site, Thing, Out, In), changed], ask


@row("django-mptt", apps=["mptt"])
def django_mptt(site: Site) -> Any:
    from django.db import models
    from mptt.models import MPTTModel, TreeForeignKey

    from hybrid_gateway import get
    from hybrid_gateway.orm import ModelStruct

    class Thing(MPTTModel):
        name = models.CharField(max_length=20)
        parent = TreeForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str
        level: int
        parent: int | None

    class In(ModelStruct, model=Thing):
        name: str
        parent: int | None = None

    @get("/below/{pk}")
    def below(pk: int) -> list[Out]:
        return Out.fetch(Thing.objects.get(pk=pk).get_descendants())

    def ask(client: Any) -> bool:
        top = client.post("/rows", json={"name": "top"}).json()
        leaf = client.post("/rows", json={"name": "leaf", "parent": top["id"]}).json()
        return leaf["level"] == 1 and client.get(f"/below/{top['id']}").json() == [leaf]

    return [*shelf(site, Thing, Out, In), below], ask


@row("django-treebeard", apps=["treebeard"])
def treebeard(site: Site) -> Any:
    from django.db import models
    from treebeard.mp_tree import MP_Node

    from hybrid_gateway import get, post
    from hybrid_gateway.orm import ModelStruct

    class Thing(MP_Node):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str
        depth: int
        numchild: int

    @post("/rows")
    def made(name: str, parent: int | None = None) -> Out:
        if parent is None:
            return Out.from_model(Thing.add_root(name=name))
        return Out.from_model(Thing.objects.get(pk=parent).add_child(name=name))

    @get("/below/{pk}")
    def below(pk: int) -> list[Out]:
        return Out.fetch(Thing.objects.get(pk=pk).get_descendants())

    def ask(client: Any) -> bool:
        top = client.post("/rows", params={"name": "top"}).json()
        leaf = client.post("/rows", params={"name": "leaf", "parent": top["id"]}).json()
        return leaf["depth"] == 2 and client.get(f"/below/{top['id']}").json() == [leaf]

    return [made, below], ask


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


@row("django-polymorphic", apps=["polymorphic"])
def polymorphic(site: Site) -> Any:
    from django.db import models
    from polymorphic.models import PolymorphicModel

    from hybrid_gateway import get
    from hybrid_gateway.orm import ModelStruct

    class Animal(PolymorphicModel):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    class Dog(Animal):
        breed = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Animal, Dog)

    class Out(ModelStruct, model=Animal):
        id: int
        name: str

    class DogOut(ModelStruct, model=Dog, tag="dog"):
        name: str
        breed: str

    class AnimalOut(ModelStruct, model=Animal, tag="animal"):
        name: str

    class In(ModelStruct, model=Animal):
        name: str

    @get("/kinds")
    def kinds() -> list[DogOut | AnimalOut]:
        return [
            DogOut.from_model(row) if isinstance(row, Dog) else AnimalOut.from_model(row)
            for row in Animal.objects.order_by("-pk")[:2]
        ]

    def ask(client: Any) -> bool:
        made = shows(client, {"name": "cat"}, {"name": "cat"})
        Dog.objects.create(name="rex", breed="pug")
        return (
            made
            and client.get("/rows").json()[-1]["name"] == "rex"
            and client.get("/kinds").json()
            == [
                {"type": "dog", "name": "rex", "breed": "pug"},
                {"type": "animal", "name": "cat"},
            ]
        )

    return [*shelf(site, Animal, Out, In), kinds], ask


def locale() -> dict[str, Any]:
    from hybrid_gateway.locale import Locale

    return {"event_hooks": [Locale]}


LANGUAGES = {"LANGUAGES": [("en", "English"), ("de", "Deutsch")], "LANGUAGE_CODE": "en"}
LOCALE = "django.middleware.locale.LocaleMiddleware"


def speaks(client: Any, site: Site, make: Any) -> bool:
    """Whether rows are read in the language of the request; ``make(english, german)`` gives the key of one."""
    names = {"en": f"lamp{site.number()}", "de": f"Lampe{site.number()}"}
    pk = make(names["en"], names["de"])
    return all(
        client.get(f"/{path}/{pk}", headers={"Accept-Language": code}).json()["name"] == names[code]
        for code in ("en", "de", "en")
        for path in ("one", "aone", "found")
    )


@row(
    "django-modeltranslation",
    at_once=True,
    apps=["modeltranslation"],
    settings=lambda: {**LANGUAGES, "MIDDLEWARE": [LOCALE]},
    options=[locale, below(LOCALE)],
)
def modeltranslation(site: Site) -> Any:
    from django.db import models
    from modeltranslation.translator import TranslationOptions, translator

    from hybrid_gateway import get
    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    class ThingOptions(TranslationOptions):
        fields = ("name",)

    translator.register(Thing, ThingOptions)
    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str

    @get("/one/{pk}")
    def one(pk: int) -> Out:
        return Out.get(Thing.objects.filter(pk=pk))

    @get("/aone/{pk}")
    async def aone(pk: int) -> Out:
        return await Out.aget(Thing.objects.filter(pk=pk))

    @get("/found/{pk}")
    def found(pk: int) -> Out:
        return Out.from_model(Thing.objects.get(pk=pk))

    def make(english: str, german: str) -> int:
        return Thing.objects.create(name_en=english, name_de=german).pk

    return [one, aone, found], lambda client: speaks(client, site, make)


@row(
    "django-parler",
    at_once=True,
    apps=["parler"],
    settings=lambda: {**LANGUAGES, "MIDDLEWARE": [LOCALE]},
    options=[locale, below(LOCALE)],
)
def parler(site: Site) -> Any:
    from django.db import models
    from django.utils.translation import get_language
    from msgspec import Struct
    from parler.models import TranslatableModel, TranslatedFields

    from hybrid_gateway import get

    class Thing(TranslatableModel):
        made = models.DateField(auto_now_add=True)
        translations = TranslatedFields(name=models.CharField(max_length=20))

        class Meta:
            app_label = "packages"

    site.make(Thing, Thing._parler_meta.root_model)

    class Out(Struct):
        id: int
        name: str

    @get("/one/{pk}")
    def one(pk: int) -> Out:
        return Out(pk, Thing.objects.get(pk=pk).name)

    @get("/aone/{pk}")
    async def aone(pk: int) -> Out:
        return Out(pk, (await Thing.objects.prefetch_related("translations").aget(pk=pk)).name)

    @get("/found/{pk}")
    def found(pk: int) -> Out:
        return Out(pk, Thing.objects.language(get_language()).get(pk=pk).name)

    def make(english: str, german: str) -> int:
        thing = Thing.objects.language("en").create(name=english)
        thing.create_translation("de", name=german)
        return thing.pk

    return [one, aone, found], lambda client: speaks(client, site, make)


@row("django-safedelete", apps=["safedelete"])
def safedelete(site: Site) -> Any:
    from django.db import models
    from safedelete.models import SafeDeleteModel

    from hybrid_gateway.orm import ModelStruct, crud

    class Thing(SafeDeleteModel):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str

    class In(ModelStruct, model=Thing):
        name: str

    def ask(client: Any) -> bool:
        pk = client.post("/things", json={"name": "gone"}).json()["id"]
        gone = client.delete(f"/things/{pk}").status_code
        hidden = client.get(f"/things/{pk}").status_code
        return [gone, hidden] == [204, 404] and Thing.all_objects.filter(pk=pk).exists()

    return [crud(Thing, out=Out, create=In)], ask


@row("django-lifecycle")
def lifecycle(site: Site) -> Any:
    from django.db import models
    from django_lifecycle import AFTER_CREATE, BEFORE_UPDATE, LifecycleModelMixin, hook

    from hybrid_gateway.orm import ModelStruct, crud

    ran: list[str] = []

    class Thing(LifecycleModelMixin, models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

        @hook(AFTER_CREATE)
        def created(self) -> None:
            ran.append("created")

        @hook(BEFORE_UPDATE, when="name", has_changed=True)
        def changed(self) -> None:
            ran.append(self.initial_value("name"))

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str

    class In(ModelStruct, model=Thing):
        name: str

    def ask(client: Any) -> bool:
        ran.clear()
        pk = client.post("/things", json={"name": "old"}).json()["id"]
        client.put(f"/things/{pk}", json={"name": "new"})
        return ran == ["created", "old"]

    return [crud(Thing, out=Out, create=In, update=In)], ask


@row("django-filter", apps=["django_filters"])
def django_filter(site: Site) -> Any:
    import django_filters
    from django.contrib.auth.models import User
    from django.http import HttpRequest

    from hybrid_gateway import get
    from hybrid_gateway.exceptions import HTTPException
    from hybrid_gateway.orm import ModelStruct

    class UserFilter(django_filters.FilterSet):
        joined = django_filters.DateFromToRangeFilter(field_name="date_joined")

        class Meta:
            model = User
            fields = {"username": ["exact", "startswith"]}

    class UserOut(ModelStruct, model=User):
        username: str

    @get("/users")
    def users(request: HttpRequest) -> list[UserOut]:
        found = UserFilter(request.GET, User.objects.order_by("pk"), request=request)
        if not found.is_valid():
            raise HTTPException(422, extra={"errors": found.errors.get_json_data()})
        return UserOut.fetch(found.qs)

    def ask(client: Any) -> bool:
        user = site.person()
        one = client.get("/users", params={"username__startswith": user.username}).json()
        wrong = client.get("/users", params={"joined_after": "never"}).status_code
        return one == [{"username": user.username}] and wrong == 422

    return [users], ask


@row("django-import-export", apps=["import_export"])
def import_export(site: Site) -> Any:
    from django.contrib.auth.models import User
    from import_export import resources
    from tablib import Dataset

    from hybrid_gateway import Response, UploadFile, get, post

    class UserResource(resources.ModelResource):
        class Meta:
            model = User
            fields = ("id", "username", "email")

    @get("/users.csv")
    def exported() -> Response[str]:
        return Response(UserResource().export(User.objects.order_by("-pk")[:1]).csv, media_type="text/csv")

    @post("/users.csv")
    def imported(rows: UploadFile) -> int:
        data = Dataset().load(rows.file.read().decode(), format="csv")
        return UserResource().import_data(data, raise_errors=True).totals["update"]

    def ask(client: Any) -> bool:
        user = site.person()
        text = client.get("/users.csv").text
        changed = text.replace(f"{user.username},", f"{user.username},new@example.org")
        count = client.post("/users.csv", files={"rows": ("users.csv", changed.encode())}).json()
        user.refresh_from_db()
        return count == 1 and user.email == "new@example.org"

    return [exported, imported], ask
