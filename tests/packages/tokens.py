"""Whom clients are known to: tokens of other packages, and their log-ins."""

import os
import re
from typing import Any

from tests.packages.page import PAGE
from tests.packages.site import Site, row


def me() -> list[Any]:
    from django.contrib.auth.models import User

    from hybrid_gateway import get

    @get("/me")
    def me(user: User) -> str:
        return user.username

    @get("/ame")
    async def ame(user: User) -> str:
        return user.username

    return [me, ame]


def known(client: Any, headers: dict[str, str], user: Any) -> bool:
    return all(client.get(path, headers=headers).text == user.username for path in ("/me", "/ame"))


def scheme(path: str) -> Any:
    """The option ``authentication=`` with the scheme at ``path``."""

    def make() -> dict[str, Any]:
        from django.utils.module_loading import import_string

        return {"authentication": [import_string(path)()]}

    return make


DRF = "hybrid_gateway.contrib.drf.DRFTokenAuthentication"
JWT = "hybrid_gateway.contrib.simplejwt.SimpleJWTAuthentication"


def authenticating(*names: str) -> Any:
    """Settings of a project whose views know these."""
    return lambda: {"REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": names}}


@row(
    "djangorestframework",
    apps=["rest_framework", "rest_framework.authtoken"],
    settings=authenticating("rest_framework.authentication.TokenAuthentication"),
    options=[scheme(DRF)],
)
def drf(site: Site) -> Any:
    from django.urls import path
    from rest_framework.authtoken.models import Token
    from rest_framework.authtoken.views import obtain_auth_token

    site.urls(path("django/token", obtain_auth_token))

    def ask(client: Any) -> bool:
        user = site.person()
        token = client.post("/django/token", {"username": user.username, "password": "right"}).json()["token"]
        return Token.objects.get(user=user).key == token and known(client, {"Authorization": f"Token {token}"}, user)

    return me(), ask


@row(
    "djangorestframework-simplejwt",
    apps=["rest_framework"],
    settings=authenticating("rest_framework_simplejwt.authentication.JWTAuthentication"),
    options=[scheme(JWT)],
)
def simplejwt(site: Site) -> Any:
    from django.urls import path
    from rest_framework_simplejwt.views import TokenObtainPairView

    site.urls(path("django/token", TokenObtainPairView.as_view()))

    def ask(client: Any) -> bool:
        user = site.person()
        pair = client.post("/django/token", {"username": user.username, "password": "right"}).json()
        return known(client, {"Authorization": f"Bearer {pair['access']}"}, user)

    return me(), ask


@row(
    "dj-rest-auth",
    apps=["rest_framework", "rest_framework.authtoken", "dj_rest_auth"],
    settings=authenticating("dj_rest_auth.jwt_auth.JWTCookieAuthentication"),
    options=[scheme(DRF)],
)
def dj_rest_auth(site: Site) -> Any:
    from django.urls import include, path

    site.urls(path("django/", include("dj_rest_auth.urls")))

    def ask(client: Any) -> bool:
        user = site.person()
        given = {"username": user.username, "password": "right"}
        key = client.post("/django/login/", given).json()["key"]
        client.logout()
        return known(client, {"Authorization": f"Token {key}"}, user)

    return me(), ask


@row(
    "django-allauth",
    apps=["allauth", "allauth.account", "allauth.headless"],
    settings=lambda: {
        "MIDDLEWARE": ["allauth.account.middleware.AccountMiddleware"],
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "HEADLESS_ONLY": True,
        "ACCOUNT_EMAIL_VERIFICATION": "none",
    },
    options=[scheme("hybrid_gateway.contrib.allauth.AllauthSessionTokenAuthentication")],
)
def allauth(site: Site) -> Any:
    from django.urls import include, path

    site.urls(path("django/", include("allauth.headless.urls")))

    def ask(client: Any) -> bool:
        user = site.person()
        answer = client.post(
            "/django/app/v1/auth/login",
            {"username": user.username, "password": "right"},
            content_type="application/json",
        )
        token = answer.json()["meta"]["session_token"]
        return known(client, {"X-Session-Token": token}, user)

    return me(), ask


def sample(name: str) -> Any:
    """The option ``authentication=`` with a scheme that the page shows."""

    def make() -> dict[str, Any]:
        found: dict[str, Any] = {"__name__": __name__}
        for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            exec(code, found)
        return {"authentication": [found[name]()]}

    return make


@row(
    "django-oauth-toolkit",
    apps=["oauth2_provider"],
    settings=authenticating("oauth2_provider.contrib.rest_framework.OAuth2Authentication"),
    options=[sample("OAuth2Authentication")],
)
def oauth_toolkit(site: Site) -> Any:
    from datetime import timedelta

    from django.utils import timezone
    from oauth2_provider.models import AccessToken, Application

    from hybrid_gateway import get
    from hybrid_gateway.auth import HasScope

    app = Application.objects.create(
        name="app", client_type="confidential", authorization_grant_type="client-credentials"
    )

    def ask(client: Any) -> bool:
        user = site.person()
        soon, ago = timezone.now() + timedelta(hours=1), timezone.now() - timedelta(hours=1)
        for token, expires in ((f"new{user.pk}", soon), (f"old{user.pk}", ago)):
            AccessToken.objects.create(user=user, token=token, expires=expires, application=app, scope="read")
        new, old = ({"Authorization": f"Bearer {age}{user.pk}"} for age in ("new", "old"))
        statuses = [client.get(path, headers=new).status_code for path in ("/read", "/write")]
        return client.get("/me", headers=old).status_code == 401 and statuses == [200, 403] and known(client, new, user)

    @get("/read", guards=[HasScope("read")])
    async def read() -> str:
        return "read"

    @get("/write", guards=[HasScope("write")])
    async def write() -> str:
        return "written"

    return [*me(), read, write], ask


@row(
    "django-rest-knox",
    apps=["rest_framework", "knox"],
    settings=authenticating("knox.auth.TokenAuthentication"),
    options=[sample("KnoxAuthentication")],
)
def rest_knox(site: Site) -> Any:
    from datetime import timedelta

    from knox.models import AuthToken

    def ask(client: Any) -> bool:
        user = site.person()
        token = AuthToken.objects.create(user=user)[1]
        old = AuthToken.objects.create(user=user, expiry=timedelta(hours=-1))[1]
        expired = client.get("/me", headers={"Authorization": f"Token {old}"}).status_code
        return expired == 401 and known(client, {"Authorization": f"Token {token}"}, user)

    return me(), ask


def login_doors() -> Any:
    from hybrid_gateway import Include

    return Include("/auth", "hybrid_gateway.tokens.routes")


@row(
    "django-axes",
    apps=["axes"],
    settings=lambda: {
        "AUTHENTICATION_BACKENDS": [
            "axes.backends.AxesStandaloneBackend",
            "django.contrib.auth.backends.ModelBackend",
        ],
        "AXES_FAILURE_LIMIT": 3,
        "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"]],
        "AXES_VERBOSE": False,
    },
)
def axes(site: Site) -> Any:
    return [login_doors()], locked_out(site)


def locked_out(site: Site) -> Any:
    """Whether the right password comes too late after three wrong ones."""

    def ask(client: Any) -> bool:
        user = site.person()
        given = [{"username": user.username, "password": word} for word in ("right", *["wrong"] * 3, "right")]
        statuses = [client.post("/auth/login", json=data).status_code for data in given]
        return statuses == [201, 401, 401, 401, 401]

    return ask


@row(
    "django-defender",
    apps=["defender"],
    needs="redis",
    settings=lambda: {
        "DEFENDER_LOGIN_FAILURE_LIMIT": 2,
        "DEFENDER_REDIS_URL": redis_url(),
        "DEFENDER_STORE_ACCESS_ATTEMPTS": False,
        "MIDDLEWARE": ["defender.middleware.FailedLoginMiddleware"],
    },
    options=[lambda: {"django_middleware": ["defender.middleware.FailedLoginMiddleware"]}],
)
def defender(site: Site) -> Any:
    return [login_doors()], locked_out(site)


def redis_url() -> str:
    return os.environ["PACKAGES_REDIS"]
