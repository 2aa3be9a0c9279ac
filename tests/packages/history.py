"""Who did it."""

from typing import Any

from tests.packages.site import Site, row
from tests.packages.users import below

HISTORY = "simple_history.middleware.HistoryRequestMiddleware"


def noting(site: Site, model: Any, noted: Any) -> Any:
    """Routes that make and change rows of ``model``, and whether ``noted(pk)`` is whoever called them."""
    from django.contrib.auth.models import User

    from hybrid_gateway import patch, post

    @post("/made")
    def made(user: User) -> int:
        return model.objects.create(name="made").pk

    @post("/amade")
    async def amade(user: User) -> int:
        return (await model.objects.acreate(name="made")).pk

    @patch("/changed/{pk}")
    def changed(pk: int, user: User) -> int:
        row = model.objects.get(pk=pk)
        row.name = "changed"
        row.save()
        return row.pk

    def ask(client: Any) -> bool:
        results = []
        for path in ("/made", "/amade"):
            first, second = site.person(), site.person()
            pk = client.post(path, headers=site.token(first)).json()
            results.append(noted(pk) == first)
            pk = client.patch(f"/changed/{pk}", headers=site.token(second)).json()
            results.append(noted(pk) == second)
        model.objects.create(name="nobody's")
        return all(results)

    return [made, amade, changed], ask


@row("django-simple-history", apps=["simple_history"], options=[below(HISTORY)], at_once=True)
def simple_history(site: Site) -> Any:
    from django.db import models
    from simple_history.models import HistoricalRecords

    class Note(models.Model):
        name = models.CharField(max_length=20)
        history = HistoricalRecords()

        class Meta:
            app_label = "packages"

    site.make(Note, Note.history.model)
    return noting(site, Note, lambda pk: Note.history.filter(id=pk).latest().history_user)


@row("django-auditlog", apps=["auditlog"], options=[below("auditlog.middleware.AuditlogMiddleware")], at_once=True)
def auditlog(site: Site) -> Any:
    from auditlog.models import LogEntry
    from auditlog.registry import auditlog
    from django.db import models

    class Note(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Note)
    auditlog.register(Note)
    return noting(site, Note, lambda pk: LogEntry.objects.filter(object_pk=pk).order_by("-id")[0].actor)


@row("django-reversion", apps=["reversion"], options=[below("reversion.middleware.RevisionMiddleware")], at_once=True)
def django_reversion(site: Site) -> Any:
    import reversion
    from django.db import models
    from reversion.models import Version

    class Note(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Note)
    reversion.register(Note)
    return noting(
        site, Note, lambda pk: Version.objects.get_for_object(Note.objects.get(pk=pk)).order_by("-id")[0].revision.user
    )


EASY = "easyaudit.middleware.easyaudit.EasyAuditMiddleware"


@row(
    "django-easy-audit",
    apps=["easyaudit"],
    settings=lambda: {"MIDDLEWARE": [EASY], "DJANGO_EASY_AUDIT_WATCH_AUTH_EVENTS": False},
    at_once=True,
    options=[below(EASY)],
)
def easy_audit(site: Site) -> Any:
    from django.db import models
    from easyaudit.models import CRUDEvent, RequestEvent

    class Note(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Note)

    def noted(pk: int) -> Any:
        event = CRUDEvent.objects.filter(object_id=pk, content_type__model="note").order_by("-id").first()
        return event.user if event else None

    routes, asked = noting(site, Note, noted)

    def ask(client: Any) -> bool:
        return asked(client) and not RequestEvent.objects.exists()

    return routes, ask


def seen(site: Site, current: Any) -> Any:
    """Routes that tell whom ``current()`` takes for the caller, on the thread of the request."""
    from asgiref.sync import sync_to_async
    from django.contrib.auth.models import User

    from hybrid_gateway import get

    @get("/who")
    def who(user: User) -> str:
        return current().username

    @get("/awho")
    async def awho(user: User) -> str:
        return (await sync_to_async(current)()).username

    def ask(client: Any) -> bool:
        results = []
        for path in ("/who", "/awho", "/who"):
            user = site.person()
            results.append(client.get(path, headers=site.token(user)).text == user.username)
        return all(results)

    return [who, awho], ask


@row("django-crum", options=[below("crum.CurrentRequestUserMiddleware")], at_once=True)
def django_crum(site: Site) -> Any:
    import crum

    return seen(site, crum.get_current_user)


@row("django-currentuser", options=[below("django_currentuser.middleware.ThreadLocalUserMiddleware")], at_once=True)
def currentuser(site: Site) -> Any:
    from django_currentuser.middleware import get_current_user

    return seen(site, get_current_user)
