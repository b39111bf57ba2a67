"""The protocol, after the opening handshake: the one object that a transport drives.

What lives here: what is answered to what, the closing handshake, and the timers. This file does no
I/O, reads no clock and starts no task: bytes and times come in as arguments, bytes and deadlines go
out as results. Client and server differ in masking and in who ends TCP; there is no subclass for
either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from .close import Close, CloseCode
from .codec import Decoder, encode, encode_message
from .errors import ProtocolError, UsageError, connection_closed
from .events import Closed, Event, Fault, Fragment, Ping, Pong
from .extensions.base import Extension
from .frames import Opcode
from .limits import Limits
from .masking import new_masking_key
from .prepared import PreparedMessage
from .state import (
    CLOSE_EXCHANGED,
    CLOSE_RECEIVED,
    CLOSE_SENT,
    CLOSED,
    OPEN,
    State,
    Trigger,
    transition,
)

__all__ = ["Connection", "Role", "TransportAction"]

DEFAULT_LIMITS: Final = Limits()
NO_CLOSE: Final = Close(CloseCode.ABNORMAL_CLOSURE)
"""How a connection ended whose peer sent no Close (§7.1.5)."""


class Role(Enum):
    """Which side of the connection we are."""

    CLIENT = "client"
    SERVER = "server"


CLIENT: Final = Role.CLIENT
SERVER: Final = Role.SERVER


class TransportAction(Enum):
    """What the transport does with TCP once `Connection.data_to_send` is written."""

    KEEP = "keep it open"
    HALF_CLOSE = "end our side of TCP, and go on reading"
    CLOSE = "end TCP"
    ABORT = "drop TCP at once"


KEEP: Final = TransportAction.KEEP
HALF_CLOSE: Final = TransportAction.HALF_CLOSE
CLOSE: Final = TransportAction.CLOSE
ABORT: Final = TransportAction.ABORT


class Connection:
    """One WebSocket connection, in memory.

    A transport gives it what it reads (`receive_data`, `receive_eof`), writes what it has to say
    (`data_to_send`), wakes it at `next_deadline` (`handle_deadline`), and does to TCP what
    `transport_action` says. All times are seconds of one monotonic clock of the caller's choice.

    Args:
        role: which side we are.
        limits: see `Limits`.
        extensions: what the opening handshake agreed on, in the order of the server's answer.
        now: the time at which the connection opens.

    Attributes:
        state: where the connection stands; not to be set.
        only_messages: whether the last `receive_data` returned nothing but messages.
    """

    __slots__ = (
        "_close_received",
        "_close_sent",
        "_control_allowance",
        "_control_counted",
        "_deadline",
        "_decoder",
        "_discarded",
        "_encoders",
        "_extensions",
        "_fault",
        "_last_received",
        "_limits",
        "_masks",
        "_outbox",
        "_pending_pong",
        "_ping_sent",
        "_reading_paused",
        "_role",
        "_sending",
        "only_messages",
        "state",
    )

    def __init__(
        self,
        role: Role,
        *,
        limits: Limits = DEFAULT_LIMITS,
        extensions: Sequence[Extension] = (),
        now: float = 0.0,
    ) -> None:
        self._role = role
        self._limits = limits
        self._extensions = tuple(extensions)
        self._masks = role is CLIENT
        self._decoder = Decoder(
            masked=role is SERVER,
            max_message_size=limits.max_message_size,
            max_fragments=limits.max_fragments,
            extensions=self._extensions,
        )
        self.state: State = OPEN
        self.only_messages = True
        self._outbox: list[bytes] = []
        self._pending_pong: bytes | None = None
        self._sending: Opcode | None = None
        self._encoders: Sequence[Extension] = ()
        self._close_received: Close | None = None
        self._close_sent: Close | None = None
        self._fault: ProtocolError | None = None
        self._discarded = 0
        self._last_received = now
        self._ping_sent: float | None = None
        self._reading_paused = False
        self._deadline: float | None = None
        self._control_allowance = float(limits.control_burst or 0)
        self._control_counted = now

    # How it stands

    @property
    def role(self) -> Role:
        """Which side we are."""
        return self._role

    @property
    def limits(self) -> Limits:
        """The limits it keeps."""
        return self._limits

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """The extensions in use."""
        return self._extensions

    # For shortcuts of transports, which take nothing that the general way would not take alike

    @property
    def outbox(self) -> list[bytes]:
        """The list of frames that `data_to_send` empties: it stays the same."""
        return self._outbox

    @property
    def at_boundary(self) -> bool:
        """Whether the next byte starts a frame that starts a message, which is not streamed."""
        return self._decoder.at_boundary

    @property
    def whole_limit(self) -> int:
        """The size of messages that a shortcut may take whole, in bytes."""
        return self._decoder.whole_limit

    @property
    def mark(self) -> int:
        """The reserved bit of the only extension, for shortcuts that take its messages; or 0."""
        return self._decoder.mark

    @property
    def unwrap(self) -> Callable[[bytes, bool], str | bytes | None] | None:
        """Gives the message of a whole payload with that bit, where it is text or not.

        None where something is wrong with it: `receive_rest` then tells.
        """
        return self._decoder.unwrap

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

    @property
    def plain_below(self) -> int:
        """The size from which on a message may concern an extension, in bytes."""
        if not self._extensions:
            return sys.maxsize
        return min([sys.maxsize, *(extension.threshold for extension in self._extensions)])

    @property
    def frames_to_send(self) -> int:
        """How many frames `data_to_send` would return."""
        return len(self._outbox) + (self._pending_pong is not None)

    @property
    def may_send(self) -> bool:
        """Whether a message may be sent still."""
        return self.state is OPEN or self.state is CLOSE_RECEIVED

    @property
    def is_mid_message(self) -> bool:
        """Whether fragments of a message were sent, and not its last."""
        return self._sending is not None

    @property
    def incomplete_size(self) -> int:
        """How much of an unfinished message is kept, in bytes."""
        return self._decoder.incomplete_size

    @property
    def close_received(self) -> Close | None:
        """The Close frame that the peer sent, if it did."""
        return self._close_received

    @property
    def close_sent(self) -> Close | None:
        """The Close frame that we sent, if we did."""
        return self._close_sent

    @property
    def fault(self) -> ProtocolError | None:
        """What the peer did wrong, if that is how the connection ended."""
        return self._fault

    @property
    def transport_action(self) -> TransportAction:
        """What is to be done with TCP, after `data_to_send` has been written."""
        if self.state is CLOSED:
            return ABORT
        if self.state is CLOSE_EXCHANGED:
            # The peer may still be sending. Closing TCP now would reset it (RFC 1122 §4.2.2.13),
            # and our Close could be lost with that: end our side only, and wait a little.
            if self._fault is not None:
                return HALF_CLOSE
            # §5.5.1: "the server MUST close the underlying TCP connection immediately; the client
            # SHOULD wait for the server to close the connection".
            if self._role is SERVER:
                return CLOSE
        return KEEP

    # What the peer says

    def receive_data(self, data: bytes | bytearray | memoryview, now: float = 0.0) -> list[Event]:
        """Takes what a read brought.

        Pings are answered here. The peer's `Close`, or a `Fault`, stands last in the list: when the
        application has dealt with what came before it, call `answer_close`. Until then it may still
        send.

        Args:
            data: the bytes, cut anywhere.
            now: the time at which they came.

        Returns:
            What they complete, in order: `str` and `bytes` for messages, `Fragment` where pieces
            were asked for, `Ping`, `Pong`, `Close`, `Fault`, `Closed`.
        """
        if self.state is not OPEN and self.state is not CLOSE_SENT:
            return self._discard(len(data))
        self._last_received = now
        self._ping_sent = None
        events = self._decoder.receive_data(data)
        self.only_messages = self._decoder.only_messages
        if self.state is CLOSE_SENT and self._floods(len(data), events):
            self.only_messages = False
            return self.receive_eof()
        if not self.only_messages:
            self._react(events, now)
        return events

    def receive_rest(
        self, data: bytes, position: int, events: list[Event], now: float
    ) -> list[Event]:
        """The same behind ``position``: up to there a shortcut has taken ``events``."""
        if position == 0:
            return self.receive_data(data, now)
        self._last_received = now
        self._ping_sent = None
        self._decoder.receive_rest(data, position, events)
        self.only_messages = self._decoder.only_messages
        if not self.only_messages:
            self._react(events, now)
        return events

    def take_run(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes the run of whole messages that starts at ``position``, if there is one.

        Returns:
            The offset of the first frame that it left: `receive_rest` is to be told.
        """
        if self.state is not OPEN or not self._decoder.at_boundary:
            return position
        return self._decoder.take_run(data, position, events)

    def take_back(self, data: bytes) -> None:
        """Takes the start of an unfinished message from the shortcut that had received it."""
        if self.state is OPEN or self.state is CLOSE_SENT:
            self._decoder.receive_data(data)

    def stream(self) -> Fragment | None:
        """Asks for the next message in pieces: `receive_data` returns a `Fragment` for each.

        Where the message has begun, it is the current one. Each piece is as large as frames and
        reads make it; the limits of a message hold for their sum.

        Returns:
            What is here of it, if anything is.
        """
        return self._decoder.stream()

    def receive_eof(self) -> list[Event]:
        """Takes the end of TCP, however it came.

        Returns:
            `Closed`, once.
        """
        if self.state is CLOSED:
            return []
        clean = (
            self.state is CLOSE_EXCHANGED
            and self._close_received is not None
            and self._fault is None
        )
        self.state = transition(self.state, Trigger.END)
        self._outbox.clear()
        self._pending_pong = None
        self._deadline = None
        close = self._close_received or NO_CLOSE
        return [Closed(close.code, close.reason, clean)]

    def answer_close(self, now: float = 0.0) -> None:
        """Sends the Close that the peer's `Close` or `Fault` asks for.

        To be called when everything that came before it has been dealt with; after
        `Limits.close_grace` it happens by itself. Does nothing when no answer is due.
        """
        if self.state is not CLOSE_RECEIVED:
            return
        if self._fault is not None:
            close = Close(self._fault.code, self._fault.reason)
        else:
            assert self._close_received is not None
            # §5.5.1: "When sending a Close frame in response, the endpoint typically echos the
            # status code it received."
            close = self._close_received
            if close.reason:
                close = Close(close.code)
        self._send_close(close, now)

    def set_max_message_size(self, size: int | None) -> None:
        """Changes `Limits.max_message_size`, from the next frame on.

        For a peer that is trusted with more once it has told who it is.

        Args:
            size: in bytes, after decompression; None for no limit.
        """
        self._limits = replace(self._limits, max_message_size=size)
        self._decoder.set_max_message_size(size)

    # What we say

    def data_to_send(self) -> bytes:
        """Returns what is to be written, and forgets it."""
        if self._pending_pong is not None:
            self._send_pending_pong()
        outbox = self._outbox
        if not outbox:
            return b""
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
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

    def close(
        self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", now: float = 0.0
    ) -> None:
        """Starts the closing handshake (§7.1.2), or answers the peer's. Safe to call again.

        Args:
            code: 1000 to 1003, 1007 to 1014, 3000 to 4999; 1005 for a Close without a code.
            reason: at most 123 bytes of UTF-8; not for the eyes of end users.
            now: the time.

        Raises:
            UsageError: the code must not travel, or the reason is too long. Nothing was sent.
        """
        close = Close(code, reason)
        try:
            close.payload()
        except ValueError as error:
            raise UsageError(str(error)) from error
        if self.state is OPEN:
            self._send_close(close, now)
        else:
            self.answer_close(now)

    def give_way(self, now: float = 0.0) -> list[Event]:
        """Fails the connection to make room for others: 1013, and what has come is thrown away.

        Returns:
            `Fault`, unless nothing is received any more.
        """
        if self.state is not OPEN and self.state is not CLOSE_SENT:
            return []
        error = ProtocolError(CloseCode.TRY_AGAIN_LATER, "too many unfinished messages")
        self._decoder.end()
        self._fail(error, now)
        return [Fault(error)]

    # Time

    def next_deadline(self) -> float | None:
        """Returns when `handle_deadline` is to be called, or None."""
        if self.state is not OPEN:
            return self._deadline
        if self._reading_paused:
            return None
        if self._ping_sent is not None:
            timeout = self._limits.ping_timeout
            return None if timeout is None else self._ping_sent + timeout
        interval = self._limits.ping_interval
        return None if interval is None else self._last_received + interval

    def handle_deadline(self, now: float) -> list[Event]:
        """Does what is due: sends a Ping, gives up waiting for life, answers, or ends it.

        Returns:
            `Fault` with 1011 when the peer shows no life, `Closed` when it does not end the
            connection in time; otherwise nothing.
        """
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return []
        if self.state is CLOSE_RECEIVED:
            self.answer_close(now)
            return []
        if self.state is not OPEN:
            return self.receive_eof()
        if self._ping_sent is None:
            self.send_ping()
            self._ping_sent = now
            return []
        error = ProtocolError(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        self._fail(error, now)
        return [Fault(error)]

    def pause_reading(self) -> None:
        """Tells that the transport has stopped reading: silence is our own doing from here on."""
        self._reading_paused = True

    def resume_reading(self, now: float = 0.0) -> None:
        """Tells that the transport reads again; the peer's time to show life starts anew."""
        self._reading_paused = False
        self._last_received = now
        if self._ping_sent is not None:
            self._ping_sent = now

    # Inside

    def _react(self, events: list[Event], now: float) -> None:
        writing_held_up = bool(self._outbox)
        for position, event in enumerate(events):
            if isinstance(event, (Ping, Pong)) and not self._allows_control(now):
                error = ProtocolError(CloseCode.POLICY_VIOLATION, "too many control frames")
                events[position:] = [Fault(error)]
                self._fail(error, now)
                break
            if isinstance(event, Ping):
                self._answer_ping(event.payload, writing_held_up)
            elif isinstance(event, Close):
                self._close_received = event
                self._end_receiving(Trigger.RECEIVE_CLOSE, now)
            elif isinstance(event, Fault):
                self._fail(event.error, now)

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

    def _send_close(self, close: Close, now: float) -> None:
        if self._pending_pong is not None:
            self._send_pending_pong()
        self._send_frame(Opcode.CLOSE, close.payload())
        self._close_sent = close
        self.state = transition(self.state, Trigger.SEND_CLOSE)
        self._set_deadline(self._limits.close_timeout, now)

    def _send_frame(self, opcode: Opcode, payload: bytes, final: bool = True, rsv: int = 0) -> None:
        key = new_masking_key() if self._masks else None
        self._outbox.append(encode(opcode, payload, fin=final, rsv=rsv, masking_key=key))

    def _allows_control(self, now: float) -> bool:
        rate, burst = self._limits.control_rate, self._limits.control_burst
        if rate is None or burst is None:
            return True
        self._control_allowance += (now - self._control_counted) * rate
        self._control_allowance = min(self._control_allowance, burst) - 1
        self._control_counted = now
        return self._control_allowance >= 0

    def _answer_ping(self, payload: bytes, writing_held_up: bool) -> None:
        # §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response,
        # unless it already received a Close frame." Behind that nothing is read; our own Close
        # only ends data frames (§5.5.1).
        # §5.5.3: "it MAY elect to send a Pong frame for only the most recently processed Ping
        # frame": a peer that pings but does not read cannot make us remember every Ping.
        if writing_held_up:
            self._pending_pong = payload
        else:
            self._send_frame(Opcode.PONG, payload)

    def _send_pending_pong(self) -> None:
        payload, self._pending_pong = self._pending_pong, None
        assert payload is not None
        self._send_frame(Opcode.PONG, payload)

    def _fail(self, error: ProtocolError, now: float) -> None:
        self._fault = error
        self._end_receiving(Trigger.FAULT, now)

    def _end_receiving(self, trigger: Trigger, now: float) -> None:
        self.state = transition(self.state, trigger)
        self._discarded = 0
        if self.state is CLOSE_RECEIVED:
            self._set_deadline(self._limits.close_grace, now)
        else:
            self._set_deadline(self._limits.close_timeout, now)

    def _set_deadline(self, timeout: float | None, now: float) -> None:
        self._deadline = None if timeout is None else now + timeout

    def _floods(self, size: int, events: list[Event]) -> bool:
        """Whether the peer goes on and on after our Close, as if there had been none."""
        if self._extensions:
            size = max(size, sum(len(event) for event in events if isinstance(event, str | bytes)))
        self._discarded += size
        limit = self._limits.max_closing_size
        return limit is not None and self._discarded > limit

    def _discard(self, size: int) -> list[Event]:
        self._discarded += size
        limit = self._limits.max_discarded_size
        self.only_messages = limit is None or self._discarded <= limit
        return [] if self.only_messages else self.receive_eof()


def _not_unicode(error: UnicodeEncodeError) -> UsageError:
    return UsageError(f"text is not valid Unicode: {error.reason}")
