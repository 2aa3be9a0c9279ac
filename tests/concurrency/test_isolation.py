"""Nothing that one request sets is seen by the next: users, languages, time zones, prefixes, context variables."""

import asyncio
import contextvars
import gc
import io
import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor
from wsgiref.util import setup_testing_defaults

import msgspec
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path, reverse
from django.utils import timezone, translation

from hybrid_gateway import Gateway, StreamingResponse, get, http

NUMBER = 500
LANGUAGES = ["de", "fr", "es", "pt-br", "ja"]
ZONES = ["Europe/Athens", "Asia/Tokyo", "America/Lima", "Africa/Lagos"]
NOBODY = ["nobody", "en-us", "America/Chicago"]

current_user: contextvars.ContextVar[str] = contextvars.ContextVar("current_user", default="nobody")


def surroundings() -> list[str]:
    return [current_user.get(), translation.get_language(), timezone.get_current_timezone_name()]


def settle_in(user: str, language: str, zone: str) -> None:
    current_user.set(user)
    translation.activate(language)
    timezone.activate(zone)


class Report(msgspec.Struct):
    """What a request found, what it saw of its own settings after others ran, and a URL that it reversed."""

    before: list[str]
    after: list[str]
    url: str


@get("/sync")
def sync_handler(user: str, language: str, zone: str) -> Report:
    before = surroundings()
    settle_in(user, language, zone)
    time.sleep(random.random() * 0.001)
    return Report(before, surroundings(), reverse("view"))


async def visit(user: str, language: str, zone: str) -> Report:
    before = surroundings()
    settle_in(user, language, zone)
    await asyncio.sleep(random.random() * 0.002)
    assert await sync_to_async(surroundings)() == surroundings()
    await asyncio.sleep(random.random() * 0.002)
    return Report(before, surroundings(), reverse("view"))


@get("/async")
async def async_handler(user: str, language: str, zone: str) -> Report:
    return await visit(user, language, zone)


@get("/mixed")
def mixed_handler(user: str, language: str, zone: str) -> Report:
    return async_to_sync(visit)(user, language, zone)


@get("/stream")
def stream(user: str, language: str, zone: str) -> StreamingResponse:
    before = surroundings()

    def chunks():
        settle_in(user, language, zone)
        yield b""
        time.sleep(random.random() * 0.001)
        yield msgspec.json.encode(Report(before, surroundings(), reverse("view")))

    return StreamingResponse(chunks())


def view(request):
    report = sync_handler(*(request.GET[name] for name in ("user", "language", "zone")))
    return HttpResponse(msgspec.json.encode(report))


async def async_view(request):
    report = await visit(*(request.GET[name] for name in ("user", "language", "zone")))
    return HttpResponse(msgspec.json.encode(report))


def activating_middleware(get_response):
    """What LocaleMiddleware and time zone middleware of projects do: activate, and never look back."""

    def middleware(request):
        if request.path_info == "/django/middleware":
            request.before = surroundings()
            settle_in(*(request.GET[name] for name in ("user", "language", "zone")))
        return get_response(request)

    return middleware


def view_below_middleware(request):
    time.sleep(random.random() * 0.001)
    return HttpResponse(msgspec.json.encode(Report(request.before, surroundings(), reverse("view"))))


urlpatterns = [
    path("django/sync", view, name="view"),
    path("django/async", async_view),
    path("django/middleware", view_below_middleware),
]

PATHS = ["/sync", "/async", "/mixed", "/stream", "/django/sync", "/django/async", "/django/middleware"]


@pytest.fixture
def gateway():
    middleware = ["tests.concurrency.test_isolation.activating_middleware"]
    with override_settings(ROOT_URLCONF="tests.concurrency.test_isolation", MIDDLEWARE=middleware, ALLOWED_HOSTS=["*"]):
        gateway = Gateway([sync_handler, async_handler, mixed_handler, stream], django_routes=["/django/"], threads=4)
        yield gateway
        gateway.pools.typed.close()
        gateway.pools.streams.close()
        gateway.loop_thread.close()


def expected(number):
    language, zone = LANGUAGES[number % len(LANGUAGES)], ZONES[number % len(ZONES)]
    prefix = ["", "/app", "/shop/eu"][number % 3]
    return [f"user{number}", language, zone], prefix


def requests():
    """Path, query and script prefix of many requests, each with a user, a language and a zone of its own."""
    for number, path_info in zip(range(NUMBER), itertools.cycle(PATHS), strict=False):
        (user, language, zone), prefix = expected(number)
        yield path_info, f"user={user}&language={language}&zone={zone}", prefix


def check(reports):
    """Every request found nothing of another and kept what was its own."""
    assert len(reports) == NUMBER
    for number, report in enumerate(reports):
        found = msgspec.json.decode(report, type=Report)
        own, prefix = expected(number)
        assert found.before == NOBODY, f"request {number} to {PATHS[number % len(PATHS)]}"
        assert found.after == own, f"request {number} to {PATHS[number % len(PATHS)]}"
        assert found.url == f"{prefix}/django/sync", f"request {number} to {PATHS[number % len(PATHS)]}"
    assert surroundings() == NOBODY


async def answer(gateway, path_info, query, prefix, when_sent=None):
    """The body that a server would get for one request; ``when_sent()`` is called with the last of it."""
    scope = {"type": "http", "method": "GET", "path": prefix + path_info, "root_path": prefix, "scheme": "http"}
    scope |= {"query_string": query.encode(), "headers": [(b"host", b"testserver")], "http_version": "1.1"}
    scope |= {"raw_path": scope["path"].encode(), "server": ("testserver", 80), "client": ("192.0.2.1", 1)}
    messages, chunks = [{"type": "http.request", "body": b"", "more_body": False}], []

    async def receive():
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    async def send(message):
        chunks.append(message.get("body", b""))
        if when_sent is not None and message["type"] == "http.response.body" and not message.get("more_body"):
            when_sent()

    await gateway(scope, receive, send)
    return b"".join(chunks)


@pytest.mark.parametrize("at_once", [1, 50])
def test_over_asgi_no_request_sees_what_another_has_set(gateway, at_once):
    async def main():
        places = asyncio.Semaphore(at_once)

        async def one(request):
            async with places:
                return await answer(gateway, *request)

        return await asyncio.gather(*(asyncio.create_task(one(request)) for request in requests()))

    check(asyncio.run(main()))


def test_over_asgi_a_pipelined_request_sees_nothing_of_the_one_before_it(gateway):
    """uvicorn starts it while it sends the last of the answer before it, in the context of that request."""

    async def main():
        waiting, tasks = iter([r for r in requests() if r[0] in ("/async", "/django/async", "/sync")]), []

        def start():
            if (request := next(waiting, None)) is not None:
                tasks.append(asyncio.create_task(answer(gateway, *request, start)))

        start()
        answers = [await task for task in itertools.takewhile(bool, _growing(tasks))]
        return [msgspec.json.decode(body, type=Report) for body in answers]

    reports = asyncio.run(main())
    assert len(reports) > 200
    for report in reports:
        # What a context variable holds is the project's: nobody can tell who has set it, a middleware or a handler.
        assert report.before[1:] == NOBODY[1:]
        assert report.url.endswith("/django/sync")


def _growing(tasks):
    position = 0
    while position < len(tasks):
        yield tasks[position]
        position += 1


def test_over_asgi_a_request_inside_a_handler_changes_nothing_there(gateway):
    async def main():
        settle_in("outer", "ja", "Asia/Tokyo")

        @get("/outer")
        async def outer() -> list[list[str]]:
            settle_in("outer", "ja", "Asia/Tokyo")
            inner = msgspec.json.decode(await answer(gateway, "/async", "user=u&language=de&zone=Africa/Lagos", "/app"))
            return [inner["before"], inner["after"], surroundings(), [reverse("view")]]

        return msgspec.json.decode(await answer(Gateway([outer]), "/outer", "", "/shop"))

    before, after, around, url = asyncio.run(main())
    assert before == ["outer", *NOBODY[1:]]
    assert after == ["u", "de", "Africa/Lagos"]
    assert around == ["outer", "ja", "Asia/Tokyo"]
    assert url == ["/shop/django/sync"]


def call(application, path_info, query, prefix):
    environ = {"wsgi.input": io.BytesIO(), "PATH_INFO": path_info, "SCRIPT_NAME": prefix, "QUERY_STRING": query}
    setup_testing_defaults(environ)
    body = application(environ, lambda status, headers, exc_info=None: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


@pytest.mark.parametrize("workers", [1, 8])
def test_over_wsgi_no_request_sees_what_another_has_set(gateway, workers):
    with ThreadPoolExecutor(workers) as threads:
        check(list(threads.map(lambda request: call(gateway.wsgi, *request), requests())))
        assert threads.submit(surroundings).result() == NOBODY


# --- the loop below WSGI -------------------------------------------------------------------------------------------


def test_under_wsgi_what_is_bound_to_the_loop_outlives_its_request():
    """A client with a pool of connections, made in one request, is of use to the next."""
    kept = {}

    @get("/make")
    async def make() -> bool:
        kept["loop"], kept["future"] = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        kept["task"] = asyncio.create_task(asyncio.wait_for(kept["future"], 5))
        return True

    @get("/use")
    async def use(word: str) -> str:
        assert asyncio.get_running_loop() is kept["loop"]
        kept["future"].set_result(word)
        return await kept["task"]

    gateway = Gateway([make, use])
    with ThreadPoolExecutor(1) as worker:
        worker.submit(call, gateway.wsgi, "/make", "", "").result(5)
        assert worker.submit(call, gateway.wsgi, "/use", "word=kept", "").result(5) == b"kept"
    gateway.loop_thread.close()


# --- memory --------------------------------------------------------------------------------------------------------


def test_twenty_thousand_requests_leave_nothing_behind():
    @get("/async")
    async def awaiting(number: int) -> int:
        return number

    @get("/sync")
    def blocking(number: int, host: http.Host) -> int:
        return number

    @get("/fail")
    def failing(number: int) -> int:
        raise LookupError

    def explain(error: Exception) -> str:
        return "sorry"

    def counts():
        gc.collect()
        names = [type(thing).__name__ for thing in gc.get_objects()]
        watched = (
            "RequestContext",
            "PooledThread",
            "WSGIRequest",
            "AwaitableWorkItem",
            "FutureWorkItem",
            "Context",
            "Future",
            "Task",
            "LookupError",
        )
        return {name: names.count(name) for name in watched}, len(names)

    gateway = Gateway([awaiting, blocking, failing], exception_handlers={LookupError: explain})

    async def run(number):
        for turn in range(number // 20):
            paths = ["/async"] * 14 + ["/sync"] * 5 + [f"/unknown/{turn}"]
            if turn % 10 == 0:
                paths[0] = "/fail"
            await asyncio.gather(*(answer(gateway, path_info, f"number={turn}", "") for path_info in paths))

    async def main():
        await run(1_000)
        before = counts()
        await run(20_000)
        return before, counts()

    (before, all_before), (after, all_after) = asyncio.run(main())
    gateway.pools.typed.close()
    assert {name: number for name, number in after.items() if number > before[name] + 3} == {}
    assert all_after - all_before < 100
