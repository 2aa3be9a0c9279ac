"""Checks see no channels of other tests."""

import weakref

import pytest

from hybrid_gateway.channels import channels


@pytest.fixture(autouse=True)
def no_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "declared", weakref.WeakSet())
