"""Autobahn's fuzzing client, on the lane or on plain uvicorn: its finding of each case, and status 1 if one is no pass.

    python -m tests.drivers.autobahn --wstest PATH [--cases 1.* 2.*] [--asgi | --uvicorn] [--compression]

``wstest`` is of the package autobahntestsuite 0.8.2, which needs Python 2.7 (an environment of its own). All cases take
an hour, those of compression (12 and 13) most of it; without ``--cases`` these and the ones about size (9) are left
out, which takes ten seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from hybrid_gateway import Gateway, WebSocket, websocket
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import WIRE
from tests.drivers.test_lane import serving

QUICK = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
PASSES = {"OK", "NON-STRICT", "INFORMATIONAL"}
LIMIT = 1 << 26


class _Echo:
    """A receiver that sends each message back."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.end = asyncio.Event()

    def on_message(self, data: str | bytes) -> None:
        self._wire.send(Frame(data.encode()) if isinstance(data, str) else Frame(data, is_text=False))

    def on_pong(self) -> None: ...
    def on_writable(self) -> None: ...

    def on_closed(self, code: int, reason: str) -> None:
        self.end.set()


async def echo_by_wire(scope: Any, receive: Any, send: Any) -> None:
    """Send messages back as a route of the gateway would."""
    wire = scope["extensions"][WIRE]
    receiver = _Echo(wire)
    await wire.accept(receiver, subprotocol=None, headers=[], max_size=LIMIT, compression=bool(scope["query_string"]))
    await receiver.end.wait()


async def echo_by_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Send messages back as a mounted application would."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({**message, "type": "websocket.send"})


@websocket("/", max_message_size=LIMIT, compression=True)
async def echo_by_route(socket: WebSocket) -> None:
    """Send messages back, where the client takes them; on plain uvicorn a wire is known to routes alone."""
    async for data in socket.iter(str | bytes):
        await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))


async def find(
    wstest: str, cases: Sequence[str], *, asgi: bool = False, uvicorn: bool = False, compression: bool = False
) -> dict[str, Any]:
    """Return Autobahn's findings by case."""
    gateway = Gateway([echo_by_route])
    if not uvicorn:
        gateway._attend = echo_by_asgi if asgi else echo_by_wire
    options: dict[str, Any] = {"lifespan": "off", "ws_max_size": LIMIT, "ws_per_message_deflate": compression}
    with tempfile.TemporaryDirectory() as folder:
        async with serving(gateway, "auto" if uvicorn else LaneProtocol, **options) as (_, port):
            url = f"ws://127.0.0.1:{port}/{'?compression' if compression else ''}"
            spec = {
                "outdir": f"{folder}/reports",
                "servers": [{"agent": "lane", "url": url}],
                "cases": list(cases),
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
            path = Path(folder, "spec.json")
            path.write_text(json.dumps(spec))
            process = await asyncio.create_subprocess_exec(
                wstest, "-m", "fuzzingclient", "-s", str(path), stdout=asyncio.subprocess.DEVNULL
            )
            try:
                if await process.wait():
                    raise RuntimeError(f"{wstest} has failed.")
            finally:
                if process.returncode is None:
                    process.kill()
        findings: dict[str, Any] = json.loads(Path(folder, "reports", "index.json").read_text())["lane"]
    return findings


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wstest", default=shutil.which("wstest"), help="the program; the first one in PATH without")
    parser.add_argument("--cases", nargs="+", default=QUICK)
    parser.add_argument("--asgi", action="store_true", help="by receive() and send(), and not by the wire")
    parser.add_argument("--uvicorn", action="store_true", help="on plain uvicorn, by a route")
    parser.add_argument("--compression", action="store_true")
    options = parser.parse_args()
    if options.wstest is None:
        parser.error("There is no wstest in PATH.")
    how = {name: getattr(options, name) for name in ("asgi", "uvicorn", "compression")}
    findings = asyncio.run(find(options.wstest, options.cases, **how))
    for case, finding in findings.items():
        if finding["behavior"] != "OK" or finding["behaviorClose"] != "OK":
            print(case, finding["behavior"], finding["behaviorClose"], finding["remoteCloseCode"])
    print(
        *(f"{count} {kind}" for kind, count in Counter(each["behavior"] for each in findings.values()).items()),
        sep=", ",
    )
    return int(any({each["behavior"], each["behaviorClose"]} - PASSES for each in findings.values()))


if __name__ == "__main__":
    sys.exit(main())
