"""The project that the README makes, for the pages and the servers that begin with it."""

from pathlib import Path

import pytest

from tests.docs.follow import make_project
from tests.docs.terminal import Terminal


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme") / "project"
    folder.mkdir()
    with Terminal(folder) as terminal:
        make_project(terminal)
    return folder
