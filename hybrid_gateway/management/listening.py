"""Sockets on every address of a machine: of IPv4 and, where there is one, of IPv6."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (what a platform's router reaches)
_NOT_THERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def bind_everywhere(port: int) -> list[socket.socket]:
    """Return a socket for IPv4 and one for IPv6, of the same port; one alone where the machine lacks the other.

    SECURITY: two, and not one for both: that would have ``::ffff:10.0.0.1`` for a client of IPv4, which no network of
    ``FORWARDED_ALLOW_IPS`` knows. Raises ``OSError`` where the port is taken.
    """
    bound: list[socket.socket] = []
    missing: OSError | None = None
    for address in EVERYWHERE:
        try:
            bound.append(_bind(address, bound[0].getsockname()[1] if bound else port))
        except OSError as error:
            if error.errno not in _NOT_THERE:
                for opened in bound:
                    opened.close()
                raise
            missing = error
    if not bound and missing is not None:
        raise missing
    return bound


def addresses_of(sockets: Iterable[socket.socket]) -> str:
    """Return where sockets listen, for people: ``0.0.0.0:8000 and [::]:8000``."""
    found = [bound.getsockname()[:2] for bound in sockets]
    return " and ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found)


def _bind(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.set_inheritable(True)  # by workers
    except OSError:
        bound.close()
        raise
    return bound
