"""Channels of each test: in memory, or on a broker that several "processes" share."""

from contextlib import contextmanager

import pytest

from hybrid_gateway.channels import channels
from hybrid_gateway.channels.hub import Hub
from tests.channels.broker import Broker, BrokerBackend


@contextmanager
def using(hub):
    """Let the channels of the process be those of ``hub``."""
    channels._isolated = [*channels._isolated, hub]
    try:
        yield hub
    finally:
        channels._isolated = [other for other in channels._isolated if other is not hub]


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def hubs(broker):
    """``hubs(number)``: so many processes; those of a test are stopped with it."""
    made = []

    def make(number=1, **options):
        made.extend(Hub(BrokerBackend(broker, **options)) for _ in range(number))
        return made[-number:]

    yield make
    for hub in made:
        hub.leave()


@pytest.fixture(params=["memory", "broker"])
def shared(request, broker, hubs):
    """The channels, in memory or beyond."""
    if request.param == "memory":
        with channels.isolated():
            yield channels.hub
    else:
        with using(hubs()[0]) as hub:
            yield hub
