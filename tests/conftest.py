"""One fixture runs a test over every driver: the same requests, the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.utils import CursorWrapper
from django.test import testcases
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from hybrid_gateway import Gateway
from hybrid_gateway.test import TestClient
from hybrid_gateway.throttling import throttle

settings.register_profile("suite", deadline=None)  # no test asserts a time
settings.load_profile("suite")

TESTS = Path(__file__).parent

LONGEST = [
    "docs/test_followed.py",
    "scaffold/test_startapi.py",
    "test_docs.py",
    "security/test_parsers.py",
    "website/test_site.py",
    "scaffold/test_init.py",
    "doctor/test_matrix.py",
    "openapi/test_contract.py",
    "orm/test_viewsets.py",
    "management/test_runserver.py",
    "channels/test_backend_contract.py",
    "security/test_limits.py",
    "security/test_answers.py",
    "security/test_credentials.py",
    "endpoints/test_endings.py",
    "migration/test_migrate_from_drf.py",
    "websockets/test_servers.py",
    "orm/test_lists.py",
    "management/test_serve.py",
    "gateway/test_misspelt.py",
]
"""Files that take longest: they come first, so that no process is left alone with one of them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def nobody_has_failed_to_log_in() -> None:
    """Failed logins are counted in the cache, which outlives a test."""
    cache.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A test that leaves something else in the place of Django's cursor makes tests after it fail, in some orders."""
    yield
    for step in (CursorWrapper.__init__, CursorWrapper.execute, CursorWrapper.executemany):
        assert step.__globals__["__name__"].startswith("django."), f"{step} is left behind."


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A flush gives back the rows that migrations have made: to compute them again takes longer than most tests."""
    flush = testcases.call_command
    with django_db_blocker.unblock():
        rows = [(model, list(model.objects.all())) for model in (ContentType, Permission)]

    def restore(command: str, **options: Any) -> None:
        makes_rows = options["database"] == DEFAULT_DB_ALIAS and not options["inhibit_post_migrate"]
        flush(command, **(options | {"inhibit_post_migrate": True} if makes_rows else options))
        if makes_rows:
            ContentType.objects.clear_cache()
            for model, made in rows:
                model.objects.bulk_create(made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testcases, "call_command", restore)
        yield


class StillClock:
    """The clock of limits: it stands in the middle of a minute, so that no window ends during a test."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    """The clock that limits go by; a test that wants a later window moves it."""
    still = StillClock()
    monkeypatch.setattr(throttle, "time", still)
    return still


@pytest.fixture(params=["asgi", "wsgi", "lane"])
def serve(request: pytest.FixtureRequest) -> Callable[..., TestClient]:
    """``serve(*routes, **gateway options)``: a client of a gateway with these routes, over each driver."""

    def build(*routes: Any, raises: bool = True, **options: Any) -> TestClient:
        if request.param == "lane":
            pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools.")
            import tests.drivers.lane  # noqa: F401  (makes the protocol known)
        gateway = Gateway(list(routes), **options)
        return TestClient(gateway, protocol=request.param, raise_request_exception=raises)

    return build
