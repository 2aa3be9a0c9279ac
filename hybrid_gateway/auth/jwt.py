"""JSON Web Tokens (RFC 7519) as credentials, after the best current practices of RFC 8725."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import compress
from typing import TYPE_CHECKING, NoReturn, Protocol, TypedDict, Unpack

import msgspec
from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Credential, describe_user
from hybrid_gateway.auth.credential_store import JWTLogin, UserResolver, credential_store, without
from hybrid_gateway.auth.keys import FAMILIES, DerivedKeys, Key, KeyRing, Keys, RemoteKeys, check_algorithms, load_pyjwt
from hybrid_gateway.auth.request_credentials import check_cookie_name, check_csrf, read_cookie, read_credentials
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.sessions.django_context import DjangoContext

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

from hybrid_gateway.spelling import reject_unknown_keywords

MAX_TOKEN = 16 * 1024  # characters; those of the large issuers have less than four thousand

_REQUIRED = ("exp", "sub", "jti")
# What PyJWT lets out for a token that cannot be text, and up to 2.14 for lists as dates, infinity and deep nesting.
_UNFORESEEN = (ValueError, TypeError, OverflowError, RecursionError)


class IssueOptions(TypedDict, total=False):
    """The keywords of :meth:`JWTAuthentication.issue`."""

    expires_in: timedelta
    scopes: Sequence[str]
    claims: Mapping[str, object] | None


class Denylist(Protocol):
    """Tokens of another issuer that ended before their time, remembered until they expire.

    One that also has ``find_held(several) -> list[bool]`` is asked once for the tokens of all open websockets.
    """

    def add(self, claims: Mapping[str, object]) -> None:
        """Reject the token with these claims from now on."""
        ...

    def holds(self, claims: Mapping[str, object]) -> bool:
        """Say whether the token with these claims is rejected; called for every request, on a pool thread."""
        ...


@reject_unknown_keywords()
class JWTAuthentication(AuthenticationScheme):
    """``Authorization: Bearer <JWT>``; ``Authentication.token`` are the claims.

    ``algorithms`` are of one family, and nothing a token says adds to them. The key is ``key=``, or ``keys={kid: key}``
    with the newest first (it signs, all verify), or ``jwks_url=``, the ``https`` address of an issuer's key set. Keys
    are checked at once: no secret below the size of its hash, no public key where a secret belongs. Without any, keys
    are made of ``SECRET_KEY``, which signs, and its fallbacks.

    Tokens must have ``exp``, ``jti``, ``sub`` and the header ``typ``; ``issuer`` and ``audience`` are compared exactly.
    A JWT of another issuer is left to other schemes. ``user_claim`` (``sub``) holds the ``user_field`` (``pk``) of the
    user, who is loaded with the state of their login by one query, each time.

    With a key that signs, tokens are ours: they come from :meth:`issue` or the routes of ``jwt_routes``, and end with
    their row in ``hybrid_gateway.tokens``. ``foreign=True`` says that somebody else signs with that key; such tokens
    are rejected from :func:`~hybrid_gateway.tokens.logout_everywhere` on if they are older, or by their ``denylist``.

    ``cookie`` names a cookie that is read where there is no ``Authorization`` header; unsafe methods then need
    Django's CSRF token. ``token_url`` and ``scopes`` (name to description) are for the OpenAPI document.
    """

    keywords = ("bearer",)
    challenge = 'Bearer realm="api"'
    carries_scopes = True

    def __init__(
        self,
        *,
        algorithms: Sequence[str] = ("HS256",),
        key: object = None,
        keys: Mapping[str, object] | None = None,
        jwks_url: str | None = None,
        issuer: str | None = None,
        audience: str | Sequence[str] | None = None,
        leeway: float = 0,
        typ: str = "at+jwt",
        user_claim: str = "sub",
        user_field: str = "pk",
        foreign: bool = False,
        denylist: Denylist | None = None,
        cookie: str | None = None,
        token_url: str | None = None,
        scopes: Mapping[str, str] | None = None,
    ) -> None:
        load_pyjwt()
        if isinstance(leeway, bool) or not isinstance(leeway, int | float) or not 0 <= leeway <= 300:
            raise ConfigurationError(
                f"leeway={leeway!r} must be seconds, 300 at most: clocks differ by less.", id="A012"
            )
        self.algorithms = check_algorithms(algorithms)
        self.issuer, self.audience = issuer, audience
        self._keys = _read_keys(self.algorithms, key, keys, jwks_url)
        self._leeway = leeway
        self._typ = _media_type(typ)
        self.is_ours = isinstance(self._keys, KeyRing) and self._keys.can_sign and not foreign
        if jwks_url is not None and (issuer is None or audience is None):
            # SECURITY: the same keys sign tokens for whoever else trusts that issuer.
            raise ConfigurationError(
                "jwks_url= needs issuer= and audience=, or tokens for others would be good here.", id="A010"
            )
        if self.is_ours and denylist is not None:
            raise ConfigurationError(
                "denylist= is for the tokens of others; ours end with their row (foreign=True?).", id="A011"
            )
        self.derives_keys = isinstance(self._keys, DerivedKeys)
        self._denylist = denylist
        self._users = UserResolver(user_claim, user_field)
        self.cookie = None if cookie is None else check_cookie_name(cookie)
        if cookie is not None:
            self.carriers = ("Authorization", "Cookie")
            self.authenticate = self._authenticate_either  # type: ignore[method-assign, assignment]
        self.token_url = token_url
        self.scopes = dict(scopes or {})

    # --- reading

    def authenticate(self, headers: Headers) -> Authentication | None:
        """Verify the token and load its user, on a pool thread; by the ``Authorization`` header alone."""
        token = read_credentials(headers, self.keywords)
        if token is None or token.count(".") != 2:
            return None
        if self.issuer is not None and len(token) <= MAX_TOKEN and _unverified_issuer(token) != self.issuer:
            return None  # another scheme may know its issuer
        return self._authenticate_token(token)

    def _authenticate_either(self, headers: Headers, visit: DjangoContext) -> Authentication | None:
        if "authorization" in headers:  # which says who calls more clearly than what a browser adds
            return JWTAuthentication.authenticate(self, headers)
        token = read_cookie(visit, str(self.cookie))
        if token is None:
            return None
        authentication = self._authenticate_token(token)
        check_csrf(visit)
        return authentication

    def _authenticate_token(self, token: str) -> Authentication:
        claims = self.verify(token)
        if self.is_ours:
            user = self._users.of_our_token(claims)
        elif self._denylist is not None and self._denylist.holds(claims):
            user = None
        else:
            user = self._users.of_foreign_token(claims)
        if user is None:
            _reject()
        # SPEC: RFC 9068, section 2.2.3: names between spaces; some issuers write a list
        scope = claims.get("scope")
        names = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else ()
        scopes = frozenset(name for name in names if isinstance(name, str))
        return Authentication(user=user, scheme=self, token=claims, scopes=scopes)

    def verify(self, token: str) -> dict[str, object]:
        """Return the claims of a token that is ours to accept; raise 401 for others. Blocks while keys are fetched."""
        if len(token) > MAX_TOKEN:
            raise Unauthorized(f"A token may not be longer than {MAX_TOKEN} characters.")
        jwt = load_pyjwt()
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, *_UNFORESEEN):
            _reject()
        key = self._find_key(header)  # what fails here is no fault of the token's
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                key.verifying,
                algorithms=list(key.algorithms),
                audience=self.audience,
                issuer=self.issuer,
                leeway=self._leeway,
                options={"require": [*_REQUIRED, *(["iss"] if self.issuer else [])]},
            )
        except (jwt.PyJWTError, *_UNFORESEEN):
            _reject()
        return claims

    def _find_key(self, header: Mapping[str, object]) -> Key:
        typ, kid = header.get("typ"), header.get("kid")
        # SECURITY: RFC 8725, section 3.11: a token for another purpose, signed with the same key, is no access token.
        if not isinstance(typ, str) or _media_type(typ) != self._typ:
            _reject()
        # SPEC: RFC 7515, section 4.1.11: we understand no critical extension
        if "crit" in header or not isinstance(kid, str | None):
            _reject()
        key = self._keys.find(kid)
        return key if key is not None else _reject()

    # --- what goes on after it

    def describe(self, authentication: Authentication) -> Credential:
        claims = authentication.token
        expires_at = int(claims["exp"]) + self._leeway
        if self.is_ours:
            return describe_user(authentication.user, key=claims["sid"], expires_at=expires_at)
        named = {name: claims[name] for name in ("iss", "jti", "exp") if name in claims}
        key = "" if self._denylist is None else msgspec.json.encode(named).decode()
        return describe_user(authentication.user, key=key, since=issued_at(claims), expires_at=expires_at)

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        if self.is_ours:
            return without(credentials, credential_store().find_working_logins({one.key for one in credentials}))
        if self._denylist is None:
            return ()
        listed = [msgspec.json.decode(one.key) for one in credentials]
        find_held = getattr(self._denylist, "find_held", None)  # one of the project's own need not have it
        held = list(map(self._denylist.holds, listed)) if find_held is None else find_held(listed)
        return list(compress(credentials, held))

    # --- making

    def issue(
        self,
        user: AbstractBaseUser,
        *,
        expires_in: timedelta = timedelta(minutes=10),
        scopes: Sequence[str] = (),
        claims: Mapping[str, object] | None = None,
    ) -> str:
        """Sign an access token for ``user`` that cannot be refreshed; one row, which ends it when it is revoked."""
        login = credential_store().start_login(user, expires_in=expires_in, scopes=scopes)
        return self.sign(login, expires_in=expires_in, claims=claims)

    async def aissue(self, user: AbstractBaseUser, **options: Unpack[IssueOptions]) -> str:
        """Call :meth:`issue` from ``async def``."""
        return await on_request_thread(self.issue, user, **options)

    def sign(self, login: JWTLogin, *, expires_in: timedelta, claims: Mapping[str, object] | None = None) -> str:
        """Sign an access token of a login, for ``expires_in`` or to the end of the login."""
        if not self.is_ours or not isinstance(self._keys, KeyRing) or self._keys.signing is None:
            raise ConfigurationError(
                f"{self!r} cannot sign: it has no secret or private key, or is foreign.", id="A011"
            )
        key = self._keys.signing
        audience = self.audience if self.audience is None or isinstance(self.audience, str) else list(self.audience)
        named = {name: value for name, value in (("iss", self.issuer), ("aud", audience)) if value is not None}
        token: str = load_pyjwt().encode(
            {**(claims or {}), **login.claims(expires_in), **named},
            key.signing,
            algorithm=key.algorithms[0],
            headers={"typ": self._typ, **({} if self._keys.newest is None else {"kid": self._keys.newest})},
        )
        return token

    def revoke(self, claims: Mapping[str, object]) -> None:
        """End a token by its claims, and with ours the login it belongs to."""
        if self.is_ours:
            credential_store().end_login(claims.get("sid"))
        elif self._denylist is None:
            raise ConfigurationError(
                f"{self!r} has no denylist=, so a token of another issuer cannot be revoked.", id="A011"
            )
        else:
            self._denylist.add(claims)

    def openapi(self) -> dict[str, object]:
        if self.token_url is not None:
            flow = {"tokenUrl": self.token_url, "refreshUrl": self.token_url, "scopes": self.scopes}
            return {"type": "oauth2", "flows": {"password": flow}}
        if self.cookie is not None:
            return {"type": "apiKey", "in": "cookie", "name": self.cookie}
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

    def __repr__(self) -> str:
        return f"JWTAuthentication(algorithms={list(self.algorithms)!r}, issuer={self.issuer!r})"


class _Issuer(msgspec.Struct):
    iss: str | None = None


def _unverified_issuer(token: str) -> str | None:
    """Return the issuer that a token names, None for an unreadable one. It decides whose token it is, nothing else."""
    payload = token.split(".")[1]
    try:
        text = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(text, type=_Issuer).iss
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _read_keys(
    algorithms: tuple[str, ...], key: object, keys: Mapping[str, object] | None, jwks_url: str | None
) -> Keys:
    given = [name for name, value in (("key", key), ("keys", keys), ("jwks_url", jwks_url)) if value is not None]
    if not given and FAMILIES[algorithms[0]] == FAMILIES["HS256"]:
        return DerivedKeys(algorithms)
    if len(given) != 1:
        raise ConfigurationError(
            f"JWTAuthentication needs one of key=, keys= and jwks_url=, not {given or 'none'}.", id="A006"
        )
    if jwks_url is not None:
        return RemoteKeys(jwks_url, algorithms)
    if keys is not None and not keys:
        raise ConfigurationError("keys={} must hold a key at least.", id="A006")
    return KeyRing({None: key} if keys is None else dict(keys.items()), algorithms)


def _media_type(typ: str) -> str:
    # SPEC: RFC 7515, section 4.1.9: a media type, in any case, of which application/ is left out
    return typ.lower().removeprefix("application/")


def issued_at(claims: Mapping[str, object]) -> float:
    """Return the ``iat`` of a token, 0 where it has none: any logout everywhere ends it then."""
    found = claims.get("iat")
    return float(found) if isinstance(found, int | float) else 0.0


def _reject() -> NoReturn:
    raise Unauthorized("The token is malformed, expired, revoked or meant for somebody else.")
