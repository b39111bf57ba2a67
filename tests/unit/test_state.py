"""The table of transitions."""

from __future__ import annotations

import pytest

from rfc6455.state import TRANSITIONS, State, Trigger, transition

CASES = [
    (state, trigger, target)
    for state, row in TRANSITIONS.items()
    for trigger, target in row.items()
]
NO_CASES = [
    (state, trigger) for state in State for trigger in Trigger if trigger not in TRANSITIONS[state]
]


@pytest.mark.parametrize(("state", "trigger", "target"), CASES)
def test_transition_of_the_table(state: State, trigger: Trigger, target: State) -> None:
    assert transition(state, trigger) is target


@pytest.mark.parametrize(("state", "trigger"), NO_CASES)
def test_any_other_transition_is_a_bug(state: State, trigger: Trigger) -> None:
    with pytest.raises(KeyError):
        transition(state, trigger)


def test_every_state_leads_to_closed_and_none_leads_back() -> None:
    order = list(State)
    assert list(TRANSITIONS) == order
    for state, _, target in CASES:
        assert order.index(target) > order.index(state)
    for state in order[:-1]:
        assert transition(state, Trigger.END) is State.CLOSED
    assert TRANSITIONS[State.CLOSED] == {}


def test_each_side_closes_once() -> None:
    for trigger in (Trigger.SEND_CLOSE, Trigger.RECEIVE_CLOSE):
        for state in State:
            after = TRANSITIONS[state].get(trigger)
            if after is not None:
                assert trigger not in TRANSITIONS[after]
