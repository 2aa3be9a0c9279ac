"""From the claims of a verified JWT to its user, with the state of user and login, by one query."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm import prepare

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["UserResolver", "logged_out_after"]


class UserResolver:
    """Finds users by the claim ``claim``, which holds their ``field``."""

    def __init__(self, claim: str, field: str) -> None:
        self._claim = claim
        self._field = field

    def of_our_token(self, claims: Mapping[str, Any]) -> AbstractBaseUser | None:
        """The active user of a login that goes on; its row and the user's come together."""
        from hybrid_gateway.tokens.models import JWTSession

        sid = claims.get("sid")
        session = JWTSession.objects.working(sid) if isinstance(sid, str) else None
        # Identity is the primary key, which nobody can change or take over, as they could a name.
        if session is None or str(session.user.pk) != claims["sub"]:
            return None
        return session.user

    def of_foreign_token(self, claims: Mapping[str, Any]) -> AbstractBaseUser | None:
        """The active user with that claim, unless they logged out everywhere after the token was made."""
        value = self._value(claims.get(self._claim))
        user = None if value is None else self._find(value)
        if user is None or not user.is_active or logged_out_after(claims.get("iat"), user):
            return None
        # Databases may ignore case, accents and leading zeros; identity does not.
        return user if str(getattr(user, self._field)) == claims[self._claim] else None

    def _value(self, text: Any) -> Any:
        """``text`` as the field has it, None where no row can have it."""
        if not isinstance(text, str) or not text or "\0" in text:
            return None
        try:
            value = self._model_field.to_python(text)
            self._model_field.run_validators(value)
        except (ValidationError, ValueError, OverflowError):
            return None
        return value if not isinstance(value, int) or value.bit_length() < 64 else None

    @cached_property
    def _model_field(self) -> Any:
        options = _user_model()._meta
        try:
            return options.pk if self._field == "pk" else options.get_field(self._field)
        except FieldDoesNotExist:
            raise ConfigurationError(f"user_field={self._field!r} is no field of {_user_model().__name__}.") from None

    @cached_property
    def _by_field(self) -> Any:
        name = self._field

        def one(value: Any) -> Any:
            users = _user_model()._default_manager.filter(**{name: value})
            return (users.select_related("gateway_sign_out") if _has_tokens() else users)[:1]

        try:
            return prepare(one).first
        except ConfigurationError:  # a manager of the project's own may look at who asks, each time anew
            return lambda value: one(value).first()

    def _find(self, value: Any) -> Any:
        return self._by_field(value=value)


def logged_out_after(issued_at: Any, user: Any) -> bool:
    """Whether ``user`` has logged out everywhere since ``issued_at``, seconds since 1970; true if unknown."""
    sign_out = getattr(user, "gateway_sign_out", None) if _has_tokens() else None
    if sign_out is None:
        return False
    # Whole seconds: a token of the same second may be older, and is asked for again.
    return not isinstance(issued_at, int | float) or bool(issued_at <= sign_out.at.timestamp())


def _user_model() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model()


def _has_tokens() -> bool:
    return apps.is_installed("hybrid_gateway.tokens")
