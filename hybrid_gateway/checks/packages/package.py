"""What is known of a package, and what is asked of a route about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from hybrid_gateway.telemetry import RequestID

__all__ = ["SAFE", "VERDICTS", "Package", "Verdict"]

Verdict: TypeAlias = Literal["works", "with", "no"]
Question: TypeAlias = Callable[[Any], bool]  # of an endpoint

VERDICTS: dict[Verdict, str] = {"works": "works", "with": "works with this option", "no": "does not"}

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


# --- which routes a package is about -------------------------------------------------------------------------------


def every(endpoint: Any) -> bool:
    """Any route."""
    return True


def none(endpoint: Any) -> bool:
    """No route."""
    return False


def writes(endpoint: Any) -> bool:
    """A route of the project's own that may change something."""
    return endpoint.method not in SAFE and not is_ours(endpoint)


def by_session(endpoint: Any) -> bool:
    """A route that may act for a session's user: by the scheme, or by a Django request where no scheme is asked."""
    if is_ours(endpoint):  # a log-in, the token of CSRF
        return False
    if not endpoint.schemes:
        return bool(endpoint.reads_cookies)
    return any(scheme.reads_session for scheme in endpoint.schemes)


def logs_in(endpoint: Any) -> bool:
    """A route of ours that takes a name and a password."""
    return (module_of(endpoint), getattr(endpoint.route.handler, "__name__", "")) in _LOGINS


_LOGINS = {
    ("hybrid_gateway.tokens.routes", "login"),
    ("hybrid_gateway.tokens.jwt_routes", "login"),
    ("hybrid_gateway.tokens.jwt_routes", "token"),
}


def visits(endpoint: Any) -> bool:
    """A route of the project's own that asks for a Django request, among others."""
    return bool(endpoint.visits) and not is_ours(endpoint)


def is_ours(endpoint: Any) -> bool:
    """A route that comes with the gateway."""
    return module_of(endpoint).startswith("hybrid_gateway.")


def module_of(endpoint: Any) -> str:
    """The module that has the handler."""
    handler = endpoint.route.handler
    return str(getattr(getattr(handler, "func", handler), "__module__", ""))


# --- what does the same for a route --------------------------------------------------------------------------------


def has_cors(endpoint: Any) -> bool:
    """By ``cors=``."""
    return endpoint.route.layers.cors is not None


def has_request_id(endpoint: Any) -> bool:
    """By the hook of ours, which :class:`hybrid_gateway.telemetry.RequestIDs` puts there, too."""
    return any(issubclass(kind, RequestID) for kind in _hooks(endpoint))


def has_metrics(endpoint: Any) -> bool:
    """By the plugin of ours, whose hook stands around it."""
    return any(kind.__module__ == "hybrid_gateway.telemetry.metrics" for kind in _hooks(endpoint))


def _hooks(endpoint: Any) -> list[type]:
    return [hook if isinstance(hook, type) else type(hook) for hook in endpoint.route.layers.event_hooks]


def sets(name: str) -> Question:
    """By a header ``name`` of the route's layers."""
    return lambda endpoint: name in {header.lower() for header in endpoint.route.layers.response_headers}


class Package(Struct, frozen=True, kw_only=True):
    """A package by its name on the index, and ``says``, what the page has on it.

    ``middleware`` are the dotted paths that it has people list, outer to inner; where routes do not pass them, the
    checks give ``remedy``, or nothing where there is none. ``concerns`` and ``replaced`` tell of a route whether the
    package is about it, and whether something of ours does the same. ``is_error``: without it somebody may do or see
    what they may not. ``known_by`` is an app, or what the dotted paths of its classes for REST framework begin with: a
    project with one has clients with its tokens. ``schemes`` are the dotted paths of those of ours that know them.
    """

    name: str
    verdict: Verdict
    says: str
    middleware: tuple[str, ...] = ()
    remedy: str = ""
    concerns: Question = every
    replaced: Question = none
    is_error: bool = False
    known_by: str = ""
    schemes: tuple[str, ...] = ()


def works(name: str, says: str, *middleware: str) -> Package:
    """One that needs nothing."""
    return Package(name=name, verdict="works", says=says, middleware=middleware)


def below(name: str, says: str, path: str, lacks: str, **options: Any) -> Package:
    """One whose middleware has to stand around routes, which without it lack something."""
    return Package(
        name=name,
        verdict="with",
        says=f'`django_middleware=["{path}"]`: {says}',
        middleware=(path,),
        remedy=f'List "{path}" in DJANGO_MIDDLEWARE or django_middleware= of a layer: {lacks}',
        **options,
    )


_SESSIONS = "SessionMiddleware and AuthenticationMiddleware of Django"


def visitor(name: str, says: str, path: str, lacks: str, **options: Any) -> Package:
    """One whose middleware changes the user of a session."""
    return Package(
        name=name,
        verdict="with",
        says=f'`django_middleware=[…, "{path}"]`, below {_SESSIONS}: {says}',
        middleware=(path,),
        remedy=f'List "{path}" below {_SESSIONS} in django_middleware= of a layer: {lacks}',
        concerns=by_session,
        **options,
    )


def replaced(name: str, says: str, *middleware: str, remedy: str, by: Question) -> Package:
    """One whose work something of ours does."""
    return Package(name=name, verdict="with", says=says, middleware=middleware, remedy=remedy, replaced=by)


def spoken(name: str, says: str) -> Package:
    """One that follows the current language, which W032 looks after."""
    return Package(name=name, verdict="with", says=f"`event_hooks=[Locale]` of `hybrid_gateway.locale`: {says}")


def tokens(name: str, says: str, known_by: str, *schemes: str, middleware: tuple[str, ...] = ()) -> Package:
    """One that hands out tokens, which a scheme has to know."""
    named = " or ".join(schemes)
    return Package(
        name=name,
        verdict="with",
        says=says,
        middleware=middleware,
        remedy=f"Add {named} to AUTHENTICATION or authentication= of a layer."
        if schemes
        else "Add the scheme of docs/packages.md to AUTHENTICATION or authentication= of a layer.",
        known_by=known_by,
        schemes=schemes,
    )
