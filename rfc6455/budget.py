"""What all unfinished messages together may take.

What lives here: the sum over many connections, and who has to give way. Each connection has limits
of its own; thousands that stay just below them are what this is about. This file does not know what
a connection is.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

__all__ = ["PROCESS_BUDGET", "MemoryBudget"]

MiB: Final = 1024 * 1024


class Holder(Protocol):
    """Who keeps an unfinished message."""

    def give_way(self) -> None:
        """Is told to let go of it, from any thread: the connection ends with 1013.

        Whoever calls it may hold the lock of another connection: it must wait for none.
        """


class MemoryBudget:
    """A limit for the unfinished messages of many connections together.

    A message that arrives slowly, or in fragments of which the last does not come, is kept until it
    is complete. When all of them together exceed the budget, the connection that keeps most ends
    with close code 1013 ("try again later"). It may be shared by connections of several threads and
    event loops.

    Args:
        limit: in bytes; None for no limit.
    """

    __slots__ = ("_held", "_leaving", "_lock", "_total", "limit")

    def __init__(self, limit: int | None = 64 * MiB) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._held: dict[Holder, int] = {}
        self._leaving: set[Holder] = set()
        self._total = 0

    @property
    def used(self) -> int:
        """What is kept now, in bytes."""
        return self._total

    def charge(self, holder: Holder, size: int) -> None:
        """Takes note of how much a holder keeps now, in bytes; 0 when it lets go."""
        losers = []
        with self._lock:
            # Who was told to go may go on for a moment: others must not have to go for that.
            if holder in self._leaving:
                if not size:
                    self._leaving.remove(holder)
                return
            self._total += size - self._held.get(holder, 0)
            if size:
                self._held[holder] = size
            else:
                self._held.pop(holder, None)
            while self.limit is not None and self._total > self.limit:
                largest = max(self._held, key=self._held.__getitem__)
                self._total -= self._held.pop(largest)
                self._leaving.add(largest)
                losers.append(largest)
        for loser in losers:
            loser.give_way()


PROCESS_BUDGET: Final = MemoryBudget()
"""What connections share unless they are given another."""
