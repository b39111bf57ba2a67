"""Patterns of topics: pure."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.names import check_pattern, check_topic
from server.protocol import CommandError
from server.topics import Topics

CASES = [
    ("orders", "orders", True),
    ("orders", "orders.eu", False),
    ("orders.eu", "orders", False),
    ("orders.*", "orders.eu", True),
    ("orders.*", "orders", False),
    ("orders.*", "orders.eu.paid", False),
    ("orders.*.paid", "orders.eu.paid", True),
    ("*.eu", "orders.eu", True),
    ("*", "orders", True),
    ("orders.#", "orders", True),
    ("orders.#", "orders.eu", True),
    ("orders.#", "orders.eu.paid", True),
    ("orders.#", "order", False),
    ("*.eu.#", "orders.eu", True),
    ("*.eu.#", "orders.eu.paid.late", True),
    ("#", "orders.eu", True),
]


@pytest.mark.parametrize(("pattern", "topic", "matches"), CASES)
def test_pattern_has_topic(pattern: str, topic: str, matches: bool) -> None:
    topics: Topics[str] = Topics()
    topics.add(check_pattern(pattern), "Ann")
    assert topics.find(check_topic(topic)) == ({"Ann"} if matches else set())


def test_everybody_is_found_once_and_a_subscription_ends() -> None:
    topics: Topics[str] = Topics()
    for pattern in ("a.*", "a.#", "#", "a.b"):
        topics.add(pattern, "Ann")
        topics.add(pattern, "Ann")
        topics.add(pattern, "Bob")
        topics.remove(pattern, "Ann")
    topics.remove("a.b", "Ann")
    topics.remove("x.y.z", "Ann")
    assert topics.find("a.b") == {"Bob"}
    for pattern in ("a.*", "a.#", "#", "a.b"):
        topics.remove(pattern, "Bob")
    # Nothing is left of them.
    assert topics._root.is_empty


@pytest.mark.parametrize("pattern", ["", ".", "a.", ".a", "a..b", "#.a", "a.#.b", "**", "a*", "ä"])
def test_patterns_that_are_not(pattern: str) -> None:
    with pytest.raises(CommandError) as caught:
        check_pattern(pattern)
    assert caught.value.code == "invalid_topic"


@pytest.mark.parametrize("topic", ["", "*", "a.#", "a b", "a\n", "a." * 8 + "a", "x" * 65])
def test_topics_that_are_not(topic: str) -> None:
    with pytest.raises(CommandError) as caught:
        check_topic(topic)
    assert caught.value.code == "invalid_topic"


words = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(".".join)
patterns = st.builds(
    lambda words, rest: ".".join([*words, *rest]) or "#",
    st.lists(st.sampled_from("ab*"), max_size=4),
    st.sampled_from([[], ["#"]]),
)


@given(st.dictionaries(patterns, st.integers(0, 3), max_size=10), words)
def test_the_tree_finds_what_each_pattern_has(subscriptions: dict[str, int], topic: str) -> None:
    topics: Topics[int] = Topics()
    for pattern, subscriber in subscriptions.items():
        topics.add(pattern, subscriber)
    assert topics.find(topic) == {
        subscriber
        for pattern, subscriber in subscriptions.items()
        if re.fullmatch(_as_regex(pattern), f"{topic}.")
    }


def _as_regex(pattern: str) -> str:
    """Of topics with a dot behind each word."""
    forms = {"*": r"[ab]\.", "#": r"([ab]\.)*"}
    return "".join(forms.get(word, rf"{word}\.") for word in pattern.split("."))
