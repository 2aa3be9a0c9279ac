"""Hooks: what runs before a handler, after it, and once the answer is out, on every layer and driver."""

from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User

from hybrid_gateway import (
    BackgroundTask,
    ConfigurationError,
    Controller,
    Depends,
    Gateway,
    JSONResponse,
    Request,
    Response,
    Route,
    Router,
    State,
    StreamingResponse,
    get,
    http,
    post,
)
from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.exceptions import Conflict


def noting(log, name):
    """An event hook that notes when it runs."""

    class Noting:
        def __init__(self):
            self.path = None

        def on_request(self, path: http.Path):
            self.path = path
            log.append(f"{name} request {path}")

        async def on_response(self, response: Response):
            log.append(f"{name} response {self.path} {response.status_code}")

        def on_error(self, error: Exception, response: Response):
            log.append(f"{name} error {self.path} {error} {response.status_code}")

    return Noting


@pytest.fixture(params=["async", "def"])
def view(request):
    """A handler, asynchronous or not, that says hello, or raises."""

    def make(log):
        def handler(fail: str = "") -> str:
            log.append("handler")
            if fail == "crash":
                raise ValueError("crash")
            if fail:
                raise Conflict
            return "hello"

        async def asynchronous(fail: str = "") -> str:
            return handler(fail)

        return asynchronous if request.param == "async" else handler

    return make


# --- event hooks ---------------------------------------------------------------------------------------------------


def test_event_hooks_run_in_order_and_reversed_on_the_way_out(serve, view):
    log = []

    class Inside(Controller):
        event_hooks = [noting(log, "controller")]

        @get("/x", event_hooks=[noting(log, "handler")])
        def handler(self) -> str:
            log.append("runs")
            return ""

    client = serve(Router("", [Inside], event_hooks=[noting(log, "router")]), event_hooks=[noting(log, "gateway")])
    assert client.get("/x").status_code == 200
    layers = ["gateway", "router", "controller", "handler"]
    entered = [f"{layer} request /x" for layer in layers]
    assert log == [*entered, "runs", *[f"{layer} response /x 200" for layer in reversed(layers)]]


def test_an_answer_to_an_expected_error_is_a_response_and_a_crash_an_error(serve, view):
    log = []
    client = serve(Route("/x", view(log), event_hooks=[noting(log, "hook")]), raises=False)
    assert client.get("/x").text == "hello"
    assert client.get("/x?fail=yes").status_code == 409
    assert client.get("/x?fail=crash").status_code == 500
    assert log == [
        "hook request /x", "handler", "hook response /x 200",
        "hook request /x", "handler", "hook response /x 409",
        "hook request /x", "handler", "hook error /x crash 500",
    ]  # fmt: skip


def test_only_hooks_that_were_entered_are_left(serve, view):
    log = []

    class Refusing:
        def on_request(self):
            raise Conflict

        def on_response(self):
            log.append("never")

    client = serve(Route("/x", view(log), event_hooks=[noting(log, "outer"), Refusing, noting(log, "inner")]))
    assert client.get("/x").status_code == 409
    assert log == ["outer request /x", "outer response /x 409"]


def test_a_hook_that_fails_on_the_way_out_makes_another_answer(serve, view):
    log = []

    class Failing:
        def on_response(self):
            raise ValueError("in a hook")

    client = serve(Route("/x", view(log), event_hooks=[noting(log, "outer"), Failing]), raises=False)
    assert client.get("/x").status_code == 500
    assert log == ["outer request /x", "handler", "outer error /x in a hook 500"]


def test_a_hook_may_change_the_response_or_replace_it(serve, view):
    class Stamp:
        def on_response(self, response: Response, request: Request):
            response.headers["X-Method"] = request.method
            response.set_cookie("seen", "1")

    class Replace:
        async def on_response(self, response: Response):
            return JSONResponse({"was": response.body.decode()}, status_code=202)

    answer = serve(Route("/x", view([]), event_hooks=[Stamp])).get("/x")
    assert (answer.text, answer.headers["X-Method"], answer.cookies["seen"].value) == ("hello", "GET", "1")
    assert answer.headers["Content-Length"] == "5"
    answer = serve(Route("/x", view([]), event_hooks=[Stamp, Replace])).get("/x")
    assert (answer.status_code, answer.json(), answer.headers["X-Method"]) == (202, {"was": "hello"}, "GET")


def test_a_hook_sees_requests_that_authentication_refuses(serve, view):
    log = []
    options = {"authentication": [BasicAuthentication()], "event_hooks": [noting(log, "hook")]}

    @get("/x", **options)
    def handler(user: User) -> None: ...

    assert serve(handler).get("/x").status_code == 401
    assert log == ["hook request /x", "hook response /x 401"]


def test_an_instance_serves_all_requests_and_a_class_one(serve, view):
    class Counting:
        count = 0

        def on_request(self, state: State):
            self.count += 1
            state.seen = self.count

    shared = Counting()
    client = serve(Route("/x", view([]), event_hooks=[shared, Counting]))
    for _ in range(3):
        client.get("/x")
    assert shared.count == 3
    assert client.gateway.state.seen == 1


def test_event_hooks_of_the_settings(settings, client):
    from hybrid_gateway.gateway.settings_gateway import default_gateway

    settings.HYBRID_GATEWAY = {**settings.HYBRID_GATEWAY, "EVENT_HOOKS": ["tests.endpoints.test_hooks.Stamping"]}
    from hybrid_gateway.test import TestClient

    gateway = default_gateway()
    route = next(route for route in gateway.routes if "{" not in route.path and "GET" in route.methods)
    assert TestClient(gateway).get(route.path).headers["X-Stamped"] == "yes"


class Stamping:
    def on_response(self, response: Response):
        response.headers["X-Stamped"] = "yes"


# --- functions -----------------------------------------------------------------------------------------------------


def test_before_request_may_answer(serve, view):
    log = []

    def first(page: int = 0) -> None:
        log.append(f"first {page}")

    async def second(page: int = 0):
        return {"page": page} if page else None

    client = serve(Route("/x", view(log), before_request=[first, second]))
    assert client.get("/x").text == "hello"
    assert client.get("/x?page=3").json() == {"page": 3}
    assert log == ["first 0", "handler", "first 3"]


def test_what_before_request_entered_is_left_when_it_answers(serve, view):
    log = []

    def resource():
        yield 1
        log.append("left")

    def before(value: Annotated[int, Depends(resource)]) -> str:
        return f"early {value}"

    after = noting(log, "hook")
    assert serve(Route("/x", view(log), before_request=before, event_hooks=[after])).get("/x").text == "early 1"
    assert log == ["hook request /x", "left", "hook response /x 200"]


def test_after_request_sees_every_answer_and_may_replace_it(serve, view):
    def outer(response: Response) -> None:
        response.headers["X-Outer"] = response.headers.get("X-Inner", "none")

    async def inner(response: Response) -> Response | None:
        response.headers["X-Inner"] = str(response.status_code)
        return None

    client = serve(Router("", [Route("/x", view([]), after_request=inner)], after_request=[outer]))
    assert client.get("/x").headers["X-Outer"] == "200"
    assert client.get("/x?fail=yes").headers["X-Outer"] == "409"
    assert client.get("/x?fail=yes").json()["status"] == 409


def test_after_response_runs_once_the_answer_is_out(serve, view):
    log = []

    def synchronous(response: Response) -> None:
        log.append(f"def {response.status_code}")

    async def asynchronous(path: http.Path) -> None:
        log.append(f"async {path}")

    client = serve(Route("/x", view(log), after_response=[synchronous, asynchronous]))
    assert client.get("/x").text == "hello"
    assert log == ["handler", "async /x", "def 200"]
    assert client.get("/x?fail=yes").status_code == 409
    assert log[3:] == ["handler", "async /x", "def 409"]


def test_after_response_follows_a_background_task_and_a_stream(serve):
    log = []

    @get("/task")
    def task() -> Response:
        return Response("x", background=BackgroundTask(log.append, "task"))

    @get("/stream")
    def stream() -> StreamingResponse:
        def chunks():
            yield "a"
            log.append("last chunk")

        return StreamingResponse(chunks())

    def after() -> None:
        log.append("after")

    client = serve(task, stream, after_response=after)
    assert client.get("/task").text == "x"
    assert client.get("/stream").text == "a"
    assert log == ["task", "after", "last chunk", "after"]


def test_hooks_see_a_streaming_response_before_it_streams(serve):
    @get("/")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    def stamp(response: Response) -> None:
        response.headers["X-Stamp"] = type(response).__name__

    answer = serve(stream, after_request=stamp).get("/")
    assert (answer.text, answer.headers["X-Stamp"]) == ("ab", "StreamingResponse")


# --- mistakes ------------------------------------------------------------------------------------------------------


def test_what_is_no_hook_is_told_at_start_up(view):
    class Nothing: ...

    class Needy:
        def __init__(self, argument): ...

        def on_request(self): ...

    class Body:
        def on_request(self, data: dict): ...

    for hook, message in [(Nothing, "none of on_request"), (Needy, "without arguments"), (Body, "request body")]:
        with pytest.raises(ConfigurationError, match=message):
            Gateway([Route("/x", view([]), methods=["POST"], event_hooks=[hook])])


def test_a_route_without_hooks_pays_nothing():
    @post("/")
    async def handler() -> None: ...

    (route,) = [route for route in Gateway([handler]).routes if route.path == "/"]
    assert "enter" not in route.source
    assert "leave" not in route.source


def test_a_hook_may_say_what_is_in_the_response(serve):
    def stamp(response: Response[Any]) -> None:
        response.headers["X-Stamp"] = "1"

    @get("/", after_request=stamp)
    async def view() -> str:
        return "x"

    assert serve(view).get("/").headers["X-Stamp"] == "1"
