"""Guards: who may call a handler. The core answers a refusal with 401 to the anonymous and 403 to everybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from hybrid_gateway.access_control import Authentication, Guard
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["HasPermission", "HasScope", "InGroup", "IsAuthenticated", "IsStaff", "IsSuperuser"]


class IsAuthenticated(Guard):
    """Lets in whoever some scheme vouches for."""

    sync_to_thread = False
    needs_user = True

    def __call__(self, authentication: Authentication | None) -> bool:
        return authentication is not None


class _HasFlag(Guard):
    """Lets in active users with a flag; a project's own user model need not have it, and then nobody has."""

    sync_to_thread = False
    needs_user = True
    flag: ClassVar[str]

    def __call__(self, authentication: Authentication | None) -> bool:
        user = None if authentication is None else authentication.user
        return user is not None and bool(user.is_active and getattr(user, self.flag, False))


class IsStaff(_HasFlag):
    """Lets in active users with ``is_staff``, those the admin lets in."""

    flag = "is_staff"


class IsSuperuser(_HasFlag):
    """Lets in active users with ``is_superuser``."""

    flag = "is_superuser"


@reject_unknown_keywords()
class HasScope(Guard):
    """Lets in credentials that were issued for every one of these scopes; ``match="any"`` asks for at least one.

    Tokens, API keys and JWTs have scopes. A password or a session has none, and does not pass; where people shall as
    well: ``AnyOf(HasScope("orders:read"), IsStaff)``.
    """

    sync_to_thread = False
    needs_user = True

    def __init__(self, *scopes: str, match: str = "all") -> None:
        if not scopes or not all(isinstance(name, str) and name and " " not in name for name in scopes):
            raise ConfigurationError(f'{_call(self, scopes)}: name scopes such as "orders:read".')
        if match not in _MATCHES:
            raise ConfigurationError(f'{_call(self, scopes)}: match={match!r} must be "all" or "any".')
        self.scopes = scopes
        self.match = match

    def __call__(self, authentication: Authentication | None) -> bool:
        return authentication is not None and _MATCHES[self.match](
            name in authentication.scopes for name in self.scopes
        )

    def __repr__(self) -> str:
        return _call(self, self.scopes, **({} if self.match == "all" else {"match": self.match}))


@reject_unknown_keywords()
class HasPermission(Guard):
    """Lets in users with every one of these permissions (``"app.codename"``), by ``user.has_perm`` on a pool thread.

    ``match="any"`` asks for at least one of them. A superuser has them all, an inactive user none. ``obj`` makes it
    ``user.has_perm(permission, obj)``: a provider function, or a type that some component provides. That needs a
    backend for objects, such as django-guardian's or django-rules': Django's own knows none but superusers.
    """

    needs_user = True

    def __init__(self, *permissions: str, match: str = "all", obj: Any = None) -> None:
        if not permissions or not all(isinstance(name, str) and _is_permission(name) for name in permissions):
            raise ConfigurationError(f'{_call(self, permissions)}: name permissions as "app_label.codename".')
        if match not in _MATCHES:
            raise ConfigurationError(f'{_call(self, permissions)}: match={match!r} must be "all" or "any".')
        if obj is not None and not callable(obj):
            raise ConfigurationError(f"{_call(self, permissions)}: obj={obj!r} must be a provider function or a type.")
        self.permissions = permissions
        self.match = match
        self.obj = obj
        self.looks_up = obj is not None
        # Whose parameters are injected: an object is asked for only where there is one to look up.
        self.__wrapped__ = _without_object(self._allows) if obj is None else _with_object(self._allows, obj)

    def __call__(self, authentication: Authentication | None, obj: Any = None) -> bool:
        return self._allows(authentication, obj)

    def _allows(self, authentication: Authentication | None, obj: Any) -> bool:
        if authentication is None:
            return False
        user = authentication.user
        return _MATCHES[self.match](user.has_perm(permission, obj) for permission in self.permissions)

    def __repr__(self) -> str:
        options = {} if self.match == "all" else {"match": self.match}
        shown = _call(self, self.permissions, **options)
        return shown if self.obj is None else f"{shown[:-1]}, obj={getattr(self.obj, '__qualname__', self.obj)})"


def _without_object(allows: Callable[[Authentication | None, Any], bool]) -> Callable[..., bool]:
    def check(authentication: Authentication | None) -> bool:
        return allows(authentication, None)

    return check


def _with_object(allows: Callable[[Authentication | None, Any], bool], obj: Any) -> Callable[..., bool]:
    def check(authentication: Authentication | None, obj: Any) -> bool:
        return allows(authentication, obj)

    kind = obj if isinstance(obj, type) else Annotated[Any, Depends(obj)]
    check.__annotations__ = {"authentication": Authentication | None, "obj": kind, "return": bool}
    return check


@reject_unknown_keywords()
class InGroup(Guard):
    """Lets in active members of at least one of these groups, superusers too; one query, on a pool thread."""

    needs_user = True

    def __init__(self, *groups: str) -> None:
        if not groups or not all(isinstance(name, str) and name for name in groups):
            raise ConfigurationError(f'{_call(self, groups)}: give the names of groups, such as InGroup("editors").')
        self.groups = groups

    def __call__(self, authentication: Authentication | None) -> bool:
        if authentication is None or not authentication.user.is_active:
            return False
        return bool(authentication.user.groups.filter(name__in=self.groups).exists())

    def __repr__(self) -> str:
        return _call(self, self.groups)


_MATCHES = {"all": all, "any": any}


def _is_permission(name: str) -> bool:
    app_label, dot, codename = name.partition(".")
    return bool(app_label and dot and codename)


def _call(guard: object, arguments: tuple[object, ...], **options: object) -> str:
    shown = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
    return f"{type(guard).__name__}({', '.join(shown)})"
