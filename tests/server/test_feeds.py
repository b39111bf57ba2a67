"""Live feeds and what expires: pure, with time as an argument."""

from __future__ import annotations

import random

from server.feeds import PRICES, Feed, Ticker
from server.presence import TYPING_EXPIRES, Typists


def test_of_what_changes_within_an_interval_the_last_is_told() -> None:
    feed = Feed("prices", 1.0)
    feed.set("a", 1)
    assert feed.take_changes(10.0) == [("a", 1)]
    feed.set("a", 2)
    feed.set("b", 1)
    feed.set("a", 3)
    assert feed.take_changes(10.9) == ()
    assert feed.take_changes(11.0) == [("a", 3), ("b", 1)]
    assert feed.take_changes(99.0) == ()
    assert feed.values == {"a": 3, "b": 1}


def test_prices_move_one_at_a_time() -> None:
    feed = Feed("ticker", 0.0)
    ticker = Ticker(feed, random.Random(1))
    assert dict(feed.take_changes(0.0)) == {
        symbol: {"price": price, "change": 0.0} for symbol, price in PRICES.items()
    }
    ticker.step()
    ((symbol, value),) = feed.take_changes(0.0)
    assert value["price"] == round(PRICES[symbol] + value["change"], 2)


def test_typing_ends_by_itself_unless_it_goes_on() -> None:
    typists = Typists()
    typists.begin("lobby", "Ann", 0.0)
    typists.begin("lobby", "Bob", 1.0)
    typists.begin("lobby", "Ann", 5.0)
    assert typists.take_expired(1.0 + TYPING_EXPIRES - 0.1) == []
    assert typists.take_expired(1.0 + TYPING_EXPIRES) == [("lobby", "Bob")]
    assert not typists.end("lobby", "Bob")
    assert typists.end("lobby", "Ann")
    assert typists.take_expired(1e9) == []
