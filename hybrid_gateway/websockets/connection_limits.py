"""The numbers of open websockets of a process: all together, of an address, of a user.

How this works: a handshake takes a place under each limit that it meets on its way, before it is accepted, and gives
all of them back when its scope ends, be it refused, closed or cut. So of many that come at once none gets in too many.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterable
from ipaddress import IPv6Address, ip_address

PROCESS: Hashable = "process"
"""The place of a websocket in its process."""


class ConnectionCounts:
    """The places that are taken; ``most`` is how many websockets there may be in the process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._taken: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, key: Hashable, most: int | None = None) -> bool:
        """Take one of ``most`` places called ``key``, by default of the process; return whether one was left."""
        with self._lock:
            count = self._taken.get(key, 0)
            if count >= (self._most if most is None else most):
                return False
            self._taken[key] = count + 1
            return True

    def give_back(self, keys: Iterable[Hashable]) -> None:
        """Give places back that were taken."""
        with self._lock:
            for key in keys:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]  # addresses come and go


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 a /64, which the poorest customer has for themselves."""
    # SPEC: RFC 6177: a /64 is the least that a site gets; RFC 4291, section 2.5.5.2: IPv4 in the clothes of IPv6.
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:  # a name that a proxy or a test gives
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))
