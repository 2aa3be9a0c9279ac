"""Credentials that this project has issued, and users, as schemes ask for them; ``hybrid_gateway.tokens`` stores them.

How this works: settings build schemes before any model may be imported, and no module here knows a table. When Django
starts, the app ``hybrid_gateway.tokens`` registers its :class:`CredentialStore`; schemes ask that, request by request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field

from hybrid_gateway.access_control import Credential
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm import prepare

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import Model, QuerySet

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

    def find_working_tokens(self, keys: Collection[str]) -> set[str]:
        """Return those of the primary keys ``keys`` whose token works, by one query."""
        ...

    def find_working_logins(self, sids: Collection[str]) -> set[str]:
        """Return those of ``sids`` whose login has not ended, by one query."""
        ...

    def issue_ticket(self, user: AbstractBaseUser, content: Mapping[str, object], expires_at: datetime) -> str:
        """Return the text of a new ticket, which :meth:`redeem_ticket` exchanges for ``content`` once."""
        ...

    def redeem_ticket(self, plain: str) -> tuple[Any, Mapping[str, object]] | None:
        """Return the user and the content of a ticket, and end it; None for one that is unknown, used or expired."""
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
        raise ConfigurationError(
            'Tokens need the app: add "hybrid_gateway.tokens" to INSTALLED_APPS and migrate.', id="S010"
        )
    return _registered


class UserResolver:
    """Finds users by the claim ``claim``, which holds their ``field``."""

    def __init__(self, claim: str, field: str) -> None:
        self._claim = claim
        self._field = field

    def of_our_token(self, claims: Mapping[str, object]) -> AbstractBaseUser | None:
        """Return the active user of a login that goes on; its row and the user's come together."""
        sid = claims.get("sid")
        login = credential_store().find_login(sid) if isinstance(sid, str) else None
        # Identity is the primary key, which nobody can change or take over, as they could a name.
        if login is None or str(login.user.pk) != claims["sub"]:
            return None
        user: AbstractBaseUser = login.user
        return user

    def of_foreign_token(self, claims: Mapping[str, object]) -> AbstractBaseUser | None:
        """Return the active user with that claim, unless they logged out everywhere after the token was made."""
        text = claims.get(self._claim)
        value = self._column_value(text) if isinstance(text, str) and text and "\0" not in text else None
        user = None if value is None else self._by_field(value=value)
        if user is None or not user.is_active or logged_out_after(claims.get("iat"), user):
            return None
        # Databases may ignore case, accents and leading zeros; identity does not.
        return user if str(getattr(user, self._field)) == text else None

    def _column_value(self, text: str) -> object:
        """Return ``text`` as the field has it, None where no row can have it."""
        try:
            value: object = self._model_field.to_python(text)
            self._model_field.run_validators(value)
        except (ValidationError, ValueError, OverflowError):
            return None
        return value if not isinstance(value, int) or value.bit_length() < 64 else None

    @cached_property
    def _model_field(self) -> Field[object, object]:
        options = _user_model()._meta
        try:
            field = options.pk if self._field == "pk" else options.get_field(self._field)
        except FieldDoesNotExist:
            field = None
        if not isinstance(field, Field):
            raise ConfigurationError(f"user_field={self._field!r} is no field of {_user_model().__name__}.", id="A005")
        return field

    @cached_property
    def _by_field(self) -> Callable[..., AbstractBaseUser | None]:
        store, name = installed_store(), self._field

        def one(value: object) -> QuerySet[AbstractBaseUser]:
            users = _user_model()._default_manager.filter(**{name: value})
            return (users if store is None else store.with_logout_times(users))[:1]

        try:
            return prepare(one).first
        except ConfigurationError:  # a manager of the project's own may look at who asks, each time anew
            return lambda value: one(value).first()


def logged_out_after(issued_at: object, user: AbstractBaseUser) -> bool:
    """Say whether ``user`` has logged out everywhere since ``issued_at``, seconds since 1970; True if unknown."""
    store = installed_store()
    ended_at = None if store is None else store.logged_out_at(user)
    if ended_at is None:
        return False
    # Whole seconds: a token of the same second may be older, and is asked for again.
    return not isinstance(issued_at, int | float) or issued_at <= ended_at.timestamp()


def without(credentials: Iterable[Credential], working: Collection[str]) -> list[Credential]:
    """Return those of ``credentials`` whose key is not among those that are ``working``."""
    return [credential for credential in credentials if credential.key not in working]


def _user_model() -> type[AbstractBaseUser]:
    from django.contrib.auth import get_user_model  # imports a model, which settings that build schemes must not

    return get_user_model()
