"""Packages for Django that many projects have, by trade, and what each of them needs around typed routes.

The checks W035, W037 and E006 are made of :data:`PACKAGES`, and so is the table of docs/packages.md, every row of which
``scripts/packages`` tries on the package itself. Nothing of any of them is imported here.
"""

from __future__ import annotations

from hybrid_gateway.checks.package import (
    Package,
    below,
    has_cors,
    has_metrics,
    has_request_id,
    logs_in,
    replaced,
    sets,
    spoken,
    tokens,
    visitor,
    visits,
    works,
    writes,
)

_DRF = "hybrid_gateway.contrib.drf.DRFTokenAuthentication"
_JWT = "hybrid_gateway.contrib.simplejwt.SimpleJWTAuthentication"
_OR_BELOW = "or list it in DJANGO_MIDDLEWARE or django_middleware= of a layer."

_WHO_DID_IT = (
    below(
        "django-simple-history",
        "`history_user` is the user of the route's scheme",
        "simple_history.middleware.HistoryRequestMiddleware",
        "what these routes change has no history_user.",
        concerns=writes,
    ),
    below(
        "django-auditlog",
        "the `actor` is the user of the route's scheme",
        "auditlog.middleware.AuditlogMiddleware",
        "what these routes change has no actor.",
        concerns=writes,
    ),
    below(
        "django-reversion",
        "a request is a revision, whose `user` is that of the route's scheme",
        "reversion.middleware.RevisionMiddleware",
        "what these routes change makes no revision.",
        concerns=writes,
    ),
    below(
        "django-easy-audit",
        "the `user` of an event is that of the route's scheme; typed requests make no `RequestEvent`",
        "easyaudit.middleware.easyaudit.EasyAuditMiddleware",
        "events of these routes have no user.",
        concerns=writes,
    ),
    below(
        "django-pghistory",
        "the context of an event has the user of the route's scheme",
        "pghistory.middleware.HistoryMiddleware",
        "events of these routes have no context.",
        concerns=writes,
    ),
    below(
        "django-crum",
        "`get_current_user()` is the user of the route's scheme, on its thread: in `def`, models, `sync_to_async`",
        "crum.CurrentRequestUserMiddleware",
        "get_current_user() is None in these routes.",
    ),
    below(
        "django-currentuser",
        "`get_current_user()` is the user of the route's scheme, on its thread: in `def`, models, `sync_to_async`",
        "django_currentuser.middleware.ThreadLocalUserMiddleware",
        "get_current_user() is None in these routes.",
    ),
)

_WHO_IT_IS = (
    visitor(
        "django-hijack",
        "`user.is_hijacked`; the user is the hijacked one in any case",
        "hijack.middleware.HijackUserMiddleware",
        "users of these routes have no is_hijacked, though they are the hijacked ones.",
    ),
    visitor(
        "django-impersonate",
        "the user is the impersonated one. Without it routes would act as the admin: an error (E006)",
        "impersonate.middleware.ImpersonateMiddleware",
        "these routes act as the real user, not as whom they impersonate.",
        is_error=True,
    ),
    visitor(
        "django-otp",
        "`user.is_verified()` in handlers and guards. Without it nobody asks for the second factor: an error (E006)",
        "django_otp.middleware.OTPMiddleware",
        "users of these routes have no is_verified, so nobody asks for their second factor.",
        is_error=True,
    ),
    below(
        "django-tenants",
        "routes read the schema of the host's tenant. Without it they would read another: an error (E006)",
        "django_tenants.middleware.main.TenantMainMiddleware",
        "without it these routes read the public schema, whoever asks.",
        is_error=True,
    ),
    Package(name="django-two-factor-auth", says="its pages are Django's; the rest is django-otp's"),
    works("django-guardian", '`HasPermission("app.view_note", obj=…)`, and `fetch` of `get_objects_for_user(…)`'),
    works("rules", '`HasPermission("app.change_note", obj=…)` asks its predicates'),
)

_ANSWERS = (
    replaced(
        "django-cors-headers",
        "`cors=CORS([…])` on any layer, which costs less than its middleware under `django_middleware=`",
        "corsheaders.middleware.CorsMiddleware",
        remedy='Say cors=CORS(["https://shop.example"]) on a layer, or HYBRID_GATEWAY["CORS"]: preflights as well.',
        by=has_cors,
    ),
    replaced(
        "django-csp",
        '`RESPONSE_HEADERS: {"Content-Security-Policy": …}`, or its middleware under `django_middleware=`',
        "csp.middleware.CSPMiddleware",
        remedy=f'Set "Content-Security-Policy" in HYBRID_GATEWAY["RESPONSE_HEADERS"], {_OR_BELOW}',
        by=sets("content-security-policy"),
    ),
    replaced(
        "django-permissions-policy",
        '`RESPONSE_HEADERS: {"Permissions-Policy": …}`, or its middleware under `django_middleware=`',
        "django_permissions_policy.PermissionsPolicyMiddleware",
        remedy=f'Set "Permissions-Policy" in HYBRID_GATEWAY["RESPONSE_HEADERS"], {_OR_BELOW}',
        by=sets("permissions-policy"),
    ),
    below(
        "django-maintenance-mode",
        "routes are 503 while it is on",
        "maintenance_mode.middleware.MaintenanceModeMiddleware",
        "these routes go on while the site is shut.",
    ),
    below(
        "django-htmx",
        "handlers that take the `HttpRequest` find `request.htmx`",
        "django_htmx.middleware.HtmxMiddleware",
        "their requests have no htmx.",
        concerns=visits,
    ),
    below(
        "django-waffle",
        "a cookie keeps what a percentage has decided; the rest needs the `HttpRequest` alone",
        "waffle.middleware.WaffleMiddleware",
        "no cookie keeps what a percentage has decided.",
        concerns=visits,
    ),
    works(
        "django-ratelimit",
        "`@ratelimit` on a handler that takes the `HttpRequest`, `is_ratelimited` in it: 403; ours is `throttle=`",
    ),
    works("whitenoise", "static files are Django's side", "whitenoise.middleware.WhiteNoiseMiddleware"),
    works(
        "django-debug-toolbar",
        "on Django's pages; on a typed route that answers HTML with "
        '`django_middleware=["debug_toolbar.middleware.DebugToolbarMiddleware"]`',
        "debug_toolbar.middleware.DebugToolbarMiddleware",
    ),
    works("django-unfold", "the admin is Django's side"),
    works(
        "django-health-check",
        "its page is Django's side; ours are `/livez` and `/readyz`, once [included](observability.md#health)",
    ),
)

_MEASURES = (
    below(
        "django-structlog",
        "`request_id` and `user_id` are bound",
        "django_structlog.middlewares.RequestMiddleware",
        "nothing is bound to the logs of these routes.",
    ),
    replaced(
        "django-guid",
        "the plugin `hybrid_gateway.telemetry.RequestIDs` in its place, or its middleware under `django_middleware=`",
        "django_guid.middleware.guid_middleware",
        remedy=f'Add "hybrid_gateway.telemetry.RequestIDs" to HYBRID_GATEWAY["PLUGINS"], {_OR_BELOW}',
        by=has_request_id,
    ),
    replaced(
        "django-log-request-id",
        "the plugin `hybrid_gateway.telemetry.RequestIDs` in its place, or its middleware under `django_middleware=`",
        "log_request_id.middleware.RequestIDMiddleware",
        remedy=f'Add "hybrid_gateway.telemetry.RequestIDs" to HYBRID_GATEWAY["PLUGINS"], {_OR_BELOW}',
        by=has_request_id,
    ),
    replaced(
        "django-prometheus",
        "both of its middlewares under `django_middleware=`; the plugin `hybrid_gateway.telemetry.metrics.Prometheus` "
        "in the same registry costs less",
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
        remedy='Add "hybrid_gateway.telemetry.metrics.Prometheus" to HYBRID_GATEWAY["PLUGINS"], or list both of its '
        "middlewares in DJANGO_MIDDLEWARE.",
        by=has_metrics,
    ),
    below(
        "django-silk",
        "requests and their queries are recorded",
        "silk.middleware.SilkyMiddleware",
        "requests of these routes are not recorded.",
    ),
    works("sentry-sdk", "exceptions of handlers are reported like those of views"),
)

_TOKENS = (
    tokens(
        "djangorestframework",
        f"its views are Django's side; `{_DRF}` knows its tokens",
        "rest_framework.authentication.TokenAuthentication",
        _DRF,
    ),
    tokens("djangorestframework-simplejwt", f"`{_JWT}` knows its access tokens", "rest_framework_simplejwt.", _JWT),
    tokens(
        "dj-rest-auth",
        f"its views are Django's side; `{_DRF}` or `{_JWT}` knows its tokens",
        "dj_rest_auth.",
        _DRF,
        _JWT,
    ),
    tokens(
        "django-allauth",
        "`AllauthSessionTokenAuthentication` or `AllauthAccessTokenAuthentication` of `hybrid_gateway.contrib.allauth` "
        "for apps, `SessionAuthentication` for browsers",
        "allauth.headless",
        "hybrid_gateway.contrib.allauth.AllauthSessionTokenAuthentication",
        "hybrid_gateway.contrib.allauth.AllauthAccessTokenAuthentication",
        "hybrid_gateway.auth.SessionAuthentication",
        middleware=("allauth.account.middleware.AccountMiddleware",),
    ),
    tokens(
        "django-oauth-toolkit",
        "[a scheme](#schemes-for-other-tokens) knows its access tokens",
        "oauth2_provider.",
        middleware=("oauth2_provider.middleware.OAuth2TokenMiddleware",),
    ),
    tokens("django-rest-knox", "[a scheme](#schemes-for-other-tokens) knows its tokens", "knox."),
    works(
        "djangorestframework-api-key",
        "`HasAPIKey().has_permission(request, None)` as a guard that takes the `HttpRequest`; beside schemes its keys "
        "need `API_KEY_CUSTOM_HEADER`, for an `Authorization` that no scheme knows is refused",
    ),
    works(
        "django-axes",
        "its backend alone: log-ins by token and by Basic are counted and refused; they are 429 instead of 401 with "
        '`django_middleware=["axes.middleware.AxesMiddleware"]` on the log-in routes',
        "axes.middleware.AxesMiddleware",
    ),
    Package(
        name="django-defender",
        verdict="no",
        says="it counts at Django's login view alone; log-ins by token and by Basic have limits of ours: "
        "[failed log-ins](authentication.md#failed-logins)",
        middleware=("defender.middleware.FailedLoginMiddleware",),
        remedy='It counts at Django\'s login view alone. HYBRID_GATEWAY["TOKENS"] has the limits of these log-ins.',
        concerns=logs_in,
    ),
)

_MODELS = (
    works("django-filter", "`UserFilter(request.GET, queryset).qs` under `fetch`; ours are filter Structs"),
    works("django-import-export", "resources in handlers; the admin is Django's side"),
    works("django-mptt", "trees are read by `fetch` and written by `create()`"),
    works("django-treebeard", "nodes are read by `fetch`; `add_root` and `add_child` write them"),
    works("django-taggit", "`tags: list[TagOut]` of a ModelStruct of `Tag`"),
    works("django-model-utils", "trackers, status and time stamps, `InheritanceManager`"),
    works("django-extensions", "`AutoSlugField`, `TimeStampedModel`, `ActivatorModel`"),
    works("django-polymorphic", "`fetch` reads the columns of the base; `from_model` what a row is"),
    works("django-safedelete", "`crud()` deletes and hides as the model does"),
    works("django-lifecycle", "hooks run with `crud()`, `create()` and `update()`"),
    spoken("django-modeltranslation", "`fetch` and instances alike"),
    spoken("django-parler", "instances, as in a view; `translations` is the relation that a ModelStruct reads"),
    works(
        "django-money",
        "`price: Decimal` and `price_currency: str` show a price; `Money(…)` writes it, for the package has it that "
        "clients do not set the currency (`editable=False`)",
    ),
    works("django-phonenumber-field", "`phone: str`, E.164"),
    works("django-countries", "`country: str`, the code"),
    works("django-timezone-field", "`zone: str`, the name"),
    works("django-multiselectfield", "`days: list[str]`"),
    works("django-fsm-2", "transitions in handlers; `fetch` and `from_model` show the state"),
    works("django-solo", "`from_model(Setting.get_solo())` and `update(…)` of it"),
    works("django-ordered-model", "`crud()` keeps the order as the model does"),
    works("easy-thumbnails", "`photo: str` is the URL; thumbnails in handlers"),
    works("django-cleanup", "files go when their rows do, after the commit"),
)

_CACHED = "querysets of models come from its cache, `fetch` and `prepare` always from the database; nothing is stale"
_WORK = (
    works("django-redis", "`cache=`, throttles, sessions"),
    works("django-cachalot", _CACHED),
    works("django-cacheops", _CACHED),
    works("django-constance", "`config.GREETING` in `def`, `await config.GREETING` in `async def`"),
    works("celery", "`task.delay_on_commit(…)` follows `atomic=True`"),
    works("django-dramatiq", "`transaction.on_commit(…)` follows `atomic=True`"),
    works("django-q2", "tasks in the database follow `atomic=True`"),
    works("channels", "channel layers in both kinds of handlers"),
)

PACKAGES: dict[str, Package] = {
    package.name: package for package in (*_WHO_DID_IT, *_WHO_IT_IS, *_ANSWERS, *_MEASURES, *_TOKENS, *_MODELS, *_WORK)
}
