"""R-LEN and R-COOKIE: what is longer than anything sensible is not looked at, and a cookie without a name has none."""

from typing import Annotated

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import trans_real

from hybrid_gateway import Cookie, Request, Session, get
from hybrid_gateway.auth import SessionAuthentication
from hybrid_gateway.locale import Locale, TimeZone


@get("/", event_hooks=[Locale, TimeZone(cookie="zone")])
async def view() -> str:
    return translation.get_language()


CACHES = [trans_real._parse_accept_lang_header, trans_real._get_supported_language_variant]


def sizes():
    return [cache.cache_info().currsize for cache in CACHES]


def test_r_len_a_language_that_is_too_long_is_never_cached(serve):
    client = serve(view)
    client.get("/", headers={"Accept-Language": ""})
    before = sizes()
    for number in range(20):
        client.cookies["django_language"] = client.cookies["zone"] = f"de-{number}" + "-a" * 400
        client.get("/", headers={"Accept-Language": f"de{number}" + "a" * 600})
        client.get("/", headers={"Accept-Language": "a" * 100_000 + str(number)})
    assert sizes() == before


def test_r_len_of_a_long_list_the_first_languages_count(serve):
    accepted = "de;q=0.9," + "x;q=0.1," * 1000
    assert serve(view).get("/", headers={"Accept-Language": accepted}).text == "de"


@pytest.mark.django_db(transaction=True)
def test_r_cookie_a_cookie_without_a_name_has_none(serve):
    @get("/names")
    async def names(request: Request, django: HttpRequest, x: Annotated[str, Cookie()] = "") -> list[object]:
        return ["x" in request.cookies, "x" in django.COOKIES, x]

    @get("/me", authentication=[SessionAuthentication()])
    def me(user: User) -> str:
        return user.username

    @get("/session")
    def session(session: Session) -> bool:
        return "_auth_user_id" not in session

    client = serve(names, me, view, session)
    client.force_login(User.objects.create_user("ada"))
    key = client.cookies["sessionid"].value
    client.cookies.clear()
    for nameless in (f"=sessionid={key}", f"sessionid{key}", f" =sessionid={key}; x", f"; =x=1; =sessionid={key}"):
        assert client.get("/me", headers={"Cookie": nameless}).status_code == 401, nameless
        assert client.get("/session", headers={"Cookie": nameless}).json() is True, nameless
    for nameless in ("=x=1", "x; =x=1", "=x=1; x"):
        assert client.get("/names", headers={"Cookie": nameless}).json() == [False, False, ""], nameless
    assert client.get("/", headers={"Cookie": "=django_language=de"}).text == "en"
    assert client.get("/me", headers={"Cookie": f"sessionid={key}"}).text == "ada"
