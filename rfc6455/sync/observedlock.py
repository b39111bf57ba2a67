"""The lock of a connection that is observed: it tells an observer that would wait for itself.

What lives here: one lock. This file does not know what it guards.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from threading import get_ident

from ..errors import UsageError

__all__ = ["ObservedLock"]


class ObservedLock:
    """A lock that refuses ``with`` to the thread that has it."""

    __slots__ = ("_lock", "_owner")

    def __init__(self) -> None:
        # One that only its owner can release: after Ctrl-C it tells whether it was taken.
        self._lock = threading.RLock()
        self._owner: int | None = None

    def __enter__(self) -> None:
        if self._owner == get_ident():
            raise UsageError("an observer must not call a method of the connection it is told of")
        try:
            self._lock.acquire()
            self._owner = get_ident()
        except BaseException:
            # Ctrl-C may come as soon as it is taken.
            with suppress(RuntimeError):
                self.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, blocking: bool = True) -> bool:
        """Takes it, as one that is not recursive; returns whether it was free, or became so."""
        if self._owner == get_ident() or not self._lock.acquire(blocking):
            return False
        self._owner = get_ident()
        return True

    def release(self) -> None:
        """Gives it back.

        Raises:
            RuntimeError: another thread has it, or none.
        """
        if self._owner == get_ident():
            self._owner = None
        self._lock.release()
