"""Fetch the source of the installed Django once, then run its ``tests/runtests.py`` with its handlers replaced."""

import os
import runpy
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

from tests.django_suite.replace import replace_handlers

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hybrid_gateway"
LABELS = ["asgi", "handlers", "wsgi", "requests_tests", "middleware", "middleware_exceptions", "file_uploads"]
LABELS += ["staticfiles_tests", "csrf_tests", "view_tests", "i18n.patterns", "sessions_tests", "test_client"]
LABELS += ["test_client_regress", "admin_views"]


def source(version: str) -> Path:
    directory = CACHE / f"django-{version}"
    if not directory.is_dir():
        with tempfile.TemporaryDirectory() as download:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            subprocess.run([*pip, "--dest", download, f"django=={version}"], check=True)
            with tarfile.open(next(Path(download).glob("*.tar.gz"))) as archive:
                archive.extractall(CACHE, filter="data")
    return directory


tests = source(django.__version__) / "tests"
sys.path.insert(0, str(tests))
sys.argv = ["runtests.py", "--parallel=1", *(sys.argv[1:] or LABELS)]
replace_handlers()
runpy.run_path(str(tests / "runtests.py"), run_name="__main__")
