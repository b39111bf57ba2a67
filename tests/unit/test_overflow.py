"""Messages that wait for a slow peer: order, keys, and what gives way when there is no room."""

from __future__ import annotations

from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfc6455 import Overflow, PreparedMessage
from rfc6455.overflow import Outcome, Pushed, PushQueue

QUEUED = Outcome(queued=True, dropped=0)


def put(
    queue: PushQueue,
    message: str,
    key: Hashable = None,
    overflow: Overflow = Overflow.DISCONNECT,
) -> Outcome:
    return queue.put(Pushed(PreparedMessage(message), None), key, overflow)


def taken(queue: PushQueue) -> list[object]:
    return [queue.pop().message.message for _ in range(len(queue))]


def test_what_waits_comes_out_in_order() -> None:
    queue = PushQueue(10)
    assert not queue
    assert [put(queue, message) for message in ("aa", "b", "aa")] == [QUEUED] * 3
    assert (len(queue), queue.size) == (3, 5)
    assert taken(queue) == ["aa", "b", "aa"]
    assert (len(queue), queue.size) == (0, 0)


@pytest.mark.parametrize("size", [4, 5, 6])
def test_the_limit_is_of_all_that_wait(size: int) -> None:
    queue = PushQueue(size)
    put(queue, "aa")
    fits = size >= 5
    assert put(queue, "bbb") == Outcome(queued=fits, dropped=0)
    assert taken(queue) == (["aa", "bbb"] if fits else ["aa"])
    assert queue.dropped == 0


def test_the_oldest_give_way() -> None:
    queue = PushQueue(5)
    put(queue, "aa")
    put(queue, "bb")
    assert put(queue, "cccc", overflow=Overflow.DROP_OLDEST) == Outcome(queued=True, dropped=2)
    assert (queue.size, queue.dropped) == (4, 2)
    assert taken(queue) == ["cccc"]


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
def test_one_that_never_fits_is_given_up_alone(overflow: Overflow) -> None:
    queue = PushQueue(5)
    put(queue, "aa")
    assert put(queue, "bbbbbb", overflow=overflow) == Outcome(queued=False, dropped=1)
    assert (queue.size, queue.dropped) == (2, 1)
    assert taken(queue) == ["aa"]


def test_the_newest_gives_way() -> None:
    queue = PushQueue(5)
    put(queue, "aaa")
    assert put(queue, "bbb", overflow=Overflow.DROP_NEWEST) == Outcome(queued=False, dropped=1)
    assert taken(queue) == ["aaa"]


def test_the_latest_of_a_key_has_the_place_of_the_one_before() -> None:
    queue = PushQueue(5)
    for message, key in (("a1", "a"), ("b1", "b"), ("a22", "a")):
        assert put(queue, message, key) == QUEUED
    assert queue.size == 5
    assert taken(queue) == ["a22", "b1"]
    assert queue.dropped == 0


def test_one_that_is_replaced_is_not_counted_among_the_dropped() -> None:
    queue = PushQueue(6)
    for message in ("aa", "bb", "cc"):
        put(queue, message, message[0])
    outcome = put(queue, "bbbbb", "b", Overflow.DROP_OLDEST)
    assert outcome == Outcome(queued=True, dropped=2)
    assert taken(queue) == ["bbbbb"]


def test_what_nobody_takes_is_forgotten() -> None:
    queue = PushQueue(5)
    put(queue, "aa")
    put(queue, "bbbb", overflow=Overflow.DROP_NEWEST)
    queue.clear()
    assert (len(queue), queue.size, queue.dropped) == (0, 0, 1)


@pytest.mark.parametrize("limit", [2, 3, 4, None])
def test_messages_are_counted_too(limit: int | None) -> None:
    queue = PushQueue(None, limit)
    fits = limit is None or limit >= 4
    outcomes = [put(queue, "", key) for key in (None, None, "a", "a", None)]
    assert outcomes[-1] == Outcome(queued=fits, dropped=0)
    assert len(queue) == (4 if fits else limit)


def test_of_many_without_content_the_oldest_give_way() -> None:
    queue = PushQueue(None, 2)
    outcomes = [put(queue, message, overflow=Overflow.DROP_OLDEST) for message in ("a", "", "b")]
    assert outcomes == [QUEUED, QUEUED, Outcome(queued=True, dropped=1)]
    assert taken(queue) == ["", "b"]


def test_where_none_may_wait_each_is_given_up() -> None:
    queue = PushQueue(None, 0)
    assert put(queue, "", overflow=Overflow.DROP_OLDEST) == Outcome(queued=False, dropped=1)


@given(
    st.integers(0, 20),
    st.lists(
        st.tuples(
            st.text("x", max_size=8), st.sampled_from([None, 1, 2]), st.sampled_from(Overflow)
        )
    ),
)
def test_what_waits_is_within_the_limit_and_counted(
    limit: int, messages: list[tuple[str, int | None, Overflow]]
) -> None:
    queue = PushQueue(limit)
    for message, key, overflow in messages:
        queued, dropped = put(queue, message, key, overflow)
        assert queue.size <= limit
        # Only a queue that may drop is allowed to, and what is refused was given up or ends it all.
        assert not (dropped and overflow is Overflow.DISCONNECT)
        assert queued or dropped == (overflow is not Overflow.DISCONNECT)
    size = queue.size
    assert sum(len(str(message)) for message in taken(queue)) == size
