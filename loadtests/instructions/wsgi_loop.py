"""``python -m loadtests.instructions.wsgi_loop MODULE:NAME PORT``: a WSGI application, called in a loop.

How this works: a client sends a line of JSON with a request and how many calls to make, and reads a line with the
status and the body of the last one. A call does what PEP 3333 asks of servers and nothing else, so that what is counted
is the application.
"""

from __future__ import annotations

import io
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def environ_of(request: Mapping[str, Any], port: int) -> dict[str, Any]:
    """The environ of a request as gunicorn makes it, but for ``wsgi.input``."""
    path, _, query = request["path"].partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": request["path"],
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": f"127.0.0.1:{port}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in request["headers"].items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    if request["body"]:
        environ["CONTENT_LENGTH"] = str(len(request["body"].encode()))
    return environ


def call(application: Application, environ: Mapping[str, Any], body: bytes, count: int) -> tuple[int, bytes]:
    """Call so many times; status and body of the last answer."""
    started: list[str] = [""]

    def start_response(status: str, headers: list[tuple[str, str]], error: object = None) -> Callable[[bytes], None]:
        started[0] = status
        return unsupported

    answer = b""
    for _ in range(count):
        asked = dict(environ)
        asked["wsgi.input"] = io.BytesIO(body)
        parts = application(asked, start_response)
        try:
            answer = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
    return int(started[0].split(" ", 1)[0]), answer


def unsupported(data: bytes) -> None:
    """What ``start_response`` gives; nobody here calls it."""
    raise NotImplementedError


def serve(application: Application, port: int) -> None:
    """Answer one client after the other, until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(1)  # below valgrind a signal may reach a thread that waits, and not interrupt this one
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection, connection.makefile("rw", encoding="utf-8", newline="\n") as file:
                for line in file:
                    asked = json.loads(line)
                    request = asked["request"]
                    environ = environ_of(request, port)
                    status, body = call(application, environ, request["body"].encode(), asked["count"])
                    file.write(json.dumps({"status": status, "body": body.decode("latin-1")}) + "\n")
                    file.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an orderly end writes down the addresses of trampolines
    module, _, name = sys.argv[1].partition(":")
    serve(getattr(import_module(module), name), int(sys.argv[2]))
