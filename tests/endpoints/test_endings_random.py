"""Random routes: components that need one another, hooks that ask for some, and failures anywhere. Rules, no script."""

import inspect
import random
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from django.core.signals import got_request_exception

from hybrid_gateway import CORS, BackgroundTask, Depends, Gateway, JSONResponse, Response, StreamingResponse, get
from hybrid_gateway.endpoints.endpoint import AnsweredEarly
from hybrid_gateway.exceptions import Conflict, HTTPException
from hybrid_gateway.test import TestClient

SEEDS = range(60)


class Expected(Exception):
    """What is made to go wrong."""


class Value:
    """What a component gives: it must be open whenever anybody has it, and closed once."""

    def __init__(self, name: str, needs: list["Value"]) -> None:
        assert all(value.is_open for value in needs), f"{name} is made of something closed"
        self.name = name
        self.needs = needs
        self.is_open = True

    def close(self) -> None:
        assert self.is_open, f"{self.name} is closed twice"
        assert all(value.is_open for value in self.needs), f"{self.name} is closed after what it needs"
        self.is_open = False


class Made:
    """A route that was made at random, and what has happened in the request to it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.values: list[Value] = []
        self.log: list[str] = []
        self._providers: list[Any] = []
        for number in range(self._random.randint(1, 4)):
            self._providers.append(self._provider(f"c{number}"))
        self.route = self._route()

    def clear(self) -> None:
        self.values.clear()
        self.log.clear()

    def check(self) -> None:
        """Nothing is left open, nothing ran twice."""
        assert not [value.name for value in self.values if value.is_open]
        assert self.log.count("chunks") == self.log.count("chunks closed")
        used = [name for name in self.log if name.startswith("use ") and name != "use conflict"]  # of several errors
        assert len(used) == len(set(used))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _asking(self, function: Any, share: float, *, method: bool = False) -> Any:
        """``function`` with a signature that asks for some components by keyword."""
        asked = {
            f"p{number}": Annotated[Any, Depends(provider, use_cache=self._chance(0.9))]
            for number, provider in enumerate(self._providers)
            if self._chance(share)
        }
        own = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)] if method else []
        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in asked]
        function.__signature__ = inspect.Signature([*own, *parameters])
        function.__annotations__ = asked
        return function

    def _provider(self, name: str) -> Any:
        fails_early, fails_late = self._chance(0.06), self._chance(0.08)

        def make(needs: list[Value]) -> Value:
            if fails_early:
                raise Expected(name)
            self.values.append(Value(name, needs))
            return self.values[-1]

        def close(value: Value) -> None:
            value.close()
            if fails_late:
                raise Expected(f"close {name}")

        def generator(**needs: Value) -> Any:
            value = make([*needs.values()])
            try:
                yield value
            finally:
                close(value)

        async def agenerator(**needs: Value) -> Any:
            value = make([*needs.values()])
            try:
                yield value
            finally:
                close(value)

        chosen = self._random.choice([generator, agenerator])
        chosen.__qualname__ = name
        return self._asking(chosen, 0.5)

    def _function(self, name: str, outcome: Callable[[], Any], *, method: bool = False) -> Any:
        def use(values: dict[str, Value]) -> Any:
            self.log.append(f"use {name}")
            assert all(value.is_open for value in values.values()), f"{name} has something closed"
            return outcome()

        def function(*hook: Any, **values: Value) -> Any:
            return use(values)

        async def afunction(*hook: Any, **values: Value) -> Any:
            return use(values)

        return self._asking(self._random.choice([function, afunction]), 0.5, method=method)

    def _answer(self) -> Callable[[], Any]:
        def chunks() -> Any:
            self.log.append("chunks")
            try:
                yield b"x"
            finally:
                self.log.append("chunks closed")

        async def achunks() -> Any:
            for chunk in chunks():
                yield chunk

        answers: list[Callable[[], Any]] = [
            lambda: "text",
            lambda: Response(b"x", 201),
            lambda: JSONResponse({}),
            lambda: Response(b"x", background=BackgroundTask(len, "")),
            lambda: StreamingResponse(chunks()),
            lambda: StreamingResponse(achunks()),
        ]
        return self._random.choice(answers)

    def _outcome(self, *usual: Callable[[], Any]) -> Callable[[], Any]:
        error = self._random.choice([Conflict("expected"), Expected("function")])

        def raises() -> None:
            raise error.with_traceback(None)

        return self._random.choice([*usual, *usual, self._answer(), raises])

    def _route(self) -> Any:
        nothing: Callable[[], Any] = lambda: None  # noqa: E731
        options: dict[str, Any] = {
            "after_request": [self._function(f"after{n}", self._outcome(nothing)) for n in range(2)],
            "after_response": [self._function(f"sent{n}", self._outcome(nothing)) for n in range(2)],
            "before_request": [self._function("before", self._random.choice([nothing, nothing, self._answer()]))],
            "guards": [self._function("guard", self._random.choice([lambda: True, lambda: True, lambda: False]))],
            "event_hooks": [
                type(
                    f"Hook{n}",
                    (),
                    {
                        "on_request": self._function(f"in{n}", nothing, method=True),
                        "on_response": self._function(f"out{n}", self._outcome(nothing), method=True),
                    },
                )
                for n in range(2)
            ],
            "exception_handlers": {Conflict: self._function("conflict", self._answer())},
            "cors": CORS(["*"]),
            "etag": True,
            "timeout": 60,
        }
        kept = {name: value for name, value in options.items() if self._chance(0.5)}
        return get("/x", **kept)(self._function("handler", self._outcome(self._answer(), self._answer())))


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_rules_hold_for_random_routes(protocol, caplog):
    surprises: list[BaseException] = []

    def look(sender: Any, **kwargs: Any) -> None:
        error = sys.exc_info()[1]
        while error is not None:
            if not isinstance(error, Expected | HTTPException | AnsweredEarly):
                surprises.append(error)
            error = error.__cause__ or error.__context__

    got_request_exception.connect(look)
    try:
        for seed in SEEDS:
            made = Made(seed)
            client = TestClient(Gateway([made.route]), protocol=protocol, raise_request_exception=False)
            made.clear()
            assert client.get("/x").status_code in (200, 201, 304, 403, 409, 500), seed
            assert not surprises, (seed, surprises)
            made.check()
    finally:
        got_request_exception.disconnect(look)
