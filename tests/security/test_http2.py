"""The rules of dispatch over HTTP/2, which servers read by other code: R-ALLPATHS."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

connection_module = pytest.importorskip("h2.connection", reason="needs h2, an HTTP/2 client")

from h2.config import H2Configuration  # noqa: E402
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset  # noqa: E402

from tests.security.servers import COMMANDS, Answer, Server, serving  # noqa: E402

COMMANDS["granian-h2"] = COMMANDS["granian"] + " --http 2"


class OverHTTP2(Server):
    """The same server, asked in HTTP/2 with prior knowledge."""

    def get(self, target: str | bytes, *lines: str, method: str = "GET", host: str = "ex.test") -> Answer:
        fields = [tuple(line.lower().split(": ", 1)) for line in lines]
        path = target if isinstance(target, str) else target.decode("latin-1")
        return ask(
            self.port, [(":method", method), (":authority", host), (":scheme", "http"), (":path", path), *fields]
        )


def ask(port: int, fields: list[tuple[str, ...]]) -> Answer:
    lenient = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = connection_module.H2Connection(lenient)
    connection.initiate_connection()
    status, headers, body = 0, {}, b""
    with socket.create_connection(("127.0.0.1", port), 5) as wire:
        connection.send_headers(1, fields, end_stream=True)
        wire.sendall(connection.data_to_send())
        while data := _receive(wire):
            for event in connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    pairs = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                    status, headers = int(pairs.pop(":status")), pairs
                elif isinstance(event, DataReceived):
                    body += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, (StreamEnded, StreamReset)):
                    return Answer(status, headers, body, False)
            with suppress(BrokenPipeError):  # the server has hung up on us
                wire.sendall(connection.data_to_send())
    return Answer(status, headers, body, True)


def _receive(wire: socket.socket) -> bytes:
    try:
        return wire.recv(65536)
    except ConnectionResetError:
        return b""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("granian-h2", OverHTTP2) as started:
        yield started


def test_r_allpaths_paths_have_one_meaning(server):
    assert server.get("/admin/").text.startswith("django GET '/admin/'")
    assert server.get("/api/x").text == "typed x"
    assert server.get("/internal/").status == 404
    for target in ("//admin/", "/admin/../api/x", "/admin%2f", "/Admin/", "/admin/%0a", "/api/x%00", "/%5cadmin/"):
        assert server.get(target).status == 400, target
    assert server.get("/files/" + "a" * 9000).status == 414


def test_r_allpaths_hosts_methods_and_names_of_headers(server):
    assert server.get("/api/x", host="evil.test").status == 400
    assert server.get("/admin/", host="evil.test").status == 400
    for method in ("FOO", "get", "TRACE"):
        assert server.get("/admin/", method=method).status in (0, 400, 405, 501)
    assert "x_user" not in server.get("/headers", "x_user: root", "x-user: bob").text
    assert server.get("/api/x", *[f"x-{number}: y" for number in range(110)]).status in (0, 431)


def test_r_allpaths_controls_in_values_never_arrive(server):
    for byte in ("\x00", "\r\nx-evil: 1", "\n"):
        answer = server.get("/headers", f"x-a: a{byte}b")
        assert answer.status in (0, 400) and "x-evil" not in answer.text


def test_r_allpaths_answers_have_their_headers_and_none_of_a_connection(server):
    headers = server.get("/nowhere").headers
    assert headers["x-content-type-options"] == "nosniff" and "connection" not in headers
