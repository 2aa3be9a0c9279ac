#!/bin/sh
# uvicorn 0.54.0 (PyPI; uvicorn/protocols/websockets/websockets_sansio_impl.py, run_asgi), which --ws auto takes.
#
# An application that refuses a handshake by "websocket.http.response.start" and ".body" has answered it as the ASGI specification says.
# uvicorn sends the response, and logs "ASGI callable returned without completing handshake." as an error if the application then returns
# before the connection is lost: handshake_complete is not set where a response is sent, only by connection_lost(). --ws wsproto sets it.
# Waiting for a few turns of the event loop after the body avoids it.
#
# Seen:
#   the client saw 401; errors in the log: 1
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check uvicorn==0.54.0 websockets==17.4
cat > "$folder/app.py" <<'PYTHON'
async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"no"})
PYTHON
cat > "$folder/client.py" <<'PYTHON'
import time

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

for _ in range(100):
    try:
        connect("ws://127.0.0.1:8918/", legacy=True)
    except ConnectionRefusedError:
        time.sleep(0.1)
    except InvalidStatus as refused:
        print(refused.response.status_code)
        break
time.sleep(0.5)
PYTHON
cd "$folder"
"$folder/venv/bin/python" -m uvicorn app:application --host 127.0.0.1 --port 8918 --lifespan off >log 2>&1 &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
status=$("$folder/venv/bin/python" client.py)
errors=$(grep -c "returned without completing handshake" log || true)
echo "the client saw $status; errors in the log: $errors"
[ "$status $errors" = "401 1" ]
