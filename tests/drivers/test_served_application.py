"""What drivers know of a gateway is a protocol, and which gateways the lane may answer for is theirs to say."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import hybrid_gateway.drivers
from hybrid_gateway import Gateway
from hybrid_gateway.drivers.served_application import ServedApplication


class Watching(Gateway):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


class Named(Gateway):
    name = "named"


@pytest.mark.parametrize(("kind", "may"), [(Gateway, True), (Named, True), (Watching, False)])
def test_a_gateway_whose_call_is_replaced_is_asked_for_each_request(kind: type[Gateway], may: bool) -> None:
    gateway = kind([])
    assert isinstance(gateway, ServedApplication)
    assert gateway.may_skip_asgi is may


def test_an_application_of_another_kind_is_none() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    assert not isinstance(application, ServedApplication)


def test_no_driver_imports_what_composes_it() -> None:
    for path in Path(hybrid_gateway.drivers.__path__[0]).rglob("*.py"):
        modules = [
            node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
        ]
        assert not [module for module in modules if module.startswith("hybrid_gateway.gateway")], path
