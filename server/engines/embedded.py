"""The engine for one process: logs in memory.

What lives here: a bounded log for each room. Nothing survives the process.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from .base import Engine, Entry, Position, Subscriber

__all__ = ["EmbeddedEngine"]


class _Log:
    """One room's entries."""

    __slots__ = ("entries", "epoch", "offset")

    def __init__(self, kept: int) -> None:
        self.epoch = secrets.token_hex(8)
        self.offset = 0
        self.entries: deque[Entry] = deque(maxlen=kept)


class EmbeddedEngine(Engine):
    """Keeps the latest messages of each room in memory.

    Args:
        kept: how many messages of each room are kept.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._logs: dict[str, _Log] = {}
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """See `Engine.subscribe`."""
        self._subscribers.append(subscriber)

    async def append(self, room: str, sender: str, text: str) -> Position:
        """See `Engine.append`."""
        log = self._logs.get(room)
        if log is None:
            log = self._logs[room] = _Log(self._kept)
        log.offset += 1
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = Entry(Position(log.epoch, log.offset), sender, text, time)
        log.entries.append(entry)
        for subscriber in self._subscribers:
            subscriber(room, entry)
        return entry.position

    async def latest(self, room: str) -> Sequence[Entry]:
        """See `Engine.latest`."""
        log = self._logs.get(room)
        return list(log.entries) if log is not None else []

    async def drop(self, room: str) -> None:
        """See `Engine.drop`."""
        self._logs.pop(room, None)
