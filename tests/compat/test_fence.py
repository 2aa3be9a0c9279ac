"""The fence finds undocumented names of others, and lets ours pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fence import complaints


def found(folder: Path, source: str, name: str = "room.py") -> list[str]:
    package = folder / "package"
    package.mkdir(exist_ok=True)
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text(source)
    return [line.split(" is ")[0] for line in complaints(package)]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from asgiref.sync import _restore_context", "_restore_context"),
        ("from asgiref._internal import thing", "_internal"),
        ("import django._core", "_core"),
        ("def find(model): return model._meta._property_names", "_property_names"),
        ("def find(user): return getattr(user, '_wrapped', None)", "_wrapped"),
        ("def find(request): return '_messages' in vars(request)", "_messages"),
        ("def find(request): return request.META['CSRF_COOKIE_NEEDS_UPDATE']", "CSRF_COOKIE_NEEDS_UPDATE"),
        ("import sys\ndef find(): return sys._getframe(2)", "_getframe"),
        ("class Lane(Protocol):\n    def _start_asgi_task(self): ...", "_start_asgi_task"),
        ("def find(request): return request._post", "_post"),
        ("def find(connection): return connection.in_atomic_block", "in_atomic_block"),
    ],
)
def test_an_undocumented_name_is_found(tmp_path: Path, source: str, name: str) -> None:
    (line,) = found(tmp_path, source)
    assert line.startswith("package/room.py:")
    assert line.endswith(f": {name}")


@pytest.mark.parametrize(
    "source",
    [
        "class Pool:\n    def __init__(self): self._size = 1\n    def size(self): return self._size",
        "def find(model): return model._meta.get_field('id')",
        "def find(row): return row._asdict()",
        "from package.room import _other",
    ],
)
def test_what_is_ours_or_documented_passes(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source.replace("from package", "from hybrid_gateway")) == []


def test_a_private_name_is_not_ours_because_another_module_has_one_like_it(tmp_path: Path) -> None:
    assert found(tmp_path, "class Form:\n    def __init__(self): self._post = {}") == []
    (line,) = found(tmp_path, "def find(request): return request._post", "other.py")
    assert line == "package/other.py:1: _post"


def test_the_room_behind_the_fence_may_use_them(tmp_path: Path) -> None:
    assert found(tmp_path, "from asgiref.sync import _restore_context", "_compat/asgiref.py") == []
