"""The sending half of a connection: messages to frames, in the order in which they leave.

What lives here: the outbox, masking keys, the order of our fragments, and what extensions make of
our messages. This file does not know what the peer says, nor about time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .close import Close
from .codec import encode, encode_message
from .errors import UsageError, connection_closed
from .extensions.base import Extension
from .frames import Opcode
from .masking import new_masking_key
from .prepared import PreparedMessage
from .state import CLOSE_RECEIVED, OPEN, State

__all__ = ["Sender"]


class Sender:
    """What a `Connection` inherits from.

    Args:
        masks: whether we mask: True on a client (§5.1).
        extensions: what the opening handshake agreed on, in the order of the server's answer.

    Attributes:
        state: where the connection stands; not to be set.
    """

    __slots__ = (
        "_close_received",
        "_close_sent",
        "_encoders",
        "_extensions",
        "_masks",
        "_outbox",
        "_pending_pong",
        "_sending",
        "state",
    )

    def __init__(self, *, masks: bool, extensions: Sequence[Extension]) -> None:
        self.state: State = OPEN
        self._extensions = tuple(extensions)
        self._masks = masks
        self._outbox: list[bytes] = []
        self._pending_pong: bytes | None = None
        self._sending: Opcode | None = None
        self._encoders: Sequence[Extension] = ()
        self._close_received: Close | None = None
        self._close_sent: Close | None = None

    # How it stands

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """The extensions in use."""
        return self._extensions

    @property
    def may_send(self) -> bool:
        """Whether a message may be sent still."""
        return self.state is OPEN or self.state is CLOSE_RECEIVED

    @property
    def is_mid_message(self) -> bool:
        """Whether fragments of a message were sent, and not its last."""
        return self._sending is not None

    @property
    def close_received(self) -> Close | None:
        """The Close frame that the peer sent, if it did."""
        return self._close_received

    @property
    def close_sent(self) -> Close | None:
        """The Close frame that we sent, if we did."""
        return self._close_sent

    @property
    def frames_to_send(self) -> int:
        """How many frames `data_to_send` would return."""
        return len(self._outbox) + (self._pending_pong is not None)

    # For shortcuts of transports, which send nothing that the general way would not send alike

    @property
    def outbox(self) -> list[bytes]:
        """The list that `data_to_send` empties, always the same: frames, or the parts of frames."""
        return self._outbox

    @property
    def plain_below(self) -> int:
        """The size from which on a message may concern an extension, in bytes."""
        if not self._extensions:
            return sys.maxsize
        return min([sys.maxsize, *(extension.threshold for extension in self._extensions)])

    def wrap(self, payload: bytes) -> bytes | None:
        """Gives what the only extension makes of a whole message, which is sent with its bit.

        None where it leaves the message as it is.
        """
        extension = self._extensions[0]
        if not extension.applies_to(len(payload)):
            return None
        return extension.encode(payload, final=True)

    def wrap_prepared(self, message: PreparedMessage, compress: bool | None = None) -> bytes | None:
        """Gives the frame of a prepared message where there is one extension, and no masking.

        None where the message is to be sent like any other.
        """
        extension = self._extensions[0]
        if not (extension.applies_to(message.size) if compress is None else compress):
            return message.frame
        share = extension.share()
        if share is None:
            return None
        frame = message.frame_with(extension, share)
        extension.skip_shared()
        return frame

    # What we say

    def data_to_send(self) -> bytes:
        """Returns what is to be written, and forgets it."""
        if self._pending_pong is not None:
            self._send_pending_pong()
        data = b"".join(self._outbox)
        self._outbox.clear()
        return data

    def send(
        self,
        message: str | bytes | bytearray | memoryview | PreparedMessage,
        *,
        compress: bool | None = None,
    ) -> None:
        """Sends a message: text for `str`, binary for the others, which are copied.

        Args:
            message: the message; or one that was prepared for many.
            compress: as in `send_text`.

        Raises:
            UsageError: as in `send_text`.
            ConnectionClosed: our Close was sent, or TCP has ended.
            TypeError: it is neither text nor bytes.
        """
        kind = type(message)
        if (
            (kind is str or kind is bytes)
            and self.state is OPEN
            and self._sending is None
            and not self._extensions
        ):
            # What nearly all traffic is; the general way below would do the same.
            key = new_masking_key() if self._masks else None
            try:
                self._outbox.append(encode_message(message, key))  # type: ignore[arg-type]
            except UnicodeEncodeError as error:
                raise _not_unicode(error) from error
        elif kind is PreparedMessage:
            self._send_prepared(message, compress)  # type: ignore[arg-type]
        elif isinstance(message, str | bytes | bytearray | memoryview):
            self.send_fragment(message, final=True, compress=compress)
        else:
            raise TypeError(f"a message is str or bytes, not {kind.__name__}")

    def send_fragment(
        self,
        fragment: str | bytes | bytearray | memoryview,
        *,
        final: bool,
        compress: bool | None = None,
    ) -> None:
        """Sends the next fragment of a message: of text for `str`, of a binary one for the others.

        Args:
            fragment: any part of the message, empty or not.
            final: whether the message ends with it.
            compress: as in `send_text`.

        Raises:
            UsageError: it is text in a binary message, or bytes in a text; or as in `send_text`.
            ConnectionClosed: our Close was sent, or TCP has ended.
            TypeError: it is neither text nor bytes.
        """
        if isinstance(fragment, str):
            self.send_text(fragment, final=final, compress=compress)
        elif isinstance(fragment, bytes | bytearray | memoryview):
            self.send_binary(fragment, final=final, compress=compress)
        else:
            raise TypeError(f"a fragment is str or bytes, not {type(fragment).__name__}")

    def send_text(self, text: str, *, final: bool = True, compress: bool | None = None) -> None:
        """Sends a text message, or the next fragment of one.

        Args:
            text: the message.
            final: False when more of the same message follows (§5.4).
            compress: whether the message is compressed, where the peer agreed to that; None lets
                the extension decide by its size. Secrets beside text of an attacker's choice are
                better sent with False (RFC 7692 §8). It counts in the first fragment.

        Raises:
            UsageError: the text holds surrogates, which UTF-8 cannot; or a binary message is
                unfinished.
            ConnectionClosed: our Close was sent, or TCP has ended.
        """
        try:
            payload = text.encode()
        except UnicodeEncodeError as error:
            raise _not_unicode(error) from error
        self._send_message(Opcode.TEXT, payload, final, compress)

    def send_binary(
        self,
        data: bytes | bytearray | memoryview,
        *,
        final: bool = True,
        compress: bool | None = None,
    ) -> None:
        """Sends a binary message, or the next fragment of one.

        Args:
            data: the message; it is copied.
            final: False when more of the same message follows (§5.4).
            compress: as in `send_text`.

        Raises:
            UsageError: a text message is unfinished.
            ConnectionClosed: our Close was sent, or TCP has ended.
        """
        payload = data if type(data) is bytes else bytes(memoryview(data))
        self._send_message(Opcode.BINARY, payload, final, compress)

    def send_ping(self, payload: bytes = b"") -> None:
        """Sends a Ping (§5.5.2).

        Raises:
            UsageError: the payload is longer than 125 bytes.
            ConnectionClosed: our Close was sent, or TCP has ended.
        """
        self._send_control(Opcode.PING, payload)

    def send_pong(self, payload: bytes = b"") -> None:
        """Sends a Pong that nobody asked for, as a one-way sign of life (§5.5.3).

        Raises:
            UsageError: the payload is longer than 125 bytes.
            ConnectionClosed: our Close was sent, or TCP has ended.
        """
        self._send_control(Opcode.PONG, payload)

    # Inside

    def _send_message(
        self, opcode: Opcode, payload: bytes, final: bool, compress: bool | None
    ) -> None:
        if not self.may_send:
            raise connection_closed(self._close_received, self._close_sent)
        rsv = 0
        if self._sending is None:
            if self._extensions:
                size = len(payload)
                self._encoders = [
                    extension
                    for extension in self._extensions
                    if (extension.applies_to(size) if compress is None else compress)
                ]
                for extension in self._encoders:
                    rsv |= extension.rsv
            self._sending = None if final else opcode
        elif self._sending is not opcode:
            raise UsageError(f"an unfinished {self._sending.name.lower()} message has to end first")
        else:
            self._sending = None if final else opcode
            opcode = Opcode.CONTINUATION
        for extension in self._encoders:
            payload = extension.encode(payload, final=final)
        self._send_frame(opcode, payload, final, rsv)

    def _send_prepared(self, message: PreparedMessage, compress: bool | None) -> None:
        if not self.may_send:
            raise connection_closed(self._close_received, self._close_sent)
        frame = None
        if not self._masks and self._sending is None and len(self._extensions) < 2:
            frame = self.wrap_prepared(message, compress) if self._extensions else message.frame
        if frame is None:
            self.send(message.message, compress=compress)
        else:
            self._outbox.append(frame)

    def _send_control(self, opcode: Opcode, payload: bytes) -> None:
        if not self.may_send:
            raise connection_closed(self._close_received, self._close_sent)
        payload = bytes(memoryview(payload))
        if len(payload) > 125:
            raise UsageError("a control frame carries at most 125 bytes")
        self._send_frame(opcode, payload)

    def _send_frame(self, opcode: Opcode, payload: bytes, final: bool = True, rsv: int = 0) -> None:
        key = new_masking_key() if self._masks else None
        self._outbox.append(encode(opcode, payload, fin=final, rsv=rsv, masking_key=key))

    def _send_pending_pong(self) -> None:
        payload, self._pending_pong = self._pending_pong, None
        assert payload is not None
        self._send_frame(Opcode.PONG, payload)


def _not_unicode(error: UnicodeEncodeError) -> UsageError:
    return UsageError(f"text is not valid Unicode: {error.reason}")
