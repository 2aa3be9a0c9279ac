"""Cross-origin requests: preflights, the headers of every answer, and layers."""

import pytest

from hybrid_gateway import CORS, ConfigurationError, Response, Route, Router, StreamingResponse, get, post, put
from hybrid_gateway.exceptions import Conflict

SHOP = "https://shop.example"
ORIGIN = {"Origin": SHOP}


@pytest.fixture(params=["async", "def"])
def handler(request):
    async def asynchronous(fail: str = "") -> dict[str, int]:
        if fail == "crash":
            raise ValueError
        if fail:
            raise Conflict
        return {"a": 1}

    def synchronous(fail: str = "") -> dict[str, int]:
        if fail == "crash":
            raise ValueError
        if fail:
            raise Conflict
        return {"a": 1}

    return asynchronous if request.param == "async" else synchronous


def preflight(client, path="/", method="PUT", origin=SHOP, **headers):
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method, **headers})


def test_every_answer_of_a_route_carries_the_headers(serve, handler):
    client = serve(Route("/", handler, cors=CORS([SHOP], expose=["X-Total"])), raises=False)
    for path, status in (("/", 200), ("/?fail=yes", 409), ("/?fail=crash", 500)):
        answer = client.get(path, headers=ORIGIN)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, SHOP)
        assert (answer.headers["Access-Control-Expose-Headers"], answer.headers["Vary"]) == ("X-Total", "Origin")
        assert "Access-Control-Allow-Credentials" not in answer.headers
    answer = client.put("/", headers=ORIGIN)
    assert (answer.status_code, "Access-Control-Allow-Origin" in answer.headers) == (405, False)  # no route's answer


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://shop.example.evil", "http://shop.example", "null", ""]
)
def test_other_origins_get_nothing(serve, handler, origin):
    client = serve(Route("/", handler, methods=["PUT"], cors=CORS([SHOP])))
    for answer in (client.put("/", headers={"Origin": origin}), preflight(client, origin=origin), client.put("/")):
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        assert answer.headers["Vary"].startswith("Origin")


def test_a_preflight(serve, handler):
    routes = [Route("/", handler, methods=["PUT", "GET"]), Route("/", handler, methods=["POST"], name="other")]
    client = serve(Router("", routes, cors=CORS([SHOP], credentials=True, max_age=60)))
    answer = preflight(client, **{"Access-Control-Request-Headers": "authorization, x-a"})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, PUT"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-a"
    assert answer.headers["Access-Control-Max-Age"] == "60"
    assert "Access-Control-Request-Headers" in answer.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in preflight(client, method="DELETE").headers
    plain = client.options("/")
    assert (plain.status_code, "Access-Control-Allow-Methods" in plain.headers) == (204, False)
    assert plain.headers["Allow"] == "GET, HEAD, OPTIONS, POST, PUT"


def test_a_list_of_headers_is_all_a_page_may_send(serve, handler):
    client = serve(Route("/", handler, methods=["PUT"], cors=CORS([SHOP], headers=["X-A", "Content-Type"])))
    answer = preflight(client, **{"Access-Control-Request-Headers": "x-b"})
    assert answer.headers["Access-Control-Allow-Headers"] == "X-A, Content-Type"


def test_everybody_means_a_star(serve, handler):
    client = serve(Route("/", handler, cors=CORS(["*"])))
    answer = client.get("/", headers={"Origin": "null"})
    assert (answer.headers["Access-Control-Allow-Origin"], "Vary" in answer.headers) == ("*", False)


def test_the_closest_layer_wins_and_the_gateways_covers_what_no_route_answers(serve, handler):
    inner = Route("/inner", handler, cors=CORS(["https://inner.example"]))
    none = Route("/none", handler, cors=None)
    client = serve(inner, none, Route("/outer", handler), cors=CORS([SHOP]))
    found = {path: client.get(path, headers=ORIGIN).headers.get("Access-Control-Allow-Origin") for path in
             ("/inner", "/none", "/outer", "/nowhere")}  # fmt: skip
    assert found == {"/inner": None, "/none": None, "/outer": SHOP, "/nowhere": SHOP}
    assert client.put("/outer", headers=ORIGIN).headers["Access-Control-Allow-Origin"] == SHOP  # 405


def test_responses_and_streams(serve):
    @get("/response")
    def response() -> Response:
        return Response("x", headers={"Vary": "Accept"})

    @post("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a"]))

    client = serve(response, stream, cors=CORS([SHOP]))
    assert client.get("/response", headers=ORIGIN).headers["Access-Control-Allow-Origin"] == SHOP
    answer = client.post("/stream", headers=ORIGIN)
    assert (answer.text, answer.headers["Access-Control-Allow-Origin"]) == ("a", SHOP)


def test_a_refused_request_carries_the_headers(serve):
    @put("/")
    def handler(number: int) -> None: ...

    answer = serve(handler, cors=CORS([SHOP])).put("/?number=x", headers=ORIGIN)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (422, SHOP)


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/", "https://*.example", "https://a b", "null", "https://", ""]
)
def test_what_is_no_origin_is_told(origin):
    with pytest.raises(ConfigurationError):
        CORS([origin])


def test_credentials_for_everybody_are_refused():
    with pytest.raises(ConfigurationError, match="list origins"):
        CORS(["*"], credentials=True)
    with pytest.raises(ConfigurationError, match="must be a list"):
        CORS("https://shop.example")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no name of a header"):
        CORS([SHOP], expose=["X A"])
