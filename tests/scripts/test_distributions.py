"""A distribution holds the files that belong there: one that is missing, or too much, is told."""

from pathlib import Path

from distributions import METADATA, check_source, check_wheel, tracked

PACKAGE = tracked("hybrid_gateway/")
WHEEL = PACKAGE | {f"hybrid_gateway-0.1.0.dist-info/{name}" for name in METADATA}


def test_the_package_has_more_than_modules():
    assert {Path(name).suffix for name in PACKAGE} >= {".py", ".typed", ".html", ".md"}


def test_a_wheel_with_all_of_the_package_is_right():
    assert check_wheel(WHEEL, PACKAGE) == []


def test_what_a_wheel_lacks_is_told():
    assert "is missing: hybrid_gateway/py.typed" in check_wheel(WHEEL - {"hybrid_gateway/py.typed"}, PACKAGE)


def test_what_a_wheel_has_too_much_is_told():
    assert check_wheel(WHEEL | {"tests/x.py"}, PACKAGE) == ["does not belong there: tests/x.py"]


def test_a_source_distribution_is_the_repository():
    assert check_source({"README.md", "PKG-INFO"}, {"README.md", ".ci/run"}) == []
    assert check_source({"README.md", "PKG-INFO", "db.sqlite3"}, {"README.md"}) == ["does not belong there: db.sqlite3"]
