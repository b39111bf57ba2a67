"""A message that is received in pieces, in threads.

What lives here: the order of pieces and whole messages, and what becomes of a message that is given
up in the middle. This file does not know where either comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from ..events import Fragment, Message

__all__ = ["Assembly", "Pieces"]

Take: TypeAlias = Callable[[float | None], Message | Fragment]
"""Takes what comes next, before a time of `time.monotonic`, or raises `TimeoutError`."""


class Assembly:
    """Tells whole messages from pieces, for one connection; to be used with its lock held.

    Args:
        take: where they come from.
        prepare: asks for the next message in pieces, unless it is here.
    """

    __slots__ = ("_parts", "_prepare", "_reader", "_take", "expected")

    def __init__(self, take: Take, prepare: Callable[[], None]) -> None:
        self._take = take
        self._prepare = prepare
        self._parts: list[Message] = []
        self._reader: Pieces | None = None
        self.expected = False
        """Whether pieces may come: from when they were asked for until the last one is taken."""

    @property
    def is_busy(self) -> bool:
        """Whether what comes next may be something else than a whole message."""
        return self.expected or bool(self._parts)

    def whole(self, deadline: float | None) -> Message:
        """Takes a whole message, put together where it comes in pieces."""
        self._skip_rest(deadline)
        final = False
        while not final:
            data, final = self._look_at(self._take(deadline))
            self._parts.append(data)
        return self._take_parts()

    def piece(self, reader: Pieces, deadline: float | None) -> tuple[Message, bool]:
        """Takes a piece of a message for ``reader``, and tells whether it is the last."""
        if self._reader is not reader:
            self._skip_rest(deadline)
            self._prepare()
            if self._parts:
                self._reader = reader
                return self._take_parts(), False
        data, final = self._look_at(self._take(deadline))
        self._reader = None if final else reader
        return data, final

    def _skip_rest(self, deadline: float | None) -> None:
        """Throws away the rest of a message whose reader has given up."""
        while self._reader is not None:
            _, final = self._look_at(self._take(deadline))
            if final:
                self._reader = None

    def _look_at(self, item: Message | Fragment) -> tuple[Message, bool]:
        """Returns what was taken, and whether its message ends there."""
        if not isinstance(item, Fragment):
            return item, True
        self.expected = self.expected and not item.final
        return item.data, item.final

    def _take_parts(self) -> Message:
        """Returns what a `whole` whose time was over had taken, or what this one has."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else type(parts[0])().join(parts)  # type: ignore[arg-type]


class Pieces:
    """The pieces of one message, as an iterator. It takes nothing before it is iterated.

    Args:
        take: `Assembly.piece`, with the lock.
        timeout: for each piece, in seconds.
    """

    __slots__ = ("_done", "_take", "_timeout")

    def __init__(
        self,
        take: Callable[[Pieces, float | None], tuple[Message, bool]],
        timeout: float | None,
    ) -> None:
        self._take = take
        self._timeout = timeout
        self._done = False

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Message:
        if self._done:
            raise StopIteration
        timeout = self._timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        data, self._done = self._take(self, deadline)
        return data
