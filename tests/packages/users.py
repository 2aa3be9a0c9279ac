"""Who may, and who somebody pretends to be."""

from typing import Any

from tests.packages.site import SESSIONS, Site, row


def below(*names: str) -> Any:
    """The option ``django_middleware=`` with these."""
    return lambda: {"django_middleware": list(names)}


def session_below(*names: str) -> Any:
    """The same for routes whose user is a session's."""
    from hybrid_gateway.auth import SessionAuthentication

    return lambda: {"django_middleware": [*SESSIONS, *names], "authentication": [SessionAuthentication()]}


def session() -> dict[str, Any]:
    from hybrid_gateway.auth import SessionAuthentication

    return {"authentication": [SessionAuthentication()]}


# --- who somebody pretends to be -----------------------------------------------------------------------------------


@row(
    "django-hijack",
    apps=["hijack"],
    settings=lambda: {"MIDDLEWARE": ["hijack.middleware.HijackUserMiddleware"]},
    base=session,
    at_once=True,
    options=[session_below("hijack.middleware.HijackUserMiddleware")],
)
def hijack(site: Site) -> Any:
    from django.contrib.auth.models import User
    from django.urls import include, path

    from hybrid_gateway import get

    site.urls(path("django/hijack/", include("hijack.urls")))

    @get("/who")
    def who(user: User) -> list[Any]:
        return [user.username, user.is_hijacked]

    def ask(client: Any) -> bool:
        admin, other = site.person(is_superuser=True, is_staff=True), site.person()
        client.force_login(admin)
        if client.get("/who").json() != [admin.username, False]:
            return False
        client.post("/django/hijack/acquire/", {"user_pk": other.pk})
        return client.get("/who").json() == [other.username, True]

    return [who], ask


IMPERSONATE = "impersonate.middleware.ImpersonateMiddleware"


@row(
    "django-impersonate",
    apps=["impersonate"],
    settings=lambda: {"MIDDLEWARE": [IMPERSONATE]},
    base=session,
    at_once=True,
    options=[session_below(IMPERSONATE)],
)
def impersonate(site: Site) -> Any:
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django.urls import include, path

    from hybrid_gateway import get

    site.urls(path("django/impersonate/", include("impersonate.urls")))

    @get("/who")
    def who(user: User) -> str:
        return user.username

    @get("/real")
    def real(user: User, request: HttpRequest) -> list[str]:
        return [request.user.username, request.real_user.username]

    def ask(client: Any) -> bool:
        admin, other = site.person(is_superuser=True, is_staff=True), site.person()
        client.force_login(admin)
        client.get(f"/django/impersonate/{other.pk}/")
        return client.get("/who").text == other.username and client.get("/real").json() == [
            other.username,
            admin.username,
        ]

    return [who, real], ask


OTP = "django_otp.middleware.OTPMiddleware"


def verified(site: Site) -> Any:
    from django.contrib.auth.models import User
    from django.urls import path
    from django_otp import login
    from django_otp.plugins.otp_static.models import StaticDevice

    from hybrid_gateway import get

    def verify(request: Any) -> Any:
        from django.http import HttpResponse

        login(request, StaticDevice.objects.get_or_create(user=request.user, name="kept")[0])
        return HttpResponse()

    site.urls(path("django/verify/", verify))

    def is_verified(user: User) -> bool:
        return user.is_verified()

    @get("/open")
    def open(user: User) -> bool:
        return user.is_verified()

    @get("/guarded", guards=[is_verified])
    async def guarded(user: User) -> str:
        return "in"

    def ask(client: Any) -> bool:
        client.force_login(site.person())
        before = client.get("/open").json() is False and client.get("/guarded").status_code == 403
        client.get("/django/verify/")
        return before and client.get("/open").json() is True and client.get("/guarded").status_code == 200

    return [open, guarded], ask


OTP_APPS = ["django_otp", "django_otp.plugins.otp_static", "django_otp.plugins.otp_totp"]
row(
    "django-otp",
    apps=OTP_APPS,
    settings=lambda: {"MIDDLEWARE": [OTP]},
    base=session,
    at_once=True,
    options=[session_below(OTP)],
)(verified)


@row(
    "django-two-factor-auth",
    apps=[*OTP_APPS, "two_factor"],
    settings=lambda: {"MIDDLEWARE": [OTP], "LOGIN_URL": "two_factor:login"},
    base=session,
    at_once=True,
    options=[session_below(OTP)],
)
def two_factor(site: Site) -> Any:
    from django.urls import include, path
    from two_factor.urls import urlpatterns

    routes, asked = verified(site)
    from tests.packages import urls

    urls.urlpatterns.append(path("django/", include(urlpatterns)))

    def ask(client: Any) -> bool:
        return client.get("/django/account/login/").status_code == 200 and asked(client)

    return routes, ask


# --- who may -------------------------------------------------------------------------------------------------------


def backends(*names: str) -> Any:
    return lambda: {"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend", *names]}


@row("django-guardian", apps=["guardian"], settings=backends("guardian.backends.ObjectPermissionBackend"))
def guardian(site: Site) -> Any:
    from django.contrib.auth.models import User
    from django.db import models
    from guardian.shortcuts import assign_perm, get_objects_for_user

    from hybrid_gateway import get
    from hybrid_gateway.auth import HasPermission
    from hybrid_gateway.orm import ModelStruct

    class Note(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    site.make(Note)
    permissions(Note)

    class NoteOut(ModelStruct, model=Note):
        name: str

    def note(pk: int) -> Note:
        return Note.objects.get(pk=pk)

    @get("/notes/{pk}", guards=[HasPermission("packages.view_note", obj=note)])
    def one(pk: int, user: User) -> NoteOut:
        return NoteOut.get(Note.objects.filter(pk=pk))

    @get("/mine")
    def mine(user: User) -> list[NoteOut]:
        return NoteOut.fetch(get_objects_for_user(user, "packages.view_note").order_by("pk"))

    def ask(client: Any) -> bool:
        first, second = site.person(), site.person()
        note = Note.objects.create(name=first.username)
        assign_perm("packages.view_note", first, note)
        path = f"/notes/{note.pk}"
        statuses = [client.get(path, headers=site.token(who)).status_code for who in (first, second)]
        return statuses == [200, 403] and client.get("/mine", headers=site.token(first)).json() == [
            {"name": first.username}
        ]

    return [one, mine], ask


def permissions(*models: Any) -> None:
    """The rows of ``auth.Permission`` that ``migrate`` would have made."""
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType

    for model in models:
        for action in ("add", "change", "delete", "view"):
            Permission.objects.get_or_create(
                codename=f"{action}_{model._meta.model_name}",
                content_type=ContentType.objects.get_for_model(model),
                defaults={"name": action},
            )


@row("rules", apps=["rules"], settings=backends("rules.permissions.ObjectPermissionBackend"))
def django_rules(site: Site) -> Any:
    import rules
    from django.contrib.auth.models import User

    from hybrid_gateway import get
    from hybrid_gateway.auth import HasPermission

    @rules.predicate
    def owns(user: Any, name: Any) -> bool:
        return user.username == name

    @rules.predicate
    def is_early(user: Any) -> bool:
        return user.username.startswith("user")

    if not rules.perm_exists("notes.change"):
        rules.add_perm("notes.change", owns)
        rules.add_perm("notes.list", is_early)

    def name(name: str) -> str:
        return name

    @get("/notes/{name}", guards=[HasPermission("notes.change", obj=name)])
    def one(name: str, user: User) -> str:
        return name

    @get("/notes", guards=[HasPermission("notes.list")])
    async def all(user: User) -> str:
        return "all"

    def ask(client: Any) -> bool:
        user = site.person()
        paths = (f"/notes/{user.username}", "/notes/other", "/notes")
        return [client.get(path, headers=site.token(user)).status_code for path in paths] == [200, 403, 200]

    return [one, all], ask
