"""One fixture runs a test over every driver: the same requests, the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hybrid_gateway import Gateway
from hybrid_gateway.test import TestClient


@pytest.fixture(params=["asgi", "wsgi"])
def serve(request: pytest.FixtureRequest) -> Callable[..., TestClient]:
    """``serve(*routes, **gateway options)``: a client of a gateway with these routes, over ASGI and then over WSGI."""

    def build(*routes: Any, raises: bool = True, **options: Any) -> TestClient:
        gateway = Gateway(list(routes), **options)
        return TestClient(gateway, protocol=request.param, raise_request_exception=raises)

    return build
