"""What was said in answer to what a turn of the event loop has brought, and leaves at its end.

What lives here: the list of those connections, one for each loop. To write wakes a peer that waits,
which costs more than the write; while it is awake the next replies find it so. With a hundred peers
that wait for their replies it is worth a quarter of all processor time. This file does not know
what a connection is, nor what it writes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["departures"]

_lists: Final[dict[asyncio.AbstractEventLoop, list[Any]]] = {}


def departures(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Returns the list of the connections of a loop that have something to write.

    Whoever puts the first one into it has the loop call what takes them out.
    """
    leaving = _lists.get(loop)
    if leaving is None:
        for other in list(_lists):
            if other.is_closed():
                _lists.pop(other, None)
        leaving = _lists[loop] = []
    return leaving
