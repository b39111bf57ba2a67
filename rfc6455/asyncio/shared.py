"""What the connections of one event loop have in common.

What lives here: the memory that their reads go into, their alarms, and the list of those that have
something to write at the end of this turn of the loop. To write wakes a peer that waits, which
costs more than the write; while it is awake the next replies find it so. With a hundred peers that
wait for their replies it is worth a quarter of all processor time. This file does not know what a
connection is, nor what it reads and writes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from .alarms import Alarms

__all__ = ["Shared", "shared_in"]

READ_SIZE: Final = 257 * 1024
"""Bytes that are read at a time, at most: a mebibyte in four reads, with its header."""


class Shared:
    """Things of one loop.

    Attributes:
        alarms: who is woken at which deadline.
        memory: where a transport puts what it has read; it is taken out before the next one reads.
        leaving: connections that have something to write. Whoever puts the first one into it has
            the loop call what takes them out.
    """

    __slots__ = ("alarms", "leaving", "memory")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.alarms = Alarms(loop)
        self.leaving: list[Any] = []
        self.memory = memoryview(bytearray(READ_SIZE))


_of: Final[dict[asyncio.AbstractEventLoop, Shared]] = {}


def shared_in(loop: asyncio.AbstractEventLoop) -> Shared:
    """Returns what the connections of this loop share."""
    shared = _of.get(loop)
    if shared is None:
        for other in list(_of):
            if other.is_closed():
                _of.pop(other, None)
        shared = _of[loop] = Shared(loop)
    return shared
