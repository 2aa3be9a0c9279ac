"""Count the connections to PostgreSQL that the same views need under Django's own ASGI handler and under the gateway.

    python -m loadtests.connections --requests 4000 --clients 40

How this works: it makes a database of its own (``PGHOST``, ``PGPORT``, ``PGUSER``, ``PGPASSWORD``) and drops it in the
end. Each server is one uvicorn process. Clients ask over kept connections; meanwhile ``pg_stat_activity`` is looked at
every 20 ms. *Opened* is what ``pg_stat_database`` counts as sessions that were begun, *most* the most that were open at
once, *left* how many there still are two seconds after the last answer, *refused* the answers that were no 200.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import psycopg

from loadtests.connections import settings
from loadtests.servers import ROOT, Server

NAME = settings.DATABASES["default"]["NAME"]
CASES = [
    ("Django's ASGI handler", "django_application", "/view/"),
    ("the gateway, the same views", "gateway_application", "/view/"),
    ("the gateway, typed routes", "gateway_application", "/route/"),
]


@dataclass
class Counted:
    """What one server has done to the database, and what its clients have seen."""

    opened: int = 0
    most: int = 0
    left: int = 0
    refused: int = 0
    milliseconds: float = 0.0  # CPU per request


def connect(database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
    """Connect as the settings do."""
    default = settings.DATABASES["default"]
    return psycopg.connect(
        dbname=database, user=default["USER"], password=default["PASSWORD"],
        host=default["HOST"], port=default["PORT"], autocommit=True,
    )  # fmt: skip


def number(connection: psycopg.Connection[tuple[object, ...]], query: str) -> int:
    """Ask for one number."""
    row = connection.execute(query, [NAME]).fetchone()
    return int(str(row[0])) if row else 0


def ask(port: int, path: str, requests: int, counted: Counted, lock: threading.Lock) -> None:
    """Be one client: ask again and again over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(requests):
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            good = response.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
            good = False
        if not good:
            with lock:
                counted.refused += 1
    connection.close()


def count(application: str, path: str, age: int, arguments: argparse.Namespace) -> Counted:
    """Serve, ask, and look at the database meanwhile."""
    counted, lock = Counted(), threading.Lock()
    environment = {"DJANGO_SETTINGS_MODULE": "loadtests.connections.settings", "CONN_MAX_AGE": str(age)}
    target = f"loadtests.connections.site:{application}"
    with (
        connect() as watch,
        Server("uvicorn", target, port=arguments.port, cores=set(), environment=environment) as server,
    ):
        begun = number(watch, "SELECT sessions FROM pg_stat_database WHERE datname = %s")
        cpu = server.cpu_seconds()
        clients = [
            threading.Thread(
                target=ask, args=(arguments.port, path, arguments.requests // arguments.clients, counted, lock)
            )
            for _ in range(arguments.clients)
        ]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            now = number(watch, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s")
            counted.most = max(counted.most, now)
            time.sleep(0.02)
        counted.milliseconds = (server.cpu_seconds() - cpu) * 1000 / arguments.requests
        time.sleep(2)  # what is going to close has closed, and the statistics are written
        counted.left = number(watch, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s")
        server.stop()
        time.sleep(1)  # a session is counted for good when it ends
        counted.opened = number(watch, "SELECT sessions FROM pg_stat_database WHERE datname = %s") - begun
    return counted


def main() -> None:
    """Make the database, count every case, drop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--port", type=int, default=8799)
    arguments = parser.parse_args()
    with connect() as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {NAME}")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "loadtests.connections.settings"}
    migrate = [sys.executable, "-m", "django", "migrate", "--no-input", "-v", "0"]
    try:
        subprocess.run(migrate, check=True, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)})
        print(f"{arguments.requests} requests by {arguments.clients} clients, one query each\n")
        print("| application | view | `CONN_MAX_AGE` | opened | most at once | left | refused | CPU ms/request |")
        print("|---|---|---:|---:|---:|---:|---:|---:|")
        for title, application, path in CASES:
            for kind in ("sync", "async"):
                for age in (0, 600):
                    seen = count(application, f"{path}{kind}/", age, arguments)
                    print(
                        f"| {title} | {kind} | {age} | {seen.opened:,} | {seen.most} | {seen.left} | {seen.refused} "
                        f"| {seen.milliseconds:.2f} |",
                        flush=True,
                    )
    finally:
        with connect() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


if __name__ == "__main__":
    main()
