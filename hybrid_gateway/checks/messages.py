"""The table of system checks. ``docs/checks.md`` is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.core.checks import CheckMessage, Error, Warning

from hybrid_gateway.endpoints.endpoint import Endpoint

TAG = "hybrid_gateway"


class Check(NamedTuple):
    """A row of the table."""

    meaning: str
    """What is wrong, for the documentation."""
    hint: str
    """What to do; names in braces are filled in by :func:`report`."""


_SILENCE = '{remedy}{more} To be told no more of this one, add "hybrid_gateway.{id}" to SILENCED_SYSTEM_CHECKS.'
_APPLICATION = 'Set {name} = "{ours}", or let the object it names come from hybrid_gateway.'
_RUNSERVER = "List 'hybrid_gateway' before {winner!r} in INSTALLED_APPS."

CHECKS: dict[str, Check] = {
    "E001": Check(
        "A key of `HYBRID_GATEWAY` is unknown, or has an impossible value.", "Correct HYBRID_GATEWAY in the settings."
    ),
    "E002": Check(
        "The module of the routes cannot be imported.",
        'Correct the module that HYBRID_GATEWAY["ROUTES"] names, or what it imports.',
    ),
    "E003": Check("A route cannot be built.", "Correct the route that the message names."),
    "E004": Check(
        "A handler asks for a type that nothing provides.",
        "Register a component for that type, or annotate the parameter differently.",
    ),
    "E006": Check(
        "Without the middleware of a package a session would act with more rights, or see other rows.", _SILENCE
    ),
    "E007": Check(
        "The back end of channels cannot be made: its package, its app or its database is not there.",
        'Correct HYBRID_GATEWAY["CHANNELS"], or install what the message names.',
    ),
    "E040": Check(
        "Middleware of the project chooses whose rows are seen, and routes do not pass it.",
        'List "{name}" in HYBRID_GATEWAY["DJANGO_MIDDLEWARE"], or in django_middleware= of the layers whose routes '
        "need it. Silence this where the others really need none.",
    ),
    "E041": Check(
        "Middleware that chooses whose rows are seen, or with which rights, cannot stand before websockets.",
        'Let a component, a guard or ASGI middleware do for a connection what "{name}" does for a request, and then '
        'add "hybrid_gateway.E041" to SILENCED_SYSTEM_CHECKS.',
    ),
    "W001": Check(
        "The URLconf serves media files, which no prefix passes on to Django.",
        'Add "{prefix}" to HYBRID_GATEWAY["ALLOWED_DJANGO_ROUTES"].',
    ),
    "W003": Check(
        "The URLconf has patterns that no prefix leads to.",
        "{suggestion}Or remove them, or set FALLTHROUGH to hand Django whatever no route knows.",
    ),
    "W004": Check("`ASGI_APPLICATION` does not lead to the gateway.", _APPLICATION),
    "W005": Check("`WSGI_APPLICATION` does not lead to the gateway.", _APPLICATION),
    "W006": Check("`runserver` is that of staticfiles, which serves over WSGI alone.", _RUNSERVER),
    "W007": Check("`runserver` is that of another app.", _RUNSERVER),
    "W008": Check(
        "A database has a connection pool and `CONN_MAX_AGE`.",
        "Leave CONN_MAX_AGE at 0: the pool keeps the connections.",
    ),
    "W009": Check(
        "WhiteNoise stands where Django's side is pure ASGI.",
        'Use DJANGO_SIDE = "auto", serve static files by the proxy, or use a middleware made for ASGI.',
    ),
    "W010": Check(
        '`"/"` is the only prefix: it covers the front page and nothing below it.',
        'Add the prefixes of Django\'s pages, such as "/admin/", or set HYBRID_GATEWAY["FALLTHROUGH"] to hand Django '
        "whatever no route answers.",
    ),
    "W011": Check(
        "A route or a mount and a pattern of the URLconf answer the same path; the route wins.",
        "Give one of them another path, or remove the pattern.",
    ),
    "W012": Check(
        "A route or a mount and a pattern of the URLconf differ by the last slash alone.",
        "Give one of them another path, unless both spellings shall have an answer of their own.",
    ),
    "W020": Check(
        "With `--deploy`: the document and its page are served although `DEBUG` is off.",
        'Remove ENABLED from HYBRID_GATEWAY["OPENAPI"], or silence this check if the API is public.',
    ),
    "W021": Check(
        "With `--deploy`: routes read credentials from headers, and no setting says HTTPS.",
        "Serve HTTPS only, and set SECURE_PROXY_SSL_HEADER behind a proxy or SECURE_SSL_REDIRECT without one. Routes "
        "follow both where SecurityMiddleware is in MIDDLEWARE.",
    ),
    "W023": Check(
        "With `--deploy`: persistent connections that nothing checks before use.",
        "Set CONN_HEALTH_CHECKS to True, so that a restarted database costs no request.",
    ),
    "W024": Check(
        "With `--deploy`: SQLite with options for one process with one thread.", "In its OPTIONS, set {missing}."
    ),
    "W025": Check(
        "With `--deploy`: a package that is installed has a fault that a client can use.", 'Require "{name}>={least}".'
    ),
    "W026": Check(
        "With `--deploy`: there are channels, and their messages reach one process alone.",
        'Set HYBRID_GATEWAY["CHANNELS"] to "postgresql" or "redis://…", or silence this where there is one worker.',
    ),
    "W030": Check(
        "`SESSION_SAVE_EVERY_REQUEST` prolongs no session by routes, which open none.",
        "Authenticate by SessionAuthentication, or ask for hybrid_gateway.Session where a visit shall count.",
    ),
    "W031": Check(
        "Routes may act on a cookie, and check no CSRF token.",
        "Authenticate by SessionAuthentication, which checks the token, or add guards=[CSRFProtect]; say "
        "csrf_exempt=True where another site may send these requests.",
    ),
    "W032": Check(
        "`LocaleMiddleware` does not stand before routes.",
        'Add "hybrid_gateway.locale.Locale" to HYBRID_GATEWAY["EVENT_HOOKS"], or to event_hooks of a layer.',
    ),
    "W033": Check(
        "`ATOMIC_REQUESTS` is for Django's side alone.",
        'Set HYBRID_GATEWAY["ATOMIC"] or atomic=True on a layer; `async def` handlers call run_in_transaction.',
    ),
    "W034": Check(
        "`LoginRequiredMiddleware` does not stand before routes, and anybody may call them.",
        'Set HYBRID_GATEWAY["GUARDS"] to ["hybrid_gateway.auth.IsAuthenticated"], and AllowAny on what is open.',
    ),
    "W035": Check("Middleware of a package or of the project does not stand before routes.", _SILENCE),
    "W036": Check(
        "Routes take passwords, and no authentication backend does.",
        'Add "django.contrib.auth.backends.ModelBackend" or another that takes both, or leave these routes out and '
        "issue tokens elsewhere: Token.objects.issue(user), manage.py gateway createtoken.",
    ),
    "W037": Check("A package hands out tokens that no route knows.", "{remedy} See docs/packages.md."),
    "W038": Check(
        "Every page there is may open a websocket that knows its visitor by a cookie.",
        'List the pages in allowed_origins=["https://..."], or authenticate by tickets or tokens, which no browser '
        "sends of itself.",
    ),
    "W039": Check(
        "The project has websockets, and no `ASGI_APPLICATION`: a WSGI server answers each with 426.",
        'Set ASGI_APPLICATION = "hybrid_gateway.asgi.application", and serve that.',
    ),
    "W043": Check(
        "The project has websockets, and uvicorn no package to speak them by.",
        'Require "websockets", which hybrid-gateway[server] does.',
    ),
    "W044": Check(
        "A context processor reads of the request what some middleware adds, and routes with templates do not pass it.",
        "List the middleware that adds it in django_middleware= of a layer of these routes, or let the processor do "
        'without: getattr(request, "{attribute}", None).',
    ),
    "W050": Check(
        "The build of a front end is not there: its folder has no `index.html`. A server does not start without.",
        "Build it (npm run build), or correct directory=; in development, dev_server= needs no build.",
    ),
    "W051": Check(
        "A front end is never reached, since a pattern of the URLconf takes any path.",
        "Remove the pattern, or narrow it to the pages that Django has.",
    ),
    "W055": Check(
        "Receivers of `request_started` or `request_finished` that no request of a route reaches.",
        'Set emit_signals=True on the layers whose requests they are to see, or HYBRID_GATEWAY["EMIT_SIGNALS"]; or '
        'silence "hybrid_gateway.W055" where they are for Django\'s pages alone.',
    ),
}


def report(number: str, message: str, **values: object) -> CheckMessage:
    """Return the message of a check; ``values`` are for its hint."""
    check = CHECKS[number]
    severity = Error if number.startswith("E") else Warning
    return severity(message, hint=check.hint.format(**values), id=f"{TAG}.{number}")


def name_routes(endpoints: Iterable[Endpoint]) -> str:
    """Return the methods and paths of three routes at most, and how many more there are."""
    names = list(dict.fromkeys(f"{endpoint.method} {endpoint.route.path}" for endpoint in endpoints))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
