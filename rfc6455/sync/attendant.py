"""The one thread that attends to connections while no thread of the application does.

What lives here: a thread that is started when it is first needed, sleeps until a connection is due
or can be read, and ends when there is none left. It is what answers a Ping while the application is
busy elsewhere (§5.5.2), and what runs the timers. This file does not know what a visit does.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, Protocol

__all__ = ["NEVER", "Attendant", "Attended", "Visit", "attendant"]

NEVER: Final = float("inf")
LINGER: Final = 1.0
"""Seconds that the thread stays when there is nothing left: a new connection often follows."""

STALE: Final = 64
"""Entries of the agenda that may be out of date, beside one for each connection."""

logger = logging.getLogger("rfc6455.sync")


class Visit(NamedTuple):
    """What a connection asks for at the end of a visit.

    Attributes:
        mask: what of its socket is to be waited for, as a mask of `selectors`.
        due: when the next visit comes at the latest; None when that has not changed.
    """

    mask: int
    due: float | None


class Attended(Protocol):
    """What the attendant needs of a connection."""

    due: float
    """When the next visit comes at the latest, or `NEVER`; entries for other times are stale."""

    def fileno(self) -> int:
        """Returns the descriptor of its socket."""

    def visit(self, now: float, *, ready: bool) -> Visit | None:
        """Does what is due; returns None when the connection is over."""

    def left(self) -> None:
        """Takes note that its socket is not waited for any more."""


class Attendant:
    """Visits connections when they are due, or when their sockets are ready."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts anew, without members and without a thread, as in the child of a fork."""
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Attended]] = []
        self._members: set[Attended] = set()
        self._masks: dict[Attended, int] = {}
        self._wakes_at = NEVER
        self._lingers = False
        self._bell: socket.socket | None = None
        self.thread: threading.Thread | None = None
        """The thread, while it runs."""

    def schedule(self, member: Attended, when: float) -> None:
        """Asks for a visit at ``when``, which the caller has noted in ``member.due``."""
        with self._lock:
            self._members.add(member)
            self._lingers = False
            heapq.heappush(self._agenda, (when, next(self._order), member))
            if self.thread is None:
                self._start()
            elif when < self._wakes_at:
                self._wakes_at = when
                self._ring()

    def _start(self) -> None:
        self._bell, listening = socket.socketpair()
        self._bell.setblocking(False)
        listening.setblocking(False)
        self._wakes_at = -NEVER
        # A daemon: it must not keep a program alive that has forgotten a connection.
        self.thread = threading.Thread(
            target=self._run, args=(listening,), name="rfc6455-attendant", daemon=True
        )
        self.thread.start()

    def _ring(self) -> None:
        assert self._bell is not None
        with suppress(BlockingIOError):
            self._bell.send(b"\0")

    def _run(self, bell: socket.socket) -> None:
        with bell, selectors.DefaultSelector() as selector:
            selector.register(bell, selectors.EVENT_READ)
            while self._sleeps():
                members: dict[Attended, bool] = {}
                for key, _ in selector.select(self._time_to_sleep()):
                    if key.data is None:
                        bell.recv(4096)
                    else:
                        members[key.data] = True
                now = time.monotonic()
                for member in self._take_due(now):
                    members.setdefault(member, False)
                for member, ready in members.items():
                    self._visit(selector, member, now, ready)

    def _sleeps(self) -> bool:
        """Whether to go on: not when nobody came while it lingered."""
        with self._lock:
            if self._members or not self._lingers:
                self._lingers = not self._members
                return True
            self.thread = None
            assert self._bell is not None
            self._bell.close()
            return False

    def _time_to_sleep(self) -> float | None:
        with self._lock:
            if not self._members:
                self._wakes_at = NEVER
                return LINGER
            self._wakes_at = self._agenda[0][0] if self._agenda else NEVER
            return None if self._wakes_at == NEVER else max(self._wakes_at - time.monotonic(), 0)

    def _take_due(self, now: float) -> list[Attended]:
        due = []
        with self._lock:
            # While it is awake nobody needs to ring.
            self._wakes_at = -NEVER
            while self._agenda and self._agenda[0][0] <= now:
                when, _, member = heapq.heappop(self._agenda)
                if member.due == when and member in self._members:
                    due.append(member)
            if len(self._agenda) > 2 * len(self._members) + STALE:
                # What is out of date would keep connections alive that are over.
                self._agenda = [
                    e for e in self._agenda if e[2].due == e[0] and e[2] in self._members
                ]
                heapq.heapify(self._agenda)
        return due

    def _visit(
        self, selector: selectors.BaseSelector, member: Attended, now: float, ready: bool
    ) -> None:
        visit = None
        with self._surviving():
            visit = member.visit(now, ready=ready)
        mask, due = (0, None) if visit is None else visit
        before = self._masks.pop(member, 0)
        if mask and not before:
            selector.register(member.fileno(), mask, member)
        elif mask and mask != before:
            selector.modify(member.fileno(), mask, member)
        elif before and not mask:
            selector.unregister(member.fileno())
        if mask:
            self._masks[member] = mask
        if visit is None:
            with self._lock:
                self._members.discard(member)
            with self._surviving():
                member.left()
        elif due is not None and due != NEVER:
            with self._lock:
                heapq.heappush(self._agenda, (due, next(self._order), member))

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """Logs what is raised: one member that fails must not keep it from the others."""
        try:
            yield
        except Exception:
            logger.exception("a connection could not be attended to")


attendant: Final = Attendant()
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    # The child has no such thread, and must not look after its parent's connections.
    os.register_at_fork(after_in_child=attendant.reset)
