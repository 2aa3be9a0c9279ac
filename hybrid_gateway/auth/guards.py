"""Guards: who may call a handler. The core answers a refusal with 401 to the anonymous and 403 to everybody else."""

from __future__ import annotations

from hybrid_gateway.auth.authentication import Authentication
from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["AllowAny", "HasPermission", "InGroup", "IsAuthenticated", "IsStaff", "IsSuperuser"]


class AllowAny:
    """Lets everybody in, and drops the guards of the layers around the one that lists it."""

    sync_to_thread = False
    drops_outer_guards = True

    def __call__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "AllowAny()"


class IsAuthenticated:
    """Lets in whoever some scheme vouches for."""

    sync_to_thread = False

    def __call__(self, authentication: Authentication | None) -> bool:
        return authentication is not None

    def __repr__(self) -> str:
        return "IsAuthenticated()"


class IsStaff:
    """Lets in active users with ``is_staff``, those the admin lets in."""

    sync_to_thread = False

    def __call__(self, authentication: Authentication | None) -> bool:
        return authentication is not None and _has_flag(authentication, "is_staff")

    def __repr__(self) -> str:
        return "IsStaff()"


class IsSuperuser:
    """Lets in active users with ``is_superuser``."""

    sync_to_thread = False

    def __call__(self, authentication: Authentication | None) -> bool:
        return authentication is not None and _has_flag(authentication, "is_superuser")

    def __repr__(self) -> str:
        return "IsSuperuser()"


class HasPermission:
    """Lets in users with every one of these permissions (``"app.codename"``), by ``user.has_perm`` on a pool thread.

    ``match="any"`` asks for at least one of them. A superuser has them all, an inactive user none.
    """

    def __init__(self, *permissions: str, match: str = "all") -> None:
        if not permissions or not all(isinstance(name, str) and _is_permission(name) for name in permissions):
            raise ConfigurationError(f'{_call(self, permissions)}: name permissions as "app_label.codename".')
        if match not in _MATCHES:
            raise ConfigurationError(f'{_call(self, permissions)}: match={match!r} must be "all" or "any".')
        self.permissions = permissions
        self.match = match

    def __call__(self, authentication: Authentication | None) -> bool:
        if authentication is None:
            return False
        user = authentication.user
        return _MATCHES[self.match](user.has_perm(permission) for permission in self.permissions)

    def __repr__(self) -> str:
        return _call(self, self.permissions, **({} if self.match == "all" else {"match": self.match}))


class InGroup:
    """Lets in active members of at least one of these groups, superusers too; one query, on a pool thread."""

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


def _has_flag(authentication: Authentication, flag: str) -> bool:
    # A project's own user model need not have the flag; then nobody has it.
    return bool(authentication.user.is_active and getattr(authentication.user, flag, False))


def _is_permission(name: str) -> bool:
    app_label, dot, codename = name.partition(".")
    return bool(app_label and dot and codename)


def _call(guard: object, arguments: tuple[object, ...], **options: object) -> str:
    shown = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
    return f"{type(guard).__name__}({', '.join(shown)})"
