"""How many websockets an address, a user and a process may have: counted before the handshake, given back once."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model

from hybrid_gateway import Gateway, Router, WebSocket, websocket
from hybrid_gateway.auth import TokenAuthentication
from hybrid_gateway.exceptions import ConfigurationError, Forbidden
from hybrid_gateway.tokens.models import Token
from hybrid_gateway.websockets.connection_limits import ConnectionCounts, network_of
from tests.websockets.handshakes import open_websocket

User = get_user_model()


@websocket("/live")
async def live(socket: WebSocket) -> None:
    async for _ in socket.iter(str):
        pass


@websocket("/own")
async def own(socket: WebSocket, user: User) -> None:
    async for _ in socket.iter(str):
        pass


@websocket("/closed", guards=[lambda: False])
async def closed(socket: WebSocket) -> None:
    raise AssertionError("nobody gets in")


def statuses(gateway, *openings):
    """Open websockets one after the other, keep them open, and return what became of each; close them all."""

    async def run():
        found, entered = [], []
        for options in openings:
            opening = open_websocket(gateway, **options)
            entered.append(opening)
            found.append((await opening.__aenter__()).status)
        for opening in entered:
            await opening.__aexit__(None, None, None)
        return found

    found = async_to_sync(run)()
    assert len(gateway.websocket_registry.counts) == 0
    return found


def from_address(*addresses):
    return [{"client": (address, 50000)} for address in addresses]


# --- addresses


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:0DB8:1:2::9", "2001:db8:1:2::"),
        ("2001:db8:1:3::9", "2001:db8:1:3::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address, expected):
    assert network_of(address) == expected


def test_an_address_may_have_so_many_and_another_has_its_own():
    gateway = Gateway([live], max_connections_per_address=2)
    assert statuses(gateway, *from_address("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2")) == [101, 101, 429, 101]
    assert statuses(gateway, *from_address("192.0.2.1", "192.0.2.1", "192.0.2.1")) == [101, 101, 429]


def test_a_network_of_ipv6_is_one_address():
    gateway = Gateway([live], max_connections_per_address=1)
    assert statuses(gateway, *from_address("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")) == [101, 429, 101]


def test_who_has_no_address_is_not_counted():
    gateway = Gateway([live], max_connections_per_address=1)
    assert statuses(gateway, *[{"client": None}] * 3) == [101, 101, 101]


def test_a_refused_handshake_takes_no_place():
    gateway = Gateway([live, closed], max_connections_per_address=1)
    assert statuses(gateway, {"path": "/closed"}, {"path": "/closed"}, {}) == [403, 403, 101]


def test_the_limit_of_a_layer_counts_all_below_it_and_nothing_else():
    chat = Router("/chat", [live, own], max_connections_per_address=1, authentication=[TokenAuthentication()])
    gateway = Gateway([live, chat], max_connections_per_address=3)
    paths = ["/live", "/chat/live", "/chat/live", "/live", "/live"]
    assert statuses(gateway, *({"path": path} for path in paths)) == [101, 101, 429, 101, 429]


# --- users


@pytest.mark.django_db
def test_a_user_may_have_so_many_by_whatever_tokens():
    ada, bob = User.objects.create_user("ada"), User.objects.create_user("bob")

    def by(user):
        return {"path": "/own", "headers": [(b"authorization", f"Bearer {Token.objects.issue(user)[1]}".encode())]}

    gateway = Gateway([own, live], authentication=[TokenAuthentication()], max_connections_per_user=2)
    assert statuses(gateway, by(ada), by(ada), by(ada), by(bob), {}, {}, {}) == [101, 101, 429, 101, 101, 101, 101]
    assert statuses(gateway, by(ada)) == [101]


# --- the process


def test_a_process_has_so_many_and_tells_to_come_back():
    gateway = Gateway([live], max_websockets=2)

    async def run():
        async with open_websocket(gateway), open_websocket(gateway) as second, open_websocket(gateway) as third:
            return second.status, third.status, third.headers[b"retry-after"]

    assert async_to_sync(run)() == (101, 503, b"5")
    assert statuses(gateway, {}) == [101]


# --- what ends otherwise


def test_a_place_is_given_back_however_the_websocket_ends():
    @websocket("/fails")
    async def fails(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("no")

    @websocket("/refuses")
    async def refuses(socket: WebSocket) -> None:
        raise Forbidden

    gateway = Gateway([fails, refuses], max_connections_per_address=1)
    assert statuses(gateway, {"path": "/fails"}) == [101]
    assert statuses(gateway, {"path": "/refuses"}, {"path": "/refuses"}) == [403, 403]
    assert statuses(gateway, {"path": "/fails"}) == [101]


def test_places_are_counted_and_forgotten():
    counts = ConnectionCounts(2)
    assert [counts.take("process") for _ in range(3)] == [True, True, False]
    assert [counts.take("ada", 1), counts.take("ada", 1), counts.take("bob", 1)] == [True, False, True]
    counts.give_back(["process", "process", "ada", "bob"])
    assert len(counts) == 0


@pytest.mark.parametrize("name", ["max_connections_per_address", "max_connections_per_user"])
@pytest.mark.parametrize("value", [0, -1, True, "5", 1.5, None])
def test_a_limit_is_a_number(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}=.*must be a number"):
        Gateway([live], **{name: value})
