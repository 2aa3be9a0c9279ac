"""Test cases and clients that answer both sides. Imported lazily: the pytest plugin next door loads with pytest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_gateway.test.case import (
        LiveServerTestCase,
        SimpleTestCase,
        TestCase,
        TransactionTestCase,
        assert_queries,
    )
    from hybrid_gateway.test.client import AsyncTestClient, TestClient, create_async_test_client, create_test_client
    from hybrid_gateway.test.socket_exchange import ServerHabits
    from hybrid_gateway.test.transports import ClientResponse
    from hybrid_gateway.test.websocket_sessions import AsyncWebSocketSession, WebSocketSession

__all__ = [
    "AsyncTestClient",
    "AsyncWebSocketSession",
    "ClientResponse",
    "LiveServerTestCase",
    "ServerHabits",
    "SimpleTestCase",
    "TestCase",
    "TestClient",
    "TransactionTestCase",
    "WebSocketSession",
    "assert_queries",
    "create_async_test_client",
    "create_test_client",
]

_MODULES = {
    **dict.fromkeys(
        ("LiveServerTestCase", "SimpleTestCase", "TestCase", "TransactionTestCase", "assert_queries"), "case"
    ),
    **dict.fromkeys(("AsyncTestClient", "TestClient", "create_async_test_client", "create_test_client"), "client"),
    "ClientResponse": "transports",
    "ServerHabits": "socket_exchange",
    **dict.fromkeys(("AsyncWebSocketSession", "WebSocketSession"), "websocket_sessions"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
