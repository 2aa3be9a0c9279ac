"""Consumers of Channels below Django's prefixes and in a mount, beside our own websockets, under real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.websockets.asgi_servers import WebSocketServer, serving_websockets

pytest.importorskip("channels", reason="Channels is not installed.")


@pytest.fixture(scope="module", params=["httptools", "lane", "granian", "daphne"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSocketServer]:
    database = tmp_path_factory.mktemp("channels") / "db.sqlite3"
    settings = {"DJANGO_SETTINGS_MODULE": "tests.websockets.channels_site", "DATABASE": str(database)}
    with serving_websockets(request.param, **settings) as running:
        yield running


def log_in(server: WebSocketServer) -> str:
    """The cookie of a session that has begun on Django's side."""
    answer = server.get("/admin/enter/", host="127.0.0.1")
    assert answer.status == 200, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_consumer_knows_the_user_and_the_session(server: WebSocketServer) -> None:
    headers = {"Cookie": log_in(server)}
    path = "/admin/visits/7/"
    with server.open(path, additional_headers=headers, subprotocols=["visits"]) as client:
        assert client.subprotocol == "visits"
        assert json.loads(client.recv(timeout=8)) == ["visitor", path, {"number": 7}]
        client.send('{"a": 1}')
        assert json.loads(client.recv(timeout=8)) == {"count": 1, "content": {"a": 1}}
    with server.open(path, additional_headers=headers) as client:
        client.recv(timeout=8)
        client.send("{}")
        assert json.loads(client.recv(timeout=8))["count"] == 2
    with server.open(path) as client:
        assert json.loads(client.recv(timeout=8))[0] == ""


def test_more_consumers_than_threads_use_the_database_beside_our_own(server: WebSocketServer) -> None:
    with ExitStack() as opened:
        clients = [opened.enter_context(server.open("/admin/users/")) for _ in range(20)]
        clients += [opened.enter_context(server.open("/consumers/users/")) for _ in range(20)]
        ours = opened.enter_context(server.open("/echo"))
        for client in clients:
            client.send("how many?")
        assert {client.recv(timeout=8) for client in clients} <= {"0", "1"}
        ours.send("hi")
        assert ours.recv(timeout=8) == "hi"
        clients[0].send("close")
        with pytest.raises(ConnectionClosed) as closed:
            clients[0].recv(timeout=8)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4002


@pytest.mark.parametrize("target", ["/admin/../echo", "/Admin/users/", "/admin%2fusers/", "//admin/users/"])
def test_it_gets_nothing_that_could_be_read_in_two_ways(server: WebSocketServer, target: str) -> None:
    with pytest.raises(InvalidStatus) as caught, server.open(target):
        pass
    assert caught.value.response.status_code == (403 if server.name == "daphne" else 400)
