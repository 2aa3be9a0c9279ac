"""Names of channels: values in, one name out, and no other values lead to it."""

import datetime
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_gateway.channels.name_template import NameTemplate
from hybrid_gateway.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("template", "values", "name"),
    [
        ("lobby", {}, "lobby"),
        ("room:{room_id}", {"room_id": 1}, "room:1"),
        ("room:{room_id}", {"room_id": "1"}, "room:1"),
        ("room:{room_id:int}", {"room_id": -7}, "room:-7"),
        ("user-{a}-{b}", {"a": "1-2", "b": 3}, "user-1%2D2-3"),
        ("doc/{key:uuid}", {"key": uuid.UUID(int=1)}, "doc/00000000-0000-0000-0000-000000000001"),
        ("day:{day}", {"day": datetime.date(2026, 1, 2)}, "day:2026-01-02"),
        ("room:{name}", {"name": "a:b é/#"}, "room:a%3Ab%20%C3%A9%2F%23"),
    ],
)
def test_values_make_a_name(template, values, name):
    parsed = NameTemplate.parse(template)
    assert parsed.fill(values) == name
    assert parsed.makes(name)
    assert NameTemplate.is_name(name)


@pytest.mark.parametrize(
    ("template", "values", "complaint"),
    [
        ("room:{room_id}", {}, "misses 'room_id'"),
        ("room:{room_id}", {"room_id": 1, "x": 2}, "has no 'x'"),
        ("room:{room_id}", {"room_id": None}, "is not text"),
        ("room:{room_id}", {"room_id": True}, "is not text"),
        ("room:{room_id}", {"room_id": ""}, "makes no name"),
        ("room:{room_id}", {"room_id": [1]}, "is not text"),
        ("room:{room_id:int}", {"room_id": "1"}, "is not int"),
        ("room:{room_id:int}", {"room_id": True}, "is not int"),
        ("room:{room_id}", {"room_id": "x" * 500}, "longer than 200"),
    ],
)
def test_values_that_do_not_fit_are_type_errors(template, values, complaint):
    with pytest.raises(TypeError, match=complaint):
        NameTemplate.parse(template).fill(values)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("", "a name is"),
        ("room {x}", "a name is"),
        ("room#{x}", "a name is"),
        ("room:{x", "a name is"),
        ("room:{}", "not a Python identifier"),
        ("room:{x}{y}", "run together"),
        ("room:{x}and{y}", "run together"),
        ("room:{x}:{x}", "twice"),
        ("room:{since}", "an argument of a channel's methods"),
        ("room:{x:path}", "unknown converter"),
        ("room:{x:integer}", "unknown converter"),
    ],
)
def test_a_template_that_makes_no_sense_is_an_error_of_the_definition(template, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        NameTemplate.parse(template)


values = st.text(min_size=1, max_size=8, alphabet=st.sampled_from("ab1-:.~%_/é ")) | st.integers()


@given(
    st.sampled_from(["{a}:{b}", "x-{a}-{b}", "{a}.{b}", "{a}~{b}", "{a}/x/{b}", "{a}_:{b}", "{a}@{b}"]),
    st.tuples(values, values),
    st.tuples(values, values),
)
def test_different_values_never_make_one_name(template, one, other):
    parsed = NameTemplate.parse(template)
    names = [parsed.fill({"a": a, "b": b}) for a, b in (one, other)]
    assert (names[0] == names[1]) == (tuple(map(str, one)) == tuple(map(str, other)))
