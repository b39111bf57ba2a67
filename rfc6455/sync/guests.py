"""Who is at a server on threads: its clients, each with its thread.

What lives here: how many there may be, in all and from one address, and what became of them. This
file does not know how they come in, nor what is done with them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias

from ..addresses import address_group
from ..close import Close, CloseCode
from ..errors import HandshakeError
from .endpoint import Endpoint

if TYPE_CHECKING:
    from .incoming import Incoming

__all__ = ["Guests"]

TOLERANCE: Final = 16
"""Of clients over the limit, so many get a thread that tells them; TCP of others is just closed."""

Guest: TypeAlias = "Incoming | Endpoint"


class Guests:
    """The clients of a server. Its methods may be called from any thread.

    Args:
        most: that there may be.
        most_of_an_address: that may come from one address; None for no limit.

    Attributes:
        farewell: what is said to each when the server ends; None while it goes on.
        ended: of those that left since then, how many were closed, and how many were not.
    """

    def __init__(self, most: int, most_of_an_address: int | None) -> None:
        self._most = most
        self._most_of_an_address = most_of_an_address
        self._changed = threading.Condition()
        self._clients: dict[threading.Thread, Guest] = {}
        self._refused: set[threading.Thread] = set()
        self._group_of: dict[threading.Thread, str] = {}
        self._groups: Counter[str] = Counter()
        self.farewell: Callable[[], Close] | None = None
        self.ended = Counter[bool]()

    @property
    def connections(self) -> frozenset[Endpoint]:
        """The connections whose TCP has not ended."""
        with self._changed:
            return frozenset(
                c for c in self._clients.values() if isinstance(c, Endpoint) and not c.is_over
            )

    def enter(self, thread: threading.Thread, client: Incoming) -> bool:
        """Lets a client in whose thread is about to start, if only to be told that it is refused.

        Returns:
            Whether there is a place for it, or for a refusal.
        """
        with self._changed:
            used = len(self._clients) + len(self._refused)
            if self.farewell is not None or used >= self._most + TOLERANCE:
                return False
            if used >= self._most:
                self._refused.add(thread)
            else:
                self._clients[thread] = client
            return True

    def leave(self, thread: threading.Thread) -> None:
        """Takes note that the client of a thread has gone."""
        with self._changed:
            client = self._clients.pop(thread, None)
            self._refused.discard(thread)
            if self.farewell is not None and isinstance(client, Endpoint):
                self.ended[client.close_code != CloseCode.ABNORMAL_CLOSURE] += 1
            if group := self._group_of.pop(thread, ""):
                self._groups[group] -= 1
                if not self._groups[group]:
                    del self._groups[group]
            self._changed.notify_all()

    def close(self, farewell: Callable[[], Close]) -> list[Guest] | None:
        """Lets nobody in any more. Returns who is there; None where it was closed already."""
        with self._changed:
            if self.farewell is not None:
                return None
            self.farewell = farewell
            return list(self._clients.values())

    def wait_until_gone(self, timeout: float | None) -> int:
        """Waits until all threads but this one have ended. Returns how many have not, in time.

        Args:
            timeout: in seconds, for those that were not refused.
        """
        mine = {threading.current_thread()}
        with self._changed:
            self._changed.wait_for(lambda: not self._refused - mine)
            self._changed.wait_for(lambda: not self._clients.keys() - mine, timeout)
            return len(self._clients.keys() - mine)

    # In the thread of a client

    def is_refused(self) -> bool:
        """Tells whether the client of this thread gets no WebSocket."""
        return threading.current_thread() in self._refused

    def refuse(self) -> None:
        """Takes note that the client of this thread gets no WebSocket."""
        with self._changed:
            thread = threading.current_thread()
            if self._clients.pop(thread, None) is not None:
                self._refused.add(thread)

    def open(self, websocket: Endpoint) -> Callable[[], Close] | None:
        """Takes note of the WebSocket of this thread's client; returns the farewell."""
        with self._changed:
            self._clients[threading.current_thread()] = websocket
            return self.farewell

    def count(self, address: str) -> None:
        """Counts the client of this thread among those of its address.

        Raises:
            HandshakeError: 429; there are enough.
        """
        limit = self._most_of_an_address
        if limit is None or not address:
            return
        group = address_group(address)
        with self._changed:
            if self._groups[group] >= limit:
                raise HandshakeError("too many connections", HTTPStatus.TOO_MANY_REQUESTS)
            self._groups[group] += 1
            self._group_of[threading.current_thread()] = group
