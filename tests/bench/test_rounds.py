"""Interleaving, medians and ratios."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.rounds import Row, in_rounds, median_of, order, ratio


def test_each_round_has_everybody_in_another_order() -> None:
    names = ["a", "b", "c"]
    rounds = [order(names, number) for number in range(6)]
    assert all(sorted(round_) == names for round_ in rounds)
    assert len({tuple(round_) for round_ in rounds}) == 6
    assert {round_[0] for round_ in rounds} == {"a", "b", "c"}
    assert order([], 3) == []


def test_candidates_are_interleaved() -> None:
    ran: list[str] = []

    def candidate(name: str) -> dict[str, object]:
        ran.append(name)
        return {"rate": len(ran)}

    rows = in_rounds({name: lambda name=name: candidate(name) for name in "ab"}, 3)  # type: ignore[misc]
    assert [row.name for row in rows] == ["a", "b"]
    assert all(len(row.samples) == 3 for row in rows)
    assert [sorted(ran[i : i + 2]) for i in (0, 2, 4)] == [["a", "b"]] * 3


def test_who_fails_is_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    runs: Iterator[dict[str, object]] = iter([{"rate": 1.0}])

    def fails_later() -> dict[str, object]:
        try:
            return next(runs)
        except StopIteration:
            raise RuntimeError("connection 3 was dropped") from None

    rows = in_rounds({"good": lambda: {"rate": 2.0}, "bad": fails_later}, 3)
    assert [(row.name, len(row.samples)) for row in rows] == [("good", 3)]
    assert "bad failed and is left out: connection 3 was dropped" in capsys.readouterr().err


def test_median_follows_the_keys() -> None:
    samples = [{"latency_us": {"p99": value}} for value in (5, 1, 9)]
    assert median_of(samples, "latency_us", "p99") == 5
    assert median_of(samples, "latency_us", "p50") is None
    assert median_of([], "rate") is None
    assert Row("x", samples).median("latency_us", "p99") == 5


def test_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    # The machine was slower in each round: medians alone would compare different rounds.
    mine = [{"rate": 100.0}, {"rate": 40.0}, {"rate": 10.0}]
    theirs = [{"rate": 50.0}, {"rate": 20.0}, {"rate": 5.0}]
    assert ratio(mine, theirs) == 2.0


def test_ratio_of_times_says_how_much_longer_the_other_takes() -> None:
    assert ratio([{"cpu_us": 2.0}], [{"cpu_us": 6.0}], "cpu_us") == 3.0
    assert ratio([{"cpu_us": 0.0}], [{"cpu_us": 6.0}], "cpu_us") == 0.0


def test_different_numbers_of_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 rounds cannot be compared with 2"):
        ratio([{"rate": 1.0}] * 3, [{"rate": 1.0}] * 2)
