"""Credentials that this project has issued, as schemes ask for them; ``hybrid_gateway.tokens`` keeps them.

How this works: settings build schemes before any model may be imported, and no module here knows a table. When Django
starts, the app ``hybrid_gateway.tokens`` registers its :class:`CredentialStore`; schemes ask that, request by request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from django.apps import apps

from hybrid_gateway.exceptions import ConfigurationError

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import Model, QuerySet

__all__ = [
    "ISSUED_PREFIX",
    "CredentialStore",
    "JWTLogin",
    "check_installed",
    "credential_store",
    "installed_store",
    "register_store",
]

ISSUED_PREFIX = "hgt_"  # lets other bearer schemes tell our tokens apart, and scanners find leaked ones

M = TypeVar("M", bound="Model")


class JWTLogin(Protocol):
    """A login that JSON Web Tokens belong to, with its user."""

    @property
    def user(self) -> Any: ...  # which class it is, is the project's choice

    def claims(self, expires_in: timedelta) -> Mapping[str, object]:
        """Return what an access token says that lives for ``expires_in``, or to the end of the login."""
        ...


class CredentialStore(Protocol):
    """The place of issued credentials; every method blocks, on a pool thread."""

    def find_token(self, plain: str) -> Any:
        """Return the row of the token with this plain text and note its use; None for one that does not work."""
        ...

    def find_login(self, sid: str) -> JWTLogin | None:
        """Return the login called ``sid``, unless it has ended."""
        ...

    def start_login(self, user: AbstractBaseUser, *, expires_in: timedelta, scopes: Sequence[str]) -> JWTLogin:
        """Begin a login by JWT that ends after ``expires_in``."""
        ...

    def end_login(self, sid: object) -> None:
        """End the login called ``sid``; an unknown one is no error."""
        ...

    def with_logout_times(self, users: QuerySet[M]) -> QuerySet[M]:
        """Return ``users`` such that :meth:`logged_out_at` needs no query of its own."""
        ...

    def logged_out_at(self, user: AbstractBaseUser) -> datetime | None:
        """Return when ``user`` last logged out everywhere."""
        ...


_registered: CredentialStore | None = None


def register_store(store: CredentialStore) -> None:
    """Make ``store`` the one that schemes ask, for the whole process."""
    global _registered
    _registered = store


def installed_store() -> CredentialStore | None:
    """Return the registered store; None in a project that issues no credentials."""
    return _registered


def check_installed() -> None:
    """Raise :class:`ConfigurationError` in a project whose apps are loaded, and do not issue credentials."""
    if apps.ready:
        credential_store()


def credential_store() -> CredentialStore:
    """Return the registered store; raise :class:`ConfigurationError` where there is none."""
    if _registered is None:
        raise ConfigurationError('Tokens need the app: add "hybrid_gateway.tokens" to INSTALLED_APPS and migrate.')
    return _registered
