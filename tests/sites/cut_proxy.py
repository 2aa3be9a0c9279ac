"""A proxy of TCP between a browser and a server, which cuts all that goes through it when it is asked for ``/cut``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CUT = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class CutProxy:
    """Its connections, each with two threads."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.target)) as server:
            self.open |= {client, server}
            threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                if data.startswith(b"GET /cut "):
                    self.open -= {client}
                    self.cut()
                    client.sendall(CUT)
                    return
                server.sendall(data)
        self.open -= {client}

    def pump(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        for one in (server, client):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection without a word."""
        for one in list(self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.open.clear()


@contextmanager
def cut_proxy(port: int) -> Iterator[CutProxy]:
    """A proxy for a port of this machine."""
    proxy = CutProxy(port)
    threading.Thread(target=proxy.accept, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.listener.close()
        proxy.cut()
