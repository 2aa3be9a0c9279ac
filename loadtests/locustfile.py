"""Three kinds of people on the example project: browsing clients, writers with a token, and an admin.

    locust -f loadtests/locustfile.py --headless -u 20 -r 5 -t 30s --host http://127.0.0.1:8000

It expects what ``manage.py seed`` makes. Every request names the status it expects; any other one is a failure.
"""

from __future__ import annotations

import random
import re
from itertools import count
from typing import Any

from locust import HttpUser, between, task
from locust.clients import ResponseContextManager
from locust.exception import StopUser

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
