"""Kinds of people on the example project: browsing clients, writers with a token, an admin, and some in live rooms.

    locust -f loadtests/locustfile.py --headless -u 20 -r 5 -t 30s --host http://127.0.0.1:8000

It expects what ``manage.py seed`` makes. Every request names the status it expects; any other one is a failure.
What happens on websockets is reported as requests of the type ``WS``: how long it took to connect, and to hear a line
after it was said. ``locust ... Follower`` runs those people alone.
"""

from __future__ import annotations

import json
import random
import re
import time
from itertools import count
from typing import Any
from urllib.parse import urlencode

import gevent
from gevent.event import Event
from locust import HttpUser, between, task
from locust.clients import ResponseContextManager
from locust.exception import StopUser
from websocket import WebSocketException, create_connection

CATEGORIES = ["garden", "kitchen", "office", "travel"]
SIZES = ["small", "medium", "large"]
PAGE = 20
CSRF_INPUT = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')

_numbers = count(1)


class Visitor(HttpUser):
    """Someone who knows which answer to expect."""

    abstract = True
    wait_time = between(0.1, 0.5)

    def ask(self, status: int, method: str, path: str, **options: Any) -> ResponseContextManager:
        """Send a request; a status other than ``status`` is a failure that shows the beginning of the body."""
        options.setdefault("allow_redirects", False)
        with self.client.request(method, path, catch_response=True, **options) as response:
            if response.status_code != status:
                response.failure(f"{response.status_code}, not {status}: {(response.text or '')[:200]}")
        return response

    def must(self, status: int, method: str, path: str, **options: Any) -> ResponseContextManager:
        """As :meth:`ask`, for requests without which this user has nothing left to do."""
        response = self.ask(status, method, path, **options)
        if response.status_code != status:
            raise StopUser
        return response


class Browser(Visitor):
    """Reads the API and, now and then, the old Django page."""

    weight = 15

    def on_start(self) -> None:
        self.known: list[int] = []
        self.products()

    @task(2)
    def hello(self) -> None:
        self.ask(200, "GET", "/hello")

    @task(6)
    def products(self) -> None:
        page = {"limit": PAGE, "offset": PAGE * random.randrange(5)}
        response = self.ask(200, "GET", "/products", params=page, name="/products?limit=&offset=")
        if response.status_code == 200:
            self.known = [product["id"] for product in response.json()]

    @task(3)
    def products_of_a_category(self) -> None:
        filters = {"category": random.choice(CATEGORIES), "limit": PAGE}
        self.ask(200, "GET", "/products", params=filters, name="/products?category=")

    @task(6)
    def product(self) -> None:
        if self.known:
            self.ask(200, "GET", f"/products/{random.choice(self.known)}", name="/products/{id}")

    @task(1)
    def catalog(self) -> None:
        self.ask(200, "GET", "/catalog/")


class Writer(Visitor):
    """Logs in for a token, keeps a few products of its own, and logs out."""

    weight = 4

    def on_start(self) -> None:
        self.mine: list[int] = []
        credentials = {"username": "demo", "password": "demo-password"}
        answer = self.must(201, "POST", "/auth/login", json=credentials)
        self.client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def on_stop(self) -> None:
        while self.mine:
            self.delete()
        if "Authorization" in self.client.headers:
            self.ask(204, "POST", "/auth/logout")

    @task(3)
    def me(self) -> None:
        self.ask(200, "GET", "/me")

    @task(3)
    def create(self) -> None:
        product = {
            "name": f"Load test {next(_numbers)}",
            "price": "9.50",
            "rating": 4,
            "size": random.choice(SIZES),
            "category": random.choice(CATEGORIES),
        }
        response = self.ask(201, "POST", "/products", json=product)
        if response.status_code == 201:
            self.mine.append(response.json()["id"])

    @task(2)
    def patch(self) -> None:
        if self.mine:
            change = {"price": f"{random.randint(1, 99)}.90"}
            self.ask(200, "PATCH", f"/products/{self.mine[-1]}", json=change, name="/products/{id}")

    @task(2)
    def delete(self) -> None:
        if self.mine:
            self.ask(204, "DELETE", f"/products/{self.mine.pop()}", name="/products/{id}")


class Follower(Visitor):
    """Follows a room on a websocket, says something, and hears it there, as everybody else in the room does."""

    weight = 3
    ROOMS = 5
    PATIENCE = 10.0  # seconds until a line counts as lost

    def on_start(self) -> None:
        credentials = {"username": "demo", "password": "demo-password"}
        token = self.must(201, "POST", "/auth/login", json=credentials).json()["token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        self.room = f"locust-{random.randrange(self.ROOMS)}"
        self.waiting: dict[str, tuple[Event, float]] = {}
        self.since: str | None = None
        self.connect()

    def on_stop(self) -> None:
        self.reader.kill()
        self.socket.close()
        self.ask(204, "POST", "/auth/logout")

    def connect(self) -> None:
        """Open the socket with a ticket, as browsers have to, and with what was heard last."""
        ticket = self.must(201, "POST", "/auth/ticket").json()["ticket"]
        query = urlencode({"ticket": ticket, **({"since": self.since} if self.since else {})})
        url = f"{(self.host or '').replace('http', 'ws', 1)}/live/rooms/{self.room}?{query}"
        began = time.perf_counter()
        try:
            self.socket = create_connection(url, timeout=self.PATIENCE)
        except (OSError, WebSocketException) as error:
            self.tell("connect", began, 0, error)
            raise StopUser from error
        self.tell("connect", began)
        self.socket.settimeout(None)
        self.reader = gevent.spawn(self.read)

    def read(self) -> None:
        """Hear what comes: whoever waits for a line is woken."""
        try:
            while frame := self.socket.recv():
                message = json.loads(frame)
                self.since = message.get("offset", self.since)
                heard, began = self.waiting.pop(message.get("data", {}).get("text"), (None, 0.0))
                if heard is not None:
                    self.tell("hear", began, len(frame))
                    heard.set()
        except (OSError, WebSocketException):
            pass  # closed, by whomever: the next line reconnects

    def tell(self, name: str, began: float, length: int = 0, error: Exception | None = None) -> None:
        """Report to locust what happened on the socket."""
        self.environment.events.request.fire(
            request_type="WS",
            name=f"/live/rooms/{{name}} ({name})",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=length,
            exception=error,
            context=self.context(),
        )

    @task(4)
    def say(self) -> None:
        if self.reader.dead:
            self.connect()
        text, heard, began = f"line {next(_numbers)} of {id(self)}", Event(), time.perf_counter()
        self.waiting[text] = heard, began
        response = self.ask(201, "POST", f"/live/rooms/{self.room}", json={"text": text}, name="/live/rooms/{name}")
        if response.status_code == 201 and not heard.wait(self.PATIENCE):
            self.tell("hear", began, 0, TimeoutError(f"not heard within {self.PATIENCE:.0f} s"))
        self.waiting.pop(text, None)

    @task(1)
    def come_back(self) -> None:
        """Lose the connection, as phones do; what is missed comes with the next one."""
        self.socket.abort()
        self.reader.kill()
        self.connect()

    @task(1)
    def present(self) -> None:
        self.ask(200, "GET", f"/live/rooms/{self.room}/present", name="/live/rooms/{name}/present")


class Admin(Visitor):
    """Works in Django's admin, with a session and CSRF tokens as a browser has them."""

    weight = 1

    def on_start(self) -> None:
        self.ask(302, "GET", "/admin/", name="/admin/ (anonymous)")
        form = self.must(200, "GET", "/admin/login/?next=/admin/", name="/admin/login/")
        credentials = {
            "csrfmiddlewaretoken": CSRF_INPUT.findall(form.text or "")[0],
            "username": "admin",
            "password": "admin-password",
            "next": "/admin/",
        }
        self.must(302, "POST", "/admin/login/", data=credentials, headers={"Referer": f"{self.host}/admin/login/"})

    @task(1)
    def index(self) -> None:
        self.ask(200, "GET", "/admin/")

    @task(3)
    def products(self) -> None:
        self.ask(200, "GET", "/admin/catalog/product/")

    @task(1)
    def users(self) -> None:
        self.ask(200, "GET", "/admin/auth/user/")

    @task(2)
    def change_form(self) -> None:
        listing = self.ask(200, "GET", "/admin/catalog/product/", name="/admin/catalog/product/")
        links = re.findall(r"/admin/catalog/product/\d+/change/", listing.text or "")
        if links:
            self.ask(200, "GET", random.choice(links), name="/admin/catalog/product/{id}/change/")
