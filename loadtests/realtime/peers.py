"""Who is measured: each on the server and with the settings that its documentation gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

APPS = "loadtests.realtime.apps"
MANAGE = "loadtests.realtime.manage"
ROOM = frozenset({"echo", "room"})
OURS = ROOM | {"kept"}


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the tables; ``has`` is what its routes can."""

    title: str
    server: str
    target: str
    has: frozenset[str]
    package: str  # the import name without which it is left out
    environment: Mapping[str, str] = field(default_factory=dict)


PEERS: Mapping[str, Peer] = {
    "lane": Peer("hybrid_gateway, gateway serve", "lane", MANAGE, OURS, "uvicorn"),
    "gateway": Peer("hybrid_gateway, uvicorn", "uvicorn", f"{APPS}.gateway:application", OURS, "uvicorn"),
    "starlette": Peer("Starlette, uvicorn", "uvicorn", f"{APPS}.starlette:application", ROOM, "starlette"),
    "litestar": Peer("Litestar, uvicorn", "uvicorn", f"{APPS}.litestar:application", ROOM, "litestar"),
    "channels": Peer("Channels, daphne", "daphne", f"{APPS}.channels:application", ROOM, "daphne"),
    "bolt": Peer("django-bolt", "runbolt", MANAGE, frozenset({"echo"}), "django_bolt", environment={"BENCH_BOLT": "1"}),
}


def installed(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The peers that this environment has, and those it lacks."""
    there = [name for name in names if find_spec(PEERS[name].package)]
    return there, [name for name in names if name not in there]
