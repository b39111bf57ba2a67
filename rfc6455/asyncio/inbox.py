"""The messages that wait for one task, and the task that waits for messages.

What lives here: a queue whose reader runs as soon as there is something to read, within the same
turn of the event loop. This file does not know where messages come from. There is a native twin,
`_native.inbox`, which is used where `codec` uses the other one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Protocol

from ..codec import NativeInbox
from ..errors import UsageError

__all__ = ["Inbox", "Owner", "PythonInbox"]


class Owner(Protocol):
    """Who gives out the messages of an `Inbox`."""

    def _run_out(self, iterating: bool) -> None:
        """Is told that the reader comes to an empty inbox, where `Inbox.over` is set.

        It may raise, or put messages.
        """

    def _caught_up(self) -> None:
        """Is told that the reader has taken the last message, while `Inbox.watched` is set."""

    def _second_reader(self) -> UsageError:
        """Returns what is raised where another task waits already."""


class PythonInbox:
    """A queue of messages with one reader.

    To the reader's task it is what a future is: the task waits on it. With two differences: a task
    can wait on it again and again, and to `put` messages runs the task before it returns. A future
    would put it into the queue of the event loop, and the turn of the loop costs more than a short
    message. Within another task that is not possible; then it goes through that queue here, too.

    Attributes:
        waiting: whether the reader waits.
        busy: whether the reader has taken a message, and not come back for more than was here.
        over: whether nothing more will come.
        watched: whether the owner wants to be told when the last message is taken.
    """

    # By the first of these a task knows what it may wait on (asyncio.isfuture).
    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_cancelled",
        "_context",
        "_loop",
        "_messages",
        "_woken",
        "busy",
        "over",
        "waiting",
        "watched",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._cancelled = False
        self._woken = False
        # In reverse: the next one is the last item.
        self._messages: list[Any] = []
        self.waiting = False
        self.busy = False
        self.over = False
        self.watched = False

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def reader(self) -> asyncio.Task[Any] | None:
        """The task that waits, where it is known."""
        return getattr(self._callback, "__self__", None)

    def peek(self) -> list[Any]:
        """Returns the messages that wait, the next one first."""
        return self._messages[::-1]

    def put(self, messages: list[Any]) -> None:
        """Adds messages, which are the inbox's from now on, and runs the reader if it waits."""
        messages.reverse()
        if self._messages:
            self._messages[:0] = messages
        else:
            self._messages = messages
        context = self._context
        if context is not None and asyncio.current_task(self._loop) is None:
            callback = self._callback
            self._callback = self._context = None
            context.run(callback, self)  # type: ignore[arg-type]
        elif self._callback is not None and not self._woken:
            self._wake_later()

    def wake(self) -> None:
        """Runs the reader, if it waits."""
        self.put([])

    def _wake_later(self) -> None:
        self._woken = True
        assert self._callback is not None
        self._loop.call_soon(self._callback, self, context=self._context)
        self._context = None

    async def get(self, owner: Owner, iterating: bool) -> Any:
        """Takes the next message, or waits for it.

        Args:
            owner: is told when there is no message.
            iterating: what `Owner._run_out` wants to know.
        """
        if self.waiting:
            raise owner._second_reader()
        while not self._messages:
            self.busy = False
            if self.over:
                owner._run_out(iterating)
            if not self._messages:
                await self
        message = self._messages.pop()
        self.busy = True
        if self.watched and not self._messages:
            owner._caught_up()
        return message

    # What a task asks of a future

    def __await__(self) -> Generator[PythonInbox, None, None]:
        self.waiting = self._asyncio_future_blocking = True
        try:
            yield self
            if self._cancelled:
                raise asyncio.CancelledError
        finally:
            self.waiting = False
            if self._callback is not None:
                # `put` has not run the reader: the event loop has, or it is thrown away.
                self._woken = self._cancelled = False
                self._callback = self._context = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Returns the loop whose tasks may wait."""
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Takes what makes the waiting task go on."""
        self._callback = callback
        self._context = context

    # A task asks for it each time. There is none, and a function in C says so at half the price.
    result = staticmethod(bool)

    def cancel(self, msg: Any = None) -> bool:
        """Cancels the waiting of the task; False where it has ended already."""
        if self._callback is None or self._woken:
            return False
        self._cancelled = True
        self._wake_later()
        return True


Inbox: type[PythonInbox] = PythonInbox if NativeInbox is None else NativeInbox
