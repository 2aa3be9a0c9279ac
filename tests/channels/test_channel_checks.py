"""Settings of channels that cannot work are told of before anything is served."""

from __future__ import annotations

import sys

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test import override_settings

from hybrid_gateway.channels.process_channels import make_backend
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.problems import TAG


def told(setting: object) -> list[str]:
    """Return what the check of channels says to a setting."""
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "CHANNELS": setting}):
        return [message.msg for message in run_checks(tags=[TAG]) if message.id == f"{TAG}.E007"]


@pytest.mark.parametrize(
    "setting",
    ["memory", "redis://127.0.0.1:1/0", "rediss://u:p@127.0.0.1:1", "unix:///nowhere", "valkey://127.0.0.1:1"],
)
def test_a_server_need_not_answer_for_its_setting_to_be_sound(setting: str) -> None:
    if setting != "memory":
        pytest.importorskip("redis", reason="redis-py is not installed.")
    assert told(setting) == []


def test_postgresql_needs_its_engine() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed.")
    if connection.vendor == "postgresql":
        assert told("postgresql") == []
    else:
        (message,) = told("postgresql")
        assert "psycopg 3" in message and connection.vendor in message


@pytest.mark.parametrize(
    ("missing", "setting", "extra"),
    [("redis", "redis://127.0.0.1:1", "hybrid-gateway[channels]"), ("psycopg", "postgresql", "psycopg[binary]")],
)
def test_a_package_that_is_missing_is_named(
    missing: str, setting: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == missing or name.startswith("hybrid_gateway.channels.backends."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    (message,) = told(setting)
    assert missing in message and extra in message


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://127.0.0.1:x", "not understood"),
        ("redis://127.0.0.1/0?nonsense=1&socket_timeout=x", "not understood"),
        ("redis+sentinel://127.0.0.1:1", "Sentinel needs an address"),
        ("127.0.0.1:6379", "Give redis://host:6379/0"),
    ],
)
def test_an_address_that_is_none_is_explained(url: str, says: str) -> None:
    redis_streams = pytest.importorskip(
        "hybrid_gateway.channels.backends.redis_streams", reason="redis-py is not installed."
    )
    with pytest.raises(ConfigurationError, match=says):
        redis_streams.RedisBackend(url)


@pytest.mark.parametrize("url", ["valkey://127.0.0.1:1/2", "redis://127.0.0.1:1/2?protocol=3&socket_timeout=1"])
def test_addresses_of_valkey_and_options_of_redis_py_are_taken(url: str) -> None:
    redis_connection = pytest.importorskip(
        "hybrid_gateway.channels.backends.redis_connection", reason="redis-py is not installed."
    )
    address = redis_connection.RedisAddress(url)
    assert address.database == 2
    assert (address.options["protocol"], address.options["socket_timeout"]) == (2, None)
    assert str(address) == "Redis at 127.0.0.1:1"


def test_the_settings_lead_to_the_back_end() -> None:
    pytest.importorskip("redis", reason="redis-py is not installed.")
    mapping = {"BACKEND": "hybrid_gateway.channels.backends.redis_streams.RedisBackend", "URL": "redis://h:1/4"}
    with override_settings(HYBRID_GATEWAY={"CHANNELS": {**mapping, "PREFIX": "shop"}}):
        assert repr(make_backend(get_settings().channels)) == "<RedisBackend Redis at h:1>"
