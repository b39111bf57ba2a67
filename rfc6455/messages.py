"""RFC 6455 §5.4 and §5.6: frames to messages.

What lives here: the order of fragments, the limits of a message, UTF-8, and what a control frame
means. This file does not know how bytes become frames, nor what answers a message.
"""

from __future__ import annotations

from collections.abc import Sequence

from .close import Close, CloseCode
from .errors import ProtocolError
from .events import Event, Fragment, Ping, Pong
from .extensions.base import Extension
from .frames import FrameHeader, Opcode
from .utf8 import Utf8Validator

__all__ = ["MessageAssembler"]

# Nothing is added to it; a list of its own for every connection would take memory for no use.
_NOTHING_DECODED: list[int] = []


class MessageAssembler:
    """Takes frames, each as a header and then its payload in pieces, and gives messages.

    Args:
        max_size: of a message, in bytes, after its extensions have decoded it.
        max_fragments: frames that a message may consist of.
        extensions: the negotiated ones, in the order of the server's answer.

    Attributes:
        refused: what was wrong with a message that `unwrap` was given.
    """

    __slots__ = (
        "_buffer",
        "_control_payload",
        "_decoded",
        "_decoders",
        "_extensions",
        "_fragments",
        "_header",
        "_max_fragments",
        "_max_size",
        "_opcode",
        "_size",
        "_streaming",
        "_utf8",
        "refused",
    )

    def __init__(
        self,
        *,
        max_size: int | None,
        max_fragments: int | None,
        extensions: Sequence[Extension] = (),
    ) -> None:
        self._max_size = max_size
        self._max_fragments = max_fragments
        # §9.1: the server lists extensions in the order in which they are applied to a message.
        self._extensions = tuple(reversed(extensions))
        self._header: FrameHeader | None = None
        self._control_payload = b""
        self._opcode: Opcode | None = None
        self._streaming = False
        self.refused: ProtocolError | None = None
        self._clear()

    def _clear(self) -> None:
        self._opcode = None
        self._buffer = bytearray()
        self._fragments = 0
        self._size = 0
        self._utf8: Utf8Validator | None = None
        self._decoders: Sequence[Extension] = ()
        self._decoded = _NOTHING_DECODED

    def set_max_size(self, size: int | None) -> None:
        """Changes the limit, from the next frame on."""
        self._max_size = size

    def forget(self) -> None:
        """Drops what has come of an unfinished message."""
        self._control_payload = b""
        self._clear()

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._opcode is not None

    @property
    def incomplete_size(self) -> int:
        """How much of an unfinished message is kept, in bytes."""
        return len(self._buffer)

    @property
    def takes_whole_messages(self) -> bool:
        """Whether a message that is here whole may be taken without looking at its pieces."""
        return self._opcode is None and not self._streaming

    def stream(self) -> Fragment | None:
        """Gives the current message, or the next one, in pieces; returns what is here of it."""
        self._streaming = True
        return self._take_piece() if self._buffer else None

    def start_frame(self, header: FrameHeader) -> None:
        """Judges a frame by its header, before any of its payload.

        Raises:
            ProtocolError: 1002 for a frame that may not come here, 1008 for too many fragments,
                1009 for a message that would be too large.
        """
        self._header = header
        if header.opcode.is_control or header.opcode is Opcode.CONTINUATION:
            # An extension marks the first frame of a message, and only that (RFC 7692 §6).
            if header.rsv:
                raise _violation("reserved bit set on a frame that starts no message", "5.2")
            if header.opcode.is_control:
                self._control_payload = b""
                return
            # §5.4: a fragmented message "consists of a single frame with the FIN bit clear and an
            # opcode other than 0, followed by zero or more frames with the FIN bit clear and the
            # opcode set to 0, and terminated by a single frame with the FIN bit set and an opcode
            # of 0".
            if not self.in_message:
                raise _violation("continuation frame without a message to continue", "5.4")
        else:
            # §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of
            # another message".
            if self.in_message:
                raise _violation("new message inside a fragmented message", "5.4")
            self._opcode = header.opcode
            self._decoders = [e for e in self._extensions if e.rsv & header.rsv]
            self._decoded = [0] * len(self._decoders)
            if header.opcode is Opcode.TEXT:
                self._utf8 = Utf8Validator()
        self._fragments += 1
        if self._max_fragments is not None and self._fragments > self._max_fragments:
            raise ProtocolError(CloseCode.POLICY_VIOLATION, "too many fragments in a message")
        self._size += header.length
        if self._max_size is not None and self._size > self._wire_limit(self._max_size):
            raise self._too_big()

    def receive_payload(self, payload: bytes, *, end_of_frame: bool) -> Event | None:
        """Takes the next piece of the frame's payload, unmasked.

        Returns:
            What the frame completes: a message, a Ping, a Pong, a Close; or None. While messages
            are streamed, each piece of one.

        Raises:
            ProtocolError: 1007 for text that is not UTF-8, from its first impossible octet on;
                1002 or 1007 for a malformed Close; what the extensions raise.
        """
        header = self._header
        assert header is not None
        if header.opcode.is_control:
            self._control_payload += payload
            return self._control_event(header.opcode) if end_of_frame else None
        final = header.fin and end_of_frame
        if self._decoders:
            payload = self._decode(payload, final)
        if final and not self._buffer and not self._streaming:
            return self._finish(payload)
        # §8.1: fail "when an endpoint is to interpret a byte stream as UTF-8 but finds that the
        # byte stream is not, in fact, a valid UTF-8 stream": now, not at the end of the message.
        if self._utf8 is not None:
            try:
                self._utf8.feed(payload)
            except UnicodeDecodeError as error:
                raise _invalid_text("text message") from error
        self._buffer += payload
        if self._streaming:
            return self._take_last_piece() if final else self._take_piece()
        return self._finish(self._buffer) if final else None

    def unwrap(self, payload: bytes, is_text: bool) -> str | bytes | None:
        """Gives a message that the only extension has marked and that is here whole: a shortcut.

        It may be no larger than a message on the wire.

        Returns:
            The message; None where something is wrong with it, which ``refused`` then tells.
        """
        try:
            payload = self._extensions[0].decode(payload, final=True, max_size=self._max_size)
            return payload.decode() if is_text else bytes(payload)
        except UnicodeDecodeError:
            self.refused = _invalid_text("text message")
        except ProtocolError as error:
            self.refused = error
        return None

    def _take_piece(self) -> Fragment | None:
        """Takes all that is here but a character that is cut."""
        end = len(self._buffer) - (len(self._utf8.incomplete) if self._utf8 is not None else 0)
        if not end:
            return None
        piece = bytes(self._buffer[:end])
        del self._buffer[:end]
        return Fragment(piece if self._utf8 is None else piece.decode(), final=False)

    def _take_last_piece(self) -> Fragment:
        self._streaming = False
        return Fragment(self._finish(self._buffer), final=True)

    def _decode(self, payload: bytes, final: bool) -> bytes:
        last = len(self._decoders) - 1
        for place, extension in enumerate(self._decoders):
            left = None
            if self._max_size is not None:
                # Only the last gives the message; between two of them it is as on the wire.
                limit = self._max_size if place == last else self._wire_limit(self._max_size)
                left = limit - self._decoded[place]
            payload = extension.decode(payload, final=final, max_size=left)
            self._decoded[place] += len(payload)
        return payload

    def _finish(self, payload: bytes | bytearray) -> str | bytes:
        is_text = self._opcode is Opcode.TEXT
        self._clear()
        if not is_text:
            return bytes(payload)
        try:
            return payload.decode()
        except UnicodeDecodeError as error:
            raise _invalid_text("text message") from error

    def _control_event(self, opcode: Opcode) -> Event:
        payload = self._control_payload
        if opcode is Opcode.PING:
            return Ping(payload)
        if opcode is Opcode.PONG:
            return Pong(payload)
        try:
            return Close.parse(payload)
        except UnicodeDecodeError as error:
            raise _invalid_text("close reason") from error
        except ValueError as error:
            raise _violation(str(error), "7.4") from error

    def _wire_limit(self, max_size: int) -> int:
        # What cannot be compressed grows a little, and so does each fragment that is flushed; what
        # comes out is bounded by the decoder.
        return max_size + max_size // 8 + 8 * self._fragments + 1024 if self._decoders else max_size

    def _too_big(self) -> ProtocolError:
        return ProtocolError(
            CloseCode.MESSAGE_TOO_BIG, f"message is larger than {self._max_size} bytes"
        )


def _violation(reason: str, section: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, reason, section)


def _invalid_text(what: str) -> ProtocolError:
    return ProtocolError(CloseCode.INVALID_PAYLOAD_DATA, f"{what} is not valid UTF-8", "8.1")
