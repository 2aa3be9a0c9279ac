"""Edits of settings: the right value, and no other byte."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_gateway.scaffold.settings_edits import edit_settings, gateway_setting

FORMS = [
    "INSTALLED_APPS = [\n    'django.contrib.admin',  # the admin\n    'shop',\n]\n",
    "INSTALLED_APPS = [  # noqa\n    # Django (core)\n    'django.contrib.admin',\n]\n",
    "INSTALLED_APPS = (\n\t# (tabs)\n\t'django.contrib.admin',\n\t'shop',\n)\n",
    "INSTALLED_APPS = ['django.contrib.admin', 'shop']\n",
    "INSTALLED_APPS = 'django.contrib.admin', 'shop'\n",
    "INSTALLED_APPS = []\n",
    "INSTALLED_APPS = ()\n",
    "INSTALLED_APPS: list[str] = [\n    'django.contrib.admin',\n]\n",
    "DJANGO_APPS = ['a']\nLOCAL_APPS = ['b']\nINSTALLED_APPS = DJANGO_APPS + LOCAL_APPS\n",
    "DJANGO_APPS = ('a',)\nLOCAL_APPS = ('b',)\nINSTALLED_APPS = (\n    DJANGO_APPS\n    + LOCAL_APPS\n)\n",
    "DJANGO_APPS = ['a']\nINSTALLED_APPS = [*DJANGO_APPS, 'b']\n",
    "INSTALLED_APPS = list(('a', 'b'))\n",
    "INSTALLED_APPS = 'a,b'.split(',')\nINSTALLED_APPS += ['c']\n",
    "if DEBUG:\n    INSTALLED_APPS = ['a']\nelse:\n    INSTALLED_APPS = ['b']\n",
    "INSTALLED_APPS = ['a']\nif DEBUG:\n    INSTALLED_APPS += ['debug_toolbar']\n",
    "INSTALLED_APPS = \\\n    ['a']; OTHER = 1\n",
    "INSTALLED_APPS = ['a'] if DEBUG else ['b']\n",
]
BEFORE = ["", "\n", "# -*- coding: utf-8 -*-\n", '"""Settings; naïve."""\n\n', "import os\n\n\n"]
AFTER = [
    "",
    "\n\n# trailing",
    "ROOT_URLCONF = 'mysite.urls'\n",
    "WSGI_APPLICATION = 'mysite.wsgi.application'  # keep\nX = 1\n",
]
GATEWAY = gateway_setting("mysite.routes", ("/admin/",))
APPLICATIONS = {"ASGI_APPLICATION": "mysite.asgi.application", "WSGI_APPLICATION": "mysite.wsgi.application"}


def values(data: bytes) -> dict:
    found = {"DEBUG": True}
    exec(compile(data, "settings.py", "exec"), found)
    return found


@given(
    form=st.sampled_from(FORMS),
    before=st.sampled_from(BEFORE),
    after=st.sampled_from(AFTER),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_the_app_comes_first_and_nothing_else_is_touched(form, before, after, newline, encoding):
    old = ("DEBUG = True\n" + before + form + after).replace("\n", newline).encode(encoding)
    if before.startswith("#"):
        old = (before + "DEBUG = True\n" + form + after).replace("\n", newline).encode(encoding)
    was = values(old)
    kind = type(was["INSTALLED_APPS"]).__name__
    new = edit_settings(old, add_app=True, apps_type=kind, applications=APPLICATIONS, gateway=GATEWAY)
    found = values(new)
    assert list(found["INSTALLED_APPS"]) == ["hybrid_gateway", *was["INSTALLED_APPS"]]
    assert {key: found[key] for key in APPLICATIONS} == APPLICATIONS
    assert found["HYBRID_GATEWAY"] == {"ROUTES": "mysite.routes", "ALLOWED_DJANGO_ROUTES": ("/admin/",)}
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    assert {tag for tag, *_ in matcher.get_opcodes()} <= {"equal", "insert"}
    again = edit_settings(new, add_app=False, apps_type=kind, applications=APPLICATIONS, gateway="")
    assert again == new


def test_a_file_in_another_encoding_keeps_it():
    old = "# coding: latin-1\n# é\nINSTALLED_APPS = [\n    'é',\n]\n".encode("latin-1")
    new = edit_settings(old, add_app=True, apps_type="list", applications={}, gateway="")
    assert new == old.replace(b"[\n", b"[\n    'hybrid_gateway',\n")


@pytest.mark.parametrize("value", ['"other.asgi.application"', "None"])
def test_an_application_that_is_another_is_replaced_where_it_stands(value):
    old = f"INSTALLED_APPS = []\nASGI_APPLICATION = {value}  # ours\n".encode()
    new = edit_settings(old, add_app=False, apps_type="list", applications={"ASGI_APPLICATION": "a.b"}, gateway="")
    assert new == b'INSTALLED_APPS = []\nASGI_APPLICATION = "a.b"  # ours\n'


@pytest.mark.parametrize("prefixes", [("/",), ("/", "/admin/")])
def test_what_the_front_page_is_stands_beside_it(prefixes):
    old = b"INSTALLED_APPS = []\nX = 'a', 'b'\n"
    setting = gateway_setting("mysite.routes", prefixes)
    new = edit_settings(old, add_app=False, apps_type="list", applications={}, gateway=setting)
    assert b"        '/',  # the front page alone\n" in new
    assert values(new)["HYBRID_GATEWAY"]["ALLOWED_DJANGO_ROUTES"] == prefixes
    assert "front page" not in gateway_setting("mysite.routes", ("/admin/",))
