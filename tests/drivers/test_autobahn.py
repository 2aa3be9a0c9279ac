"""Autobahn's fuzzing client finds nothing on the lane."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools, which the extra `server` brings.")

from tests.drivers.autobahn import QUICK, find

WSTEST = os.environ.get("WSTEST") or shutil.which("wstest")


def findings(cases: Any = QUICK, **options: Any) -> dict[str, Any]:
    if WSTEST is None:
        pytest.skip("There is no wstest in PATH, nor named by WSTEST: see tests/drivers/autobahn.py.")
    return asyncio.run(asyncio.wait_for(find(WSTEST, cases, **options), 300))


def test_frames_are_handled_strictly_by_the_wire():
    found = findings()
    assert len(found) > 240
    assert {(each["behavior"], each["behaviorClose"]) for each in found.values()} <= {
        ("OK", "OK"),
        ("INFORMATIONAL", "INFORMATIONAL"),
    }


def test_frames_are_handled_in_order_by_asgi():
    found = findings(asgi=True)
    # What an application has not answered when the client breaks the protocol is not answered.
    assert {each["behavior"] for each in found.values()} <= {"OK", "NON-STRICT", "INFORMATIONAL"}
    assert {each["behaviorClose"] for each in found.values()} <= {"OK", "INFORMATIONAL"}
