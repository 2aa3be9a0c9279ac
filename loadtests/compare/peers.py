"""Who is asked: each framework on the server and with the settings that its documentation gives for speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

APPS = "loadtests.compare.apps"
MANAGE = "loadtests.compare.manage"
FRAMEWORK = frozenset({"api"})
DJANGO = frozenset({"api", "rows", "django"})
EVERYTHING = DJANGO | {"token"}


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


_OURS = {"token": "Bearer {}", "token_kind": "gateway"}
_REST = {"token": "Token {}", "token_kind": "rest"}
_BEARER = {"token": "Bearer {}", "token_kind": "rest"}
_JWT = {"token": "Bearer {}", "token_kind": "jwt"}

PEERS: Mapping[str, Peer] = {
    "raw": Peer("raw ASGI callable", "uvicorn", f"{APPS}.raw:application", FRAMEWORK, "uvicorn"),
    "lane": Peer("hybrid_gateway, gateway serve", "lane", MANAGE, EVERYTHING, "uvicorn", **_OURS),
    "prepared": Peer(
        "hybrid_gateway, gateway serve, prepared queries", "lane", MANAGE, frozenset({"rows"}), "uvicorn",
        environment={"BENCH_PREPARED": "1"},
    ),
    "gateway": Peer("hybrid_gateway, ASGI", "uvicorn", f"{APPS}.gateway:application", EVERYTHING, "uvicorn", **_OURS),
    "gateway-wsgi": Peer(
        "hybrid_gateway, WSGI", "gunicorn", f"{APPS}.gateway:wsgi_application", EVERYTHING, "gunicorn", **_OURS
    ),
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
