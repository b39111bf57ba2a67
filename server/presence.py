"""What is worth telling about people only while it lasts: who types, and how full rooms are.

What lives here: what expires, and what has changed since the last round. Pure and synchronous; time
comes in as an argument. This file knows no sockets and no JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["LARGE", "Typists"]

LARGE: Final = 256
"""Users in a room from which on it is no longer told who comes, goes or reads, but how many."""
TYPING_EXPIRES: Final = 10.0
"""Seconds after which somebody types no longer who has not said so again."""


class Typists:
    """Who types where, until they stop or it expires."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def begin(self, room: str, user: str, now: float) -> None:
        """Notes that somebody types; again if need be."""
        # At the end: the order is that of expiry.
        self._until.pop((room, user), None)
        self._until[room, user] = now + TYPING_EXPIRES

    def end(self, room: str, user: str) -> bool:
        """Notes that somebody types no longer. Tells whether they did."""
        return self._until.pop((room, user), None) is not None

    def take_expired(self, now: float) -> Sequence[tuple[str, str]]:
        """Returns who has typed until now, and where."""
        expired = []
        for typist, until in self._until.items():
            if until > now:
                break
            expired.append(typist)
        for typist in expired:
            del self._until[typist]
        return expired
