"""One process of several that share a channel: ``python -m tests.channels.process SETTINGS ROLE …``.

``publish NAME COUNT`` publishes ``NAME 1`` and so on. ``persist NAME COUNT`` does so until an outage is so many
messages ago, prints what was acknowledged, and publishes ``end``. ``subscribe COUNT [SINCE]`` prints so many values, or
all before ``end`` if that is 0, and then the offset of the last. All print ``ready`` first; publishers wait for a line
then.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import django
from django.conf import settings


def set_up(given: dict[str, object]) -> None:
    settings.configure(
        INSTALLED_APPS=["hybrid_gateway", "hybrid_gateway.channels"],
        DATABASES=given["databases"],
        HYBRID_GATEWAY={"CHANNELS": given["channels"]},
        SECRET_KEY="of nobody",
        USE_TZ=True,
    )
    django.setup()


def say(line: str) -> None:
    print(line, flush=True)


def publish(name: str, count: int) -> None:
    from hybrid_gateway.channels import Channel

    room = Channel("room:{room_id}", str, history=10_000)
    say("ready")
    sys.stdin.readline()
    for number in range(1, count + 1):
        room.publish(f"{name} {number}", room_id=1)


def persist(name: str, count: int) -> None:
    from hybrid_gateway.channels import Channel, ChannelsUnavailable

    room = Channel("room:{room_id}", str, history=10_000)
    room.publish("first", room_id=1)
    say("ready")
    sys.stdin.readline()
    number = since = 0
    was_away = is_away = False
    while since < count:
        number += 1
        try:
            room.publish(f"{name} {number}", room_id=1)
        except ChannelsUnavailable:
            if not is_away:
                say("away")
            is_away = was_away = True
            time.sleep(0.05)
        else:
            is_away = False
            since += was_away
            say(f"{name} {number}")
            time.sleep(0.005)
    room.publish("end", room_id=1)


async def subscribe(count: int, since: str | None) -> None:
    from hybrid_gateway.channels import Channel, Gap

    room = Channel("room:{room_id}", str, history=10_000)
    async with room.subscribe(room_id=1, since=since, gaps=True, queue=10_000) as messages:
        say("ready")
        async for value in messages:
            assert not isinstance(value, Gap), value
            if value == "end":
                break
            say(value)
            count -= 1
            if not count:
                break
        say(str(messages.offset))


if __name__ == "__main__":
    set_up(json.loads(sys.argv[1]))
    role, *arguments = sys.argv[2:]
    if role == "publish":
        publish(arguments[0], int(arguments[1]))
    elif role == "persist":
        persist(arguments[0], int(arguments[1]))
    else:
        asyncio.run(subscribe(int(arguments[0]), arguments[1] if len(arguments) > 1 else None))
