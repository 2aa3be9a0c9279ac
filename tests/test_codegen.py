"""Functions from generated source can be read in tracebacks, whoever else has one of the same title."""

import linecache
import traceback

import pytest

from hybrid_gateway import Gateway, get
from hybrid_gateway.codegen import define


def _raise(text):
    raise LookupError(text)


def _lines_of(error):
    return [frame.line for frame in traceback.extract_tb(error.__traceback__)]


def test_a_traceback_shows_the_line_that_failed():
    function = define("find", "def find(name):\n    return fail(name)\n", {"fail": _raise}, "a lookup")
    with pytest.raises(LookupError) as caught:
        function("x")
    assert "return fail(name)" in _lines_of(caught.value)


def test_functions_inside_the_function_are_shown_as_well():
    source = "def find(name):\n    def inner():\n        return fail(name)\n    return inner()\n"
    with pytest.raises(LookupError) as caught:
        define("find", source, {"fail": _raise}, "a nested lookup")("x")
    assert _lines_of(caught.value)[-3:-1] == ["return inner()", "return fail(name)"]


def test_one_title_does_not_overwrite_the_lines_of_another_source():
    first = define("find", "def find(name):\n    return fail(name, )\n", {"fail": _raise}, "one title")
    second = define("find", "def find(name):\n    return fail(name + '')\n", {"fail": _raise}, "one title")
    for function, line in ((first, "return fail(name, )"), (second, "return fail(name + '')")):
        with pytest.raises(LookupError) as caught:
            function("x")
        assert line in _lines_of(caught.value)


def test_equal_sources_of_one_title_share_their_lines():
    source = "def find():\n    return 1\n"
    first, second = (define("find", source, {}, "a shared title") for _ in range(2))
    assert first.__code__.co_filename == second.__code__.co_filename
    assert linecache.getlines(first.__code__.co_filename) == source.splitlines(keepends=True)


def test_two_gateways_with_one_path_keep_the_source_of_their_routes():
    @get("/twice/{name}")
    def by_name(name: str) -> str:
        return name

    @get("/twice/{name}")
    def by_name_and_size(name: str, size: int = 1) -> str:
        return name * size

    gateways = [Gateway([route]) for route in (by_name, by_name_and_size)]
    for gateway in gateways:
        [endpoint] = [found for found in gateway.endpoints if found.route.path == "/twice/{name}"]
        shown = "".join(linecache.getlines(endpoint.respond.__code__.co_filename))
        assert shown == endpoint.source
