"""Who is asked: each framework on the server and with the settings that its documentation gives for speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

APPS = "loadtests.compare.apps"
MANAGE = "loadtests.compare.manage"
FRAMEWORK = frozenset({"api"})
DJANGO = frozenset({"api", "rows", "django"})
EVERYTHING = DJANGO | {"token", "async"}


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the comparison."""

    title: str
    server: str
    target: str
    has: frozenset[str]
    package: str  # the import name without which it is left out
    token: str = ""  # the Authorization header; {} stands for the token
    token_kind: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def inside_django(title: str, app: str, package: str, protocol: str, **options: str) -> Peer:
    """A framework whose routes are Django's: Django's own handler serves it."""
    environment = {"BENCH_URLS": f"{APPS}.{app}", "BENCH_PROTOCOL": protocol}
    if "middleware" in options:
        environment["BENCH_MIDDLEWARE"] = options["middleware"]
    token = options.get("token", "")
    return Peer(
        title,
        "gunicorn" if protocol == "wsgi" else "uvicorn",
        f"{APPS}.entry:application",
        has=(DJANGO | {"token"} if token else DJANGO) if "middleware" not in options else DJANGO - {"django"},
        package=package,
        token=token,
        token_kind=options.get("token_kind", ""),
        environment=environment,
    )


# "observed": with request ids, an access log and metrics, as a project has them in production.
_OURS = {"token": "Bearer {}", "token_kind": "gateway"}
_REST = {"token": "Token {}", "token_kind": "rest"}
_BEARER = {"token": "Bearer {}", "token_kind": "rest"}
_JWT = {"token": "Bearer {}", "token_kind": "jwt"}


def ours(title: str, server: str, has: frozenset[str] = EVERYTHING, needs: str = "", **environment: str) -> Peer:
    """The gateway on one of its drivers."""
    target = MANAGE if server == "lane" else f"{APPS}.gateway:{'wsgi_' if server == 'gunicorn' else ''}application"
    package = needs or ("gunicorn" if server == "gunicorn" else "uvicorn")
    return Peer(f"hybrid_gateway, {title}", server, target, has, package, environment=environment, **_OURS)


_PREPARED = {"has": frozenset({"rows", "async"}), "BENCH_PREPARED": "1"}
_OBSERVED = {"has": FRAMEWORK, "needs": "prometheus_client", "BENCH_OBSERVED": "1"}

PEERS: Mapping[str, Peer] = {
    "raw": Peer("raw ASGI callable", "uvicorn", f"{APPS}.raw:application", FRAMEWORK, "uvicorn"),
    "raw-wsgi": Peer("raw WSGI callable", "gunicorn", f"{APPS}.raw:wsgi_application", FRAMEWORK, "gunicorn"),
    "lane": ours("gateway serve", "lane"),
    "prepared": ours("gateway serve, prepared queries", "lane", **_PREPARED),
    "observed": ours("gateway serve, observed", "lane", **_OBSERVED),
    "gateway": ours("ASGI", "uvicorn"),
    "prepared-asgi": ours("ASGI, prepared queries", "uvicorn", **_PREPARED),
    "observed-asgi": ours("ASGI, observed", "uvicorn", **_OBSERVED),
    "gateway-wsgi": ours("WSGI", "gunicorn"),
    "prepared-wsgi": ours("WSGI, prepared queries", "gunicorn", **_PREPARED),
    "observed-wsgi": ours("WSGI, observed", "gunicorn", **_OBSERVED),
    "bolt": Peer(
        "django-bolt", "runbolt", MANAGE, frozenset({"api", "rows", "token"}), "django_bolt",
        environment={"BENCH_BOLT": "1"}, **_JWT,
    ),
    "falcon": Peer("Falcon", "uvicorn", f"{APPS}.falcon:application", FRAMEWORK, "falcon"),
    "starlette": Peer("Starlette", "uvicorn", f"{APPS}.starlette:application", FRAMEWORK, "starlette"),
    "blacksheep": Peer("BlackSheep", "uvicorn", f"{APPS}.blacksheep:application", FRAMEWORK, "blacksheep"),
    "litestar": Peer("Litestar", "uvicorn", f"{APPS}.litestar:application", FRAMEWORK, "litestar"),
    "fastapi": Peer("FastAPI", "uvicorn", f"{APPS}.fastapi:application", FRAMEWORK, "fastapi"),
    "ninja": inside_django("django-ninja, ASGI", "ninja", "ninja", "asgi", **_BEARER),
    "ninja-wsgi": inside_django("django-ninja, WSGI", "ninja", "ninja", "wsgi", **_BEARER),
    "modern-rest": inside_django("django-modern-rest, ASGI", "modern_rest", "dmr", "asgi", **_JWT),
    "modern-rest-wsgi": inside_django("django-modern-rest, WSGI", "modern_rest", "dmr", "wsgi", **_JWT),
    "drf": inside_django("DRF, ASGI", "drf", "rest_framework", "asgi", **_REST),
    "drf-wsgi": inside_django("DRF, WSGI", "drf", "rest_framework", "wsgi", **_REST),
    "django": inside_django("Django, ASGI", "django", "django", "asgi"),
    "django-wsgi": inside_django("Django, WSGI", "django", "django", "wsgi"),
    "django-bare": inside_django("Django, ASGI, no middleware", "django", "django", "asgi", middleware="none"),
    "django-bare-wsgi": inside_django("Django, WSGI, no middleware", "django", "django", "wsgi", middleware="none"),
}  # fmt: skip


def installed(names: list[str]) -> tuple[list[str], list[str]]:
    """The peers that this environment has, and those it lacks."""
    there = [name for name in names if find_spec(PEERS[name].package)]
    return there, [name for name in names if name not in there]
