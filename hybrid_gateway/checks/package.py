"""A row of the table of packages, and the questions that it asks about a route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct

from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.telemetry import RequestID

Verdict: TypeAlias = Literal["works", "with", "no"]
Question: TypeAlias = Callable[[Endpoint], bool]

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


# --- which routes a package is about -------------------------------------------------------------------------------


def every(endpoint: Endpoint) -> bool:
    return True


def none(endpoint: Endpoint) -> bool:
    return False


def writes(endpoint: Endpoint) -> bool:
    """Return whether it is a route of the project's own that may change something."""
    return endpoint.method not in SAFE and not is_ours(endpoint)


def by_session(endpoint: Endpoint) -> bool:
    """Return whether a route may act for a session's user: by its scheme, or, without one, by a Django request."""
    if is_ours(endpoint):  # a log-in, the token of CSRF
        return False
    if not endpoint.schemes:
        return bool(endpoint.reads_cookies)
    return any(scheme.reads_session for scheme in endpoint.schemes)


def logs_in(endpoint: Endpoint) -> bool:
    """Return whether it is a route of ours that takes a name and a password."""
    return (module_of(endpoint), getattr(endpoint.route.handler, "__name__", "")) in _LOGINS


_LOGINS = {
    ("hybrid_gateway.tokens.routes", "login"),
    ("hybrid_gateway.tokens.jwt_routes", "login"),
    ("hybrid_gateway.tokens.jwt_routes", "token"),
}


def visits(endpoint: Endpoint) -> bool:
    """Return whether it is a route of the project's own that asks for a Django request or the like."""
    return bool(endpoint.visits) and not is_ours(endpoint)


def is_ours(endpoint: Endpoint) -> bool:
    return module_of(endpoint).startswith("hybrid_gateway.")


def module_of(endpoint: Endpoint) -> str:
    handler = endpoint.route.handler
    return str(getattr(getattr(handler, "func", handler), "__module__", ""))


# --- what does the same for a route --------------------------------------------------------------------------------


def has_cors(endpoint: Endpoint) -> bool:
    """Return whether ``cors=`` of a layer does the same."""
    return endpoint.route.layers.cors is not None


def has_request_id(endpoint: Endpoint) -> bool:
    """Return whether our hook does the same, which :class:`hybrid_gateway.telemetry.RequestIDs` adds, too."""
    return any(issubclass(kind, RequestID) for kind in hook_classes(endpoint))


def has_metrics(endpoint: Endpoint) -> bool:
    """Return whether the hook of our plugin does the same."""
    return any(kind.__module__ == "hybrid_gateway.telemetry.metrics" for kind in hook_classes(endpoint))


def hook_classes(endpoint: Endpoint) -> list[type]:
    return [hook if isinstance(hook, type) else type(hook) for hook in endpoint.route.layers.event_hooks]


def sets(name: str) -> Question:
    """Return the question whether the layers of a route set the header ``name``."""
    return lambda endpoint: name in {header.lower() for header in endpoint.route.layers.response_headers}


class Package(Struct, frozen=True, kw_only=True):
    """A package by its name on the index; ``says`` is for ``docs/packages.md``.

    ``middleware`` are the dotted paths that it has people list, outer to inner; where routes do not pass them, the
    checks give ``remedy``, or nothing where there is none. ``concerns`` and ``replaced`` tell of a route whether the
    package is about it, and whether something of ours does the same. ``is_error``: without it somebody may do or see
    what they may not. ``known_by`` is an app, or what the dotted paths of its classes for REST framework begin with: a
    project with one has clients with its tokens. ``schemes`` are the dotted paths of those of ours that know them.
    """

    name: str
    verdict: Verdict = "with"
    says: str
    middleware: tuple[str, ...] = ()
    remedy: str = ""
    concerns: Question = every
    replaced: Question = none
    is_error: bool = False
    known_by: str = ""
    schemes: tuple[str, ...] = ()


def works(name: str, says: str, *middleware: str) -> Package:
    """Return a package that needs nothing."""
    return Package(name=name, verdict="works", says=says, middleware=middleware)


def below(
    name: str, says: str, path: str, lacks: str, *, concerns: Question = every, is_error: bool = False
) -> Package:
    """Return a package whose middleware has to stand around routes, which without it lack something."""
    return Package(
        name=name,
        says=f'`django_middleware=["{path}"]`: {says}',
        middleware=(path,),
        remedy=f'List "{path}" in DJANGO_MIDDLEWARE or django_middleware= of a layer: {lacks}',
        concerns=concerns,
        is_error=is_error,
    )


_SESSIONS = "SessionMiddleware and AuthenticationMiddleware of Django"


def visitor(name: str, says: str, path: str, lacks: str, *, is_error: bool = False) -> Package:
    """Return a package whose middleware changes the user of a session."""
    return Package(
        name=name,
        says=f'`django_middleware=[…, "{path}"]`, below {_SESSIONS}: {says}',
        middleware=(path,),
        remedy=f'List "{path}" below {_SESSIONS} in django_middleware= of a layer: {lacks}',
        concerns=by_session,
        is_error=is_error,
    )


def replaced(name: str, says: str, *middleware: str, remedy: str, by: Question) -> Package:
    """Return a package whose work something of ours does."""
    return Package(name=name, says=says, middleware=middleware, remedy=remedy, replaced=by)


def spoken(name: str, says: str) -> Package:
    """Return a package that follows the current language, which W032 looks after."""
    return Package(name=name, says=f"`event_hooks=[Locale]` of `hybrid_gateway.locale`: {says}")


def tokens(name: str, says: str, known_by: str, *schemes: str, middleware: tuple[str, ...] = ()) -> Package:
    """Return a package that hands out tokens, which a scheme has to know."""
    named = " or ".join(schemes) or "the scheme of docs/packages.md"
    return Package(
        name=name,
        says=says,
        middleware=middleware,
        remedy=f"Add {named} to AUTHENTICATION or authentication= of a layer.",
        known_by=known_by,
        schemes=schemes,
    )
