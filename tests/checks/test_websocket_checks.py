"""System checks of what serves websockets."""

import sys

import pytest

from hybrid_gateway import WebSocket, websocket
from tests.checks import test_checks
from tests.checks.test_checks import check, hello

project = test_checks.project


@websocket("/live")
async def live(socket: WebSocket) -> None: ...


async def consumers(scope, receive, send): ...


def test_websockets_need_an_asgi_application(project):
    project([live], ASGI_APPLICATION=None)
    assert "/live need an ASGI server" in check()["W039"].msg
    project([hello], ASGI_APPLICATION=None, gateway={"DJANGO_WEBSOCKETS": consumers})
    assert "DJANGO_WEBSOCKETS" in check()["W039"].msg
    project([hello], ASGI_APPLICATION=None)
    assert "W039" not in check()
    project([live], ASGI_APPLICATION="hybrid_gateway.asgi.application")
    assert not {"W039", "W043"} & check().keys()


@pytest.mark.parametrize("left", [(), ("websockets",), ("wsproto",)])
def test_uvicorn_needs_a_package_for_websockets(project, monkeypatch, left):
    from hybrid_gateway.checks import websocket_servers

    known = {"uvicorn", *left}
    monkeypatch.setattr(websocket_servers, "find_spec", lambda name: sys if name in known else None)
    project([live])
    assert ("W043" in check()) == (not left)
    project([hello])
    assert "W043" not in check()
