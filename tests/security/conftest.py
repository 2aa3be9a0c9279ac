"""The site under every server, started when the first test asks for it and ended with the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.security.servers import Server, serving

SERVERS = ["h11", "httptools", "lane", "granian", "granian-wsgi", "gunicorn-wsgi"]


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[..., Server]]:
    """``started(name, settings)``: a server that tests share; they leave nothing behind on it."""
    known: dict[tuple[str, str], Server] = {}
    with ExitStack() as running:

        def start(name: str, settings: str = "tests.security.site") -> Server:
            if (name, settings) not in known:
                known[name, settings] = running.enter_context(serving(name, DJANGO_SETTINGS_MODULE=settings))
            return known[name, settings]

        yield start


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, started: Callable[..., Server]) -> Server:
    """The site under each server."""
    return started(request.param)


@pytest.fixture(params=SERVERS)
def debug_server(request: pytest.FixtureRequest, started: Callable[..., Server]) -> Server:
    """The same as its developers serve it."""
    return started(request.param, "tests.security.site_debug")
