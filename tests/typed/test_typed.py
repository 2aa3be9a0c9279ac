"""The file that type checkers read does what it says."""

import asyncio

import pytest
from django.contrib.auth.models import User

from hybrid_gateway import Gateway
from hybrid_gateway.test import TestClient
from tests.typed.declarations import (
    Ask,
    AsyncUsers,
    Lobby,
    Say,
    UserOut,
    Users,
    ask_for_the_rate,
    blocking,
    chat,
    echo,
    follow,
    follow_room,
    numbers,
    save,
    say,
    show_user,
    shown,
    sign_up,
)


@pytest.mark.django_db
def test_computed_fields_above_static_methods_are_read_with_the_row() -> None:
    User.objects.create(username="ada", first_name="Ada", last_name="Lovelace")
    [row] = UserOut.fetch(User.objects.all())
    assert (row.full_name, row.length, shown(row)) == ("Ada Lovelace", 8, "ADA LOVELACE")


def test_handlers_of_that_file_are_served() -> None:
    client = TestClient(Gateway([show_user, save, sign_up]))
    body = {"name": "Ada", "password": "secret"}
    assert client.post("/sign-up", json=body).json() == {"id": 1, "name": "Ada", "initial": "A"}
    assert client.get("/users/7?limit=3&price=2.50").json() == ["7", "3", "2.50"]
    assert client.get("/users/7?price=0").status_code == 422
    assert client.post("/papers", data={"name": "x"}).json() == 0


def test_the_state_of_that_file_is_shared() -> None:
    assert ask_for_the_rate().json() == 1.5


@pytest.mark.django_db
def test_channels_of_that_file_carry_their_values() -> None:
    assert asyncio.run(follow()) == "gap"
    assert say().endswith("-3")


def test_websockets_of_that_file_are_served() -> None:
    gateway = Gateway([echo, chat, blocking, numbers, Lobby, follow_room])
    client = TestClient(gateway)
    with client.websocket(gateway.reverse_url("echo", room="blue")) as socket:
        for _ in range(2):  # for receive(Say), and receive_text()
            socket.send(Say("taken"))
        socket.send(Say("hi"))
        assert socket.receive(Say) == Say("blue: hi")
    with client.websocket("/typed/chat?shout=true") as socket:
        socket.send(Ask("hi"))
        assert socket.receive(Say) == Say("HI")
    with client.websocket("/typed/lobby?name=ada") as socket:
        socket.send(Say("hi"))
        assert socket.receive(Say) == Say("ada: hi")


@pytest.mark.filterwarnings("error")
def test_what_is_decorated_is_called_as_the_function_it_is() -> None:
    assert asyncio.run(chat(Say("hi"), shout=True)) == Say("HI")
    assert blocking("abc") == 3

    async def all_numbers() -> list[int]:
        return [number async for number in numbers(2)]

    assert asyncio.run(all_numbers()) == [0, 1]


@pytest.mark.django_db(transaction=True)
def test_view_sets_of_that_file_are_served() -> None:
    User.objects.create(username="ada", first_name="Ada")
    client = TestClient(Gateway([Users, AsyncUsers]))
    for path in ("/view-set", "/async-view-set"):
        assert client.get(f"{path}?search=ad&n=1").json()["count"] == 1
        assert client.get(f"{path}/ada").json()["full_name"] == "Ada"
        assert client.get(f"{path}/count").json() == 1
