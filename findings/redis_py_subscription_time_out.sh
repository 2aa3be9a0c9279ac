#!/bin/sh
# redis-py 8.0.0 (PyPI; redis/_defaults.py: DEFAULT_SOCKET_TIMEOUT), with a Redis server of its own (redis-server of the PATH).
#
# Since 8.0.0 a client has a time-out of 5 seconds where nobody asks for one; before, it had none. Most would expect it to bound how long a
# command waits for its answer, and `PubSub.listen()` to wait as long as nobody publishes, as it says. What happens in 8.0.0: whoever listens
# to a channel on which nothing happens for 5 seconds gets a TimeoutError, with threads and with asyncio, by code that has run for years.
# 7.4.1 and 8.1.0 wait. So whoever subscribes with a range of versions says socket_timeout=None, and pings by itself.
#
# Seen:
#   7.4.1: threads: at last, asyncio: at last; 8.0.0: threads: TimeoutError, asyncio: TimeoutError; 8.1.0: threads: at last, asyncio: at last
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
port=$((20000 + $$ % 12000))
redis-server --port "$port" --bind 127.0.0.1 --save "" --dir "$folder" > /dev/null &
server=$!
trap 'kill "$server"; rm -rf "$folder"' EXIT
cat > "$folder/listen.py" <<'PYTHON'
import asyncio
import sys
import threading
import time

import redis
import redis.asyncio

URL = f"redis://127.0.0.1:{sys.argv[1]}"


def publish_later(name):
    time.sleep(7)
    redis.Redis.from_url(URL).publish(name, b"at last")


def with_threads():
    pubsub = redis.Redis.from_url(URL).pubsub()
    pubsub.subscribe("threads")
    threading.Thread(target=publish_later, args=("threads",)).start()
    try:
        return next(message["data"].decode() for message in pubsub.listen() if message["type"] == "message")
    except redis.RedisError as error:
        return type(error).__name__


async def with_asyncio():
    pubsub = redis.asyncio.Redis.from_url(URL).pubsub()
    await pubsub.subscribe("asyncio")
    threading.Thread(target=publish_later, args=("asyncio",)).start()
    try:
        async for message in pubsub.listen():
            if message["type"] == "message":
                return message["data"].decode()
    except redis.RedisError as error:
        return type(error).__name__


print(f"{redis.__version__}: threads: {with_threads()}, asyncio: {asyncio.run(with_asyncio())}")
PYTHON
seen=""
for version in 7.4.1 8.0.0 8.1.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q --disable-pip-version-check "redis==$version"
    seen="$seen${seen:+; }$("$folder/$version/bin/python" "$folder/listen.py" "$port")"
done
echo "$seen"
wait_is="threads: at last, asyncio: at last"
[ "$seen" = "7.4.1: $wait_is; 8.0.0: threads: TimeoutError, asyncio: TimeoutError; 8.1.0: $wait_is" ]
