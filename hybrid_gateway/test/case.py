"""Django's test cases with a client for both sides, and the assertion that something makes so many queries."""

# Clients are narrower than Django's, which pyright allows of attributes that nobody may set.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import django.test
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from hybrid_gateway.channels.process_channels import channels
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.test.client import AsyncTestClient, TestClient
from hybrid_gateway.types import Handler, WSGIApp

if TYPE_CHECKING:
    from hybrid_gateway import Gateway

    DjangoTests = django.test.SimpleTestCase
else:
    DjangoTests = object  # each case below brings its own of Django's


def reverse_url(gateway: Gateway, name: str | Handler, /, **path_params: object) -> str:
    """The path of a name of the gateway's, else of Django's; raise ``NoReverseMatch`` when neither knows it."""
    try:
        return gateway.reverse_url(name, **path_params)
    except NoReverseMatch as error:
        gateway_says = error
    try:
        return reverse(name, kwargs=path_params)
    except NoReverseMatch as django_says:
        raise NoReverseMatch(f"Gateway: {gateway_says} Django: {django_says}") from None


class GatewayTests(DjangoTests):
    """Attributes that the test cases below have beside Django's."""

    client_class = TestClient
    async_client_class = AsyncTestClient
    client: TestClient
    async_client: AsyncTestClient

    @property
    def gateway(self) -> Gateway:
        """The gateway that ``self.client`` asks."""
        return self.client.gateway

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test; messages of channels stay in this process, and begin and end with the test."""
        with channels.isolated():
            return super().run(result)

    def reverse_url(self, name: str | Handler, /, **path_params: object) -> str:
        """The path of ``name``: the gateway's names first, then Django's ``reverse``."""
        return reverse_url(self.gateway, name, **path_params)


class SimpleTestCase(GatewayTests, django.test.SimpleTestCase):
    """Django's ``SimpleTestCase``: no database."""


class TransactionTestCase(GatewayTests, django.test.TransactionTestCase):
    """Django's ``TransactionTestCase``: commits are real, tables are flushed after each test."""


class TestCase(GatewayTests, django.test.TestCase):
    """Django's ``TestCase``: rolled back after each test; its rows are visible to sync and async handlers."""


class LiveServerTestCase(GatewayTests, django.test.LiveServerTestCase):
    """Django's ``LiveServerTestCase``, whose server answers both sides, over WSGI: for browsers and your own clients.

    It serves static files, as Django's does; uploaded ones are for the project's routes or pages.
    """

    @staticmethod
    def static_handler(handler: object) -> WSGIApp:
        """Return what the server answers with: static files, and the gateway of the settings."""
        serve: Callable[[WSGIApp], WSGIApp] = django.test.LiveServerTestCase.static_handler
        return serve(lambda environ, start_response: default_gateway().wsgi(environ, start_response))


@contextmanager
def assert_queries(count: int) -> Iterator[list[str]]:
    """Fail unless exactly ``count`` queries are made inside, on whichever database; gives the list that they go to.

    It sees the queries of this thread: everything in a ``TestCase``, and whatever a test calls itself.
    """
    found: list[str] = []
    with ExitStack() as stack:
        captured = [stack.enter_context(CaptureQueriesContext(connection)) for connection in connections.all()]
        yield found
        found += [query["sql"] for context in captured for query in context.captured_queries]
    if len(found) != count:
        raise AssertionError("\n".join([f"{len(found)} queries instead of {count}:", *found]))
