"""Channels of each test: in memory, or on a broker that several "processes" share."""

import asyncio
import time
from contextlib import contextmanager

import pytest
from django.db import connections

from hybrid_gateway.channels import ChannelsUnavailable, channels
from hybrid_gateway.channels.hub import Hub
from tests.channels.back_ends import clean_redis, make_pair, shared_database
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


def connect(hub):
    """Wait until the back end is there: its time is not what is tested, and machines are busy."""
    end = time.monotonic() + 20
    while True:
        try:
            asyncio.run(hub.apublish("nobody", b"1", None))  # on a thread whose last database may be gone
        except ChannelsUnavailable:
            assert time.monotonic() < end
        else:
            return


@pytest.fixture(scope="module")
def tables(django_db_blocker):
    """The tables of channels in a PostgreSQL of the tests' own."""
    with django_db_blocker.unblock(), shared_database("channels"):
        yield


@pytest.fixture(params=["memory", "broker", "redis", "postgresql"])
def shared(request, hubs):
    """The channels, in memory or beyond; they hold nothing yet."""
    if request.param == "memory":
        with channels.isolated():
            yield channels.hub
        return
    if request.param == "broker":
        with using(hubs()[0]) as hub:
            yield hub
        return
    if request.param == "postgresql":
        request.getfixturevalue("tables")
        blocker = request.getfixturevalue("django_db_blocker")
        with blocker.unblock(), connections["channels"].cursor() as cursor:
            for table in connections["channels"].introspection.table_names(cursor):
                if table.startswith("hybrid_gateway_channels"):
                    cursor.execute(f"TRUNCATE {table} CASCADE")
    backend = make_pair(request.param)[0]
    with clean_redis(), using(Hub(backend)) as hub:
        connect(hub)
        yield hub
        asyncio.run(hub.stop())
