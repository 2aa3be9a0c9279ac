"""What no answer can have as its status is told at start-up, or is a 500: no server ever sees it."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from hybrid_gateway import Gateway, HTTPException, JSONResponse, Response, Route, StreamingResponse, get
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.test import TestClient

NO_STATUSES: list[Any] = [2, 99, 100, 101, 199, 600, 999, 1000, -1, True]


def routes(status: Any) -> list[Any]:
    """A route per way in which a handler names its status."""

    @get("/pair")
    def pair() -> tuple[int, int]:
        return 1, status

    @get("/pair-of-dict")
    async def pair_of_dict() -> tuple[dict[str, int], int]:
        return {"a": 1}, status

    @get("/response")
    def response() -> Response:
        return Response("text", status_code=status)

    @get("/json")
    async def json() -> JSONResponse:
        return JSONResponse({}, status)

    @get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"text"]), status)

    @get("/raised")
    def raised() -> None:
        raise HTTPException(status, "words")

    @get("/asked")
    async def asked(response: Response) -> int:
        response.status_code = status
        return 1

    @get("/asked-beside")
    def asked_beside(response: Response) -> JSONResponse:
        response.status_code = status
        return JSONResponse({})

    return [pair, pair_of_dict, response, json, stream, raised, asked, asked_beside]


@pytest.mark.parametrize("status", NO_STATUSES)
def test_what_is_no_status_is_a_500(serve: Callable[..., TestClient], status: Any) -> None:
    declared = routes(status)
    client = serve(*declared, raises=False)
    answers = {route.paths[0]: client.get(route.paths[0]).status_code for route in declared}
    assert set(answers.values()) == {500}, answers


@pytest.mark.parametrize("status", [200, 299, 418, 599, HTTPStatus.ACCEPTED])
def test_what_is_one_is_answered(serve: Callable[..., TestClient], status: int) -> None:
    declared = routes(status)
    client = serve(*declared, raises=False)
    answers = {route.paths[0]: client.get(route.paths[0]).status_code for route in declared if status != 299}
    assert set(answers.values()) <= {status}, answers


def test_a_pair_of_numbers_is_told_what_it_is() -> None:
    with pytest.raises(ValueError, match=r"For a pair of values annotate a Struct, or a list\."):
        TestClient(Gateway(routes(7))).get("/pair")


@pytest.mark.parametrize("status", [*NO_STATUSES, 0, "200", 200.0])
def test_a_declared_one_is_told_at_start_up(status: Any) -> None:
    with pytest.raises(RouteError, match=r"Route '/x' for .*: status_code=.* cannot be answered\."):
        Route("/x", lambda: 1, status_code=status)
