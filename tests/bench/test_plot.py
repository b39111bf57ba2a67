"""Plots are well-formed, in order, and readable."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from bench.plot import Bar, _apart, bars, lines, number

SVG = "{http://www.w3.org/2000/svg}"


def texts(plot: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(plot).iter(f"{SVG}text")]


def test_bars_stand_in_descending_order_in_proportion() -> None:
    plot = bars("T", "S", [("G", [Bar("slow", 10), Bar("fast", 40, "ours"), Bar("limit", 20)])])
    widths = [
        float(rect.get("width", "")) for rect in ElementTree.fromstring(plot).iter(f"{SVG}rect")
    ]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert widths[0] == pytest.approx(4 * widths[2], rel=0.01)
    assert texts(plot) == ["T", "S", "G", "fast", "40", "limit", "20", "slow", "10"]


def test_a_limit_far_beyond_the_others_is_cut_short() -> None:
    plot = bars("T", "S", [("", [Bar("c", 900, "limit"), Bar("a", 40), Bar("b", 20)])])
    root = ElementTree.fromstring(plot)
    widths = [float(rect.get("width", "")) for rect in root.iter(f"{SVG}rect")]
    assert widths[0] == pytest.approx(1.25 * widths[1], rel=0.01)
    assert widths[1] == pytest.approx(2 * widths[2], rel=0.01)
    assert len(list(root.iter(f"{SVG}path"))) == 1
    assert "900" in texts(plot)
    for whole in ([Bar("c", 90, "limit"), Bar("a", 40)], [Bar("c", 90, "limit")], []):
        assert "<path" not in bars("T", "S", [("", whole)])


def test_names_are_escaped() -> None:
    assert "a < b & c" in texts(bars("a < b & c", "", [("", [Bar("<", 0)])]))


def test_lines_end_at_their_names() -> None:
    series = {"one": [(1, 10.0), (100, 1000.0)], "two": [(1, 20.0), (100, 900.0)]}
    plot = lines("T", "S", series, ours=("one",), ticks={100: "hundred"})
    assert {"one", "two", "hundred", "1"} <= set(texts(plot))
    polylines = list(ElementTree.fromstring(plot).iter(f"{SVG}polyline"))
    assert [len((line.get("points") or "").split()) for line in polylines] == [2, 2]


def test_one_point_and_none_are_drawn() -> None:
    assert "a" in texts(lines("T", "S", {"a": [(5, 10.0)]}))
    assert texts(lines("T", "S", {})) == ["T", "S"]


def test_a_logarithm_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for 0"):
        lines("T", "S", {"a": [(1, 0.0)]})


@pytest.mark.parametrize("places", [[], [3.0], [1.0, 2.0, 3.0, 200.0], [5.0] * 6])
def test_labels_keep_their_distance(places: list[float]) -> None:
    moved = _apart(places, 16)
    assert all(b - a >= 15.99 for a, b in itertools.pairwise(moved))
    assert len(moved) == len(places)


@pytest.mark.parametrize(
    ("value", "text"), [(0.4567, "0.457"), (12.34, "12.3"), (161_000, "161k"), (2_930_000, "2.93M")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text
