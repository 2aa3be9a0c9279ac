"""Real servers on the loopback interface, for what only the bytes on a socket can show."""

import contextlib
import socket
import threading
import time
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn

from hybrid_gateway.gateway.lane import LaneProtocol

SERVERS = {"h11": "h11", "httptools": "httptools", "lane": LaneProtocol}


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Wire:
    """A listening server; ``say`` sends bytes and gives what comes back until the connection ends."""

    def __init__(self, port):
        self.port = port

    def say(self, data, segment=None):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):  # it was refused before all was said
                for start in range(0, len(data), segment or len(data)):
                    connection.sendall(data[start : start + (segment or len(data))])
            answer = bytearray()
            with contextlib.suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    answer += chunk
            return bytes(answer)

    def status(self, data, segment=None):
        answer = self.say(data, segment)
        return int(answer.split(b" ", 2)[1]) if answer else None


@contextlib.contextmanager
def listening(gateway, http, **config):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = {"http": http, "log_config": None, "access_log": False, "lifespan": "off", **config}
        server = uvicorn.Server(uvicorn.Config(gateway, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Wire(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)


@contextlib.contextmanager
def listening_wsgi(gateway):
    with make_server("127.0.0.1", 0, gateway.wsgi, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Wire(server.server_port)
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(params=SERVERS)
def listen(request):
    """``listen(gateway, **uvicorn's options)``: a wire to it, under each of uvicorn's protocols and the lane."""
    with contextlib.ExitStack() as stack:

        def start(gateway, **config):
            return stack.enter_context(listening(gateway, SERVERS[request.param], **config))

        yield start


@pytest.fixture(params=[*SERVERS, "wsgiref"])
def listen_anyhow(request):
    """The same, and under the standard library's WSGI server."""
    with contextlib.ExitStack() as stack:

        def start(gateway):
            is_wsgi = request.param == "wsgiref"
            found = listening_wsgi(gateway) if is_wsgi else listening(gateway, SERVERS[request.param])
            return stack.enter_context(found)

        yield start
