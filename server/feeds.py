"""Live feeds: values that change faster than anybody needs to know.

What lives here: the latest value of each key of a feed, and which have changed since the last
round. Pure and synchronous; time comes in as an argument. This file knows no sockets and no JSON.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["Feed", "Ticker"]


class Feed:
    """Values by key. Of what changes within an interval, the last is told.

    Attributes:
        name: what it is called.
        interval: seconds between two rounds: no key is told more often.
    """

    def __init__(self, name: str, interval: float) -> None:
        self.name = name
        self.interval = interval
        self._values: dict[str, Any] = {}
        self._changed: dict[str, None] = {}
        self._next_round = 0.0

    @property
    def values(self) -> Mapping[str, Any]:
        """The latest values."""
        return dict(self._values)

    def set(self, key: str, value: Any) -> None:
        """Changes a value."""
        self._values[key] = value
        self._changed[key] = None

    def take_changes(self, now: float) -> Sequence[tuple[str, Any]]:
        """Returns what has changed since the last round, if it is time for another one."""
        if now < self._next_round or not self._changed:
            return ()
        self._next_round = now + self.interval
        changes = [(key, self._values[key]) for key in self._changed]
        self._changed.clear()
        return changes


PRICES: Final = {"APRI": 150.0, "BERY": 2800.0, "CHRY": 300.0, "DATE": 3400.0, "ELDR": 700.0}


class Ticker:
    """A feed of prices of companies that do not exist, for trying.

    Args:
        feed: where the prices go.
        chance: where they come from.
    """

    def __init__(self, feed: Feed, chance: random.Random) -> None:
        self._feed = feed
        self._chance = chance
        self._prices = dict(PRICES)
        for symbol in PRICES:
            self._set(symbol, 0.0)

    def step(self) -> None:
        """Lets one price move."""
        symbol = self._chance.choice(list(self._prices))
        change = self._prices[symbol] * self._chance.gauss(0, 0.004)
        self._prices[symbol] += change
        self._set(symbol, change)

    def _set(self, symbol: str, change: float) -> None:
        price = self._prices[symbol]
        self._feed.set(symbol, {"price": round(price, 2), "change": round(change, 2)})
