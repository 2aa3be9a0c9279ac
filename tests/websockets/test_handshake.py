"""No handshake of a websocket is accepted, whatever its path."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hybrid_gateway import Gateway, Mount, get


async def accepting(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})


@get("/api/{number:int}")
def numbered(number: int) -> int:
    return number


def shake_hands(gateway: Gateway, path: str) -> tuple[list[str], int]:
    """The types of the messages that are sent, and how many were received before."""
    sent: list[str] = []
    received = 0

    async def receive() -> Any:
        nonlocal received
        received += 1
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(gateway({"type": "websocket", "path": path, "headers": []}, receive, send))
    return sent, received


@pytest.mark.parametrize("path", ["/admin/", "/api/1", "/mounted/x", "/nowhere"])
def test_a_handshake_is_rejected_before_the_websocket_is_open(path: str) -> None:
    gateway = Gateway([numbered, Mount("/mounted", accepting)], django_routes=["/admin/"])
    assert shake_hands(gateway, path) == (["websocket.close"], 1)


def test_the_dispatcher_asks_this_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def note(receive: Any, send: Any) -> None:
        asked.append((await receive())["type"])

    monkeypatch.setattr("hybrid_gateway.dispatch.dispatcher.reject_handshake", note)
    assert shake_hands(Gateway([]), "/x") == ([], 1)
    assert asked == ["websocket.connect"]
