"""Guards: who may call a handler. A rejected caller gets 401 if anonymous, 403 otherwise."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from hybrid_gateway.access_control import Authentication, Guard, as_guard
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Handler


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
            raise ConfigurationError(f'{_call(self, scopes)}: name scopes such as "orders:read".', id="A003")
        _check_match(self, scopes, match)
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

    def __init__(self, *permissions: str, match: str = "all", obj: Handler | None = None) -> None:
        if not permissions or not all(isinstance(name, str) and _PERMISSION.fullmatch(name) for name in permissions):
            raise ConfigurationError(
                f'{_call(self, permissions)}: name permissions as "app_label.codename".', id="A003"
            )
        _check_match(self, permissions, match)
        if obj is not None and not callable(obj):
            raise ConfigurationError(
                f"{_call(self, permissions)}: obj={obj!r} must be a provider function or a type.", id="A003"
            )
        self.permissions = permissions
        self.match = match
        self.obj = obj
        self.looks_up = obj is not None

    def __call__(self, authentication: Authentication | None, obj: object = None) -> bool:
        if authentication is None:
            return False
        user = authentication.user
        return _MATCHES[self.match](user.has_perm(permission, obj) for permission in self.permissions)

    @property
    def function(self) -> Handler:
        """The callable that decides; it asks for an object only where there is one to look up."""

        def check(authentication: Authentication | None) -> bool:
            return self(authentication)

        def check_object(authentication: Authentication | None, obj: object) -> bool:
            return self(authentication, obj)

        wanted = self.obj if self.obj is None or isinstance(self.obj, type) else Annotated[object, Depends(self.obj)]
        check_object.__annotations__["obj"] = wanted
        asked = check if self.obj is None else check_object
        asked.__qualname__ = type(self).__qualname__  # for messages
        return asked

    def __repr__(self) -> str:
        shown = _call(self, self.permissions, **({} if self.match == "all" else {"match": self.match}))
        return shown if self.obj is None else f"{shown[:-1]}, obj={getattr(self.obj, '__qualname__', self.obj)})"


@reject_unknown_keywords()
class InGroup(Guard):
    """Lets in active members of at least one of these groups, superusers too; one query, on a pool thread."""

    needs_user = True

    def __init__(self, *groups: str) -> None:
        if not groups or not all(isinstance(name, str) and name for name in groups):
            raise ConfigurationError(
                f'{_call(self, groups)}: give the names of groups, such as InGroup("editors").', id="A003"
            )
        self.groups = groups

    def __call__(self, authentication: Authentication | None) -> bool:
        if authentication is None or not authentication.user.is_active:
            return False
        return bool(authentication.user.groups.filter(name__in=self.groups).exists())

    def __repr__(self) -> str:
        return _call(self, self.groups)


# --- guards made of guards. Each is asked once, in order, and only as long as the verdict is open.


class _Combined(Guard):
    """Several guards; the planner of a route asks them one by one, each on the thread it needs."""

    def __init__(self, *guards: object) -> None:
        self._entries = guards
        if len(guards) < 2 or not all(callable(guard) for guard in guards):
            raise ConfigurationError(f"{self!r} needs two guards at least.", id="A003")
        self.guards = tuple(as_guard(entry) for entry in guards)
        users_needed = [guard.needs_user for guard in self.guards]
        self.needs_user = all(users_needed) if self.combines == "any" else any(users_needed)
        self.looks_up = self.needs_user and any(guard.looks_up for guard in self.guards)

    def __repr__(self) -> str:
        shown = (getattr(entry, "__name__", None) or repr(entry) for entry in self._entries)
        return f"{type(self).__name__}({', '.join(shown)})"


class AnyOf(_Combined):
    """Lets in whom one of these guards lets in; of several exceptions the last is the response."""

    combines = "any"


class AllOf(_Combined):
    """Lets in whom every one of these guards lets in; for use inside :class:`AnyOf`, since layers add guards anyway."""

    combines = "all"


_MATCHES = {"all": all, "any": any}
_PERMISSION = re.compile(r"[^.]+\..+", re.DOTALL)


def _check_match(guard: Guard, names: tuple[str, ...], match: str) -> None:
    if match not in _MATCHES:
        raise ConfigurationError(f'{_call(guard, names)}: match={match!r} must be "all" or "any".', id="A003")


def _call(guard: object, arguments: tuple[object, ...], **options: object) -> str:
    shown = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
    return f"{type(guard).__name__}({', '.join(shown)})"
