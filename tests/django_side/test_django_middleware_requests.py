"""The request that Django's middleware sees around a typed route: its body, its user, its route, its errors."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Annotated

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject
from msgspec import Struct

from hybrid_gateway import BackgroundTask, Body, Form, Gateway, Response, Router, UploadFile, get, post
from hybrid_gateway.auth import (
    APIKeyAuthentication,
    Authentication,
    AuthenticationScheme,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from hybrid_gateway.tokens.models import Token

HERE = "tests.django_side.test_django_middleware_requests"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
noted = SimpleNamespace()


class Both:
    """Middleware that is sync or async as what lies below it is; ``see`` blocks."""

    async_capable = sync_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        if iscoroutinefunction(self):
            return self._call(request)
        self.see(request)
        return self.get_response(request)

    async def _call(self, request):
        await sync_to_async(self.see)(request)
        return await self.get_response(request)


def as_sync(cls):
    """The same that is sync alone."""
    return type(cls.__name__ + "Sync", (cls,), {"async_capable": False})


# --- the body --------------------------------------------------------------------------------------------------------


class ReadsBody(Both):
    def see(self, request):
        how = request.GET.get("how")
        noted.body = READERS[how](request) if how else None


READERS = {
    "body": lambda request: len(request.body),
    "read": lambda request: len(request.read()),
    "part": lambda request: len(request.read(3)),
    "lines": lambda request: sum(map(len, request)),
    "POST": lambda request: dict(request.POST.items()),
    "FILES": lambda request: {name: file.size for name, file in request.FILES.items()},
    "body-then-POST": lambda request: (len(request.body), dict(request.POST.items()))[1],
}
ReadsBodySync = as_sync(ReadsBody)


class Item(Struct):
    name: str


@pytest.mark.parametrize(
    ("how", "kind"), [*zip(READERS, ["ReadsBody", "ReadsBodySync"] * 4, strict=False), ("body", "ReadsBodySync")]
)
def test_middleware_may_read_the_body_and_the_handler_has_it_as_well(serve, how, kind):
    large = "x" * 300_000
    options = {"django_middleware": [f"{HERE}.{kind}"], "max_body_size": 1_000_000}

    @post("/json", **options)
    def take_json(data: Item) -> int:
        return len(data.name)

    @post("/form", **options)
    async def take_form(name: Annotated[str, Form()]) -> int:
        return len(name)

    @post("/file", **options)
    def take_file(name: Annotated[str, Form()], file: UploadFile) -> int:
        return len(name) + file.size

    @post("/raw", **options)
    async def take_raw(body: Annotated[bytes, Body()], request: HttpRequest) -> int:
        return len(body)

    client = serve(take_json, take_form, take_file, take_raw)
    for name in ("ada", large):
        form, files = {"name": name}, {"name": name, "file": SimpleUploadedFile("a.bin", b"y" * len(name))}
        encoded = f"name={name}"
        kinds = {
            "/json": client.post(f"/json?how={how}", json=form),
            "/form": client.post(f"/form?how={how}", encoded, content_type="application/x-www-form-urlencoded"),
        }
        assert [answer.json() for answer in kinds.values()] == [len(name)] * 2
        if how.endswith("POST"):
            assert noted.body == form
        assert client.post(f"/file?how={how}", files).json() == 2 * len(name)
        if how == "POST":
            assert noted.body == form
        if how == "FILES":
            assert noted.body == {"file": len(name)}
        raw = client.post(f"/raw?how={how}", name, content_type="application/octet-stream")
        assert raw.json() == len(name)
        assert noted.body == {"part": 3, "POST": {}, "FILES": {}, "body-then-POST": {}}.get(how, len(name))


def test_a_body_that_is_too_large_is_413_for_whatever_reads_it(serve):
    @post("/", django_middleware=[f"{HERE}.ReadsBody"], max_body_size=1000)
    def take(data: Item) -> int:
        return 1

    for how in READERS:
        assert serve(take).post(f"/?how={how}", json={"name": "x" * 200_000}).status_code in (400, 413)


# --- the user --------------------------------------------------------------------------------------------------------


class NotesUser(Both):
    """As packages that keep a history do: on the way in, below, on the way out, each as its kind likes it."""

    def __call__(self, request):
        noted.request = request
        return super().__call__(request)

    def see(self, request):
        if request.GET.get("early"):  # auditlog asks for its class at once
            noted.early = str(request.user) if isinstance(request.user, get_user_model()) else None


class Decorates(MiddlewareMixin):
    """As one-time passwords and hijacking do: lazily, on top of what is there, on the object or on a copy of it."""

    def process_request(self, request):
        user = request.user

        def decorate():
            user.is_verified = True
            return user

        request.user = SimpleLazyObject(decorate)


class Impersonates(MiddlewareMixin):
    def process_request(self, request):
        user = request.user
        request.user = SimpleLazyObject(lambda: user)
        if "as" in request.session and request.user.is_authenticated:
            request.real_user = request.user
            request.user = User.objects.get(username=request.session["as"])


class Banishes(MiddlewareMixin):
    def process_request(self, request):
        if request.user.is_authenticated and request.GET.get("banish"):
            request.user = AnonymousUser()


class Async(AuthenticationScheme):
    asked = 0

    async def authenticate(self, request: HttpRequest) -> Authentication | None:
        Async.asked += 1
        name = request.headers.get("X-Me")
        return None if name is None else Authentication(user=await User.objects.aget(username=name), scheme=self)

    carriers = ("X-Me",)

    def openapi(self):
        return {"type": "apiKey", "in": "header", "name": "X-Me"}


NotesUserSync = as_sync(NotesUser)


def noticing(*middleware, sync=False):
    return [*middleware, f"{HERE}.NotesUser{'Sync' if sync else ''}"]


@pytest.fixture
def callers(transactional_db):
    ada = User.objects.create_user("ada", password="secret")
    _, token = Token.objects.issue(ada)
    return {
        "token": (TokenAuthentication(), {"Authorization": f"Bearer {token}"}),
        "basic": (BasicAuthentication(), {"Authorization": "Basic YWRhOnNlY3JldA=="}),
        "key": (APIKeyAuthentication(), {"X-API-Key": token}),
        "session": (SessionAuthentication(), None),
        "async": (Async(), {"X-Me": "ada"}),
    }


@pytest.mark.parametrize(("sync", "below"), [(False, [SESSIONS, AUTH]), (True, [])], ids=["below-auth", "alone"])
def test_the_user_is_that_of_the_routes_authentication(serve, callers, below, sync):
    def save():
        """What a signal handler does: it looks in the thread or the context, and finds the request."""
        return str(noted.request.user)

    for scheme, headers in callers.values():
        options = {"authentication": [scheme], "django_middleware": noticing(*below, sync=sync)}

        @get("/def", **options)
        def look(user: User | None) -> list[str]:
            return [str(user), save()]

        @get("/async", **options)
        async def look_async(user: User | None) -> list[str]:
            return [str(user), str(await noted.request.auser())]

        @get("/never", **options)
        def never_asks() -> list[str]:
            return [save()]

        client = serve(look, look_async, never_asks)
        if headers is None:
            client.force_login(User.objects.get())
        for query in ("", "?early=1"):
            noted.early = "ada"
            for path, expected in (("/def", ["ada", "ada"]), ("/async", ["ada", "ada"]), ("/never", ["ada"])):
                answer = client.get(path + query, headers=headers or {})
                assert (answer.status_code, answer.json()) == (200, expected), (scheme, path, query)
                assert noted.early == "ada" and str(noted.request.user) == "ada"
        client.logout()
        noted.early = "?"
        assert client.get("/def?early=1").json() == ["None", "AnonymousUser"]
        assert noted.early is None


def test_who_was_asked_for_is_not_asked_for_again(serve, callers):
    scheme, headers = callers["async"]

    @get("/", authentication=[scheme], django_middleware=noticing())
    def look(user: User) -> str:
        return str(user)

    client, Async.asked = serve(look), 0
    assert client.get("/?early=1", headers=headers).text == "ada"
    assert Async.asked == 1


def test_credentials_that_are_refused_are_nobodys_and_the_route_says_so(serve, callers):
    @get("/", authentication=[callers["token"][0]], django_middleware=noticing())
    def look(user: User | None) -> str:
        return str(user)

    for query in ("", "?early=1"):
        noted.early = None
        answer = serve(look).get("/" + query, headers={"Authorization": "Bearer hgt_wrong"})
        assert answer.status_code == 401 and "WWW-Authenticate" in answer.headers
        assert noted.early is None and str(noted.request.user) == "AnonymousUser"


def test_users_are_as_the_middleware_leaves_them(serve, callers):
    User.objects.create_user("grace")
    chain = [SESSIONS, AUTH, *(f"{HERE}.{name}" for name in ("Decorates", "Impersonates", "Banishes"))]
    for name, (scheme, headers) in callers.items():

        @get("/", authentication=[scheme], django_middleware=chain)
        def look(user: User, request: HttpRequest) -> list[object]:
            return [user.username, getattr(user, "is_verified", None), str(request.user)]

        client = serve(look)
        if headers is None:
            client.force_login(User.objects.get(username="ada"))
        assert client.get("/", headers=headers or {}).json() == ["ada", True, "ada"], name
        if headers is not None:
            # Who has credentials of their own is nobody else, whatever a session says.
            assert client.get("/?banish=1", headers=headers).status_code == 200, name
            continue
        assert client.get("/?banish=1").status_code == 401
        session = client.session
        session["as"] = "grace"
        session.save()
        assert client.get("/").json()[::2] == ["grace", "grace"]


class Told:
    """What django-pghistory puts below the class of a request, to hear of its user."""

    def __setattr__(self, name, value):
        if name == "user":
            noted.told = value
        super().__setattr__(name, value)


class ToldRequest(Told, ASGIRequest):
    pass


class Retypes(MiddlewareMixin):
    def process_request(self, request):
        request.__class__ = ToldRequest
        request.user = request.user
        assert isinstance(request, ToldRequest) and request.__class__ is type(request)


def test_middleware_may_put_its_own_class_under_the_request(serve, callers):
    for name, (scheme, headers) in callers.items():

        @get("/", authentication=[scheme], django_middleware=[SESSIONS, AUTH, f"{HERE}.Retypes", f"{HERE}.Decorates"])
        def look(user: User, request: HttpRequest) -> list[object]:
            return [user.username, user.is_verified, str(request.user), isinstance(request, ToldRequest)]

        client = serve(look)
        if headers is None:
            client.force_login(User.objects.get(username="ada"))
        assert client.get("/", headers=headers or {}).json() == ["ada", True, "ada", True], name
        assert str(noted.told) == "ada"


def test_logging_in_below_middleware_is_seen_at_once(serve, callers):
    from django.contrib.auth import login, logout

    @post("/in", authentication=[], django_middleware=noticing(SESSIONS, AUTH))
    def log_in(request: HttpRequest) -> str:
        login(request, User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
        return str(request.user)

    @post("/out", authentication=[], django_middleware=noticing(SESSIONS, AUTH))
    def log_out(request: HttpRequest) -> list[str]:
        before = str(request.user)
        logout(request)
        return [before, str(request.user)]

    client = serve(log_in, log_out)
    assert client.post("/in").text == "ada"
    assert str(noted.request.user) == "ada"
    assert client.post("/out").json() == ["ada", "AnonymousUser"]


# --- the route -------------------------------------------------------------------------------------------------------


class Matches(MiddlewareMixin):
    def process_request(self, request):
        noted.match = request.resolver_match
        noted.view = None

    def process_view(self, request, view, args, kwargs):
        noted.view = (view, args, kwargs)

    def process_exception(self, request, exception):
        noted.exception = exception
        return HttpResponse("instead", status=418) if request.GET.get("instead") else None

    def process_response(self, request, response):
        match = request.resolver_match
        response["X-Passed"] = "-" if match is None else f"{match.view_name} {match.route} {match.kwargs}"
        return response


def test_what_passes_middleware_and_which_route_it_is_told(serve):
    @get("/items/{number:int}", name="show")
    def show(number: int) -> int:
        return number

    @post("/items/{number:int}")
    async def change(number: int) -> int:
        return number

    @get("/bare")
    def bare() -> int:
        return 1

    matches = f"{HERE}.Matches"
    client = serve(Router("/api", [show, change], name="api", django_middleware=[matches]), bare)
    told = "api:show /api/items/{number:int} {'number': 7}"
    assert client.get("/api/items/7").headers["X-Passed"] == told
    assert noted.match is None and noted.view == (show.handler if hasattr(show, "handler") else show, (), {"number": 7})
    assert client.head("/api/items/7").headers["X-Passed"] == told
    assert client.post("/api/items/7").headers["X-Passed"].startswith("api:change ")
    for answer, status in ((client.options("/api/items/7"), 204), (client.put("/api/items/7"), 405)):
        assert (answer.status_code, answer.headers["X-Passed"]) == (status, told)
        assert "POST" in answer.headers["Allow"] and noted.view is not None
    for path in ("/api/items/x", "/nowhere", "/bare"):
        assert "X-Passed" not in client.get(path).headers
    everywhere = serve(Router("/api", [show, change]), bare, django_middleware=[matches])
    for path, method, status in (("/nowhere", "get", 404), ("/api/items/x", "get", 404), ("/bare/", "get", 308)):
        answer = getattr(everywhere, method)(path)
        assert (answer.status_code, answer.headers["X-Passed"], noted.view) == (status, "-", None)
    assert everywhere.options("/bare").headers["X-Passed"].startswith("bare /bare")


def test_exceptions_that_nobody_expected_are_shown_to_middleware(serve):
    @get("/", django_middleware=[f"{HERE}.Matches"])
    def fail(lookup: bool = False) -> None:
        raise LookupError if not lookup else ValueError

    @get("/missing", django_middleware=[f"{HERE}.Matches"])
    def missing() -> None:
        User.objects.none().get()

    client = serve(fail, missing, raises=False)
    noted.exception = None
    assert client.get("/missing").status_code == 404 and noted.exception is None
    assert client.get("/").status_code == 500 and isinstance(noted.exception, LookupError)
    answer = client.get("/?instead=1")
    assert (answer.status_code, answer.text) == (418, "instead")


# --- what follows ----------------------------------------------------------------------------------------------------


class Counts(MiddlewareMixin):
    def process_response(self, request, response):
        noted.events.append("response")
        response._resource_closers.append(lambda: noted.events.append("closed"))
        return response


def test_what_follows_the_answer_comes_before_the_request_is_closed(serve):
    @get("/", django_middleware=[f"{HERE}.Counts"])
    def answer() -> Response:
        return Response(b"x", background=BackgroundTask(lambda: noted.events.append("task")))

    @get("/plain", django_middleware=[f"{HERE}.Counts"])
    async def plain() -> str:
        return "x"

    noted.events = []
    client = serve(answer, plain)
    assert client.get("/").content == b"x"
    assert noted.events == ["response", "task", "closed"]
    noted.events.clear()
    assert client.get("/plain").text == "x"
    assert noted.events == ["response", "closed"]


# --- a client that leaves ---------------------------------------------------------------------------------------------


class Answers(Both):
    def see(self, request):
        request.note = "seen"

    def __call__(self, request):
        if iscoroutinefunction(self):
            return self._call(request)
        response = self.get_response(request)
        noted.passed.append("back")
        return response

    async def _call(self, request):
        response = await self.get_response(request)
        noted.passed.append("back")
        return response


AnswersSync = as_sync(Answers)


async def ask_and_leave(gateway, path):
    """What is sent to a client that leaves once it has asked."""
    sent, messages = [], iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return next(messages, {"type": "http.disconnect"})

    async def send(message):
        sent.append(message["type"])

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"testserver")], "scheme": "http", "root_path": "", "http_version": "1.1",
        "server": ("testserver", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    await asyncio.wait_for(gateway(scope, receive, send), 10)
    return sent


@pytest.mark.parametrize("middleware", ["Answers", "AnswersSync"])
@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_client_that_leaves_before_the_answer_is_no_error(middleware, kind, caplog):
    noted.passed, told = [], []

    def slowly() -> Iterator[str]:
        time.sleep(0.05)
        yield "a"

    async def slowly_async() -> AsyncIterator[str]:
        await asyncio.sleep(0.05)
        yield "a"

    def note(sender, **kwargs):
        told.append(kwargs)

    handler = get("/", django_middleware=[f"{HERE}.{middleware}"])(slowly if kind == "def" else slowly_async)
    got_request_exception.connect(note)
    try:
        sent = asyncio.run(ask_and_leave(Gateway([handler]), "/"))
    finally:
        got_request_exception.disconnect(note)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert (told, noted.passed) == ([], ["back"])
    assert sent == [] or sent[0] == "http.response.start"
