"""Responses of Django's as answers: closing one ends no transaction that a component has begun."""

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from io import BytesIO
from typing import Annotated, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.signals import request_finished
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse

from hybrid_gateway import Depends, Response, Route
from hybrid_gateway.exceptions import Conflict


def chunks() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


async def achunks() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


MADE = {
    "whole": lambda: HttpResponse("x"),
    "json": lambda: JsonResponse({}),
    "redirect": lambda: HttpResponseRedirect("/x"),
    "stream": lambda: StreamingHttpResponse(chunks()),
    "astream": lambda: StreamingHttpResponse(achunks()),
    "file": lambda: FileResponse(BytesIO(b"x")),
}


def unit() -> Iterator[None]:
    with transaction.atomic():
        yield


class Keeps:
    def on_response(self, unit: Annotated[None, Depends(unit)], response: Response) -> None:
        response.headers["X-Kept"] = "1"


def routes(name: str, make: Any) -> Iterator[Route]:
    def handler(unit: Annotated[None, Depends(unit)]) -> HttpResponse:
        Group.objects.create(name=f"{name} handler")
        return make()

    async def ahandler(unit: Annotated[None, Depends(unit)]) -> HttpResponse:
        await sync_to_async(Group.objects.create)(name=f"{name} ahandler")
        return make()

    def written(unit: Annotated[None, Depends(unit)], by: str) -> str:
        Group.objects.create(name=f"{name} {by}")
        return "written"

    def replaces() -> HttpResponse:
        return make()

    def refused() -> None:
        raise Conflict

    def answers(unit: Annotated[None, Depends(unit)]) -> HttpResponse:
        Group.objects.create(name=f"{name} answers")
        return make()

    yield Route(f"/{name}/handler", handler, name=f"{name} 1")
    yield Route(f"/{name}/ahandler", ahandler, name=f"{name} 2")
    yield Route(f"/{name}/hooked", written, event_hooks=[Keeps], after_request=replaces, name=f"{name} 3")
    yield Route(f"/{name}/answers", refused, exception_handlers={Conflict: answers}, name=f"{name} 4")


@pytest.fixture
def dropped(monkeypatch):
    """Django's signals as on a server; gives what they drop inside of a transaction."""
    seen = []
    drop = BaseDatabaseWrapper.close_if_unusable_or_obsolete

    def noted(self: BaseDatabaseWrapper) -> None:
        if self.in_atomic_block:
            seen.append(self.alias)
        else:
            drop(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", noted)
    monkeypatch.setattr("hybrid_gateway.test.transports.connections_left_alone", nullcontext)
    return seen


@pytest.mark.django_db(transaction=True)
def test_closing_a_response_of_django_leaves_a_transaction_open(serve, dropped):
    finished = []

    def note(**kwargs: Any) -> None:
        finished.append(kwargs)

    client = serve(*(route for name, make in MADE.items() for route in routes(name, make)))
    request_finished.connect(note)
    for name in MADE:
        for by in ("handler", "ahandler", "hooked", "answers"):
            finished.clear()
            answer = client.get(f"/{name}/{by}", params={"by": by})
            assert answer.status_code in (200, 302, 500 if by == "answers" else 200), (name, by, answer.content)
            assert Group.objects.filter(name=f"{name} {by}").exists(), (name, by)
            assert finished, (name, by)  # it is closed
            assert not dropped, (name, by)
            assert "close_if_unusable_or_obsolete" not in vars(connections["default"])
