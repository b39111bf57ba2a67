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
    """One room's entries, the latest of them."""

    __slots__ = ("_size", "entries", "epoch", "offset")

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(8)
        self.offset = 0
        self.entries: deque[Entry] = deque()
        self._size = 0

    def append(self, sender: str, text: str, time: str) -> Entry:
        self.offset += 1
        entry = Entry(Position(self.epoch, self.offset), sender, text, time)
        self.entries.append(entry)
        self._size += _size(entry)
        return entry

    def trim(self, kept: int, kept_size: int) -> None:
        while self.entries and (len(self.entries) > kept or self._size > kept_size):
            self._size -= _size(self.entries.popleft())


def _size(entry: Entry) -> int:
    return len(entry.text.encode())


class EmbeddedEngine(Engine):
    """Keeps the latest messages of each room in memory.

    Args:
        kept: how many messages of each room are kept.
        kept_size: how long their texts are together, at most, in bytes. JSON needs up to six for
            one, and many clients take no message over 1 MiB: the default leaves room for both.
    """

    def __init__(self, kept: int, *, kept_size: int = 128 * 1024) -> None:
        self._kept = kept
        self._kept_size = kept_size
        self._logs: dict[str, _Log] = {}
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """See `Engine.subscribe`."""
        self._subscribers.append(subscriber)

    async def append(self, room: str, sender: str, text: str) -> Position:
        """See `Engine.append`."""
        log = self._logs.get(room)
        if log is None:
            log = self._logs[room] = _Log()
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = log.append(sender, text, time)
        log.trim(self._kept, self._kept_size)
        for subscriber in self._subscribers:
            subscriber(room, entry)
        return entry.position

    async def latest(self, room: str) -> Sequence[Entry]:
        """See `Engine.latest`."""
        log = self._logs.get(room)
        return list(log.entries) if log is not None else []

    def drop(self, room: str) -> None:
        """See `Engine.drop`."""
        self._logs.pop(room, None)
