"""The packages that the tests have anyway are as the page says; page, checks and rows know the same ones."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from hybrid_gateway.checks.packages import PACKAGES
from tests.packages.__main__ import try_row
from tests.packages.page import PAGE, table, versions
from tests.packages.rows import ROWS
from tests.packages.site import Outcome, verdict

HERE = ("djangorestframework-simplejwt", "django-allauth", "whitenoise")


def test_the_page_has_the_table():
    assert table() in PAGE.read_text(encoding="utf-8"), "scripts/packages --page writes it anew"


def test_every_package_has_a_row_that_tries_it_and_a_version():
    assert list(ROWS.keys() ^ PACKAGES.keys()) == []
    assert len(PACKAGES) >= 40 and PACKAGES.keys() <= versions().keys()


@pytest.mark.parametrize("name", HERE)
def test_a_package_does_what_the_page_says(name):
    try:
        version(name)
    except PackageNotFoundError as error:
        pytest.skip(str(error))
    results = try_row(name)
    assert verdict(results) == PACKAGES[name].verdict, results
    assert all(result.answer for result in results if result.place.startswith("check")), results


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ({"bare, asgi": True, "bare, wsgi": True}, "works"),
        ({"bare, asgi": True, "bare, wsgi": False, "option 1, asgi": True, "option 1, wsgi": True}, "with"),
        ({"bare, asgi": False, "option 1, asgi": True, "option 2, asgi": False}, "no"),
        ({"bare, asgi": False, "check, bare": True}, "no"),
        ({"the project": False}, "no"),
    ],
)
def test_what_answers_come_to(answers, seen):
    assert verdict(Outcome(place, answer) for place, answer in answers.items()) == seen
