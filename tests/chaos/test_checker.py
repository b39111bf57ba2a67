"""The checker finds each fault that is planted into a history that is right."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .checker import check
from .history import Delivered, Entered, History, Outcome, Publish


def make(seed: int) -> History:
    """A history as a chat makes it that keeps its promise."""
    chance = random.Random(seed)
    history = History(logs={"a": {}, "b": {}})
    subscribers = [(f"s{number}", room) for number in range(3) for room in "ab"]
    for key in subscribers:
        history.received[key] = [Entered(recovered=False)]
    have = dict.fromkeys(subscribers, 0)
    for number in range(60):
        room = chance.choice("ab")
        value = f"v{number}"
        publisher = f"p{number % 3}"
        outcome = chance.choice([Outcome.ACKNOWLEDGED] * 6 + list(Outcome))
        is_kept = outcome is Outcome.ACKNOWLEDGED or (
            outcome is Outcome.INDETERMINATE and chance.random() < 0.5
        )
        offset = None
        if is_kept:
            offset = len(history.logs[room]) + 1
            history.logs[room][offset] = value
        known = offset if outcome is Outcome.ACKNOWLEDGED else None
        history.publishes.append(Publish(publisher, room, value, outcome, known))
        for key in subscribers:
            if chance.random() < 0.5:
                catch_up(history, key, have)
            if chance.random() < 0.05:
                history.received[key].append(Entered(recovered=True))
    for key in subscribers:
        catch_up(history, key, have)
    # One that was away for too long, and was told so.
    late = history.received["late", "a"] = [Entered(recovered=True)]
    log = history.logs["a"]
    late += [Delivered(offset, log[offset]) for offset in (1, 2)]
    late += [Entered(recovered=False)]
    late += [Delivered(offset, log[offset]) for offset in range(len(log) - 3, len(log) + 1)]
    return history


def catch_up(history: History, key: tuple[str, str], have: dict[tuple[str, str], int]) -> None:
    log = history.logs[key[1]]
    for offset in range(have[key] + 1, len(log) + 1):
        history.received[key].append(Delivered(offset, log[offset]))
    have[key] = len(log)


def somewhere(history: History, chance: random.Random) -> tuple[tuple[str, str], int]:
    """A delivery, by its key and index, with two others of the same subscriber behind it."""
    key = chance.choice([key for key in history.received if key[0] != "late"])
    steps = history.received[key]
    places = [
        index
        for index in range(1, len(steps) - 2)
        if all(isinstance(step, Delivered) for step in steps[index : index + 3])
    ]
    return key, chance.choice(places)


def drop(history: History, chance: random.Random) -> None:
    key, index = somewhere(history, chance)
    steps = history.received[key]
    # One with others before and behind it: a subscriber may begin anywhere.
    del steps[index + 1 if all(isinstance(step, Entered) for step in steps[:index]) else index]


def drop_the_end(history: History, chance: random.Random) -> None:
    key, _ = somewhere(history, chance)
    while not isinstance(history.received[key].pop(), Delivered):
        pass


def duplicate(history: History, chance: random.Random) -> None:
    key, index = somewhere(history, chance)
    history.received[key].insert(index, history.received[key][index])


def repeat_after_coming_back(history: History, chance: random.Random) -> None:
    key, index = somewhere(history, chance)
    steps = history.received[key]
    steps[index + 1 : index + 1] = [Entered(recovered=True), steps[index]]


def swap(history: History, chance: random.Random) -> None:
    key, index = somewhere(history, chance)
    steps = history.received[key]
    steps[index], steps[index + 1] = steps[index + 1], steps[index]


def claim_recovery(history: History, _: random.Random) -> None:
    late = history.received["late", "a"]
    late[late.index(Entered(recovered=False))] = Entered(recovered=True)


def deliver_what_was_said_elsewhere(history: History, chance: random.Random) -> None:
    key, index = somewhere(history, chance)
    step = history.received[key][index]
    assert isinstance(step, Delivered)
    other = "b" if key[1] == "a" else "a"
    history.received[key][index] = Delivered(step.offset, history.logs[other][1])


def acknowledge_before_the_commit(history: History, chance: random.Random) -> None:
    index = chance.choice(
        [i for i, p in enumerate(history.publishes) if p.outcome is Outcome.ACKNOWLEDGED]
    )
    lost = history.publishes[index]
    log = history.logs[lost.room]
    values = [value for _, value in sorted(log.items()) if value != lost.value]
    history.logs[lost.room] = dict(enumerate(values, 1))


def append_twice(history: History, chance: random.Random) -> None:
    log = history.logs["a"]
    log[len(log) + 1] = chance.choice(list(log.values()))


def append_what_was_refused(history: History, chance: random.Random) -> None:
    refused = Publish("p9", "a", "refused", Outcome.REFUSED)
    history.publishes.append(refused)
    history.logs["a"][len(history.logs["a"]) + 1] = refused.value


def append_what_nobody_said(history: History, chance: random.Random) -> None:
    history.logs["a"][len(history.logs["a"]) + 1] = "nobody's"


def append_out_of_order(history: History, chance: random.Random) -> None:
    kept = [p for p in history.publishes if p.value in history.logs[p.room].values()]
    by_publisher = [
        [p for p in kept if (p.publisher, p.room) == (publisher, room)]
        for publisher in ("p0", "p1", "p2")
        for room in "ab"
    ]
    first, second, *_ = max(by_publisher, key=len)
    a, b = history.publishes.index(first), history.publishes.index(second)
    history.publishes[a], history.publishes[b] = second, first


def leave_a_gap_in_the_log(history: History, chance: random.Random) -> None:
    log = history.logs["a"]
    log[len(log) + 2] = log.pop(len(log))


PLANTED: list[Callable[[History, random.Random], None]] = [
    drop,
    drop_the_end,
    duplicate,
    repeat_after_coming_back,
    swap,
    claim_recovery,
    deliver_what_was_said_elsewhere,
    acknowledge_before_the_commit,
    append_twice,
    append_what_was_refused,
    append_what_nobody_said,
    append_out_of_order,
    leave_a_gap_in_the_log,
]


@given(st.integers())
def test_a_history_that_keeps_the_promise_is_right(seed: int) -> None:
    assert check(make(seed)) == []


def test_nothing_at_all_is_right() -> None:
    assert check(History(received={("s", "a"): [Entered(recovered=False)]}, logs={"a": {}})) == []


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
@given(st.integers())
def test_planted_fault_is_found(plant: Callable[[History, random.Random], None], seed: int) -> None:
    history = make(seed)
    before = copy.deepcopy(history)
    plant(history, random.Random(seed))
    assert history != before
    assert check(history) != []
