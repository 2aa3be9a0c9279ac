"""What is asked, how often, and what the answer has to be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from loadtests.soak.wire import Answer, Wire, head

__all__ = ["Ask", "Mix"]

PRODUCTS = 100  # rows that are there before
_numbers = count(1)
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff3f0005fe02fea7"
    "35810b0000000049454e44ae426082"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and what is wrong with an answer (``None``: nothing)."""

    name: str
    method: str
    path: str
    status: int
    judge: Callable[[Answer], bool] = lambda answer: True
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    waits: bool = False  # for a thread, and so for whatever holds all of them
    api: bool = True  # not one of Django's pages

    def fault(self, answer: Answer) -> str | None:
        """What is wrong."""
        if answer.status != self.status:
            return f"{self.name}: {answer.status} instead of {self.status}: {answer.body[:200]!r}"
        return None if self.judge(answer) else f"{self.name}: a wrong body: {answer.body[:200]!r}"


def _document(answer: Answer) -> dict[str, object]:
    document: dict[str, object] = json.loads(answer.body)
    return document


def _problem(status: int) -> Callable[[Answer], bool]:
    def judge(answer: Answer) -> bool:
        is_problem = answer.headers["content-type"] == "application/problem+json"
        return is_problem and _document(answer)["status"] == status and b"Traceback" not in answer.body

    return judge


class Mix:
    """Draws requests; ``token`` is a user's."""

    def __init__(self, token: str, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._user = {"Authorization": f"Bearer {token}"}
        self._makers = [maker for maker, weight in self._weights() for _ in range(weight)]
        self._css: bytes | None = None

    def draw(self) -> Ask:
        """The next request."""
        return self._chance.choice(self._makers)()

    def _weights(self) -> list[tuple[Callable[[], Ask], int]]:
        return [
            (self._hello, 20), (self._product, 20), (self._list, 8), (self._missing_product, 4), (self._nowhere, 10),
            (self._stranger, 6), (self._me, 8), (self._page, 4), (self._login_page, 3), (self._style, 4),
            (self._error, 2), (self._bad_json, 3), (self._bad_value, 3), (self._create, 2), (self._upload, 1),
            (self._statistics, 4), (self._wrong_method, 2),
        ]  # fmt: skip

    def _hello(self) -> Ask:
        return Ask("hello", "GET", "/hello", 200, lambda answer: answer.body == b'{"message":"Hello, World!"}')

    def _product(self) -> Ask:
        wanted = self._chance.randint(1, PRODUCTS)
        return Ask(
            "product",
            "GET",
            f"/products/{wanted}",
            200,
            lambda answer: _document(answer)["id"] == wanted,
            waits=True,
        )

    def _list(self) -> Ask:
        offset = self._chance.randint(0, PRODUCTS - 20)
        path = f"/products?limit=20&offset={offset}"
        return Ask("list", "GET", path, 200, lambda answer: len(json.loads(answer.body)) == 20, waits=True)

    def _missing_product(self) -> Ask:
        path = f"/products/{10**9 + next(_numbers)}"
        return Ask("missing product", "GET", path, 404, _problem(404), waits=True)

    def _nowhere(self) -> Ask:
        return Ask("nowhere", "GET", f"/nowhere/{next(_numbers)}?q={next(_numbers)}", 404, _problem(404))

    def _wrong_method(self) -> Ask:
        return Ask("wrong method", "DELETE", "/hello", 405, _problem(405))

    def _stranger(self) -> Ask:
        return Ask("stranger", "GET", "/me", 401, lambda answer: "www-authenticate" in answer.headers, waits=True)

    def _me(self) -> Ask:
        judge = lambda answer: _document(answer)["username"] == "demo"  # noqa: E731
        return Ask("me", "GET", "/me", 200, judge, headers=self._user, waits=True)

    def _page(self) -> Ask:
        return Ask(
            "Django page", "GET", "/catalog/", 200, lambda answer: b"</html>" in answer.body, waits=True, api=False
        )

    def _login_page(self) -> Ask:
        judge = lambda answer: b"csrfmiddlewaretoken" in answer.body  # noqa: E731
        return Ask("admin login", "GET", "/admin/login/", 200, judge, waits=True, api=False)

    def _style(self) -> Ask:
        return Ask("static file", "GET", "/static/admin/css/base.css", 200, self._is_same, waits=True, api=False)

    def _is_same(self, answer: Answer) -> bool:
        self._css = self._css or answer.body
        return answer.body == self._css and len(answer.body) > 1000

    def _error(self) -> Ask:
        return Ask("error", "GET", "/soak/error", 500, _problem(500), waits=True)

    def _bad_json(self) -> Ask:
        return self._post("bad JSON", b'{"name": ', 400)

    def _bad_value(self) -> Ask:
        return self._post("bad value", b'{"name": 7}', 422)

    def _post(self, name: str, body: bytes, status: int) -> Ask:
        headers = {**self._user, "Content-Type": "application/json"}
        return Ask(name, "POST", "/products", status, _problem(status), headers, body, waits=True)

    def _create(self) -> Ask:
        name = f"soak {next(_numbers)}"
        body = json.dumps({"name": name, "category": "garden", "size": "small", "price": "1.50"}).encode()
        headers = {**self._user, "Content-Type": "application/json"}
        judge = lambda answer: _document(answer)["name"] == name  # noqa: E731
        return Ask("create", "POST", "/products", 201, judge, headers, body, waits=True)

    def _upload(self) -> Ask:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + _PNG + b"\r\n--x--\r\n"
        )
        headers = {**self._user, "Content-Type": "multipart/form-data; boundary=x"}
        path = f"/products/{self._chance.randint(1, PRODUCTS)}/image"
        return Ask(
            "upload", "PUT", path, 200, lambda answer: bool(_document(answer)["image"]), headers, body, waits=True
        )

    def _statistics(self) -> Ask:
        return Ask("cached", "GET", "/statistics", 200, lambda answer: len(json.loads(answer.body)) > 0, waits=True)

    async def abort(self, port: int) -> None:
        """Begin something, and be gone: in the head, in the body, before the answer, or in the midst of a stream."""
        wire = Wire(port)
        reader, writer = await wire.open()
        ask, where = self.draw(), self._chance.randint(0, 3)
        start = head(ask.method, ask.path, ask.headers, len(ask.body) if ask.body else None)
        if where == 0:
            writer.write(start[: self._chance.randint(1, len(start) - 1)])
        elif where == 1:
            writer.write(start + ask.body[: len(ask.body) // 2])
        elif where == 2:
            writer.write(start + ask.body)
        else:
            writer.write(head("GET", "/prices?pause=0", {}, None))
            await reader.read(1)
        await writer.drain()
        wire.drop()
