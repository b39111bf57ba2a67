"""Where a connection's messages go through: the state of its hot path, and its entrances.

What lives here: what the transport and the application call for every message, and a short way for
reads that hold nothing but whole messages, and for messages that nothing stands in the way of. It
takes nothing that the general way, which is told in `outgoing` and `endpoint`, would not take in
the same way. The native twin, `_native.channel`, has short ways for more: for messages that come in
several reads, that an extension has marked, and that are pushed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Sized
from typing import TYPE_CHECKING, Any, Final

from ..codec import NativeChannel, encode_message, take_whole_messages
from ..connection import Connection
from ..overflow import Overflow
from ..prepared import Data, PreparedMessage
from ..state import OPEN

__all__ = ["BATCH", "COLLECT_AT_MOST", "LARGE_READ", "Channel", "PythonChannel"]

BATCH: Final = 64
"""Messages of one connection that are handed out in one turn of the event loop."""
COLLECT_AT_MOST: Final = 64 * 1024
"""Bytes that replies may add up to before they are written in the middle of a batch."""
LARGE_READ: Final = 128 * 1024
"""Bytes; after a read of so many, the others have a turn before the next one."""


class PythonChannel:
    """What a connection inherits from, with what is looked at for every message."""

    __slots__ = (
        "_batching",
        "_charged",
        "_collected",
        "_core",
        "_flush_scheduled",
        "_inbox",
        "_leaving",
        "_longest_read",
        "_loop",
        "_masked",
        "_memory",
        "_must_wait",
        "_on_message",
        "_outbox",
        "_sends_plain",
        "_transport",
        "_whole_limit",
        "_write_paused",
    )

    _core: Connection
    _transport: asyncio.Transport
    _loop: asyncio.AbstractEventLoop
    _outbox: list[bytes]
    """The core's own list of frames."""
    _inbox: Sized
    """What waits for the application: messages; nothing where a `Listener` takes them at once."""
    _on_message: Callable[..., object] | None
    """Who takes them at once."""

    _charged: int
    """Bytes of an unfinished message that the budget knows of."""
    _batching: bool
    """Whether a read is being dealt with: what is sent leaves when that is over."""
    _collected: int
    """Bytes that have not left for that reason."""
    _flush_scheduled: bool
    _leaving: list[PythonChannel]
    """Those of the loop for which that is so; see `shared`."""
    _write_paused: bool
    _must_wait: bool
    """Whether `send` has to wait for its turn."""
    _longest_read: int
    """Bytes; longer reads go the general way. All do where it is negative."""
    _masked: bool
    """Whether the peer masks."""
    _whole_limit: int
    """Bytes; larger messages go the general way."""
    _sends_plain: bool
    """Whether messages are sent as they are: without a mask, an extension or an observer."""

    def __init__(self) -> None:
        self._longest_read = -1
        self._sends_plain = False

    def data_received(self, data: bytes) -> None:
        """Takes what a read brought."""
        size = len(data)
        core = self._core
        if size > self._longest_read or core.state is not OPEN or type(data) is not bytes:
            self._receive_read(data)
            return
        messages: list[Any] = []
        position = take_whole_messages(data, 0, self._masked, self._whole_limit, messages)
        if position < size or len(messages) > BATCH:
            self._receive_read(data, position, messages)
            return
        if self._flush_scheduled:
            self._flush()
        core.show_life(self._loop.time())
        self._batching = True
        try:
            self._deliver(messages, size)
        except BaseException:
            self._end_batch()
            raise
        self._batching = False
        if self._outbox:
            self._schedule_flush()
        if self._longest_read < 0:
            self._after_read()

    async def send(
        self,
        message: Data | PreparedMessage | Iterable[Data] | AsyncIterable[Data],
        *,
        compress: bool | None = None,
    ) -> None:
        """Sends a message: text for `str`, binary for the other types of bytes, which are copied.

        From an iterator, which may be asynchronous, the items become the fragments of one message
        (RFC 6455 §5.4), each sent as it comes; they are all text or all bytes. Other messages wait
        until it ends. An iterator that fails, or a task that is cancelled, in the middle of it
        leaves a message that cannot be completed: the connection is closed with 1011. An iterator
        without items sends nothing.

        Waits while more than `Limits.write_high_water` bytes wait to be written. When it is
        cancelled or raises, nothing of a message that is not an iterator was sent.

        Args:
            message: the message.
            compress: whether it is compressed, where the peer agreed to that; None lets the
                extension decide by its size, or the size of the first fragment.

        Raises:
            ConnectionClosed: the connection is over, or is being closed by us.
            UsageError: the text holds surrogates; or fragments of text and bytes are mixed.
            TypeError: it is neither text nor bytes, nor an iterator of them.
        """
        kind = type(message)
        if (
            not self._sends_plain
            or self._must_wait
            or self._core.state is not OPEN
            or (kind is not str and kind is not bytes)
        ):
            await self._send(message, compress=compress)
            return
        try:
            self._outbox.append(encode_message(message))  # type: ignore[arg-type]
        except UnicodeEncodeError:
            # It tells what is wrong.
            self._core.send(message)  # type: ignore[arg-type]
        if self._batching and self._collected < COLLECT_AT_MOST:
            # `_collect`, without the call.
            self._collected += len(message)  # type: ignore[arg-type]
        elif self._batching or self._inbox:
            self._collect(len(message))  # type: ignore[arg-type]
        else:
            self._flush()

    def push(
        self,
        message: Data | PreparedMessage,
        *,
        key: Hashable = None,
        overflow: Overflow = Overflow.DISCONNECT,
        compress: bool | None = None,
    ) -> bool:
        """Sends a message without waiting.

        It leaves at the end of this turn of the event loop, with others that were pushed in it, or
        with what is sent before. While more than `Limits.write_high_water` bytes wait to be
        written, pushed messages wait in a queue of at most `Limits.max_unsent_size` bytes and
        `Limits.max_unsent_messages` messages; in order, and before what is sent later.

        Args:
            message: the message.
            key: a message that waits with the same key gives its place to this one: for a state of
                which only the latest matters.
            overflow: what happens where the queue is full.
            compress: as in `send`.

        Returns:
            Whether the message was sent or waits. A message that waits may still give way to a
            later one; `dropped` counts those that did, but for those with a key.

        Raises:
            ConnectionClosed: the connection is over, or is being closed by us.
            UsageError: the text holds surrogates.
            TypeError: it is neither text nor bytes.
        """
        return self._push(message, key=key, overflow=overflow, compress=compress)

    # The general way

    def _receive_read(
        self, data: bytes, position: int = 0, events: list[Any] | None = None
    ) -> None:
        """Takes a read; its messages up to ``position`` are in ``events`` already."""
        raise NotImplementedError

    def _deliver(self, messages: list[Any], size: int) -> None:
        raise NotImplementedError

    def _end_batch(self) -> None:
        raise NotImplementedError

    def _after_read(self) -> None:
        raise NotImplementedError

    async def _send(
        self,
        message: Data | PreparedMessage | Iterable[Data] | AsyncIterable[Data],
        *,
        compress: bool | None = None,
    ) -> None:
        raise NotImplementedError

    def _push(
        self,
        message: Data | PreparedMessage,
        *,
        key: Hashable = None,
        overflow: Overflow = Overflow.DISCONNECT,
        compress: bool | None = None,
    ) -> bool:
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        """Writes to the transport, which is not closing; the native twin goes by its socket."""
        self._transport.write(data)

    def _write_last(self, data: bytes) -> None:
        """Writes what the end of TCP follows at once; in the native twin both leave together."""
        self._transport.write(data)

    def _schedule_flush(self) -> None:
        """Has what is to be sent leave at the end of this turn of the event loop."""
        if not self._flush_scheduled:
            if not self._leaving:
                self._loop.call_soon(depart, self._leaving)
            self._leaving.append(self)
            self._flush_scheduled = True

    def _collect(self, size: int) -> None:
        raise NotImplementedError

    def _flush(self) -> None:
        raise NotImplementedError

    def _writing_failed(self, error: BaseException) -> None:
        raise NotImplementedError

    # The short way

    def _give_back(self) -> None:
        """Gives the core what a shortcut has taken of an unfinished message."""

    def _allow_shortcuts(
        self,
        takes_reads: bool,
        longest_read: int,
        masked: bool,
        whole_limit: int,
        plain_below: int,
        mark: int,
        unwrap: Callable[[bytes, bool], str | bytes | None] | None,
    ) -> None:
        """Says which messages may take the short way.

        Args:
            takes_reads: whether whole messages in reads may.
            longest_read: bytes; longer reads may not, since they are taken in pieces.
            masked: whether the peer must mask.
            whole_limit: bytes; larger messages may not come that way.
            plain_below: bytes; messages of this size and more may not go as they are.
            mark: the reserved bit of the only extension, or 0.
            unwrap: gives the message of a whole payload with that bit; see `Connection.unwrap`.
        """
        self._masked = masked
        self._whole_limit = whole_limit
        self._longest_read = -1
        if takes_reads and not mark:
            self._longest_read = min(longest_read, LARGE_READ - 1)
        self._sends_plain = masked and plain_below == sys.maxsize


def depart(leaving: list[PythonChannel]) -> None:
    """Writes what these connections have to say, and empties the list."""
    channels = leaving[:]
    leaving.clear()
    for channel in channels:
        try:
            channel._flush()
        except Exception as error:
            # One that fails does not keep the others.
            channel._writing_failed(error)


if TYPE_CHECKING or NativeChannel is None:

    class Channel(PythonChannel, asyncio.Protocol):
        """What connections are derived from."""

        __slots__ = ()

else:

    class Channel(NativeChannel, asyncio.BufferedProtocol):
        """What connections are derived from: reads go into memory that they share."""

        __slots__ = ()
