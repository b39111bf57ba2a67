"""The sending half of an open WebSocket of threads.

What lives here: whose turn it is to send, batches that leave in one write, what happens to messages
for a peer that reads too slowly. This file does not know about receiving, nor who waits for the
socket.

Replies to messages that came in one read leave together, as with asyncio: with the reply to the
last of them, or at 16 KiB, or after a millisecond.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

from ..close import CloseCode
from ..connection import Connection
from ..errors import UsageError
from ..observer import Observer
from ..overflow import Overflow, Pushed, PushQueue
from ..prepared import DATA, Data, PreparedMessage
from .closing import Closing
from .link import COLLECT_FOR
from .stream import Stream

__all__ = ["Outgoing"]

COLLECT_AT_MOST: Final = 16 * 1024
"""Bytes that replies may add up to before they are written in the middle of a batch: to join more
costs more than a further write."""
HEADER: Final = 14
"""Bytes of a frame's header at most (§5.2)."""


class Outgoing(Closing):
    """What sends, on a link."""

    def __init__(self, core: Connection, stream: Stream, observer: Observer | None) -> None:
        super().__init__(core, stream, observer)
        self._took_last = 0
        self._turns: deque[object] = deque()
        self._fragmenting: int | None = None
        limits = core.limits
        self._pushed = PushQueue(limits.max_unsent_size, limits.max_unsent_messages)

    # What an application sees

    def send(
        self,
        message: Data | PreparedMessage | Iterable[Data],
        *,
        compress: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Sends a message: text for `str`, binary for the other types of bytes.

        From an iterable, the items become the fragments of one message (RFC 6455 §5.4), each sent
        as it comes; they are all text or all bytes. Messages of other threads wait until it ends.
        An iterable that fails in the middle of it leaves a message that cannot be completed: the
        connection is closed with 1011. An iterable without items sends nothing.

        Waits while more than `Limits.write_high_water` bytes wait to be written; then until the
        system has taken the message. When it raises, nothing of a message that is not an iterable
        was sent.

        Args:
            message: the message.
            compress: whether it is compressed, where the peer agreed to that; None lets the
                extension decide by its size, or the size of the first fragment.
            timeout: in seconds; None for no limit. A message that has begun to be written when the
                time is over is written to its end by and by. One of which fragments have still to
                come cannot be: the connection is closed with 1011.

        Raises:
            ConnectionClosed: the connection is over, or is being closed by us.
            TimeoutError: its turn did not come in time, or that of its fragments.
            UsageError: the text holds surrogates; or fragments of text and bytes are mixed; or this
                thread is in the middle of sending an iterable.
            TypeError: it is neither text nor bytes, nor an iterable of them.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not isinstance(message, DATA):
            self._send_fragments(message, compress, deadline)
            return
        with self._lock:
            if self._turns or self._fragmenting is not None or self._unsent is not None:
                self._wait_for_turn(deadline)
            self._core.send(message, compress=compress)
            self._collected += len(message)
            if not self._more_to_answer() or not self._collects():
                self._flush()
                if self._unsent is not None:
                    self._wait_until_written(deadline)
                elif self._lost:
                    raise self._closed_error()

    def push(
        self,
        message: Data | PreparedMessage,
        *,
        key: Hashable = None,
        overflow: Overflow = Overflow.DISCONNECT,
        compress: bool | None = None,
    ) -> bool:
        """Sends a message without waiting, however slowly the peer reads.

        While the peer keeps up it is the same as `send`. Otherwise the message joins a queue of at
        most `Limits.max_unsent_size` bytes and `Limits.max_unsent_messages` messages, and leaves by
        itself when the peer reads on.

        Args:
            message: the message.
            key: a message takes the place of an earlier one with the same key that waits: of prices
                or positions, the latest is enough. None for none.
            overflow: what happens when the queue is full.
            compress: as in `send`.

        Returns:
            Whether it was sent, or waits. False when it was given up, or the connection was closed.

        Raises:
            ConnectionClosed: the connection is over, or is being closed by us.
            UsageError: the text holds surrogates.
            TypeError: it is neither text nor bytes.
        """
        with self._lock:
            if self._has_room():
                self._core.send(message, compress=compress)
                # The header counts: of messages without content, too, not any number may wait.
                self._collected += len(message) + HEADER
                if not self._more_to_answer() or not self._collects():
                    self._flush()
                    if self._unsent is not None:
                        if not self._writes:
                            self._expect_visit(0)
                    elif self._lost:
                        raise self._closed_error()
                return True
            if not self._core.may_send:
                raise self._closed_error()
            if not isinstance(message, PreparedMessage):
                message = PreparedMessage(message)
            return self._enqueue(Pushed(message, compress), key, overflow)

    @property
    def unsent_size(self) -> int:
        """Bytes that wait to be written, pushed messages included."""
        return self._backlog + self._pushed.size

    @property
    def dropped(self) -> int:
        """How many pushed messages were given up because the peer read too slowly."""
        return self._pushed.dropped

    @abstractmethod
    def _more_to_answer(self) -> bool:
        """Whether further messages of the same read wait: replies to them will follow."""

    # Sending

    def _collects(self) -> bool:
        """Whether what was just sent waits for the replies to other messages of the same read."""
        if self._collected > COLLECT_AT_MOST or self._took_last != threading.get_ident():
            return False
        if not self._flush_soon:
            self._flush_soon = True
            self._expect_visit(COLLECT_FOR)
        return True

    def _send_fragments(
        self, fragments: Iterable[Data], compress: bool | None, deadline: float | None
    ) -> None:
        if isinstance(fragments, Mapping) or not isinstance(fragments, Iterable):
            raise TypeError(
                f"a message is str, bytes or an iterable of them, not {type(fragments).__name__}"
            )
        with self._lock:
            self._wait_for_turn(deadline)
            if not self._core.may_send:
                raise self._closed_error()
            self._fragmenting = threading.get_ident()
        last: Data | None = None
        try:
            for last in fragments:
                self._send_fragment(last, False, compress, deadline)
            if last is not None:
                self._send_fragment("" if isinstance(last, str) else b"", True, None, deadline)
        finally:
            with self._lock:
                self._fragmenting = None
                if self._core.is_mid_message and not self._closing:
                    # The peer would wait for the rest.
                    self._begin_closing(CloseCode.INTERNAL_ERROR)
                self._send_waiting()
                self._changed.notify_all()

    def _send_fragment(
        self, fragment: Data, final: bool, compress: bool | None, deadline: float | None
    ) -> None:
        with self._lock:
            self._core.send_fragment(fragment, final=final, compress=compress)
            self._collected += len(fragment)
            self._flush()
            if self._lost:
                raise self._closed_error()
            if self._unsent is not None and not self._wait_until_written(deadline) and not final:
                raise TimeoutError("the message could not be written in time")

    def _wait_for_turn(self, deadline: float | None) -> None:
        if self._fragmenting == threading.get_ident():
            raise UsageError("this thread is in the middle of another message")
        turns = self._turns
        turn = object()
        turns.append(turn)
        try:
            if not self._wait(
                lambda: not self._core.may_send or (turns[0] is turn and self._has_room()),
                deadline,
                to_write=True,
            ):
                raise TimeoutError("another message could not be written in time")
        finally:
            turns.remove(turn)
            if self._waiting:
                self._changed.notify_all()

    def _wait_until_written(self, deadline: float | None) -> bool:
        """Waits until all that was sent so far is written. Returns whether it is, in time."""
        # What was sent after the last batch was taken from the core is in the next one.
        batch = self._batch + (1 if self._collected else 0)
        written = self._wait(
            lambda: self._lost or self._batch > batch or self._unsent is None,
            deadline,
            to_write=True,
        )
        if self._lost:
            raise self._closed_error()
        return written

    # Pushed messages

    def _has_room(self) -> bool:
        """Whether a message may follow those that were given to the core."""
        return self._fragmenting is None and not self._pushed and self._backlog <= self._high_water

    def _enqueue(self, pushed: Pushed, key: Hashable, overflow: Overflow) -> bool:
        queued, dropped = self._pushed.put(pushed, key, overflow)
        if dropped:
            if self._observer is not None:
                self._observer.dropped(self, dropped)
        elif not queued:
            self._begin_closing(CloseCode.POLICY_VIOLATION, "reads too slowly")
        return queued

    def _send_waiting(self) -> None:
        while self._pushed and self._fragmenting is None and self._backlog <= self._high_water:
            self._hand_over()
            # In one write, as much as goes into one.
            if not self._pushed or self._backlog > self._high_water:
                self._flush()

    def _hand_over(self) -> None:
        """Gives the core the next pushed message, whether the peer takes it or not."""
        message, compress = self._pushed.pop()
        if self._core.may_send:
            self._core.send(message, compress=compress)
            self._collected += message.size + HEADER

    def _begin_closing(self, code: int, reason: str = "") -> None:
        # What was pushed before goes before.
        while self._pushed and self._fragmenting is None and self._core.may_send:
            self._hand_over()
        super()._begin_closing(code, reason)

    def _lose(self) -> None:
        self._pushed.clear()
        super()._lose()
