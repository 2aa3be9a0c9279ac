"""Canaries of ``hybrid_gateway/_compat/django_internals.py``."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.messages import add_message, get_messages
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.handlers.base import BaseHandler
from django.dispatch import Signal
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.test import RequestFactory, override_settings
from django.urls import set_script_prefix
from django.utils.functional import SimpleLazyObject

from hybrid_gateway._compat import django_internals as internals
from tests.compat import canary

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "query_string": b"",
    "headers": [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"3")],
}


class Request(internals.HeadRequest):
    def open_messages(self) -> CookieStorage:
        return CookieStorage(self)


@canary("live_receivers")
def test_a_signal_tells_plain_receivers_from_asynchronous_ones() -> None:
    signal = Signal()

    def plain(**kwargs: Any) -> None: ...

    async def asynchronous(**kwargs: Any) -> None: ...

    signal.connect(plain)
    signal.connect(asynchronous)
    signal.connect(plain, sender=Signal)
    found = internals.live_receivers(signal, SimpleNamespace)
    names = [[receiver.__name__ for receiver in kind] for kind in found]  # Sentry wraps those of a process it watches
    assert names == [["plain"], ["asynchronous"]]


@canary("HeadRequest")
def test_a_request_of_a_head_has_no_body_until_it_is_given_one() -> None:
    request = Request(SCOPE)
    assert (dict(request.POST), dict(request.FILES), request.body) == ({}, {}, b"")
    request = Request(SCOPE)
    assert dict(request.POST) == {}
    request.give_body(b"a=1")
    assert (dict(request.POST.items()), request.body) == ({"a": "1"}, b"a=1")
    request = Request(SCOPE)
    request.give_body(b"a=1")
    assert request.read() == b"a=1"


@canary("HeadRequest", "has_messages")
def test_messages_are_opened_when_somebody_asks_and_stored_by_the_middleware() -> None:
    request, response = Request(SCOPE), HttpResponse()
    assert not internals.has_messages(request)
    add_message(request, 20, "hello")
    assert internals.has_messages(request)
    assert [str(message) for message in get_messages(request)] == ["hello"]
    request = Request(SCOPE)
    add_message(request, 20, "hello")
    MessageMiddleware(lambda request: response).process_response(request, response)
    assert "messages" in response.cookies
    plain = RequestFactory().get("/")
    with override_settings(MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage"):
        MessageMiddleware(lambda request: response).process_request(plain)
    assert internals.has_messages(plain)


@canary("set_csrf_unchecked", "csrf_failure")
def test_the_csrf_check_gives_its_reason_unless_it_is_switched_off() -> None:
    request = RequestFactory(enforce_csrf_checks=True).post("/")
    assert internals.csrf_failure(request) == "CSRF cookie not set."
    request = RequestFactory().post("/")
    internals.set_csrf_unchecked(request, False)
    assert internals.csrf_failure(request) == "CSRF cookie not set."
    request = RequestFactory().post("/")
    internals.set_csrf_unchecked(request, True)
    assert internals.csrf_failure(request) is None
    assert internals.csrf_failure(RequestFactory().get("/")) is None


@canary("has_new_csrf_token")
def test_a_new_csrf_token_is_what_the_middleware_would_send() -> None:
    request, response = RequestFactory().get("/"), HttpResponse()
    middleware = CsrfViewMiddleware(lambda request: response)
    middleware.process_request(request)
    assert not internals.has_new_csrf_token(request)
    get_token(request)
    assert internals.has_new_csrf_token(request)
    middleware.process_response(request, response)
    assert "csrftoken" in response.cookies
    assert not internals.has_new_csrf_token(request)


@canary("adapt_method_mode")
def test_sync_middleware_is_adapted_to_an_async_chain_and_back() -> None:
    def sync_view(request: str) -> str:
        return f"sync {request}"

    async def async_view(request: str) -> str:
        return f"async {request}"

    adapted: Any = internals.adapt_method_mode(True, sync_view)
    assert asyncio.run(adapted("a")) == "sync a"
    assert internals.adapt_method_mode(False, sync_view, False) is sync_view
    adapted = internals.adapt_method_mode(False, async_view, True)
    assert adapted("b") == "async b"
    assert isinstance(internals.adapt_method_mode.__self__, BaseHandler)


@canary("convert_exception_to_response")
def test_an_exception_becomes_djangos_response() -> None:
    def missing(request: HttpRequest) -> HttpResponse:
        raise Http404

    async def missing_later(request: HttpRequest) -> HttpResponse:
        raise Http404

    request = RequestFactory().get("/")
    assert internals.convert_exception_to_response(missing)(request).status_code == 404
    later: Any = internals.convert_exception_to_response(missing_later)
    assert asyncio.run(later(request)).status_code == 404


@canary("evaluate", "is_evaluated")
def test_a_lazy_object_is_evaluated_once() -> None:
    made: list[SimpleNamespace] = []

    def make() -> SimpleNamespace:
        made.append(SimpleNamespace(pk=1))
        return made[-1]

    inner = SimpleLazyObject(make)
    outer = SimpleLazyObject(lambda: inner)
    assert not internals.is_evaluated(outer)
    assert internals.evaluate(outer) is internals.evaluate(outer) is made[0]
    assert internals.is_evaluated(inner)
    assert len(made) == 1
    assert not internals.is_evaluated(made[0])


@canary("setting_as_written")
@pytest.mark.parametrize("url", ["static/", "/static/"])
def test_a_setting_is_read_without_the_script_prefix(url: str) -> None:
    from django.conf import settings

    with override_settings(STATIC_URL=url):
        set_script_prefix("/prefix/")
        try:
            assert internals.setting_as_written("STATIC_URL") == url
            assert ("/prefix/static/" if url == "static/" else url) == settings.STATIC_URL
        finally:
            set_script_prefix("/")
    assert internals.setting_as_written("NO_SUCH_SETTING") is None
