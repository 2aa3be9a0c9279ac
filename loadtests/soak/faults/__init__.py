"""What is made to fail, one after the other, and the gate of each."""

from collections.abc import Awaitable, Callable

from loadtests.soak.faults.clients import aborted_writes, churn, leak, slow_clients
from loadtests.soak.faults.crowds import overload, pool_exhausted, throttle_race
from loadtests.soak.faults.network import hostile_network
from loadtests.soak.faults.processes import reloaded, terminated, worker_killed
from loadtests.soak.faults.run import Soak
from loadtests.soak.faults.sockets import echoed, handshakes, idle_sockets, stalled_readers
from loadtests.soak.faults.stores import database_hang, database_restart, redis_down
from loadtests.soak.faults.streams import streams

__all__ = ["FAULTS", "Soak"]

FAULTS: dict[str, Callable[[Soak], Awaitable[None]]] = {
    "throttle": throttle_race,
    "churn": churn,
    "leak": leak,
    "writes": aborted_writes,
    "slow": slow_clients,
    "network": hostile_network,
    "streams": streams,
    "handshakes": handshakes,
    "sockets": idle_sockets,
    "messages": echoed,
    "stalled": stalled_readers,
    "threads": pool_exhausted,
    "database": database_restart,
    "hang": database_hang,
    "cache": redis_down,
    "worker": worker_killed,
    "reload": reloaded,
    "overload": overload,
    "terminate": terminated,
}
