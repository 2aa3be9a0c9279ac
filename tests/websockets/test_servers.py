"""Websockets over real servers, by a client that knows nothing of us: what reaches it, and what reaches the handler."""

import os
import signal
import socket as sockets
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tests.websockets.servers import COMMANDS, SiteServer, serving

client = pytest.importorskip("websockets.sync.client", reason="The client of these tests is of websockets.")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

SITE_NAME = f"hybrid_gateway_websockets_{os.getpid()}"


@pytest.fixture(scope="module", params=list(COMMANDS))
def server(request, tmp_path_factory):
    with serving(request.param, tmp_path_factory.mktemp("server"), SITE_NAME=SITE_NAME) as running:
        yield running


def connect(server: SiteServer, path: str, **options):
    return client.connect(server.url(path), open_timeout=10, close_timeout=10, compression=None, **options)


def closed(connection) -> tuple[list, int | None, str]:
    """What comes until the connection is closed; the code and the reason."""
    received = []
    with pytest.raises(ConnectionClosed):
        while True:
            received.append(connection.recv(timeout=10))
    return received, connection.close_code, connection.close_reason


def reset(connection) -> None:
    """Lose the connection without a word."""
    connection.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.shutdown(sockets.SHUT_RD)
    connection.socket.close()


def has_connection_of(server: SiteServer, raw: sockets.socket) -> bool:
    """Whether the process of the server has the other end of a connection open."""
    port = f":{raw.getsockname()[1]:04X}"
    rows = [line.split() for line in Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}
    opened = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return bool(inodes & {os.readlink(entry) for entry in opened if entry.is_symlink()})


# --- messages --------------------------------------------------------------------------------------------------------


def test_messages_are_typed_and_one_that_does_not_fit_is_answered(server):
    with connect(server, "/typed") as connection:
        connection.send('{"type": "Ask", "question": "?"}')
        assert connection.recv(timeout=10) == '{"kind":"Ask"}'
        connection.send('{"type": "Ask"}')
        error = msgspec.json.decode(connection.recv(timeout=10))
        assert (error["type"], error["status"]) == ("error", 422)
        connection.send(b'{"type": "Say", "text": "!"}')
        assert connection.recv(timeout=10) == '{"kind":"Say"}'


def test_message_pack_is_binary_both_ways(server):
    with connect(server, "/packed") as connection:
        connection.send(msgspec.msgpack.encode({"type": "Say", "text": "!"}))
        assert msgspec.msgpack.decode(connection.recv(timeout=10)) == {"kind": "Say"}


def test_frames_of_text_and_bytes_whole_and_in_fragments(server):
    with connect(server, "/frames") as connection:
        for text in ("", "ü€😀", "x" * 65000):
            connection.send(text)
            assert connection.recv(timeout=10) == text
            assert connection.recv(timeout=10) == text.encode()
        connection.send(["in ", "three ", "pieces"])
        assert connection.recv(timeout=10) == "in three pieces"


def test_a_message_that_is_too_big_is_1009(server):
    with connect(server, "/small") as connection:
        connection.send("ü" * 500)
        assert connection.recv(timeout=10) == "1000"
        connection.send("x" * 1001)
        assert closed(connection)[1] == 1009


def test_a_request_and_a_websocket_share_a_path(server):
    assert server.get("/both") == "the page"
    with connect(server, "/both") as connection:
        assert connection.recv(timeout=10) == "the socket"


# --- handshakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((f"/refused/{status}", status) for status in (401, 403, 404, 409, 422, 429, 503)),
        ("/refused-by-guard", 403),
        ("/nowhere", 404),
        ("/refused/x", 404),
        ("/ending", 422),
    ],
)
def test_a_refusal_is_problem_details_where_the_server_lets_it(server, path, status):
    with pytest.raises(InvalidStatus) as caught, connect(server, path):
        pass
    response = caught.value.response
    if not server.denies:
        assert response.status_code == 403
        return
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert msgspec.json.decode(response.body)["status"] == status
    if path.startswith("/refused/4"):
        assert response.headers["x-why"] == "because"


def test_subprotocols_and_headers_come_with_accept(server):
    with connect(server, "/protocols", subprotocols=["one", "two"]) as connection:
        assert connection.subprotocol == "two"
        assert msgspec.json.decode(connection.recv(timeout=10)) == ["one", "two"]
        headers = connection.response.headers
        if server.name == "granian":
            return  # it sends no headers of ours
        assert (headers["x-layer"], headers["x-own"]) == ("1", "2")


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1008, 3000, 4001, 4999])
def test_the_code_and_the_reason_of_a_handler_reach_the_client(server, code):
    with connect(server, f"/close/{code}") as connection:
        assert closed(connection) == (["before"], code, "because")


def test_a_handler_that_returns_unaccepted_is_accepted_and_closed_with_1000(server):
    with connect(server, "/nothing") as connection:
        assert closed(connection)[:2] == ([], 1000)


def test_a_bug_is_a_frame_and_1011(server):
    with connect(server, "/crash") as connection:
        received, code, _ = closed(connection)
        assert msgspec.json.decode(received[0])["status"] == 500
        assert "broken" not in received[0]
        assert code == 1011


def test_the_client_s_code_reaches_the_handler_once(server):
    with connect(server, "/ending?name=code") as connection:
        connection.send("x")
        assert connection.recv(timeout=10) == "x"
        connection.close(4321, "enough")
    noted = server.noted("code", lambda noted: "leave" in noted)
    code = 1006 if server.name == "hypercorn" else 4321  # which tells nobody what a client says
    assert noted == ["enter", f"code {code}", "leave"]


def test_a_connection_that_is_reset_is_left_like_any(server):
    with connect(server, "/ending?name=reset") as connection:
        connection.send("x")
        assert connection.recv(timeout=10) == "x"
        reset(connection)
    noted = server.noted("reset", lambda noted: "leave" in noted)
    assert (noted[0], noted[-1], len(noted)) == ("enter", "leave", 3)
    assert noted[1] in ("code 1006", "code 1005")  # where a server says no more


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stream_ends_when_its_client_leaves(server, how):
    with connect(server, f"/talk?name=talk-{how}") as connection:
        assert connection.recv(timeout=10) == "1"
        if how == "reset":
            reset(connection)
    assert server.noted(f"talk-{how}", lambda noted: "leave" in noted) == ["enter", "finally", "leave"]


def test_a_client_that_reads_nothing_is_let_go(server):
    with sockets.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            b"GET /flood?name=flood HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert raw.recv(12) == b"HTTP/1.1 101"
        noted = server.noted("flood", lambda noted: "leave" in noted)
        if server.name in ("uvicorn-h11-sansio", "uvicorn-httptools-wsproto", "lane"):  # which are one process
            end = time.monotonic() + 10
            while (kept := has_connection_of(server, raw)) and time.monotonic() < end:
                time.sleep(0.05)
            assert not kept, "the client is gone for us, and keeps a connection of the process for ever"
    assert noted == ["enter", "leave"]


# --- many ------------------------------------------------------------------------------------------------------------


def test_fifty_sockets_use_no_more_connections_than_there_are_threads(server):
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        observer = psycopg.connect(host="127.0.0.1", user="postgres", dbname="postgres", autocommit=True)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    with observer, ExitStack() as stack, ThreadPoolExecutor(10) as pool:
        connections = [stack.enter_context(connect(server, "/rows")) for _ in range(50)]

        def use(connection) -> set[str]:
            names = set()
            for _ in range(4):
                connection.send("x")
                names.add(connection.recv(timeout=30))
            return names

        names = set().union(*pool.map(use, connections))
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        assert 0 < observer.execute(query, [SITE_NAME]).fetchone()[0] <= 4
        assert len(names) <= 4


@pytest.mark.parametrize("name", ["uvicorn-h11-sansio", "uvicorn-httptools-wsproto", "lane"])
def test_a_process_that_is_told_to_end_closes_with_1012(name, tmp_path):
    with serving(name, tmp_path) as server, ExitStack() as stack:
        connections = [stack.enter_context(connect(server, f"/ending?name=drain{number}")) for number in range(20)]
        for connection in connections:
            connection.send("x")
            connection.recv(timeout=10)
        server.process.send_signal(signal.SIGTERM)
        assert [closed(connection)[1] for connection in connections] == [1012] * 20
        end = time.monotonic() + 20
        while server.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert server.process.poll() is not None
        assert "Traceback" not in server.log.read_text()
