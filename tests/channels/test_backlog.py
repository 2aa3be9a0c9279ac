"""Backlogs: bounded whatever comes, in order, and every message is read or counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_gateway.channels.backlog import Backlog
from hybrid_gateway.channels.channel_message import Gap


def read_all(backlog):
    return [backlog.pop() for _ in range(len(backlog))]


@pytest.mark.parametrize(
    ("policy", "read"),
    [
        ("drop_oldest", [Gap(2), 2, 3, 4]),
        ("drop_newest", [0, 1, 2, Gap(2)]),
        ("latest", [Gap(3), 3, 4]),
        ("close", [Gap(4)]),
    ],
)
def test_a_gap_stands_where_messages_were_dropped(policy, read):
    backlog = Backlog(3, policy)
    for number in range(5):
        backlog.push(number)
    assert read_all(backlog) == read
    assert backlog.is_closed is (policy == "close")


def test_bytes_are_bounded_too_but_one_message_always_gets_through():
    backlog = Backlog(10, "drop_oldest", max_bytes=100)
    assert [backlog.push(weight, weight) for weight in (60, 50, 500)] == [0, 1, 1]
    assert read_all(backlog) == [Gap(2), 500]
    assert backlog.bytes == 0


def test_a_gap_of_unknown_size_stays_unknown():
    backlog = Backlog(1)
    backlog.push("a")
    backlog.push_gap(None)
    backlog.push("b")
    assert read_all(backlog) == [Gap(None), "b"]


def test_a_backlog_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="holds none"):
        Backlog(0)


steps = st.lists(st.one_of(st.just("pop"), st.integers(1, 40)), max_size=60)


@given(
    steps,
    st.integers(1, 5),
    st.sampled_from(["drop_oldest", "drop_newest", "latest", "close"]),
    st.sampled_from([None, 50]),
)
def test_every_message_is_read_in_order_or_counted(steps, size, policy, max_bytes):
    backlog = Backlog(size, policy, max_bytes)
    pushed, read, missed, after_close = 0, [], 0, 0
    for step in [*steps, *["pop"] * 200]:
        if step == "pop":
            if backlog:
                entry = backlog.pop()
                if isinstance(entry, Gap):
                    missed += entry.missed
                else:
                    read.append(entry)
                assert sorted(read) == read
        else:
            was_closed = backlog.is_closed
            dropped = backlog.push(pushed, step)
            after_close += dropped if was_closed else 0
            pushed += 1
            assert backlog.items <= size
            assert max_bytes is None or backlog.items <= 1 or backlog.bytes <= max_bytes
    assert len(read) + missed + after_close == pushed
    assert len(set(read)) == len(read)
    assert backlog.bytes == backlog.items == 0
