"""Models with trees, kinds, hooks and managers of their own, and what reads them."""

from typing import Any

from tests.packages.fields import shelf, shows
from tests.packages.site import Site, row


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
