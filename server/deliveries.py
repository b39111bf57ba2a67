"""What a client of the chat has said and nobody has confirmed yet.

What lives here: messages in the order in which they were said, of which one at a time is under way
to each receiver. So a message that has to be sent again cannot be overtaken by the next one. This
file knows neither the connection nor what is in a message.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["ChatError", "Deliveries", "Delivery", "Receiver"]

Receiver: TypeAlias = tuple[str, str]
"""A ``room`` or a ``user``, and its name."""


class ChatError(Exception):
    """What was asked for cannot be done.

    Attributes:
        code: the protocol's, or ``connection_lost``, ``closed`` or ``queue_full``.
        message: for people.
        retry_after: seconds after which it may be asked for again, where that helps.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after


class Delivery:
    """A message on its way. Awaiting it gives its offset in the log, or raises `ChatError`.

    Attributes:
        command: what is sent, each time with the same key.
    """

    def __init__(self, command: dict[str, Any]) -> None:
        self.command = {**command, "key": secrets.token_urlsafe(12)}
        self._future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # Who does not wait for it need not hear of its failure.
        self._future.add_done_callback(lambda future: future.cancelled() or future.exception())

    @property
    def is_done(self) -> bool:
        """Whether it is known what became of it."""
        return self._future.done()

    def __await__(self) -> Generator[Any, None, int]:
        return asyncio.shield(self._future).__await__()

    def settle(self, outcome: int | ChatError) -> None:
        """Tells what became of it: its offset, or why there is none."""
        if self._future.done():
            return
        if isinstance(outcome, ChatError):
            self._future.set_exception(outcome)
        else:
            self._future.set_result(outcome)


@dataclass(slots=True)
class _Queue:
    waiting: deque[Delivery] = field(default_factory=deque)
    is_under_way: bool = False


class Deliveries:
    """The messages to all receivers.

    Args:
        max_queued: how many there may be.
    """

    def __init__(self, max_queued: int) -> None:
        self._max_queued = max_queued
        self._queues: dict[Receiver, _Queue] = {}
        self._count = 0

    @property
    def receivers(self) -> Sequence[Receiver]:
        """Those to whom something has been said."""
        return list(self._queues)

    def add(self, receiver: Receiver, command: dict[str, Any]) -> Delivery:
        """Says something, behind all that was said before.

        Raises:
            ChatError: ``queue_full``.
        """
        if self._count >= self._max_queued:
            raise ChatError("queue_full", f"{self._count} messages wait to be confirmed already")
        delivery = Delivery(command)
        self._count += 1
        self._queues.setdefault(receiver, _Queue()).waiting.append(delivery)
        return delivery

    def begin(self, receiver: Receiver) -> Delivery | None:
        """Returns what is to be sent now: the oldest message, unless it is under way."""
        queue = self._queues.get(receiver)
        if queue is None or not queue.waiting or queue.is_under_way:
            return None
        queue.is_under_way = True
        return queue.waiting[0]

    def put_back(self, receiver: Receiver) -> None:
        """Notes that what was under way is to be sent again."""
        if receiver in self._queues:
            self._queues[receiver].is_under_way = False

    def put_all_back(self) -> None:
        """Notes that all that was under way is to be sent again."""
        for receiver in self._queues:
            self.put_back(receiver)

    def settle(self, receiver: Receiver, outcome: int | ChatError) -> None:
        """Notes what became of what was under way."""
        queue = self._queues.get(receiver)
        if queue is not None and queue.is_under_way:
            queue.is_under_way = False
            self._count -= 1
            queue.waiting.popleft().settle(outcome)

    def fail(self, receiver: Receiver, error: ChatError) -> None:
        """Gives up all that waits for a receiver."""
        for delivery in self._queues.pop(receiver, _Queue()).waiting:
            self._count -= 1
            delivery.settle(error)
