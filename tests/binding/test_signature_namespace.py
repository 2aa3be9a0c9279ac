"""``signature_namespace``: names that a module imports for type checkers alone."""

from __future__ import annotations

from decimal import Decimal as Money
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from hybrid_gateway import (
    Authentication,
    AuthenticationScheme,
    ConfigurationError,
    Controller,
    Depends,
    Gateway,
    Listener,
    Response,
    Router,
    get,
    listener,
    post,
    websocket,
)
from hybrid_gateway.conf import OpenAPISettings, get_settings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.test import TestClient

if TYPE_CHECKING:
    from django.http import HttpRequest

    from hybrid_gateway import QueryParams, Request, State, UploadFile, WebSocket
    from hybrid_gateway.http import Headers

    Order = Clock = Reply = Named = Any


class RealOrder(msgspec.Struct):
    number: int


class RealClock:
    now = 5


NAMES = {"Order": RealOrder, "Clock": RealClock, "Reply": Response}


@post("/", status_code=200)
def take(data: Order) -> list[Order]:
    return [data]


@pytest.mark.parametrize("layer", ["handler", "router", "controller", "gateway"])
def test_any_layer_says_what_a_name_means(serve, layer):
    if layer == "controller":

        class Orders(Controller):
            signature_namespace = NAMES

            @post("/", status_code=200)
            async def take(self, data: Order) -> list[Order]:
                return [data]

        client = serve(Orders)
    elif layer == "handler":
        client = serve(post("/", status_code=200, signature_namespace=NAMES)(lambda_of(take)))
    elif layer == "router":
        client = serve(Router("", [take], signature_namespace=NAMES))
    else:
        client = serve(take, signature_namespace=NAMES)
    assert client.post("/", json={"number": 3}).json() == [{"number": 3}]
    assert client.post("/", json={"number": "x"}).status_code == 422


def lambda_of(handler):
    def take(data: Order) -> list[Order]:
        return handler(data)

    return take


def test_it_is_for_hooks_guards_components_schemes_and_error_handlers_too(serve):
    seen = []

    def clock() -> Clock:
        return RealClock()

    def user(clock: Annotated[Clock, Depends(clock)]) -> str:
        return f"at {clock.now}"

    def guard(clock: Clock) -> bool:
        seen.append(("guard", clock.now))
        return True

    class Hook:
        def on_request(self, clock: Clock) -> None:
            seen.append(("hook", clock.now))

        def on_response(self, reply: Reply) -> None:
            reply.headers["X-Seen"] = "1"

    class Scheme(AuthenticationScheme):
        def authenticate(self, clock: Clock) -> Authentication | None:
            return Authentication(user=SimpleNamespace(pk=clock.now), scheme=self)

    def sorry(clock: Clock) -> tuple[str, int]:
        return f"at {clock.now}", 418

    @get("/")
    def handler(who: Annotated[str, Depends(user)], authentication: Authentication) -> str:
        return who

    @get("/failing")
    def failing() -> str:
        raise LookupError

    router = Router(
        "",
        [handler, failing],
        signature_namespace=NAMES,
        components=[clock],
        guards=[guard],
        event_hooks=[Hook],
        authentication=[Scheme()],
        exception_handlers={LookupError: sorry},
    )
    client = serve(router)
    answer = client.get("/")
    assert (answer.text, answer.headers["X-Seen"]) == ("at 5", "1")
    assert seen == [("hook", 5), ("guard", 5)]
    assert client.get("/failing").text == "at 5"


def test_two_layers_may_mean_two_things_by_one_name(serve):
    class Other(msgspec.Struct):
        name: str

    def note(response: Response, named: Annotated[Named, Depends(lambda: 1)]) -> None:
        response.headers["X-Named"] = str(named)

    @post("/", status_code=200, after_request=note)
    def handler(data: Order) -> Order:
        return data

    first = Router("/a", [handler], signature_namespace={"Order": RealOrder, "Named": int})
    second = Router("/b", [handler], signature_namespace={"Order": Other, "Named": object})
    client = serve(first, second)
    assert client.post("/a/", json={"number": 1}).json() == {"number": 1}
    assert client.post("/b/", json={"name": "x"}).json() == {"name": "x"}
    assert client.post("/b/", json={"number": 1}).status_code == 422


def test_a_name_of_the_module_itself_means_what_it_means_there(serve):
    @get("/")
    def handler(price: Money) -> str:
        return type(price).__name__

    assert serve(handler, signature_namespace={"Money": int}).get("/", params={"price": "1.5"}).text == "Decimal"


def test_without_it_the_remedy_is_told():
    with pytest.raises(ConfigurationError, match=r"signature_namespace=\{'Order': Order\}"):
        Gateway([take])


def test_the_document_and_websockets_know_the_names():
    @listener("/talk")
    def talk(data: Order) -> Order:
        return RealOrder(data.number + 1)

    class Lobby(Listener):
        path = "/lobby"

        def on_message(self, data: Order, clock: Clock) -> int:
            return data.number + clock.now

    def clock() -> Clock:
        return RealClock()

    gateway = Gateway([take, talk, Lobby], signature_namespace=NAMES, components=[clock])
    with TestClient(gateway).websocket("/talk") as socket:
        socket.send({"number": 1})
        assert socket.receive(RealOrder) == RealOrder(2)
    with TestClient(gateway).websocket("/lobby") as socket:
        socket.send({"number": 1})
        assert socket.receive(int) == 6
    document = build_document(gateway.endpoints, OpenAPISettings())
    assert "RealOrder" in document["components"]["schemas"]


def test_encoders_may_use_the_names(serve):
    class Amount:
        pass

    def encode(amount: Any) -> Order:
        return RealOrder(7)

    @get("/")
    def handler() -> Amount:
        return Amount()

    gateway = Gateway([handler], type_encoders={Amount: encode}, signature_namespace=NAMES)
    assert TestClient(gateway).get("/").json() == {"number": 7}
    document = build_document(gateway.endpoints, OpenAPISettings())
    assert "RealOrder" in document["components"]["schemas"]


def test_the_setting_imports_dotted_paths(settings):
    settings.HYBRID_GATEWAY = {"SIGNATURE_NAMESPACE": {"Money": "decimal.Decimal"}}
    assert get_settings().layer["signature_namespace"] == {"Money": Money}
    settings.HYBRID_GATEWAY = {"SIGNATURE_NAMESPACE": ["decimal.Decimal"]}
    with pytest.raises(ConfigurationError, match="a dict of names and objects"):
        get_settings()


# --- names that need nobody's word


@post("/usual/{name}")
def usual(
    request: Request,
    headers: Headers,
    query: QueryParams,
    state: State,
    visit: HttpRequest,
    file: UploadFile | None = None,
) -> list[str]:
    return [
        request.method,
        headers["x-a"],
        query["q"],
        state.name,
        visit.method,
        "no file" if file is None else "a file",
    ]


def test_names_of_the_package_are_known_without_a_word(serve):
    client = serve(usual, openapi=OpenAPISettings(enabled=True))
    client.gateway.state.name = "shop"
    answer = client.post("/usual/x?q=1", headers={"X-A": "2"})
    assert answer.json() == ["POST", "2", "1", "shop", "POST", "no file"]
    assert client.get("/openapi.json").status_code == 200


def test_so_are_those_of_a_websocket_and_of_the_gateway():
    @websocket("/socket")
    async def talk(socket: WebSocket, gateway: Gateway) -> None:
        await socket.send_text(str(len(gateway.websockets)))

    with TestClient(Gateway([talk])).websocket("/socket") as socket:
        assert socket.receive_text() == "1"


def test_a_layer_knows_better():
    @get("/named")
    def named(state: State) -> str:
        return state.whose

    def mine() -> SimpleNamespace:
        return SimpleNamespace(whose="the layer's")

    router = Router("", [named], signature_namespace={"State": SimpleNamespace}, components=[mine])
    assert TestClient(Gateway([router])).get("/named").text == "the layer's"
