"""What is worth telling about people only while it lasts: who types, and who is gone for good.

What lives here: what expires, and what has changed since the last round. Pure and synchronous; time
comes in as an argument. This file knows no sockets and no JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["LARGE", "MAX_ABSENT", "Absences", "Typists"]

LARGE: Final = 256
"""Users in a room from which on it is no longer told who comes, goes or reads, but how many."""
TYPING_EXPIRES: Final = 10.0
"""Seconds after which somebody types no longer who has not said so again."""
MAX_ABSENT: Final = 10_000
"""Connections that may be about to come back; when there are so many, others are gone at once."""


class Somebody(Protocol):
    """A connection of a user."""

    @property
    def user_id(self) -> str:
        """Whose it was."""


T = TypeVar("T", bound=Somebody)


class Typists:
    """Who types where, until they stop or it expires. Where is a room, or somebody's inbox."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def begin(self, place: str, user: str, now: float) -> None:
        """Notes that somebody types; again if need be."""
        # At the end: the order is that of expiry.
        self._until.pop((place, user), None)
        self._until[place, user] = now + TYPING_EXPIRES

    def end(self, place: str, user: str) -> bool:
        """Notes that somebody types no longer. Tells whether they did."""
        return self._until.pop((place, user), None) is not None

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


class Absences(Generic[T]):
    """Connections that have just been lost, and may be back before anybody needs to hear of it."""

    def __init__(self) -> None:
        self._until: dict[T, float] = {}
        self._of: dict[str, dict[T, None]] = {}

    def begin(self, absent: T, until: float) -> bool:
        """Waits for somebody until a time, no earlier than the others'. False if it cannot."""
        if len(self._until) >= MAX_ABSENT:
            return False
        self._until[absent] = until
        self._of.setdefault(absent.user_id, {})[absent] = None
        return True

    def of(self, user: str) -> Sequence[T]:
        """Returns the connections of a user that are waited for."""
        return list(self._of.get(user, ()))

    def end(self, absent: T) -> None:
        """Waits no longer."""
        del self._until[absent]
        others = self._of[absent.user_id]
        del others[absent]
        if not others:
            del self._of[absent.user_id]

    def take_expired(self, now: float) -> Sequence[T]:
        """Returns who has been waited for until now."""
        expired = []
        for absent, until in self._until.items():
            if until > now:
                break
            expired.append(absent)
        for absent in expired:
            self.end(absent)
        return expired
