"""The keys that JSON Web Tokens are signed and verified with, checked when a scheme is made.

How this works: a :class:`KeyRing` knows every key by its ``kid``, each bound to the algorithms it is made for; what a
token says of its algorithm only ever picks among those. The algorithms of one ring are of one family, so that no key
can be read as a key of another kind.

:class:`RemoteKeys` are the key set of an issuer elsewhere (RFC 7517). It is read by the first token, again once it is
older than ``lifetime``, and for a ``kid`` that it does not hold, but never twice within :data:`COOLDOWN`. One thread of
the pool fetches, with a time-out; others go on with the set there is, and only the first tokens of a process wait. What
cannot be fetched or read changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from http.client import HTTPException as HTTPClientError
from types import ModuleType
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from django.utils.crypto import salted_hmac

from hybrid_gateway.exceptions import ConfigurationError, ServiceUnavailable

FAMILIES: dict[str, str] = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), "a shared secret"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "an RSA key"),
    **dict.fromkeys(("ES256", "ES256K", "ES384", "ES512"), "an elliptic curve key"),
    "EdDSA": "an Ed25519 or Ed448 key",
}
"""What each algorithm is used with. ``none`` is no algorithm."""

# SPEC: RFC 7518, section 3.2: a key of the size of the hash output or larger must be used
_LEAST_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


class Key(msgspec.Struct, frozen=True, eq=False):
    """One key, ready to verify, and to sign where it is private."""

    verifying: object
    signing: object  # None of a public key
    algorithms: tuple[str, ...]  # those it fits, in the order of the scheme

    def __repr__(self) -> str:
        return f"<Key for {', '.join(self.algorithms)}>"  # SECURITY: never the key


class Keys(Protocol):
    """The keys of a scheme, by the name that a token gives."""

    def find(self, kid: str | None) -> Key | None:
        """Return the key called ``kid``, or the only one there is; None for a stranger."""


class KeyRing:
    """Keys that are known from the start, by ``kid``, the newest first: it signs, all of them verify."""

    def __init__(self, keys: Mapping[str | None, object], algorithms: Sequence[str]) -> None:
        self._made = {kid: _read_key(key, algorithms, kid) for kid, key in keys.items()}

    def _keys(self) -> Mapping[str | None, Key]:
        return self._made

    @property
    def newest(self) -> str | None:
        """The name of the key that signs."""
        return next(iter(self._keys()))

    @property
    def can_sign(self) -> bool:
        """True where there is a key to sign with."""
        return self.signing is not None

    @property
    def signing(self) -> Key | None:
        """The newest key, where it is not a public one."""
        key = self._keys()[self.newest]
        return key if key.signing is not None else None

    def find(self, kid: str | None) -> Key | None:
        """Return the key called ``kid``; for a token that names none the only key, or the one without a name."""
        keys = self._keys()
        if len(keys) == 1 and (kid is None or None in keys):  # a name that nobody was told
            return next(iter(keys.values()))
        return keys.get(kid)

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys())}>"


class DerivedKeys(KeyRing):
    """Keys made of ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``, read when first used: settings build schemes before."""

    @property
    def can_sign(self) -> bool:
        """Always; asked before settings can be read."""
        return True

    def __init__(self, algorithms: Sequence[str]) -> None:
        self._algorithms = tuple(algorithms)
        self._made_of: list[str | bytes] = []

    def _keys(self) -> Mapping[str | None, Key]:
        from django.conf import settings

        secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        if secrets != self._made_of:  # first, or in tests again
            made: dict[str | None, Key] = {}
            for text in secrets:
                # SECURITY: a salt of its own, so that nothing else that is signed with SECRET_KEY can pass for a token.
                secret = salted_hmac("hybrid_gateway.auth.jwt", "key", secret=text, algorithm="sha512").digest()
                kid = sha256(b"hybrid_gateway.auth.jwt.kid:" + secret).hexdigest()[:12]
                made.setdefault(kid, Key(secret, secret, self._algorithms))
            self._made, self._made_of = made, secrets
        return self._made


def load_pyjwt() -> ModuleType:
    """Return PyJWT; raise :class:`ConfigurationError` where it is not installed."""
    try:
        import jwt
    except ImportError:
        raise ConfigurationError(
            'JWTAuthentication needs PyJWT: pip install "hybrid-gateway[jwt]".', id="A009"
        ) from None
    return jwt


def check_algorithms(algorithms: Sequence[str]) -> tuple[str, ...]:
    """Return ``algorithms`` of one family; raise :class:`ConfigurationError` for others."""
    if isinstance(algorithms, str) or not algorithms:
        raise ConfigurationError(
            f'algorithms={algorithms!r} must be a list of one family, such as ["ES256"].', id="A008"
        )
    for name in algorithms:
        if name not in FAMILIES:
            # SECURITY: above all "none", which anybody can sign with.
            raise ConfigurationError(
                f"algorithms={algorithms!r}: {name!r} is none of {', '.join(FAMILIES)}.", id="A008"
            )
    families = sorted({FAMILIES[name] for name in algorithms})
    if len(families) > 1:
        # SECURITY: CVE-2022-29217: a public key would be taken for the secret of HS256.
        raise ConfigurationError(f"algorithms={algorithms!r} mixes families: {' and '.join(families)}.", id="A008")
    return tuple(algorithms)


def _read_key(key: object, algorithms: Sequence[str], kid: str | None) -> Key:
    where = "key" if kid is None else f"key {kid!r}"
    if kid is not None and not (isinstance(kid, str) and kid):
        raise ConfigurationError(f"The {where} must be called by a text that is not empty.", id="A007")
    read = _read_secret if algorithms[0] in _LEAST_BYTES else _read_asymmetric
    try:
        return read(key, algorithms, where)
    except (load_pyjwt().PyJWTError, ValueError, TypeError) as error:
        # SECURITY: not its text, which may quote the key.
        raise ConfigurationError(
            f"The {where} is not {FAMILIES[algorithms[0]]}: {type(error).__name__}.", id="A007"
        ) from None


def _read_secret(key: object, algorithms: Sequence[str], where: str) -> Key:
    if not isinstance(key, str | bytes):
        raise ConfigurationError(
            f"The {where} of {algorithms[0]} must be text or bytes, not {type(key).__name__}.", id="A007"
        )
    secret = key.encode() if isinstance(key, str) else key
    least = max(_LEAST_BYTES[name] for name in algorithms)
    if len(secret) < least:
        raise ConfigurationError(
            f"The {where} has {len(secret)} bytes; {', '.join(algorithms)} need {least} random ones or more: "
            f'python -c "import secrets; print(secrets.token_urlsafe({least}))".',
            id="A007",
        )
    # SECURITY: rejects what everybody may know: public keys and certificates as PEM, SSH, DER or JWK.
    load_pyjwt().get_algorithm_by_name(algorithms[0]).prepare_key(secret)
    return Key(secret, secret, tuple(algorithms))


def _read_asymmetric(key: object, algorithms: Sequence[str], where: str) -> Key:
    fitting: list[str] = []
    loaded: object = None
    failure: Exception = ValueError()
    for name in algorithms:
        try:
            loaded = load_key(key, name)
            fitting.append(name)
        except (load_pyjwt().PyJWTError, ValueError, TypeError) as error:
            failure = error  # a key of P-256 fits ES256 and not ES384
    if not fitting:
        raise failure
    public_key = getattr(loaded, "public_key", None)  # which private keys have
    return Key(loaded if public_key is None else public_key(), None if public_key is None else loaded, tuple(fitting))


def load_key(key: object, algorithm: str) -> object:
    """Return ``key`` as an object of ``cryptography`` that ``algorithm`` can be used with; raise for any other."""
    try:
        known = load_pyjwt().get_algorithm_by_name(algorithm)
    except NotImplementedError:
        raise ConfigurationError(
            f'{algorithm} needs cryptography: pip install "hybrid-gateway[jwt]".', id="A009"
        ) from None
    prepared: object = known.prepare_key(key)
    if complaint := known.check_key_length(prepared):
        raise ConfigurationError(f"The key is too short for {algorithm}: {complaint}", id="A007")
    return prepared


logger = logging.getLogger("hybrid_gateway.auth")

COOLDOWN = 30.0  # seconds between two fetches, whatever tokens ask for
TIMEOUT = 5.0  # seconds for each read of the connection
MAX_SIZE = 256 * 1024  # bytes; the sets of the large issuers have less than ten thousand


class RemoteKeys:
    """The keys below ``url`` that fit ``algorithms``; :meth:`find` blocks while it fetches, so call it on a thread."""

    def __init__(self, url: str, algorithms: Sequence[str], *, lifetime: float = 3600.0) -> None:
        if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
            # SECURITY: who can change the set on its way can sign for everybody; file:// would read our own disk.
            raise ConfigurationError(f"jwks_url={url!r} must be an https:// URL.", id="A010")
        if FAMILIES[algorithms[0]] == FAMILIES["HS256"]:
            raise ConfigurationError(
                f"jwks_url= publishes public keys; algorithms={list(algorithms)!r} take a secret.", id="A010"
            )
        self._url = url
        self._algorithms = tuple(algorithms)
        self._lifetime = lifetime
        self._keys: dict[str | None, Key] | None = None
        self._tried_at = self._read_at = -float("inf")
        self._lock = threading.Lock()

    def find(self, kid: str | None) -> Key | None:
        """Return the key called ``kid``; raise 503 as long as the set could not be read once."""
        now = time.monotonic()
        keys = self._keys
        if keys is None or now - self._read_at > self._lifetime or kid not in keys:
            self._refresh(wait=keys is None)
            keys = self._keys
        if keys is None:
            raise ServiceUnavailable("The issuer's keys cannot be read.", headers={"Retry-After": str(int(COOLDOWN))})
        return keys.get(kid)

    def _refresh(self, *, wait: bool) -> None:
        if not self._lock.acquire(blocking=wait, timeout=2 * TIMEOUT if wait else -1):
            return  # somebody else is at it
        try:
            now = time.monotonic()
            # SECURITY: tokens with invented kids would otherwise make us hammer the issuer.
            if now - self._tried_at < COOLDOWN:
                return
            self._tried_at = now
            self._keys = read_key_set(fetch(self._url), self._algorithms)
            self._read_at = now
        except (OSError, HTTPClientError, ValueError) as error:
            logger.warning("the key set %s could not be read: %s", self._url, error)
        finally:
            self._lock.release()

    def __repr__(self) -> str:
        return f"<RemoteKeys {self._url}>"


def fetch(url: str) -> bytes:
    """Return the body behind an ``https`` URL, at most :data:`MAX_SIZE` bytes; raises ``OSError`` or ``ValueError``."""
    import ssl  # PERF: here, since most projects fetch nothing, and urllib.request is half a megabyte
    import urllib.request

    opener = urllib.request.OpenerDirector()
    # SECURITY: not build_opener(), which adds handlers for http:, ftp:, file: and data:, and follows redirects, which
    # could lead to hosts inside; without a handler each is an HTTPError.
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    response = opener.open(url, timeout=TIMEOUT)
    if response is None:
        raise OSError("nothing opens such a URL")
    body, ends_at = bytearray(), time.monotonic() + TIMEOUT
    with response:
        while part := response.read1(64 * 1024):
            body += part
            if len(body) > MAX_SIZE:
                raise ValueError(f"it is larger than {MAX_SIZE} bytes")
            if time.monotonic() > ends_at:  # a byte now and then would hold the thread for ever
                raise TimeoutError("it came too slowly")
    return bytes(body)


def read_key_set(body: bytes, algorithms: Sequence[str]) -> dict[str | None, Key]:
    """Return the public keys of a JWK set by ``kid``, without those meant for anything but signing with ``algorithms``.

    Raises ``ValueError`` for what is no set, or holds none of them.
    """
    try:
        entries = msgspec.json.decode(body)["keys"]
        found = {entry.get("kid"): key for entry in entries if (key := _read_entry(entry, algorithms)) is not None}
    except (msgspec.MsgspecError, RecursionError, TypeError, KeyError, AttributeError):
        raise ValueError("it is no JSON Web Key set") from None
    if not found:
        raise ValueError(f"it holds no key for {', '.join(algorithms)}")
    if len(found) == 1:
        found.setdefault(None, next(iter(found.values())))  # for tokens that name no key
    return found


def _read_entry(entry: Mapping[str, object], algorithms: Sequence[str]) -> Key | None:
    if entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str | None):
        return None
    fitting: list[str] = []
    key: object = None
    for name in algorithms if entry.get("alg") is None else [name for name in algorithms if name == entry["alg"]]:
        try:
            # SECURITY: the key is made for an algorithm of ours, never for what the set, let alone the token, says.
            loaded = load_key(load_pyjwt().get_algorithm_by_name(name).from_jwk(dict(entry)), name)
        except (load_pyjwt().PyJWTError, ValueError, TypeError, KeyError, ConfigurationError):
            continue
        if not hasattr(loaded, "private_bytes"):
            key = loaded
            fitting.append(name)
    return Key(key, None, tuple(fitting)) if fitting else None
