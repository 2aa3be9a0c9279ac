"""Django's own tasks, enqueued from typed handlers."""

import pytest
from django.test import override_settings

from hybrid_gateway import get

tasks = pytest.importorskip("django.tasks", reason="needs Django 6.0 or newer")

SENT = []


@tasks.task
def send(address: str) -> str:
    SENT.append(address)
    return address


@pytest.mark.parametrize("kind", ["async", "def"])
@override_settings(TASKS={"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}})
def test_a_handler_enqueues(serve, kind):
    SENT.clear()
    if kind == "async":

        @get("/")
        async def view() -> str:
            return (await send.aenqueue("ada@example.org")).status

    else:

        @get("/")
        def view() -> str:
            return send.enqueue("ada@example.org").status

    assert (serve(view).get("/").text, SENT) == ("SUCCESSFUL", ["ada@example.org"])
