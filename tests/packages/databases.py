"""Packages that want PostgreSQL."""

from typing import Any

from tests.packages.history import noting
from tests.packages.site import Site, row
from tests.packages.users import below

TENANT = "django_tenants.middleware.main.TenantMainMiddleware"
APPS = ["django_tenants", "tests.packages.tenants"]


def tenancy() -> dict[str, Any]:
    return {
        "DATABASE_ROUTERS": ["django_tenants.routers.TenantSyncRouter"],
        "SHARED_APPS": [*APPS, "django.contrib.contenttypes"],
        "TENANT_APPS": ["django.contrib.contenttypes"],
        "TENANT_MODEL": "tenants.Client",
        "TENANT_DOMAIN_MODEL": "tenants.Domain",
        "PUBLIC_SCHEMA_URLCONF": "tests.packages.urls",
        "ENGINE": "django_tenants.postgresql_backend",
        "MIGRATE": "migrate_schemas",
    }


@row(
    "django-tenants",
    apps=APPS,
    settings=tenancy,
    base=lambda: {"authentication": []},
    options=[below(TENANT)],
    needs="postgresql",
    at_once=True,
)
def tenants(site: Site) -> Any:
    from django.db import connection, models
    from django_tenants.utils import schema_context

    from hybrid_gateway import get
    from hybrid_gateway.orm import ModelStruct
    from tests.packages.tenants.models import Client, Domain

    class Thing(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    class Out(ModelStruct, model=Thing):
        name: str

    site.make(Thing)
    for name in ("acme", "globex"):
        tenant = Client.objects.create(schema_name=name, name=name)
        Domain.objects.create(tenant=tenant, domain=f"{name}.example", is_primary=True)
        with schema_context(name), connection.schema_editor() as editor:
            editor.create_model(Thing)
        with schema_context(name):
            Thing.objects.create(name=name)
    connection.set_schema_to_public()

    @get("/things")
    def things() -> list[Out]:
        return Out.fetch(Thing.objects.all())

    @get("/athings")
    async def athings() -> list[Out]:
        return await Out.afetch(Thing.objects.all())

    def ask(client: Any) -> bool:
        asked = [(path, name) for _ in range(5) for path in ("/things", "/athings") for name in ("acme", "globex")]
        return all(
            client.get(path, headers={"Host": f"{name}.example"}).json() == [{"name": name}] for path, name in asked
        )

    return [things, athings], ask


@row(
    "django-pghistory",
    apps=["pgtrigger", "pghistory"],
    settings=lambda: {"ENGINE": "django.db.backends.postgresql"},
    options=[below("pghistory.middleware.HistoryMiddleware")],
    needs="postgresql",
    at_once=True,
)
def pghistory(site: Site) -> Any:
    import pghistory
    from django.apps import apps
    from django.contrib.auth.models import User
    from django.db import models
    from pgtrigger import registered

    @pghistory.track()
    class Note(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    event = apps.get_model("packages", "NoteEvent")
    site.make(Note, event)
    for model, trigger in registered():
        if model is Note:
            trigger.install(model)

    def noted(pk: int) -> Any:
        latest = event.objects.filter(pgh_obj_id=pk).order_by("-pgh_id").first()
        context = latest.pgh_context
        return User.objects.filter(pk=context.metadata["user"]).first() if context else None

    return noting(site, Note, noted)
