"""Deadlines of connections: one timer of the event loop for all that are due at about one time.

What lives here: who is to be woken, and when. With a timer of the loop for each of them, an idle
connection takes 0.6 KiB more. This file does not know what is due.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

__all__ = ["Alarms", "Bucket"]

NEAR: Final = 1.0
"""Seconds; deadlines that are nearer are kept to the point."""
PER_SECOND: Final = 16
"""Others may be met later, by less than one of these parts of a second."""
AT_ONCE: Final = 64
"""Sleepers that are woken in one turn of the loop."""


class Sleeper(Protocol):
    """Who is to be woken."""

    def deadline_reached(self) -> None:
        """Is called once; whoever wants to be woken again says so."""


class Bucket:
    """Those who are woken together."""

    __slots__ = ("_alarms", "_timer", "_when", "sleepers")

    def __init__(self, alarms: Alarms, when: float) -> None:
        self._alarms = alarms
        self._when = when
        self._timer: asyncio.Handle = alarms.loop.call_at(when, self._ring)
        self.sleepers: set[Sleeper] = set()

    def leave(self, sleeper: Sleeper) -> None:
        """Lets somebody sleep on."""
        self.sleepers.discard(sleeper)
        if not self.sleepers:
            self._timer.cancel()
            self._alarms.forget(self._when, self)

    def _ring(self) -> None:
        self._alarms.forget(self._when, self)
        self._wake()

    def _wake(self) -> None:
        try:
            for _ in range(AT_ONCE):
                if not self.sleepers:
                    return
                self._wake_one(self.sleepers.pop())
        finally:
            # Even where the program is told to end: its loop may go on for a while.
            if self.sleepers:
                self._timer = self._alarms.loop.call_soon(self._wake)

    def _wake_one(self, sleeper: Sleeper) -> None:
        try:
            sleeper.deadline_reached()
        except Exception as error:
            # One that fails does not keep the others.
            self._alarms.loop.call_exception_handler(
                {"message": "a deadline was not met", "exception": error, "protocol": sleeper}
            )


class Alarms:
    """The alarms of a loop: see `shared`."""

    __slots__ = ("_buckets", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._buckets: dict[float, Bucket] = {}

    def set(self, when: float, sleeper: Sleeper) -> Bucket:
        """Has somebody woken once, at the loop's time ``when`` or a little later.

        Returns:
            Where the sleeper is until then.
        """
        if when - self.loop.time() > NEAR:
            when = math.ceil(when * PER_SECOND) / PER_SECOND
        bucket = self._buckets.get(when)
        if bucket is None:
            bucket = self._buckets[when] = Bucket(self, when)
        bucket.sleepers.add(sleeper)
        return bucket

    def forget(self, when: float, bucket: Bucket) -> None:
        """Puts nobody else into a bucket."""
        if self._buckets.get(when) is bucket:
            del self._buckets[when]
