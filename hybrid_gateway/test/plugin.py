"""pytest fixtures, installed by an entry point: nothing of Django is imported before a fixture is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hybrid_gateway.test import AsyncTestClient, TestClient


@pytest.fixture
def gateway_client() -> TestClient:
    """A client of the settings' gateway and of Django; ask for ``db`` too when the test uses the database."""
    require_settings()
    from hybrid_gateway.test import TestClient

    return TestClient()


@pytest.fixture
def async_gateway_client() -> AsyncTestClient:
    """An async client of both; ``transactional_db`` goes with it, for ``async def`` tests share no transaction."""
    require_settings()
    from hybrid_gateway.test import AsyncTestClient

    return AsyncTestClient()


@pytest.fixture
def reverse_url() -> Callable[..., str]:
    """``reverse_url(name, /, **path_params)``: the gateway's names first, then Django's."""
    require_settings()
    from hybrid_gateway.gateway.settings_gateway import default_gateway
    from hybrid_gateway.test.case import reverse_url

    return lambda name, /, **path_params: reverse_url(default_gateway(), name, **path_params)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Forget after each test what channels have kept in memory."""
    room = sys.modules.get("hybrid_gateway.channels.process_channels")
    if room is not None:
        room.channels.reset()


def require_settings() -> None:
    """Skip the test when no settings are at hand; else make sure that Django is set up."""
    from django.conf import settings

    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        pytest.skip("no Django settings: set DJANGO_SETTINGS_MODULE (pytest-django reads it from the configuration)")
    from django.apps import apps

    if not apps.ready:
        import django

        django.setup()
