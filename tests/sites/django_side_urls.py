"""The URLconf of ``test_django_side.py``: one small view per thing that can go wrong between a server and Django."""

import asyncio
import threading
import time
from pathlib import Path

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, reverse
from django.utils import timezone, translation
from django.views import View

events: list[str] = []  # what happened, in order
gate = threading.Event()  # a view that waits for the test


def describe(request):
    """What Django saw of the request."""
    names = ["REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH", "CONTENT_TYPE"]
    names += [
        "SERVER_NAME",
        "SERVER_PORT",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "HTTP_X_TWICE",
        "HTTP_COOKIE",
        "HTTP_X_REAL_IP",
    ]
    return JsonResponse(
        {
            "meta": {name: request.META[name] for name in names if name in request.META},
            "path": request.path,
            "scheme": request.scheme,
            "cookies": request.COOKIES,
            "query": dict(request.GET),
            "reversed": reverse("describe"),
            "thread": threading.current_thread().name,
            "handler": type(request).__name__,
        }
    )


def echo(request):
    return HttpResponse(request.body, content_type="application/octet-stream")


def upload(request):
    uploaded = request.FILES["file"]
    digest = sum(sum(chunk) for chunk in uploaded.chunks())
    return JsonResponse({"name": uploaded.name, "size": uploaded.size, "sum": digest, "title": request.POST["title"]})


def set_cookies(request):
    response = HttpResponse("ok")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2", httponly=True)
    return response


def fail(request):
    raise ValueError("the view failed")


def forbid(request):
    raise PermissionDenied


def wait(request):
    events.append("view started")
    gate.wait(5)
    events.append("view finished")
    return HttpResponse("late")


def wait_then_stream(request):
    wait(request)
    return StreamingHttpResponse(count(1, 0))


def surroundings(number):
    return f"{number} {translation.get_language()} {timezone.get_current_timezone_name()} {reverse('describe')}\n"


def count(parts, pause):
    try:
        for number in range(parts):
            events.append(f"part {number} on {threading.current_thread().name}")
            yield surroundings(number)
            time.sleep(pause)
    finally:
        events.append(f"iterator closed on {threading.current_thread().name}")


async def acount(parts, pause):
    try:
        for number in range(parts):
            events.append(f"part {number} on {threading.current_thread().name}")
            yield surroundings(number)
            await asyncio.sleep(pause)
    finally:
        events.append(f"iterator closed on {threading.current_thread().name}")


def activate(request):
    if "language" in request.GET:
        translation.activate(request.GET["language"])
    if "timezone" in request.GET:
        timezone.activate(request.GET["timezone"])


def stream(request):
    activate(request)
    return StreamingHttpResponse(count(int(request.GET["parts"]), float(request.GET.get("pause", 0))))


def async_stream(request):
    activate(request)
    return StreamingHttpResponse(acount(int(request.GET["parts"]), float(request.GET.get("pause", 0))))


def broken_stream(request):
    def parts():
        yield b"first"
        raise ValueError("the stream failed")

    return StreamingHttpResponse(parts())


def late_stream(request):
    def parts():
        try:
            events.append("stream started")
            gate.wait(5)
            yield b"late"
        finally:
            events.append("stream closed")

    return StreamingHttpResponse(parts())


def send_file(request):
    return FileResponse(Path(request.GET["name"]).open("rb"))


def language(request):
    before = translation.get_language()
    activate(request)
    return HttpResponse(before)


async def async_language(request):
    return language(request)


async def async_describe(request):
    await asyncio.sleep(0)
    events.append(await sync_to_async(lambda: threading.current_thread().name)())
    return JsonResponse({"handler": type(request).__name__, "on_loop": threading.current_thread().name})


class AsyncView(View):
    async def get(self, request):
        return JsonResponse({"handler": type(request).__name__})


def query_postgres(request):
    with connections["postgres"].cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.02)")
    return HttpResponse("ok")


sync_patterns = [
    path("describe/", describe, name="describe"),
    path("echo/", echo),
    path("upload/", upload),
    path("cookies/", set_cookies),
    path("fail/", fail),
    path("forbid/", forbid),
    path("wait/", wait),
    path("wait-then-stream/", wait_then_stream),
    path("stream/", stream),
    path("async-stream/", async_stream),
    path("broken-stream/", broken_stream),
    path("late-stream/", late_stream),
    path("file/", send_file),
    path("language/", language),
    path("postgres/", query_postgres),
]

urlpatterns = [
    *sync_patterns,
    path("async/", include([path("describe/", async_describe), path("class/", AsyncView.as_view())])),
    path("async/language/", async_language),
]
