"""Fields and models that are less plain: zones, several choices, states, files."""

from typing import Any

from tests.packages.fields import shelf, shows
from tests.packages.site import Site, row


@row("django-timezone-field", apps=["timezone_field"])
def timezone_field(site: Site) -> Any:
    from django.db import models
    from timezone_field import TimeZoneField

    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        zone = TimeZoneField()
        other = TimeZoneField(null=True, blank=True)

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        zone: str
        other: str | None

    class In(ModelStruct, model=Thing):
        zone: str
        other: str | None = None

    def ask(client: Any) -> bool:
        wrong = client.post("/rows", json={"zone": "Europe/Nowhere"}).status_code
        given = {"zone": "Europe/Zurich", "other": "UTC"}
        return (
            wrong == 422
            and shows(client, given, given)
            and shows(client, {"zone": "UTC"}, {"zone": "UTC", "other": None})
        )

    return shelf(site, Thing, Out, In), ask


@row("django-multiselectfield", apps=["multiselectfield"])
def multiselectfield(site: Site) -> Any:
    from django.db import models
    from multiselectfield import MultiSelectField

    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        days = MultiSelectField(choices=[("mo", "Monday"), ("tu", "Tuesday")], max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        days: list[str]

    class In(ModelStruct, model=Thing):
        days: list[str]

    def ask(client: Any) -> bool:
        wrong = client.post("/rows", json={"days": ["fr"]}).status_code
        return wrong == 422 and shows(client, {"days": ["mo", "tu"]}, {"days": ["mo", "tu"]})

    return shelf(site, Thing, Out, In), ask


@row("django-fsm-2", apps=["django_fsm"])
def fsm(site: Site) -> Any:
    from django.db import models
    from django_fsm import FSMField, TransitionNotAllowed, transition

    from hybrid_gateway import post
    from hybrid_gateway.exceptions import Conflict
    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        state = FSMField(default="new", protected=True)

        class Meta:
            app_label = "packages"

        @transition(field=state, source="new", target="done")
        def finish(self) -> None: ...

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        state: str

    @post("/things")
    def made() -> Out:
        return Out.from_model(Thing.objects.create())

    @post("/things/{pk}/finish", status_code=200)
    def finish(pk: int) -> Out:
        thing = Thing.objects.get(pk=pk)
        try:
            thing.finish()
        except TransitionNotAllowed:
            raise Conflict("It is done already.") from None
        thing.save()
        return Out.from_model(thing)

    def ask(client: Any) -> bool:
        made = client.post("/things").json()
        path = f"/things/{made['id']}/finish"
        done = client.post(path).json()
        return [made["state"], done["state"], client.post(path).status_code] == ["new", "done", 409]

    return [made, finish], ask


@row("django-solo", apps=["solo"])
def solo(site: Site) -> Any:
    from django.db import models
    from solo.models import SingletonModel

    from hybrid_gateway import get, patch
    from hybrid_gateway.orm import ModelStruct

    class Setting(SingletonModel):
        name = models.CharField(max_length=20, default="site")

        class Meta:
            app_label = "packages"

    site.make(Setting)

    class Out(ModelStruct, model=Setting):
        name: str

    class Change(ModelStruct, model=Setting, partial=True):
        name: str

    @get("/setting")
    def setting() -> Out:
        return Out.from_model(Setting.get_solo())

    @patch("/setting")
    def change(data: Change) -> Out:
        return Out.from_model(data.update(Setting.get_solo()))

    def ask(client: Any) -> bool:
        name = f"site{site.number()}"
        return client.patch("/setting", json={"name": name}).json() == client.get("/setting").json() == {"name": name}

    return [setting, change], ask


@row("django-ordered-model", apps=["ordered_model"])
def ordered_model(site: Site) -> Any:
    from django.db import models
    from ordered_model.models import OrderedModel

    from hybrid_gateway import post
    from hybrid_gateway.orm import ModelStruct, crud

    class Thing(OrderedModel):
        name = models.CharField(max_length=20)

        class Meta(OrderedModel.Meta):
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str
        order: int

    class In(ModelStruct, model=Thing):
        name: str

    @post("/things/{pk}/top", status_code=200)
    def top(pk: int) -> None:
        Thing.objects.get(pk=pk).top()

    def ask(client: Any) -> bool:
        Thing.objects.all().delete()
        pks = [client.post("/things", json={"name": name}).json()["id"] for name in ("a", "b", "c")]
        client.post(f"/things/{pks[2]}/top")
        client.delete(f"/things/{pks[0]}")
        return [(thing["name"], thing["order"]) for thing in client.get("/things").json()] == [("c", 0), ("b", 1)]

    return [crud(Thing, out=Out, create=In), top], ask


def picture() -> bytes:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()


def media() -> dict[str, Any]:
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {"MEDIA_ROOT": folder, "MEDIA_URL": "/media/"}


@row("easy-thumbnails", apps=["easy_thumbnails"], settings=media)
def easy_thumbnails(site: Site) -> Any:
    from django.core.files.base import ContentFile
    from django.db import models
    from easy_thumbnails.fields import ThumbnailerImageField
    from easy_thumbnails.files import get_thumbnailer

    from hybrid_gateway import UploadFile, get, post
    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        photo = ThumbnailerImageField(upload_to="photos")

        class Meta:
            app_label = "packages"

    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        photo: str

    @post("/things")
    def made(photo: UploadFile) -> Out:
        return Out.from_model(Thing.objects.create(photo=ContentFile(photo.file.read(), photo.filename)))

    @get("/things/{pk}/small")
    def small(pk: int) -> str:
        return get_thumbnailer(Thing.objects.get(pk=pk).photo).get_thumbnail({"size": (16, 16)}).url

    @get("/things")
    def things() -> list[Out]:
        return Out.fetch(Thing.objects.order_by("pk"))

    def ask(client: Any) -> bool:
        made = client.post("/things", files={"photo": ("a.png", picture(), "image/png")}).json()
        return (
            made == client.get("/things").json()[-1]
            and made["photo"].endswith(".png")
            and ".16x16" in client.get(f"/things/{made['id']}/small").text
        )

    return [made, small, things], ask


@row("django-cleanup", apps=["django_cleanup.apps.CleanupConfig"], settings=media)
def cleanup(site: Site) -> Any:
    from django.core.files.base import ContentFile
    from django.db import models
    from django_cleanup.cache import prepare
    from django_cleanup.handlers import connect

    from hybrid_gateway import delete

    class Thing(models.Model):
        file = models.FileField(upload_to="files")

        class Meta:
            app_label = "packages"

    site.make(Thing)
    prepare(False)
    connect()

    @delete("/things/{pk}", atomic=True)
    def gone(pk: int) -> None:
        Thing.objects.get(pk=pk).delete()

    def ask(client: Any) -> bool:
        thing = Thing.objects.create(file=ContentFile(b"kept", "a.txt"))
        before = thing.file.storage.exists(thing.file.name)
        status = client.delete(f"/things/{thing.pk}").status_code
        return before and status == 204 and not thing.file.storage.exists(thing.file.name)

    return [gone], ask


@row(
    "djangorestframework-api-key",
    apps=["rest_framework", "rest_framework_api_key"],
    base=lambda: {"authentication": []},
)
def api_key(site: Site) -> Any:
    from django.http import HttpRequest
    from rest_framework_api_key.models import APIKey
    from rest_framework_api_key.permissions import HasAPIKey

    from hybrid_gateway import get

    def has_key(request: HttpRequest) -> bool:
        return HasAPIKey().has_permission(request, None)

    @get("/open", guards=[has_key])
    def open() -> str:
        return "in"

    def ask(client: Any) -> bool:
        key = APIKey.objects.create_key(name="client")[1]
        statuses = [
            client.get("/open", headers=headers).status_code
            for headers in ({"Authorization": f"Api-Key {key}"}, {"Authorization": "Api-Key wrong"}, {})
        ]
        return statuses == [200, 403, 403]

    return [open], ask
