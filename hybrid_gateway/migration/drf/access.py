"""Authentication, permissions and throttles of views, as options of routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from django.contrib.auth import get_user_model
from rest_framework import authentication, filters, permissions, throttling
from rest_framework.routers import APIRootView
from rest_framework.settings import api_settings

from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.drf.stock import depends_on_request, owner_beyond_delegation
from hybrid_gateway.migration.form import ClassForm, Decision, Difference, FieldForm, FunctionForm
from hybrid_gateway.migration.source_place import place_of

View: TypeAlias = Any
"""An instance of a view of REST framework; the package has no types."""

SAFE = ("GET", "HEAD", "OPTIONS")
_DOORS = (
    *("dispatch", "initial", "initialize_request", "perform_authentication", "get_authenticators", "check_permissions"),
    *("check_object_permissions", "check_throttles", "http_method_not_allowed", "permission_denied"),
)
"""Methods of a view that decide whether its action runs: those of a project are not guessed at."""


class Access:
    """Read who may call the routes of a module, and how often."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._permissions: dict[str, str] = {}
        self._schemes: dict[tuple[type, ...], str] = {}
        self.usual: list[type] = list(api_settings.DEFAULT_AUTHENTICATION_CLASSES or ())
        """The classes that views have unless they say others."""
        self.needs: list[str] = []
        """What of REST framework the guards that were asked for last need at run time."""

    # --- who it is ---------------------------------------------------------------------------------------------

    def schemes(self, classes: list[type]) -> str:
        """Return the constant with the schemes for authentication classes; a class that has none is a decision."""
        key = tuple(classes)
        if key not in self._schemes:
            found = [text for cls in classes if (text := self._scheme(cls, self._parts.move.unread))]
            number = "" if not self._schemes else f"_{len(self._schemes) + 1}"
            self._schemes[key] = self._parts.names.define(f"AUTHENTICATION{number}")
            self._parts.move.constants.append(FieldForm(self._schemes[key], default=f"[{', '.join(found)}]"))
        return self._schemes[key]

    def own_schemes(self, view: View) -> str:
        """Return the constant for a view that has other schemes than most, and ``""`` for one that has not."""
        classes = list(view.authentication_classes)
        return "" if classes == self.usual else self.schemes(classes)

    def _scheme(self, cls: Any, decisions: list[Decision]) -> str:
        stock, use = authentication, self._parts.names.use
        if cls is stock.SessionAuthentication:
            return f"{use('hybrid_gateway.auth', 'SessionAuthentication')}()"
        if cls is stock.BasicAuthentication:
            return f"{use('hybrid_gateway.auth', 'BasicAuthentication')}()"
        if (
            issubclass(cls, stock.TokenAuthentication)
            and cls().get_model().__module__ == "rest_framework.authtoken.models"
        ):
            own = {
                name
                for name in ("authenticate", "authenticate_credentials")
                if getattr(cls, name) is not getattr(stock.TokenAuthentication, name)
            }
            if not own:
                keyword = "" if cls.keyword == "Token" else f"keyword={quoted(cls.keyword)}"
                return f"{use('hybrid_gateway.contrib.drf', 'DRFTokenAuthentication')}({keyword})"
        if f"{cls.__module__}.{cls.__name__}" == "rest_framework_simplejwt.authentication.JWTAuthentication":
            return f"{use('hybrid_gateway.contrib.simplejwt', 'SimpleJWTAuthentication')}()"
        decisions.append(
            Decision(
                f"{cls.__name__} is not written anew: whom it lets in is nobody here until a scheme does.",
                place_of(cls),
            )
        )
        return ""

    # --- whether they may --------------------------------------------------------------------------------------

    def guards(self, view: View, method: str) -> tuple[list[str], bool]:
        """Return the guards of one method, and whether they let in nobody whom no scheme knows."""
        self.needs = []
        _need_stock_doors(type(view))
        found: list[str] = []
        needs_user = False
        for permission in view.get_permissions():
            text, known = self._guard(view, permission, method)
            found += [text] if text and text not in found else []
            needs_user = needs_user or known
        return found, needs_user

    def _guard(self, view: View, permission: Any, method: str) -> tuple[str, bool]:
        cls, use = type(permission), self._parts.names.use
        is_own = cls.has_permission
        if is_own in (permissions.BasePermission.has_permission, permissions.AllowAny.has_permission):
            return "", False
        if is_own is permissions.IsAuthenticated.has_permission:
            return use("hybrid_gateway.auth", "IsAuthenticated"), True
        if is_own is permissions.IsAdminUser.has_permission:
            return use("hybrid_gateway.auth", "IsStaff"), True
        if is_own is permissions.IsAuthenticatedOrReadOnly.has_permission:
            return ("", False) if method in SAFE else (use("hybrid_gateway.auth", "IsAuthenticated"), True)
        if is_own is permissions.DjangoModelPermissions.has_permission and _asks_by_map(cls):
            return self._by_map(view, permission, method)
        if isinstance(permission, _OPERATORS) or cls.__init__ is not object.__init__:
            raise UnmovedError(f"The permission {cls.__name__} is made of others.", place_of(type(view)))
        self.needs.append(f"{cls.__module__}.{cls.__name__}")
        guard, views = (
            use("hybrid_gateway.contrib.drf_bridge", "DRFPermission"),
            use(type(view).__module__, type(view).__name__),
        )
        return f"{guard}({use(cls.__module__, cls.__name__)}, {views}, {quoted(view.action or '')})", False

    def _by_map(self, view: View, permission: Any, method: str) -> tuple[str, bool]:
        """Return the guard for a ``DjangoModelPermissions``; what its map has not, the old view refuses."""
        use, known_only = self._parts.names.use, bool(permission.authenticated_users_only)
        if isinstance(view, APIRootView):  # which lists routes, and has no rows
            return (use("hybrid_gateway.auth", "IsAuthenticated"), True) if known_only else ("", False)
        answered = ("GET", "HEAD") if method == "GET" else (method,)
        missing = [name for name in answered if name not in permission.perms_map]
        if missing:
            cls = type(permission)
            raise UnmovedError(
                f"{cls.__name__}.perms_map has no {missing[0]}: who asks gets 405.", place_of(cls, "perms_map")
            )
        if not known_only and not any(permission.perms_map[name] for name in answered):
            return "", False
        rows = view.queryset if view.queryset is not None else view.get_queryset()
        model = use(rows.model.__module__, rows.model.__name__)
        return f"{self._model_permissions(permission.perms_map)}({model})", True

    def _model_permissions(self, asked: Mapping[str, list[str]]) -> str:
        """Return the guard that asks for the permissions of a model, by the method."""
        methods = ", ".join(f"{quoted(method)}: [{', '.join(map(quoted, names))}]" for method, names in asked.items())
        if methods in self._permissions:
            return self._permissions[methods]
        use = self._parts.names.use
        guard, kind, model = (
            use("hybrid_gateway.auth", "Guard"),
            use("hybrid_gateway.http", "Method"),
            use("django.db.models", "Model"),
        )
        user = user_class(self._parts)
        table = self._parts.names.define("PERMISSIONS")
        self._parts.move.constants.append(FieldForm(table, default=f"{{{methods}}}"))
        name = self._parts.names.define("ModelPermissions")
        asks = [
            'names = {"app_label": self.meta.app_label, "model_name": self.meta.model_name}',
            f"asked = {table}.get(method)",
            "return asked is not None and user.has_perms([permission % names for permission in asked])",
        ]
        self._parts.move.structs.insert(
            0,
            ClassForm(
                name,
                [guard],
                doc="Asks for the permissions of a model, by the method.",
                fields=[FieldForm("needs_user", default="True")],
                methods=[
                    FunctionForm("__init__", ["self", f"model: type[{model}]"], "None", ["self.meta = model._meta"]),
                    FunctionForm("__call__", ["self", f"method: {kind}", f"user: {user}"], "bool", asks),
                ],
            ),
        )
        self._permissions[methods] = name
        return name

    # --- how often ---------------------------------------------------------------------------------------------

    def throttles(self, view: View, differences: list[Difference], decisions: list[Decision]) -> list[str]:
        """Return the rate limits of a view."""
        found: list[str] = []
        for throttle in view.get_throttles():
            rate = (
                getattr(view, "throttle_scope", None) if isinstance(throttle, throttling.ScopedRateThrottle) else None
            )
            if isinstance(throttle, throttling.ScopedRateThrottle):
                text = None if rate is None else dict(throttle.THROTTLE_RATES or {}).get(rate)
            else:
                text = getattr(throttle, "rate", None)
            if text is None:
                continue
            if type(throttle).get_cache_key not in _COUNTED:
                decisions.append(
                    Decision(
                        f"{type(throttle).__name__} counts in its own way: no limit was written.",
                        place_of(type(throttle)),
                    )
                )
                continue
            by = ', by="address"' if isinstance(throttle, throttling.AnonRateThrottle) else ""
            scope = quoted(str(rate or throttle.scope))
            if by:
                differences.append(Difference("limits", f"{text} of an address counts those with credentials, too"))
            found.append(f"{self._parts.names.use('hybrid_gateway', 'Throttle')}({quoted(text)}{by}, scope={scope})")
        return found


_COUNTED = (
    throttling.AnonRateThrottle.get_cache_key,
    throttling.UserRateThrottle.get_cache_key,
    throttling.ScopedRateThrottle.get_cache_key,
)
_OPERATORS = (permissions.AND, permissions.OR, permissions.NOT)


def need_no_row_permissions(view: View) -> None:
    """Raise :class:`UnmovedError` for permissions and filters of the project that look at single rows."""
    for permission in _row_permissions(view):
        raise UnmovedError(
            f"{permission.__name__} looks at single rows.", place_of(permission, "has_object_permission")
        )
    for backend in _narrowing(view):
        raise UnmovedError(f"The filter {backend.__name__} narrows rows.", place_of(backend))


def looks_at_rows(view: View) -> bool:
    """Return whether permissions or filters of the project have a say in which single rows a caller may see."""
    return bool(_row_permissions(view) or _narrowing(view))


def _row_permissions(view: View) -> list[Any]:
    stock = permissions.BasePermission.has_object_permission
    kinds = [type(permission) for permission in view.get_permissions()]
    return [kind for kind in kinds if getattr(kind, "has_object_permission", None) is not stock]


def _narrowing(view: View) -> list[Any]:
    stock = (filters.SearchFilter.filter_queryset, filters.OrderingFilter.filter_queryset)
    backends = getattr(view, "filter_backends", ())
    own = [backend for backend in backends if backend.filter_queryset not in stock]
    return [backend for backend in own if not backend.__module__.startswith("django_filters.")]


def _need_stock_doors(cls: Any) -> None:
    """Raise :class:`UnmovedError` for a view with a say of its own in who may call it."""
    for name in _DOORS:
        # Whose class says it, not whose function it is: packages that watch (Sentry) put theirs into REST framework's.
        owner = owner_beyond_delegation(cls, name)
        if owner.__module__.split(".")[0] not in ("rest_framework", "django"):
            raise UnmovedError(f"{cls.__name__}.{name} is its own.", place_of(cls, name))
    if depends_on_request(cls, "get_permissions"):
        raise UnmovedError("get_permissions asks who calls.", place_of(cls, "get_permissions"))


def _asks_by_map(cls: type) -> bool:
    """Return whether a permission asks what its ``perms_map`` says, of the model of the rows."""
    stock = permissions.DjangoModelPermissions
    return all(getattr(cls, name) is getattr(stock, name) for name in ("get_required_permissions", "_queryset"))


def user_class(parts: Parts) -> str:
    """Return the class of users, as the module writes it."""
    return parts.names.use_object(get_user_model(), "Account")
