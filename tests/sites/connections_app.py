"""What ``test_connections.py`` serves: the same look-ups and writes as handlers and as Django views, sync and async.

As a script it is a server process: ``python -m tests.sites.connections_app PORT`` with the settings, as JSON, in the
environment variable ``CONNECTIONS_APP``.
"""

import asyncio
import json
import os
import sys
import threading
import time

if __name__ == "__main__":
    import django
    from django.conf import settings

    settings.configure(**json.loads(os.environ["CONNECTIONS_APP"]))
    django.setup()

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connections, transaction
from django.http import JsonResponse
from django.urls import path

from hybrid_gateway import Gateway, StreamingResponse, get

ALIAS = "postgres"
groups = Group.objects.using(ALIAS)
ran_on: set[str] = set()  # the names of the threads on which queries ran, in this process


def count() -> int:
    ran_on.add(threading.current_thread().name)
    return groups.count()


def sleep_in_database(seconds: float) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def write_two(pause: float) -> int:
    """Two rows or none."""
    with transaction.atomic(using=ALIAS):
        groups.create(name="first")
        sleep_in_database(pause)
        groups.create(name="second")
    return 2


@get("/sync")
def sync_handler(pause: float = 0.0) -> int:
    sleep_in_database(pause)
    return count()


@get("/async")
async def async_handler(pause: float = 0.0) -> int:
    await sync_to_async(sleep_in_database)(pause)
    first, second = await asyncio.gather(groups.acount(), sync_to_async(count)())
    await asyncio.sleep(pause)
    return min(first, second)


@get("/write")
def write(pause: float = 0.0) -> int:
    return write_two(pause)


@get("/write-async")
async def write_async(pause: float = 0.0) -> int:
    """A transaction across awaits, as nobody should write it: when it is cancelled it must not stay open."""
    atomic = transaction.atomic(using=ALIAS)
    await sync_to_async(atomic.__enter__)()
    await groups.acreate(name="first")
    await asyncio.sleep(pause)
    await groups.acreate(name="second")
    await sync_to_async(atomic.__exit__)(None, None, None)
    return 2


@get("/leave")
def leave() -> int:
    """A handler that forgets the transaction it has begun."""
    transaction.atomic(using=ALIAS).__enter__()
    groups.create(name="forgotten")
    return count()


@get("/fail")
def fail() -> int:
    count()
    raise LookupError("on purpose")


@get("/fail-async")
async def fail_async() -> int:
    await groups.acount()
    raise LookupError("on purpose")


@get("/stream")
def stream(fail: bool = False) -> StreamingResponse:
    def chunks():
        for number in range(3):
            ran_on.add(threading.current_thread().name)
            yield f"{groups.count()} "
            if fail and number == 1:
                raise LookupError("on purpose")

    return StreamingResponse(chunks())


@get("/health")
async def health() -> str:
    return "up"


routes = [sync_handler, async_handler, write, write_async, leave, fail, fail_async, stream, health]


def sync_view(request):
    sleep_in_database(float(request.GET.get("pause", 0)))
    return JsonResponse(count(), safe=False)


async def async_view(request):
    return JsonResponse(await async_handler(float(request.GET.get("pause", 0))), safe=False)


def slow_view(request):
    time.sleep(0.01)
    return JsonResponse(write_two(float(request.GET.get("pause", 0))), safe=False)


urlpatterns = [
    path("django/sync", sync_view),
    path("django/async", async_view),
    path("django/write", slow_view),
]


def build(threads: int = 8) -> Gateway:
    return Gateway(routes, django_routes=["/django/"], threads=threads)


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(build(), host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
