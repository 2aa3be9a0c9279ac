"""The back ends that docs/channels.md shows, as it shows them: over NATS, and over a channel layer."""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from hybrid_gateway.channels import Channel, ChannelsUnavailable
from hybrid_gateway.channels.hub import Hub
from tests.channels.conftest import using
from tests.channels.test_channels import run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "channels.md"
numbers = Channel("shown:{name}", int)


@pytest.fixture(scope="module")
def shown():
    """The classes of the page."""
    pytest.importorskip("nats", reason="The page's back end for NATS needs nats-py.")
    pytest.importorskip("channels", reason="The page's back end for channel layers needs Channels.")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    namespace = {"asyncio": asyncio}
    for block in blocks:
        if "Backend(WithoutHistory)" in block:
            exec(compile(block, str(PAGE), "exec"), namespace)
    return namespace


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def exchange(one, other):
    with using(one):
        mine = numbers.subscribe(name="a.b", gaps=True)
        await mine.__aenter__()
    with using(other):
        async with numbers.subscribe(name="a.b") as theirs:
            for number in range(50):
                await numbers.apublish(number, name="a.b")
            await asyncio.to_thread(numbers.publish, 50, name="a.b")
            await numbers.apublish(-1, name="a")
            assert [await anext(theirs) for _ in range(51)] == list(range(51))
    assert [await anext(mine) for _ in range(51)] == list(range(51))
    await mine.__aexit__(None, None, None)
    await one.stop()
    await other.stop()


def test_two_processes_reach_one_another_over_nats(shown):
    if not answers(4222):
        pytest.skip("No NATS answers at 127.0.0.1:4222.")
    run(exchange(Hub(shown["NatsBackend"](prefix="test")), Hub(shown["NatsBackend"](prefix="test"))))


def test_without_nats_publishing_is_a_503(shown):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        hub = Hub(shown["NatsBackend"](servers=f"nats://127.0.0.1:{nobody.getsockname()[1]}"))

        async def main():
            with pytest.raises(ChannelsUnavailable):
                await numbers.apublish(1, name="a")
            await hub.stop()

        with using(hub):
            run(main())


def test_a_channel_layer_carries_messages(shown):
    async def main():
        hub = Hub(shown["LayerBackend"]())
        with using(hub):
            async with numbers.subscribe(name="a") as messages:
                for number in range(20):
                    await numbers.apublish(number, name="a")
                assert [await anext(messages) for _ in range(20)] == list(range(20))
        await hub.stop()

    run(main())
