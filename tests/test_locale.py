"""The language and the time zone of a request: by Django's rules, told in the answer, and gone with the request."""

from datetime import UTC, datetime
from typing import Annotated

import pytest
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from hybrid_gateway import ConfigurationError, Depends, Gateway, Session, get, post
from hybrid_gateway.exceptions import NotFound
from hybrid_gateway.locale import Locale, TimeZone


@get("/sync", event_hooks=[Locale])
def say() -> list[str]:
    return [translation.get_language(), _("Yes")]


@get("/async", event_hooks=[Locale])
async def say_async() -> list[str]:
    return [translation.get_language(), _("Yes")]


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_the_language_is_what_the_client_accepts(serve, path):
    client = serve(say, say_async)
    answer = client.get(path, headers={"Accept-Language": "xx, de-at;q=0.8, fr;q=0.5"})
    assert answer.json() == ["de", "Ja"]
    assert (answer.headers["Content-Language"], answer.headers["Vary"]) == ("de", "Accept-Language")
    assert client.get(path).json() == ["en", "Yes"]


def test_the_cookie_comes_first(serve):
    client = serve(say)
    client.cookies["django_language"] = "fr"
    answer = client.get("/sync", headers={"Accept-Language": "de"})
    assert answer.json() == ["fr", "Oui"]
    assert answer.headers["Vary"] == "Accept-Language, Cookie"
    client.cookies["django_language"] = "../../etc"
    assert client.get("/sync", headers={"Accept-Language": "de"}).json() == ["de", "Ja"]


def test_only_languages_of_the_project_are_spoken(serve, settings):
    settings.LANGUAGES = [("en", "English"), ("fr", "French")]
    assert serve(say).get("/sync", headers={"Accept-Language": "de, fr"}).json()[0] == "fr"


def test_a_handler_may_speak_another_and_errors_have_a_language_too(serve):
    @get("/", event_hooks=[Locale])
    def view() -> str:
        translation.activate("ja")
        return "x"

    @get("/error", event_hooks=[Locale])
    async def error() -> None:
        raise NotFound

    client = serve(view, error)
    assert client.get("/").headers["Content-Language"] == "ja"
    assert client.get("/error", headers={"Accept-Language": "de"}).headers["Content-Language"] == "de"


def test_kept_answers_are_kept_by_language(serve):
    @get("/", event_hooks=[Locale], cache=60)
    def view() -> str:
        return _("Yes")

    client = serve(view)
    spoken = [client.get("/", headers={"Accept-Language": code}).text for code in ("de", "fr", "de")]
    assert spoken == ["Ja", "Oui", "Ja"]


# --- time zones


def noon() -> str:
    return timezone.localtime(datetime(2026, 1, 1, 12, tzinfo=UTC)).strftime("%H %Z")


def test_the_time_zone_is_what_a_cookie_or_a_header_says(serve):
    @get("/cookie", event_hooks=[TimeZone(cookie="zone")])
    def by_cookie() -> str:
        return noon()

    @get("/header", event_hooks=[TimeZone(header="Time-Zone")])
    async def by_header() -> str:
        return noon()

    client = serve(by_cookie, by_header)
    client.cookies["zone"] = "Asia/Tokyo"
    answer = client.get("/cookie")
    assert (answer.text, answer.headers["Vary"]) == ("21 JST", "Cookie")
    answer = client.get("/header", headers={"Time-Zone": "Europe/Athens"})
    assert (answer.text, answer.headers["Vary"]) == ("14 EET", "Time-Zone")
    for wrong in ("Mars/Phobos", "../../etc/passwd", "/etc/localtime", "Europe", "", "A" * 10_000, "Europe/Athens\\0"):
        assert client.get("/header", headers={"Time-Zone": wrong}).text == "06 CST", wrong


@pytest.mark.django_db(transaction=True)
def test_a_function_finds_it_with_whatever_it_asks_for(serve):
    def of_session(session: Session) -> str | None:
        return session.get("zone")

    async def of_provider(zone: Annotated[str, Depends(lambda: "Asia/Tokyo")]) -> str:
        return zone

    @get("/session", event_hooks=[TimeZone(of_session)])
    def by_session() -> str:
        return noon()

    @get("/provider", event_hooks=[TimeZone(of_provider)])
    def by_provider() -> str:
        return noon()

    @post("/choose")
    def choose(session: Session) -> None:
        session["zone"] = "Africa/Lagos"

    client = serve(by_session, by_provider, choose)
    assert client.get("/session").text == "06 CST"
    client.post("/choose")
    assert client.get("/session").text == "13 WAT"
    assert client.get("/provider").text == "21 JST"


def test_one_source_is_needed():
    with pytest.raises(ConfigurationError, match="one of a function"):
        TimeZone()
    with pytest.raises(ConfigurationError, match="one of a function"):
        TimeZone(cookie="a", header="b")


def test_settings_may_name_them():
    @get("/")
    async def view() -> str:
        return translation.get_language()

    gateway = Gateway([view], event_hooks=[Locale, TimeZone(cookie="zone")])
    from hybrid_gateway.test import TestClient

    assert TestClient(gateway).get("/", headers={"Accept-Language": "de"}).text == "de"
