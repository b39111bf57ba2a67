"""Outboxes with something in them: when each has its turn, and what several events become.

What lives here: the rounds in which outboxes are emptied, a part of them in each turn of the event
loop, and messages of several events, made once for all who get the same. This file does not know
what the events say, nor who gets them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from rfc6455 import PreparedMessage

from .protocol import Encoded

__all__ = ["Outbox", "Outboxes"]

PART: Final = 256
"""Outboxes in a turn of the event loop: what others send is read between two turns."""


class Outbox(Protocol):
    """What can be emptied."""

    def empty(self) -> None:
        """Sends what is in it, without waiting."""


class Outboxes:
    """All outboxes with something in them.

    What comes within one turn of the event loop leaves in the next, together: to have a task for
    each client do that would cost more than the writing itself.
    """

    def __init__(self) -> None:
        self._waiting: deque[Outbox] = deque()
        self._is_scheduled = False
        self._joined: tuple[Sequence[Encoded], PreparedMessage] = [], PreparedMessage("[]")

    def add(self, outbox: Outbox) -> None:
        """Has an outbox emptied, behind those that were added before."""
        self._waiting.append(outbox)
        self._schedule()

    def join(self, events: Sequence[Encoded]) -> PreparedMessage:
        """Returns a message of several events: the one of the last call, if they are the same."""
        known, message = self._joined
        if known != events:
            message = PreparedMessage(f"[{','.join(map(_text, events))}]")
            self._joined = events, message
        return message

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_round)

    def _go_round(self) -> None:
        self._is_scheduled = False
        waiting = self._waiting
        try:
            for _ in range(min(len(waiting), PART)):
                waiting.popleft().empty()
        finally:
            if waiting:
                self._schedule()


def _text(event: Encoded) -> str:
    return event if isinstance(event, str) else str(event.message)
