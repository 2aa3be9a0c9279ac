"""Commands of these tests run in projects of their own."""

import pytest


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch):
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
