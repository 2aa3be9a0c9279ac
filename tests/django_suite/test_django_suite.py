"""Django's own tests of its handlers, through the gateway: a few of them here, all by ``scripts/django-suite``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_djangos_tests_of_its_handlers_pass_through_the_gateway() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "tests.django_suite", "asgi", "handlers", "wsgi"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=240)
    if "pip" in ran.stderr and "CalledProcessError" in ran.stderr:
        pytest.skip("Django's source cannot be fetched.")
    assert ran.returncode == 0, ran.stderr
    assert "OK" in ran.stderr
