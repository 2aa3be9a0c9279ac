"""The file that type checkers read does what it says."""

import asyncio

import pytest
from django.contrib.auth.models import User

from hybrid_gateway import Gateway
from hybrid_gateway.test import TestClient
from tests.typed.declarations import UserOut, follow, save, say, show_user, shown


@pytest.mark.django_db
def test_computed_fields_above_static_methods_are_read_with_the_row() -> None:
    User.objects.create(username="ada", first_name="Ada", last_name="Lovelace")
    [row] = UserOut.fetch(User.objects.all())
    assert (row.full_name, row.length, shown(row)) == ("Ada Lovelace", 8, "ADA LOVELACE")


def test_handlers_of_that_file_are_served() -> None:
    client = TestClient(Gateway([show_user, save]))
    assert client.get("/users/7?limit=3&price=2.50").json() == ["7", "3", "2.50"]
    assert client.get("/users/7?price=0").status_code == 422
    assert client.post("/papers", data={"name": "x"}).json() == 0


@pytest.mark.django_db
def test_channels_of_that_file_carry_their_values() -> None:
    assert asyncio.run(follow()) == "gap"
    assert say().endswith("-3")
