"""From the claims of a verified JWT to its user, with the state of user and login, by one query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field

from hybrid_gateway.auth.credential_store import credential_store, installed_store
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm import prepare

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import QuerySet

__all__ = ["UserResolver", "logged_out_after"]


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
            raise ConfigurationError(f"user_field={self._field!r} is no field of {_user_model().__name__}.")
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


def _user_model() -> type[AbstractBaseUser]:
    from django.contrib.auth import get_user_model  # imports a model, which settings that build schemes must not

    return get_user_model()
