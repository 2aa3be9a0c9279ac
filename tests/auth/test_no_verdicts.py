"""What is no verdict opens no door: generators, coroutines nobody awaits, guards of guards. What hooks may be."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model

from hybrid_gateway import Controller, Depends, Gateway, Request, Response, get, http
from hybrid_gateway.auth import AllOf, AnyOf, Authentication, AuthenticationScheme, IsAuthenticated
from hybrid_gateway.exceptions import ConfigurationError, Conflict, Unauthorized

User = get_user_model()


async def refuses() -> bool:
    return False


def without_wraps(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda: function()


def awaiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """An asynchronous decorator, of a guard of either kind."""

    @functools.wraps(function)
    async def inner(*args: Any, **keywords: Any) -> Any:
        verdict = function(*args, **keywords)
        return await verdict if hasattr(verdict, "__await__") else verdict

    return inner


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **keywords: Any) -> Any:
        return function(*args, **keywords)

    return inner


class Unwaited:
    def __call__(self) -> Any:
        return refuses()


NO = {
    "false": (lambda: False, 403),
    "nought": (lambda: 0, 403),
    "empty": (lambda: "", 403),
    "coroutine": (lambda: refuses(), 500),
    "no wraps": (without_wraps(refuses), 500),
    "object": (Unwaited(), 500),
    "class": (Unwaited, 500),
    "generator": (lambda: (entry for entry in ()), 500),
    "factory": (lambda: lambda: False, 500),
    "another guard": (lambda: IsAuthenticated, 500),
    "awaiting": (awaiting(refuses), 403),
    "awaiting a def": (awaiting(lambda: False), 403),
    "passing on": (passing_on(refuses), 403),
    "twice": (passing_on(awaiting(lambda: False)), 403),
}
YES = {"none": lambda: None, "true": lambda: True, "value": lambda: "yes", "awaiting": awaiting(lambda: True)}


@pytest.mark.parametrize(
    "around", [lambda guard: guard, lambda guard: AnyOf(guard, lambda: False), lambda guard: AllOf(guard, lambda: True)]
)
def test_only_a_verdict_lets_pass(serve, around):
    def page() -> str:
        return "page"

    routes = [get(f"/no/{name}", guards=[around(guard)], name=f"no {name}")(page) for name, (guard, _) in NO.items()]
    routes += [get(f"/yes/{name}", guards=[around(guard)], name=f"yes {name}")(page) for name, guard in YES.items()]
    client = serve(*routes, raises=False)
    assert {name: client.get(f"/no/{name}").status_code for name in NO} == {
        name: told for name, (_, told) in NO.items()
    }
    assert {client.get(f"/yes/{name}").status_code for name in YES} == {200}


class Unfinished(AuthenticationScheme):
    def __init__(self, gives: Callable[[], Any]) -> None:
        self.gives = gives

    def authenticate(self, headers: http.Headers) -> Any:
        return self.gives()


@pytest.mark.parametrize("gives", [refuses, lambda: True, lambda: (User(), "token"), lambda: User()])
def test_only_an_authentication_is_one(serve, gives):
    @get("/guarded", guards=[IsAuthenticated])
    def guarded() -> str:
        return "guarded"

    @get("/mine")
    def mine(user: User) -> str:
        return "mine"

    @get("/asking")
    def asking(authentication: Authentication) -> str:
        return "asking"

    client = serve(guarded, mine, asking, authentication=[Unfinished(gives)], raises=False)
    assert [client.get(path).status_code for path in ("/guarded", "/mine", "/asking")] == [500] * 3


# --- told at start-up


def generator() -> Iterator[bool]:
    yield False


async def agenerator() -> AsyncIterator[bool]:
    yield False


class Generating:
    def __call__(self) -> Iterator[bool]:
        yield False


def of_hook(name: str, function: Any) -> dict[str, Any]:
    return {"event_hooks": [type("Hook", (), {name: staticmethod(function)})]}


class GeneratingScheme(AuthenticationScheme):
    def authenticate(self, headers: http.Headers) -> Any:
        yield None


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "guards": lambda function: {"guards": [function]},
    "a guard of guards": lambda function: {"guards": [AnyOf(function, IsAuthenticated())]},
    "before_request": lambda function: {"before_request": function},
    "after_request": lambda function: {"after_request": [function]},
    "after_response": lambda function: {"after_response": function},
    "on_request": lambda function: of_hook("on_request", function),
    "on_response": lambda function: of_hook("on_response", function),
    "on_error": lambda function: of_hook("on_error", function),
    "on_startup": lambda function: {"on_startup": [function]},
    "on_shutdown": lambda function: {"on_shutdown": function},
}


@pytest.mark.parametrize("function", [generator, agenerator, Generating(), functools.partial(generator)])
@pytest.mark.parametrize("place", PLACES)
def test_a_generator_where_nobody_runs_it_is_told(place, function):
    @get("/page")
    def page() -> str:
        return "page"

    with pytest.raises(ConfigurationError, match="has a `yield`"):
        Gateway([page], **PLACES[place](function))


def test_a_scheme_that_is_a_generator_is_told():
    @get("/page")
    def page(user: User) -> str:
        return "page"

    with pytest.raises(ConfigurationError, match=r"GeneratingScheme\.authenticate has a `yield`"):
        Gateway([page], authentication=[GeneratingScheme()])


# --- methods of all kinds


class Methods:
    @classmethod
    def on_request(cls, request: Request) -> None:
        request.state.by = cls.__name__

    @staticmethod
    async def on_response(request: Request, response: Response) -> None:
        response.headers["X-By"] = request.state.by

    @staticmethod
    def on_error(error: Exception, response: Response) -> None:
        response.headers["X-Error"] = type(error).__name__


@pytest.mark.parametrize("entry", [Methods, Methods()])
def test_methods_of_hooks_may_be_static_or_of_the_class(serve, entry):
    @get("/page")
    def page() -> str:
        return "page"

    @get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    client = serve(page, broken, event_hooks=[entry], raises=False)
    assert client.get("/page").headers["X-By"] == "Methods"
    assert client.get("/broken").headers["X-Error"] == "ZeroDivisionError"


class Desk(Controller):
    path = "/desk"
    name = "desk of Ada"

    def before_request(self, request: Request) -> None:
        request.state.seen = [self.name]

    @staticmethod
    def after_request(response: Response, request: Request) -> None:
        response.headers["X-Seen"] = ", ".join(request.state.seen)

    @classmethod
    def after_response(cls, request: Request) -> None:
        request.state.seen.append(cls.path)

    def _is_open(self, path: http.Path, request: Request) -> bool:
        request.state.seen.append("guard")
        return path != f"{self.path}/closed"

    def _taken(self) -> tuple[str, int]:
        return self.name, 409

    guards = [_is_open]
    exception_handlers = {Conflict: _taken}

    @get(["/open", "/closed"])
    def look(self) -> str:
        return self.name

    @get("/taken")
    def taken(self) -> str:
        raise Conflict


def test_functions_in_the_body_of_a_controller_are_its_methods(serve):
    client = serve(Desk)
    assert client.get("/desk/open").headers["X-Seen"] == "desk of Ada, guard"
    assert client.get("/desk/closed").status_code == 403
    assert (client.get("/desk/taken").status_code, client.get("/desk/taken").text) == (409, "desk of Ada")


# --- after an error


def test_work_after_a_refusal_that_asks_for_what_is_not_there_is_left_out(serve, caplog):
    seen = []

    def fails() -> int:
        raise Conflict("taken")

    def with_component(value: Annotated[int, Depends(fails)]) -> None:
        seen.append(value)

    def with_user(user: User) -> None:
        seen.append(user)

    def always() -> None:
        seen.append("always")

    def other() -> None:
        raise Unauthorized("something else")

    class Nobody(AuthenticationScheme):
        def authenticate(self, headers: http.Headers) -> None:
            return None

    @get("/component", after_response=[with_component, always])
    def component(value: Annotated[int, Depends(fails)]) -> str:
        return "component"

    @get("/user", authentication=[Nobody()], after_response=[with_user, always])
    def user(user: User) -> str:
        return "user"

    @get("/other", authentication=[Nobody()], after_response=[other, always])
    def asks(user: User) -> str:
        return "other"

    client = serve(component, user, asks)
    assert [client.get(path).status_code for path in ("/component", "/user")] == [409, 401]
    assert seen == ["always", "always"]
    assert not caplog.records
    serve(component, user, asks, raises=False).get("/other")
    assert [record.message for record in caplog.records] == ["Work after the answer of asks failed: GET /other"]
