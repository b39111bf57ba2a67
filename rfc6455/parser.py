"""Bytes to frames: what a read brings, however it is cut.

What lives here: the bytes of an unfinished header (at most 13, all that is ever buffered here), and
unmasking. This file does not know what frames mean: it hands each to `MessageAssembler` as its
bytes arrive, and passes on what that gives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

from .close import Close
from .errors import ProtocolError
from .events import Event, Fault, Fragment
from .extensions.base import SHARE, Extension
from .frames import FrameHeader, Opcode, apply_mask, decode_header
from .messages import MessageAssembler

__all__ = ["Decoder"]

WHOLE_TEXT: Final = 0x80 | Opcode.TEXT
WHOLE_BINARY: Final = 0x80 | Opcode.BINARY
WHOLE: Final = frozenset((WHOLE_TEXT, WHOLE_BINARY))

from_bytes: Final = int.from_bytes

LEAST: Final = 16 * 1024
"""Bytes of its `SHARE` that a marked message takes beside its own: each costs some work."""


def take_whole_messages(
    data: bytes,
    position: int,
    masked: bool,
    limit: int,
    events: list[Event],
    mark: int = 0,
    unwrap: Callable[[bytes, bool], str | bytes | None] | None = None,
) -> int:
    """Takes the run of unfragmented messages that start at ``position`` and are here whole.

    A shortcut for what nearly all traffic is: it takes nothing that `Decoder._parse` would not take
    in the same way, and leaves to it all that is rare or wrong. With 128-byte messages it is worth
    a factor of three.

    Args:
        data: what a read brought.
        position: where a frame starts, outside of any message.
        masked: whether the peer must mask its frames.
        limit: bytes; larger messages are left.
        events: gets the messages.
        mark: the reserved bit of the only extension, or 0.
        unwrap: gives the message of a payload with that bit, which is text or not; or None, which
            leaves it.

    Returns:
        The offset of the first frame that it left.
    """
    end = len(data)
    mask, shortest_header = (0x80, 6) if masked else (0, 2)
    without_mark = ~mark
    made = 0
    while end - position >= 2:
        first = data[position]
        if first & without_mark not in WHOLE:
            break
        length = data[position + 1] - mask
        start = position + shortest_header
        if length == 126:
            start += 2
            if start > end:
                break
            length = data[position + 2] << 8 | data[position + 3]
            if length < 126:
                break
        elif length == 127:
            start += 8
            if start > end:
                break
            length = from_bytes(data[position + 2 : position + 10], "big")
            if length < 0x10000:
                break
        elif not 0 <= length < 126:
            break
        stop = start + length
        if stop > end or length > limit:
            break
        payload = data[start:stop]
        if mask:
            # As `apply_mask` does: to call it would make all of this take a tenth longer.
            repeated = (data[start - 4 : start] * ((length + 3) // 4))[:length]
            unmasked = from_bytes(payload, "little") ^ from_bytes(repeated, "little")
            payload = unmasked.to_bytes(length, "little")
        if first == WHOLE_TEXT:
            try:
                events.append(payload.decode())
            except UnicodeDecodeError:
                break
        elif first == WHOLE_BINARY or unwrap is None:
            events.append(payload)
        else:
            message = unwrap(payload, first & without_mark == WHOLE_TEXT)
            if message is None:
                break
            events.append(message)
            made += len(message) + LEAST
            if made >= SHARE:
                return stop
        position = stop
    return position


class Decoder:
    """The receiving half of a connection: bytes in, events out.

    Args:
        masked: whether the peer must mask its frames: True on a server (§5.1).
        max_message_size: in bytes, after decompression; None for no limit.
        max_fragments: frames in one message; None for no limit.
        extensions: the negotiated ones, in the order of the server's answer.

    Attributes:
        only_messages: whether the last `receive_data` returned nothing but messages.
        incomplete_size: how much of an unfinished message is kept, in bytes.
        at_boundary: whether the next byte starts a frame that starts a message, which is not
            streamed.
        frames: how many the last `receive_data` has begun; -1 for one to each event.
        whole_limit: the size of messages that are taken whole, in bytes.
        mark: the reserved bit of the only extension, whose messages are taken whole too; or 0.
        unwrap: gives the message of a whole payload with that bit: see `MessageAssembler`.
    """

    __slots__ = (
        "_allowed_rsv",
        "_ended",
        "_header",
        "_masked",
        "_messages",
        "_missing",
        "_partial",
        "_takes_none",
        "at_boundary",
        "frames",
        "incomplete_size",
        "mark",
        "only_messages",
        "unwrap",
        "whole_limit",
    )

    # The native twin has others.
    _apply_mask = staticmethod(apply_mask)
    _take_whole_messages = staticmethod(take_whole_messages)

    def __init__(
        self,
        *,
        masked: bool,
        max_message_size: int | None = None,
        max_fragments: int | None = None,
        extensions: Sequence[Extension] = (),
    ) -> None:
        self._masked = masked
        self._messages = MessageAssembler(
            max_size=max_message_size, max_fragments=max_fragments, extensions=extensions
        )
        self._allowed_rsv = sum(extension.rsv for extension in extensions)
        self.mark = self._allowed_rsv if len(extensions) == 1 else 0
        self.unwrap = self._messages.unwrap if self.mark else None
        self._takes_none = max_fragments == 0
        self.set_max_message_size(max_message_size)
        self._partial = b""
        self._header: FrameHeader | None = None
        self._missing = 0
        self.at_boundary = True
        self._ended = False
        self.frames = 0
        self.only_messages = True
        self.incomplete_size = 0

    def set_max_message_size(self, size: int | None) -> None:
        """Changes the limit, from the next frame on."""
        self._messages.set_max_size(size)
        self.whole_limit = sys.maxsize if size is None else min(size, sys.maxsize)
        if self._takes_none:
            self.whole_limit = -1

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Takes what a read brought and returns what it completes, in order.

        After the peer's `Close`, or a `Fault`, everything is thrown away. The list then ends with
        that event.
        """
        return self.receive_rest(data, 0, [])

    def receive_rest(
        self, data: bytes | bytearray | memoryview, position: int, events: list[Event]
    ) -> list[Event]:
        """The same behind ``position``: up to there a shortcut has taken whole messages."""
        self.only_messages = True
        # Whole messages are counted by who wants to know: here it would make every read slower.
        self.frames = -1
        if type(data) is not bytes:
            data = bytes(data)
        if self.at_boundary:
            position = self.take_run(data, position, events)
            if position == len(data):
                return events
        elif self._ended:
            return events
        elif self._partial:
            data = self._partial + data
        self.frames = len(events)
        try:
            self._parse(data, position, events)
        except ProtocolError as error:
            # Its traceback and its cause would keep alive what was received.
            error.__cause__ = error.__context__ = None
            events.append(Fault(error.with_traceback(None)))
            self.only_messages = False
            self.end()
        if not self._ended:
            self._settle()
        return events

    def take_run(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes whole messages from ``position`` on, which is at a boundary.

        Returns:
            The offset of the first frame that it left: to `receive_rest`, which starts there.
        """
        if self._messages.refused is not None:
            return position
        return self._take_whole_messages(
            data, position, self._masked, self.whole_limit, events, self.mark, self.unwrap
        )

    def stream(self) -> Fragment | None:
        """Gives the current message, or the next one, in pieces; returns what is here of it."""
        piece = self._messages.stream()
        self._settle()
        return piece

    def _settle(self) -> None:
        self.incomplete_size = self._messages.incomplete_size
        self.at_boundary = not (self._partial or self._header or self._ended) and (
            self._messages.takes_whole_messages
        )

    def _parse(self, data: bytes, position: int, events: list[Event]) -> None:
        while True:
            header = self._header
            if header is None:
                if self._messages.takes_whole_messages:
                    before = len(events)
                    position = self.take_run(data, position, events)
                    self.frames += len(events) - before
                if self._messages.refused is not None:
                    raise self._messages.refused
                if position == len(data):
                    self._partial = b""
                    return
                header = decode_header(
                    data, position, masked=self._masked, allowed_rsv=self._allowed_rsv
                )
                if header is None:
                    self._partial = data[position:]
                    return
                self._messages.start_frame(header)
                self.frames += 1
                position += header.size
                self._header = header
                self._missing = header.length
            payload = data[position : position + self._missing]
            position += len(payload)
            if header.masking_key is not None:
                # A frame may arrive in several reads: the key goes on where it stopped.
                turn = (header.length - self._missing) % 4
                key = header.masking_key[turn:] + header.masking_key[:turn]
                payload = self._apply_mask(payload, key)
            self._missing -= len(payload)
            end_of_frame = not self._missing
            event = self._messages.receive_payload(payload, end_of_frame=end_of_frame)
            if event is not None:
                events.append(event)
                if header.opcode.is_control or type(event) is Fragment:
                    self.only_messages = False
                    if type(event) is Close:
                        self.end()
                        return
            if not end_of_frame:
                self._partial = b""
                return
            self._header = None

    def end(self) -> None:
        """Takes nothing more, and forgets what was unfinished."""
        self._ended = True
        self._partial = b""
        self._header = None
        self._messages.forget()
        self._settle()
