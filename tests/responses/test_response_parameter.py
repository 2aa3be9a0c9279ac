"""A handler, a guard or a component that asks for the Response adds headers, cookies or a status to the answer."""

from typing import Annotated, Any

import pytest

from hybrid_gateway import BackgroundTask, Depends, Gateway, Response, get
from hybrid_gateway.headers import JSON, MESSAGEPACK

ran: list[str] = []


def visits(response: Response) -> int:
    response.set_cookie("visits", "3")
    return 3


@get("/")
async def asynchronous(response: Response[Any], count: Annotated[int, Depends(visits)]) -> dict[str, int]:
    response.headers["X-Count"] = str(count)
    response.status_code = 202
    response.background = BackgroundTask(ran.append, "async")
    return {"count": count}


@get("/")
def synchronous(response: Response[Any], count: Annotated[int, Depends(visits)]) -> dict[str, int]:
    response.headers["X-Count"] = str(count)
    response.status_code = 202
    response.background = BackgroundTask(ran.append, "def")
    return {"count": count}


@pytest.mark.parametrize("handler", [asynchronous, synchronous])
def test_what_is_said_of_the_response_goes_into_the_answer(serve, handler):
    ran.clear()
    answer = serve(handler).get("/")
    assert (answer.status_code, answer.json(), answer.headers["X-Count"]) == (202, {"count": 3}, "3")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.cookies["visits"].value == "3"
    assert len(ran) == 1


def test_a_guard_may_ask_for_it_too_and_the_status_stays_the_verbs(serve):
    def stamp(response: Response) -> bool:
        response.headers["X-Guarded"] = "yes"
        return True

    @get("/", guards=[stamp], media_types=[JSON, MESSAGEPACK])
    async def handler() -> dict[str, int]:
        return {}

    @get("/own", guards=[stamp])
    async def own() -> Response[str]:
        return Response("mine", 201)

    client = serve(handler, own)
    answer = client.get("/")
    assert (answer.status_code, answer.headers["X-Guarded"], answer.headers["Vary"]) == (200, "yes", "Accept")
    answer = client.get("/own")
    assert (answer.status_code, answer.headers["X-Guarded"], answer.text) == (201, "yes", "mine")


def test_a_route_that_does_not_ask_pays_nothing():
    @get("/")
    async def handler() -> dict[str, int]:
        return {}

    assert "change" not in Gateway([handler]).routes[0].source
