"""Who sent the request, and what a scheme must do to find out."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Any

from starlette.datastructures import Headers

from hybrid_gateway.exceptions import ConfigurationError, Unauthorized

__all__ = ["Authentication", "AuthenticationScheme", "quoted_realm", "read_authorization"]


class Authentication:
    """The outcome of authentication: the user, the scheme that vouches for them, and what it accepted as ``token``.

    ``scopes`` are what the credentials were issued for; a password or a session has none.
    """

    __slots__ = ("scheme", "scopes", "token", "user")

    # Any: which class a user is, and so which attributes it has, is the project's choice.
    def __init__(
        self, *, user: Any, scheme: AuthenticationScheme | None, token: Any = None, scopes: Collection[str] = ()
    ) -> None:
        self.user = user
        self.scheme = scheme
        self.token = token
        self.scopes = scopes

    def __repr__(self) -> str:
        # SECURITY: neither the token nor the user's name, for this ends up in logs and error reports.
        return f"<Authentication: user {self.user.pk!r} by {self.scheme!r}>"


class AuthenticationScheme:
    """One way to authenticate; a subclass writes :meth:`authenticate` with any injected parameters, sync or async.

    A synchronous ``authenticate`` runs on a pool thread, so it may use the ORM; ``sync_to_thread = False`` keeps a pure
    computation where it is.
    """

    challenge: str | None = None
    """The value of the ``WWW-Authenticate`` header that a 401 carries."""

    keywords: tuple[str, ...] = ()
    """The words that open an ``Authorization`` header of this scheme; empty for one that looks elsewhere.

    A request whose header is missing or opens with another word needs no call of :meth:`authenticate`, nor a thread.
    """

    carriers: tuple[str, ...] = ("Authorization",)
    """The request headers that credentials of this scheme travel in; ``"Cookie"`` for one that reads a cookie.

    Answers say in ``Vary`` that they depend on them. With ``"Cookie"``, JSON bodies must be declared as such, and the
    scheme calls ``check_csrf``.

    No header that a scheme reads is remembered. Those that ``authenticate`` asks for one by one (``Header()``) are
    known; one that asks for ``Headers`` or the ``Request`` should name here what it reads of them.
    """

    query_carriers: tuple[str, ...] = ()
    """The query parameters that credentials travel in, which the logs of the gateway do not show.

    Those that ``authenticate`` asks for one by one (``Query()``) are known.
    """

    reads_session: bool = False
    """Whether its user is the session's; below ``django_middleware=`` that is whom the middleware has left there."""

    carries_scopes: bool = False
    """Whether its credentials have scopes, which the OpenAPI document then names."""

    def authenticate(self, *args: Any, **kwargs: Any) -> Authentication | Awaitable[Authentication | None] | None:
        """Return None when the request carries no credentials of this scheme; raise ``Unauthorized`` for bad ones."""
        raise ConfigurationError(f"{type(self).__name__} must define authenticate(self, ...) -> Authentication | None.")

    def openapi(self) -> dict[str, Any]:
        """The security scheme object of the OpenAPI document.

        Of a class that leaves it out the document says what :meth:`authenticate` asks for, or else ``keywords``.
        """
        raise ConfigurationError(f"{type(self).__name__} must define openapi(self), its OpenAPI security scheme.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def read_authorization(headers: Headers) -> tuple[str, str] | None:
    """Split the ``Authorization`` header into its scheme, in lower case, and its credentials; None without one."""
    values = headers.getlist("authorization")
    if not values:
        return None
    if len(values) > 1:
        # SECURITY: a proxy may have checked the one, we would believe the other. SPEC: RFC 9110, section 5.3
        raise Unauthorized("The Authorization header was sent more than once.")
    # SPEC: RFC 9110, section 11.4: auth-scheme 1*SP token68, the scheme in any case
    scheme, _, credentials = values[0].partition(" ")
    return scheme.lower(), credentials.strip(" ")


def quoted_realm(realm: str) -> str:
    """Write ``realm="..."`` for a challenge; raise :class:`ConfigurationError` for what a header cannot quote."""
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ConfigurationError(f"realm={realm!r} must be printable ASCII without quotes and backslashes.")
    return f'realm="{realm}"'
