"""The Close that connections get from a server that ends."""

from __future__ import annotations

import pytest

from rfc6455 import Close, UsageError
from rfc6455.farewell import ReconnectHint, farewells


def test_without_a_hint_all_are_the_same() -> None:
    make = farewells(1012, "restart", None)
    assert make() == make() == Close(1012, "restart")
    assert make().retry_after is None


@pytest.mark.parametrize(
    ("hint", "low", "high"), [(0.0, 0, 0), (5.0, 0, 5), ((2.0, 3.0), 2, 3), ((7.0, 7.0), 7, 7)]
)
@pytest.mark.parametrize("reason", ["", "restart"])
def test_a_hint_is_random_within_its_bounds(
    hint: ReconnectHint, low: float, high: float, reason: str
) -> None:
    make = farewells(1012, reason, hint)
    for _ in range(20):
        farewell = make()
        assert farewell.retry_after is not None
        assert low <= farewell.retry_after <= high
        assert farewell.reason.startswith(f"{reason} " if reason else "retry-after=")


@pytest.mark.parametrize("hint", [-1.0, (-1.0, 2.0), (3.0, 2.0), 1e6, (0.0, 1e6), float("nan")])
def test_hints_that_make_no_sense_are_refused(hint: ReconnectHint) -> None:
    with pytest.raises(UsageError, match="hint"):
        farewells(1012, "", hint)


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (1000, "x" * 124), (999, "")])
def test_what_must_not_travel_is_refused(code: int, reason: str) -> None:
    with pytest.raises(UsageError):
        farewells(code, reason, None)


def test_a_reason_has_room_for_the_longest_hint() -> None:
    assert farewells(1012, "x" * 102, 1.0)().reason.startswith("x" * 102)
    with pytest.raises(UsageError):
        farewells(1012, "x" * 103, 1.0)
