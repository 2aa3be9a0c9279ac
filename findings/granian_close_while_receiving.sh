#!/bin/sh
# granian 2.8.7 (PyPI; src/asgi/io.rs, ASGIWebsocketProtocol.close, which takes the lock that a pending receive() holds).
#
# An ASGI application may receive in one task and send in another, and close whenever it likes. On granian send({"type": "websocket.close"}) waits,
# without a frame on the wire, for as long as a task of the application awaits receive(): until the client says something, or leaves.
# Cancelling that task first avoids it.
#
# Seen:
#   with a task that receives: no close within 3 seconds; without one: closed with 4001
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check granian==2.8.7 websockets==17.4
cat > "$folder/app.py" <<'PYTHON'
import asyncio


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    reader = asyncio.ensure_future(receive()) if scope["path"] == "/reads" else None
    await asyncio.sleep(0.1)
    await send({"type": "websocket.close", "code": 4001})
    if reader is not None:
        await reader
PYTHON
cat > "$folder/client.py" <<'PYTHON'
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def ask(path):
    for _ in range(100):
        try:
            with connect(f"ws://127.0.0.1:8917{path}", close_timeout=1) as client:
                try:
                    client.recv(timeout=3)
                except TimeoutError:
                    return "no close within 3 seconds"
                except ConnectionClosed as closed:
                    return f"closed with {closed.rcvd.code}"
        except ConnectionRefusedError:
            time.sleep(0.1)


print(f"with a task that receives: {ask('/reads')}; without one: {ask('/')}")
PYTHON
cd "$folder"
"$folder/venv/bin/granian" --interface asginl --host 127.0.0.1 --port 8917 --workers-kill-timeout 1 app:application >/dev/null 2>&1 &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
seen=$("$folder/venv/bin/python" client.py)
echo "$seen"
[ "$seen" = "with a task that receives: no close within 3 seconds; without one: closed with 4001" ]
