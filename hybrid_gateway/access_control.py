"""The contracts of access: who sent a request, what a scheme and a guard tell about themselves.

The schemes and guards of the package are in ``auth/``. A project's own subclass :class:`AuthenticationScheme`, and
:class:`Guard` where a plain function does not say enough. Every attribute that the core reads has its default here.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, Literal

import msgspec
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.types import Handler


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """The things that an :class:`Authentication` depends on, as plain values that can be told to another process.

    ``user`` is the primary key as text, empty for somebody without a row. ``key`` names one of those that the scheme
    knows: a row, a session. ``stamp`` is the user's ``get_session_auth_hash()`` where a new password ends it, and
    ``is_active`` what the user was. ``since`` and ``expires_at`` are seconds since 1970: logging out everywhere ends
    what is older, and at ``expires_at`` it ends of itself.
    """

    user: str
    key: str = ""
    stamp: str = ""
    is_active: bool = True
    since: float | None = None
    expires_at: float | None = None
    scheme: str = ""  # the name of the one that knows more, where another one vouches

    def __repr__(self) -> str:
        return f"<Credential of user {self.user!r}>"  # SECURITY: the key of a session lets its finder in


class Authentication:
    """The outcome of authentication: the user, the scheme that vouches for them, and what it accepted as ``token``.

    ``scopes`` are what the credentials were issued for; a password or a session has none.
    """

    # PERF: of these, three are set where somebody needs them; most requests do without.
    __slots__ = ("credential", "opened_at", "scheme", "scopes", "session", "token", "user")

    credential: Credential  # as it was described
    opened_at: float  # seconds since 1970, of a websocket's
    session: SessionBase  # that the user came by

    # Any: which classes users and tokens are, and so which attributes they have, is the project's choice.
    def __init__(
        self, *, user: Any, scheme: AuthenticationScheme | None, token: Any = None, scopes: Collection[str] = ()
    ) -> None:
        self.user = user
        self.scheme = scheme
        self.token = token
        self.scopes = scopes

    def with_user(self, user: Any) -> Authentication:
        """Return the same outcome for ``user``, whom something else has put in the place of the one that was found."""
        other = copy.copy(self)
        other.user = user
        return other

    def __repr__(self) -> str:
        # SECURITY: neither the token nor the user's name, for this ends up in logs and error reports.
        return f"<Authentication: user {self.user.pk!r} by {self.scheme!r}>"


class AuthenticationScheme:
    """One way to authenticate; a subclass writes :meth:`authenticate` with any injected parameters, sync or async."""

    challenge: str | None = None
    """The value of the ``WWW-Authenticate`` header that a 401 carries."""

    keywords: tuple[str, ...] = ()
    """The words that open an ``Authorization`` header of this scheme; empty for one that looks elsewhere.

    A request whose header is missing or opens with another word needs no call of :meth:`authenticate`, nor a thread.
    """

    carriers: tuple[str, ...] = ("Authorization",)
    """The request headers that credentials of this scheme travel in; ``"Cookie"`` for one that reads a cookie.

    Responses say in ``Vary`` that they depend on them. With ``"Cookie"``, JSON bodies must be declared as such, and the
    scheme calls ``check_csrf``.

    No header that a scheme reads is remembered. Those that ``authenticate`` asks for one by one (``Header()``) are
    known; one that asks for ``Headers`` or the ``Request`` should name here what it reads of them.
    """

    query_carriers: tuple[str, ...] = ()
    """The query parameters that credentials travel in, which the logs of the gateway do not show.

    Those that ``authenticate`` asks for one by one (``Query()``) are known.
    """

    protocols: tuple[Literal["http", "websocket"], ...] = ("http", "websocket")
    """The kinds of routes that it applies to; others do without it, whatever their layers list."""

    reads_session: bool = False
    """Whether its user is the session's; below ``django_middleware=`` that is whom the middleware has left there."""

    carries_scopes: bool = False
    """Whether its credentials have scopes, which the OpenAPI document then names."""

    is_ours: bool = False
    """Whether ``hybrid_gateway.tokens`` issues its credentials, and so must be installed."""

    sync_to_thread: bool = True
    """Whether a synchronous :meth:`authenticate` runs on a pool thread, as one that uses the ORM must."""

    def authenticate(self, *args: Any, **kwargs: Any) -> Authentication | Awaitable[Authentication | None] | None:
        """Return None when the request carries no credentials of this scheme; raise ``Unauthorized`` for bad ones."""
        raise ConfigurationError(
            f"{type(self).__name__} must define authenticate(self, ...) -> Authentication | None.", id="A002"
        )

    def describe(self, authentication: Authentication) -> Credential:
        """Return what an open websocket depends on, or a ticket for one; called on a pool thread.

        By default that is the user alone.
        """
        return describe_user(authentication.user)

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        """Return those of ``credentials``, as :meth:`describe` made them, that are no longer accepted.

        Called on a pool thread every few seconds as long as websockets are open, with 1,000 of them at most. What can
        be told by the user and the clock (deactivated, deleted, logged out everywhere, ``stamp``, ``expires_at``) is
        looked after elsewhere. By default nothing else ends.
        """
        return ()

    def openapi(self) -> dict[str, object]:
        """Return the security scheme object of the OpenAPI document.

        For a class that leaves it out the document tells what :meth:`authenticate` asks for, or else ``keywords``.
        """
        raise ConfigurationError(
            f"{type(self).__name__} must define openapi(self), its OpenAPI security scheme.", id="A002"
        )

    def declares(self, attribute: str) -> bool:
        """Say whether the scheme has a value of its own for what this class has a default of."""
        kinds = type(self).__mro__[: type(self).__mro__.index(AuthenticationScheme)]
        return attribute in vars(self) or any(attribute in vars(kind) for kind in kinds)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def describe_user(
    user: Any,
    *,
    key: str = "",
    ends_with_password: bool = False,
    since: float | None = None,
    expires_at: float | None = None,
) -> Credential:
    """Return a :class:`Credential` of ``user`` as they are now, as far as it is one of ``AUTH_USER_MODEL``."""
    from django.contrib.auth import get_user_model  # imports models

    try:
        has_row = isinstance(user, get_user_model())
    except ImproperlyConfigured:  # a project without users in its database
        has_row = False
    return Credential(
        user=user._meta.pk.value_to_string(user) if has_row else "",
        key=key,
        stamp=user.get_session_auth_hash() if has_row and ends_with_password else "",
        is_active=bool(getattr(user, "is_active", True)),
        since=since,
        expires_at=expires_at,
    )


class Guard:
    """A callable that may reject a request, by returning False or raising; it is called with injected parameters.

    Any callable is a guard. One that subclasses this can also say what the core makes of it.
    """

    sync_to_thread: bool = True
    """Whether a synchronous call runs on a pool thread, as one that uses the ORM must."""

    needs_user: bool = False
    """Whether it rejects everybody whom no scheme vouches for."""

    looks_up: bool = False
    """Whether it looks an object up, which must wait until a user is known where ``needs_user``."""

    drops_outer_guards: bool = False
    """Whether the guards of the layers around the one that lists it do not apply."""

    scopes: tuple[str, ...] = ()
    """The scopes it asks of credentials, which the OpenAPI document names."""

    match: str = "all"
    """Whether it asks for ``"all"`` of what it lists, or for ``"any"``."""

    combines: ClassVar[Literal["any", "all"] | None] = None
    """How the verdicts of its ``guards`` make its own; None for a guard that is called."""

    guards: tuple[Guard, ...] = ()
    """The guards it is made of."""

    @property
    def function(self) -> Handler:
        """The callable that decides, and whose parameters are injected."""
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Return False, or raise ``Unauthorized`` or ``Forbidden``, to reject."""
        raise ConfigurationError(f"{type(self).__name__} must define __call__(self, ...) -> bool.", id="A001")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class AllowAny(Guard):
    """Lets everybody in, and drops the guards of the layers around the one that lists it."""

    sync_to_thread = False
    drops_outer_guards = True

    def __call__(self) -> bool:
        return True


class _PlainGuard(Guard):
    """A callable that says nothing of itself."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self.sync_to_thread = getattr(function, "sync_to_thread", True)

    @property
    def function(self) -> Handler:
        return self._function

    def __repr__(self) -> str:
        return repr(self._function)


def as_guard(entry: object) -> Guard:
    """Return an entry of ``guards=`` (a callable, or a class to be instantiated) as a guard."""
    if inspect.isclass(entry):
        entry = entry()
    if isinstance(entry, Guard):
        return entry
    if not callable(entry):
        raise ConfigurationError(f"{entry!r} is no guard: give a function, a Guard, or a class of guards.", id="A001")
    return _PlainGuard(entry)


def as_scheme(entry: object) -> AuthenticationScheme:
    """Return an entry of ``authentication=`` (a scheme, or its class) as a scheme."""
    if inspect.isclass(entry):
        entry = entry()
    if not isinstance(entry, AuthenticationScheme):
        raise ConfigurationError(f"{entry!r} is no authentication scheme: subclass AuthenticationScheme.", id="A002")
    SCHEMES[scheme_name(entry)] = entry
    return entry


SCHEMES: dict[str, AuthenticationScheme] = {}
"""The schemes of all layers by :func:`scheme_name`: the processes of one project know the same ones."""


def scheme_name(scheme: AuthenticationScheme) -> str:
    """Return a name by which another process of the project finds a scheme of the same class and options."""
    return f"{type(scheme).__module__}.{scheme!r}"
