"""The key set of an issuer elsewhere (RFC 7517), fetched when needed; where that fails, the last one stays in use.

How this works: the set is read by the first token, again once it is older than ``lifetime``, and for a ``kid`` that it
does not hold, but never twice within :data:`COOLDOWN`. One thread of the pool fetches, with a time-out; others go on
with the set there is, and only the first tokens of a process wait. What cannot be fetched or read changes nothing.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException as HTTPClientError
from urllib.parse import urlsplit

import msgspec

from hybrid_gateway.auth.keys import FAMILIES, Key, load_key, load_pyjwt
from hybrid_gateway.exceptions import ConfigurationError, ServiceUnavailable

__all__ = ["COOLDOWN", "RemoteKeys"]

logger = logging.getLogger("hybrid_gateway.auth")

COOLDOWN = 30.0  # seconds between two fetches, whatever tokens ask for
TIMEOUT = 5.0  # seconds for each read of the connection
MAX_SIZE = 256 * 1024  # bytes; the sets of the large issuers have less than ten thousand


class RemoteKeys:
    """The keys below ``url`` that fit ``algorithms``; :meth:`find` blocks while it fetches, so call it on a thread."""

    def __init__(self, url: str, algorithms: Sequence[str], *, lifetime: float = 3600.0) -> None:
        if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
            # SECURITY: who can change the set on its way can sign for everybody; file:// would read our own disk.
            raise ConfigurationError(f"jwks_url={url!r} must be an https:// URL.")
        if FAMILIES[algorithms[0]] == FAMILIES["HS256"]:
            raise ConfigurationError(f"jwks_url= publishes public keys; algorithms={list(algorithms)!r} take a secret.")
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


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None  # SECURITY: a redirect could lead to http://, or to hosts inside; it becomes an HTTPError


def fetch(url: str) -> bytes:
    """Return the body behind an ``https`` URL, at most :data:`MAX_SIZE` bytes; raises ``OSError`` or ``ValueError``."""
    opener = urllib.request.OpenerDirector()
    # Not build_opener(), which adds handlers for http:, ftp:, file: and data:.
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _NoRedirects(),
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
