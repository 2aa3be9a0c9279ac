"""The keys that JSON Web Tokens are signed and verified with, checked when a scheme is made.

How this works: a :class:`KeyRing` knows every key by its ``kid``, each bound to the algorithms it is made for; what a
token says of its algorithm only ever picks among those. The algorithms of one ring are of one family, so that no key
can be read as a key of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from django.utils.crypto import salted_hmac

from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["FAMILIES", "DerivedKeys", "Key", "KeyRing", "Keys", "check_algorithms", "load_pyjwt", "public_key"]

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

    verifying: Any
    signing: Any
    algorithms: tuple[str, ...]  # those it fits, in the order of the scheme

    def __repr__(self) -> str:
        return f"<Key for {', '.join(self.algorithms)}>"  # SECURITY: never the key


class Keys(Protocol):
    """Where a scheme finds the key that a token names."""

    def find(self, kid: str | None) -> Key | None:
        """The key called ``kid``, or the only one there is; None for a stranger."""
        ...


class KeyRing:
    """Keys that are known from the start, by ``kid``, the newest first: it signs, all of them verify."""

    def __init__(self, keys: Mapping[str | None, Any], algorithms: Sequence[str]) -> None:
        self._keys = {kid: _read_key(key, algorithms, kid) for kid, key in keys.items()}
        self.newest = next(iter(self._keys))

    @property
    def can_sign(self) -> bool:
        """Whether there is a key to sign with."""
        return self.signing is not None

    @property
    def signing(self) -> Key | None:
        """The newest key, where it is not a public one."""
        key = self._keys[self.newest]
        return key if key.signing is not None else None

    def find(self, kid: str | None) -> Key | None:
        """The key called ``kid``; a token that names none is tried with the only key, or the one without a name."""
        if kid is None and len(self._keys) == 1:
            return self._keys[self.newest]
        if list(self._keys) == [None]:
            return self._keys[None]  # whose name nobody was told
        return self._keys.get(kid)

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys)}>"


class DerivedKeys(KeyRing):
    """Keys made of ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``, read when first used: settings build schemes before."""

    def __init__(self, algorithms: Sequence[str]) -> None:
        self._algorithms = tuple(algorithms)
        self._made_of: list[str | bytes] = []
        self._made: dict[str | None, Key] = {}

    @property
    def can_sign(self) -> bool:
        """Always; asked before settings can be read."""
        return True

    @property
    def _keys(self) -> dict[str | None, Key]:  # type: ignore[override]
        from django.conf import settings

        secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        if secrets != self._made_of:  # first, or in tests again
            derived = [_derive(secret) for secret in secrets]
            self._made = {_name_of(secret): Key(secret, secret, self._algorithms) for secret in derived}
            self._made_of = secrets
        return self._made

    @property
    def newest(self) -> str | None:  # type: ignore[override]
        """The name of the key that is made of ``SECRET_KEY``."""
        return next(iter(self._keys))


def _derive(secret: str | bytes) -> bytes:
    # SECURITY: a salt of its own, so that nothing else that is signed with SECRET_KEY can pass for a token (R-SIGN).
    return salted_hmac("hybrid_gateway.auth.jwt", "key", secret=secret, algorithm="sha512").digest()


def _name_of(secret: bytes) -> str:
    return sha256(b"hybrid_gateway.auth.jwt.kid:" + secret).hexdigest()[:12]


def load_pyjwt() -> Any:
    """PyJWT; raises :class:`ConfigurationError` where it is not installed."""
    try:
        import jwt
    except ImportError:
        raise ConfigurationError('JWTAuthentication needs PyJWT: pip install "hybrid-gateway[jwt]".') from None
    return jwt


def check_algorithms(algorithms: Sequence[str]) -> tuple[str, ...]:
    """``algorithms`` of one family, or :class:`ConfigurationError`."""
    if isinstance(algorithms, str) or not algorithms:
        raise ConfigurationError(f'algorithms={algorithms!r} must be a list of one family, such as ["ES256"].')
    for name in algorithms:
        if name not in FAMILIES:
            # SECURITY: above all "none", which anybody can sign with.
            raise ConfigurationError(f"algorithms={algorithms!r}: {name!r} is none of {', '.join(FAMILIES)}.")
    families = sorted({FAMILIES[name] for name in algorithms})
    if len(families) > 1:
        # SECURITY: CVE-2022-29217: a public key would be taken for the secret of HS256.
        raise ConfigurationError(f"algorithms={algorithms!r} mixes families: {' and '.join(families)}.")
    return tuple(algorithms)


def _read_key(key: Any, algorithms: Sequence[str], kid: str | None) -> Key:
    where = "key" if kid is None else f"key {kid!r}"
    if kid is not None and not (isinstance(kid, str) and kid):
        raise ConfigurationError(f"The {where} must be called by a text that is not empty.")
    read = _read_secret if algorithms[0] in _LEAST_BYTES else _read_asymmetric
    try:
        return read(key, algorithms, where)
    except (load_pyjwt().PyJWTError, ValueError, TypeError) as error:
        # SECURITY: not its text, which may quote the key.
        raise ConfigurationError(f"The {where} is not {FAMILIES[algorithms[0]]}: {type(error).__name__}.") from None


def _read_secret(key: Any, algorithms: Sequence[str], where: str) -> Key:
    if not isinstance(key, str | bytes):
        raise ConfigurationError(f"The {where} of {algorithms[0]} must be text or bytes, not {type(key).__name__}.")
    secret = key.encode() if isinstance(key, str) else key
    least = max(_LEAST_BYTES[name] for name in algorithms)
    if len(secret) < least:
        raise ConfigurationError(
            f"The {where} has {len(secret)} bytes; {', '.join(algorithms)} need {least} random ones or more: "
            f'python -c "import secrets; print(secrets.token_urlsafe({least}))".'
        )
    # SECURITY: refuses what everybody may know: public keys and certificates as PEM, SSH, DER or JWK.
    load_pyjwt().get_algorithm_by_name(algorithms[0]).prepare_key(secret)
    return Key(secret, secret, tuple(algorithms))


def _read_asymmetric(key: Any, algorithms: Sequence[str], where: str) -> Key:
    fitting: list[str] = []
    loaded: Any = None
    failure: Exception = ValueError()
    for name in algorithms:
        try:
            loaded = public_key(key, name)
            fitting.append(name)
        except (load_pyjwt().PyJWTError, ValueError, TypeError) as error:
            failure = error  # a key of P-256 fits ES256 and not ES384
    if not fitting:
        raise failure
    private = hasattr(loaded, "private_bytes")
    return Key(loaded.public_key() if private else loaded, loaded if private else None, tuple(fitting))


def public_key(key: Any, algorithm: str) -> Any:
    """``key`` as an object of ``cryptography`` that ``algorithm`` can be used with; raises for any other."""
    try:
        known = load_pyjwt().get_algorithm_by_name(algorithm)
    except NotImplementedError:
        raise ConfigurationError(f'{algorithm} needs cryptography: pip install "hybrid-gateway[jwt]".') from None
    prepared = known.prepare_key(key)
    if complaint := known.check_key_length(prepared):
        raise ConfigurationError(f"The key is too short for {algorithm}: {complaint}")
    return prepared
