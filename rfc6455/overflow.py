"""Messages for a peer that reads too slowly: which of them wait, and which give way.

What lives here: a queue bounded in bytes and in messages, in which a message may take the place of
one with the same key. This file does not know when the peer takes what waits, nor what a connection
is.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from enum import Enum
from typing import NamedTuple

from .prepared import PreparedMessage

__all__ = ["Outcome", "Overflow", "PushQueue"]


class Overflow(Enum):
    """What `WebSocket.push` does when a peer reads so slowly that no more may wait for it."""

    DISCONNECT = "disconnect"
    """Ends the connection with 1008; what waits is still sent before, if the peer takes it."""
    DROP_OLDEST = "drop oldest"
    """Gives up the messages that have waited longest."""
    DROP_NEWEST = "drop newest"
    """Gives up the message that would be one too many."""


class Outcome(NamedTuple):
    """What became of a message.

    Attributes:
        queued: whether it waits.
        dropped: how many messages were given up, itself included. When it neither waits nor was
            given up, the connection has to end.
    """

    queued: bool
    dropped: int


class Pushed(NamedTuple):
    """A message that waits, and whether it is to be compressed."""

    message: PreparedMessage
    compress: bool | None


class PushQueue:
    """Pushed messages that wait for one peer, in order.

    Args:
        max_size: of their payloads together, in bytes; None for no limit.
        max_messages: how many there may be; None for no limit.

    Attributes:
        size: of their payloads together, in bytes.
        dropped: how many have been given up so far.
    """

    __slots__ = ("_max_messages", "_max_size", "_waiting", "dropped", "size")

    def __init__(self, max_size: int | None, max_messages: int | None = None) -> None:
        self._max_size = math.inf if max_size is None else max_size
        self._max_messages = math.inf if max_messages is None else max_messages
        self._waiting: dict[Hashable, Pushed] = {}
        self.size = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, pushed: Pushed, key: Hashable, overflow: Overflow) -> Outcome:
        """Takes a message.

        Args:
            pushed: the message.
            key: one with the same key that waits gives it its place; None for none.
            overflow: what happens when there is no room.
        """
        waiting = self._waiting
        key = object() if key is None else key
        replaced = waiting.get(key)
        size = self.size + pushed.message.size - (replaced.message.size if replaced else 0)
        count = len(waiting) + (replaced is None)
        dropped = 0
        if self._is_over(size, count):
            if overflow is Overflow.DISCONNECT:
                return Outcome(False, 0)
            if overflow is Overflow.DROP_NEWEST or self._is_over(pushed.message.size, 1):
                self.dropped += 1
                return Outcome(False, 1)
            while self._is_over(size, count - dropped):
                oldest = next(iter(waiting))
                given_up = waiting.pop(oldest)
                if oldest != key:
                    size -= given_up.message.size
                    dropped += 1
        waiting[key] = pushed
        self.size = size
        self.dropped += dropped
        return Outcome(True, dropped)

    def _is_over(self, size: int, count: int) -> bool:
        return size > self._max_size or count > self._max_messages

    def pop(self) -> Pushed:
        """Gives out the message whose place is first."""
        pushed = self._waiting.pop(next(iter(self._waiting)))
        self.size -= pushed.message.size
        return pushed

    def clear(self) -> None:
        """Forgets what waits: nobody will take it."""
        self._waiting.clear()
        self.size = 0
