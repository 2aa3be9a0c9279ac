"""Each kind of difference, seen between two answers."""

import json

import pytest

from hybrid_gateway.comparison.answer_differences import KINDS, answer_differences
from hybrid_gateway.comparison.exchanges import Answer

JSON = ("content-type", "application/json")


def answer(body=None, status=200, headers=(JSON,), raw=None):
    return Answer(status, tuple(headers), json.dumps(body).encode() if raw is None else raw)


def kinds(old, new, **options):
    return [(found.kind, found.place, found.detail) for found in answer_differences(old, new, **options)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {}, [("missing", "$.a", "number")]),
        ({}, {"a": 1}, [("added", "$.a", "number")]),
        ({"a": 1}, {"a": "1"}, [("type", "$.a", "number→string")]),
        ({"a": 1}, {"a": True}, [("type", "$.a", "number→boolean")]),
        ({"a": None}, {"a": 0}, [("type", "$.a", "null→number")]),
        ({"a": 1}, {"a": 2}, [("value", "$.a", "")]),
        ({"a": [1, 2]}, {"a": [1]}, [("length", "$.a[]", "")]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("order", "$.a[]", "")]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], [("value", "$[].a", "")]),
        ({"a": "word"}, {"b": {"c": 1}, "d": "word"}, [("moved", "$.a", "to $.d"), ("added", "$.b", "object")]),
        ({"a b": 1}, {}, [("missing", '$["a b"]', "number")]),
    ],
)
def test_json_differs_by_its_places(old, new, expected):
    assert kinds(answer(old), answer(new)) == expected


def test_two_missing_values_do_not_move_to_one_place():
    assert [kind for kind, _, _ in kinds(answer({"a": "x", "b": "x"}), answer({"c": "x"}))] == ["moved", "missing"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}', "order of keys"),
        (b'{"a": 1}', b'{"a":1}', "spaces, escapes or digits"),
        (b'["\\u00e9"]', '["é"]'.encode(), "spaces, escapes or digits"),
        (b"[1.0]", b"[1]", "numbers with and without a fraction"),
    ],
)
def test_equal_json_in_other_bytes_says_what_makes_them_so(old, new, why):
    assert kinds(answer(raw=old), answer(raw=new)) == [("bytes", "$", why)]


def test_another_status_is_all_that_is_said():
    assert kinds(answer({"a": 1}), answer({"b": 1}, 404)) == [("status", "200→404", "")]
    assert kinds(answer({"a": 1}), answer({"b": 1}, 500)) == [("crash", "200→500", "")]
    assert kinds(answer({"a": 1}, 500), answer({"b": 1}, 503)) == [("status", "500→503", "")]


def test_an_error_in_other_words_is_one_difference():
    assert kinds(answer({"detail": "x"}, 404), answer({"title": "y"}, 404)) == [("error", "404", "")]


def test_bodies_that_are_no_json_are_compared_as_they_are():
    text = [("content-type", "text/csv")]
    assert kinds(answer(raw=b"a", headers=text), answer(raw=b"b", headers=text)) == [("body", "text/csv", "")]
    assert kinds(answer(raw=b"a", headers=text), answer(raw=b"", headers=text)) == [
        ("body", "text/csv", "something→empty")
    ]
    assert kinds(answer(raw=b"{}"), answer(raw=b"{")) == [("body", "application/json", "no JSON")]


def headers(*pairs):
    return answer({}, headers=pairs)


def test_headers_are_understood():
    old = headers(JSON, ("date", "a"), ("content-length", "2"), ("vary", "Accept, Cookie"), ("allow", "GET,POST"))
    new = headers(("content-type", "application/json"), ("vary", "cookie,accept"), ("allow", "POST, GET"))
    assert kinds(old, new) == []


def test_headers_that_matter_differ():
    old = headers(JSON, ("x-frame-options", "DENY"), ("etag", '"a"'))
    new = headers(("content-type", "application/json; charset=utf-8"), ("link", "</a>"), ("etag", '"b"'))
    assert kinds(old, new) == [
        ("header", "content-type", "another value"),
        ("header", "etag", "another value"),
        ("header", "link", "added"),
        ("header", "x-frame-options", "missing"),
    ]


def test_cookies_differ_by_name_and_flags_and_not_by_value():
    old = headers(JSON, ("set-cookie", "a=1; Path=/; HttpOnly; expires=Mon"))
    assert kinds(old, headers(JSON, ("set-cookie", "a=2; HttpOnly; Path=/; expires=Tue"))) == []
    assert kinds(old, headers(JSON, ("set-cookie", "a=1; Path=/"))) == [("header", "set-cookie", "another value")]


def test_what_two_writes_call_now_is_one_moment():
    old, new = answer({"at": "2030-01-01T10:00:00Z"}), answer({"at": "2030-01-01T10:00:01Z"})
    assert kinds(old, new) == [("value", "$.at", "")]
    assert kinds(old, new, is_write=True) == []
    assert kinds(old, answer({"at": "2031-01-01T10:00:01Z"}), is_write=True) == [("value", "$.at", "")]


def test_every_kind_has_a_rank():
    assert list(KINDS)[:4] == ["crash", "status", "unrouted", "missing"]
