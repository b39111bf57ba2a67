"""The lock of a connection that is observed: it tells an observer that would wait for itself.

What lives here: one lock. This file does not know what it guards.
"""

from __future__ import annotations

from _thread import RLock

from ..errors import UsageError

__all__ = ["ObservedLock"]


class ObservedLock(RLock):  # type: ignore[misc]
    """A lock that refuses ``with`` to the thread that has it.

    `threading.RLock` is the lock that knows who has it, and a class under its first name only.
    """

    def __enter__(self) -> bool:  # type: ignore[override]
        if self._is_owned():  # type: ignore[attr-defined]
            raise UsageError("an observer must not call a method of the connection it is told of")
        try:
            return super().__enter__()
        except BaseException:
            # Ctrl-C may come as soon as it is taken.
            if self._is_owned():  # type: ignore[attr-defined]
                self.release()
            raise
