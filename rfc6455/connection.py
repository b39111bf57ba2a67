"""The protocol, after the opening handshake: the one object that a transport drives.

What lives here: what is answered to what, the closing handshake, and the timers; sending is the
base class's. This file does no I/O, reads no clock and starts no task: bytes and times come in as
arguments, bytes and deadlines go out as results. Client and server differ in masking and in who
ends TCP; there is no subclass for either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from .close import Close, CloseCode
from .codec import Decoder
from .errors import ProtocolError, UsageError
from .events import Closed, Event, Fault, Fragment, Ping, Pong
from .extensions.base import Extension
from .frames import Opcode
from .limits import Limits
from .sender import Sender
from .state import (
    CLOSE_EXCHANGED,
    CLOSE_RECEIVED,
    CLOSE_SENT,
    CLOSED,
    OPEN,
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


class Connection(Sender):
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
        "_control_allowance",
        "_control_counted",
        "_deadline",
        "_decoder",
        "_discarded",
        "_fault",
        "_last_received",
        "_limits",
        "_ping_sent",
        "_reading_paused",
        "_role",
        "only_messages",
    )

    def __init__(
        self,
        role: Role,
        *,
        limits: Limits = DEFAULT_LIMITS,
        extensions: Sequence[Extension] = (),
        now: float = 0.0,
    ) -> None:
        super().__init__(masks=role is CLIENT, extensions=extensions)
        self._role = role
        self._limits = limits
        self._decoder = Decoder(
            masked=role is SERVER,
            max_message_size=limits.max_message_size,
            max_fragments=limits.max_fragments,
            extensions=self._extensions,
        )
        self.only_messages = True
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

    # For shortcuts of transports, which take nothing that the general way would not take alike

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

    @property
    def incomplete_size(self) -> int:
        """How much of an unfinished message is kept, in bytes."""
        return self._decoder.incomplete_size

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
            self._decoder.frames = self.count_frames(events)
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

    def show_life(self, now: float) -> None:
        """Is told when a read came that `take_run` has taken all of."""
        self._last_received = now
        self._ping_sent = None

    def take_back(self, data: bytes) -> None:
        """Takes the start of an unfinished message from the shortcut that had received it."""
        if self.state is OPEN or self.state is CLOSE_SENT:
            self._decoder.receive_data(data)

    def count_frames(self, events: Sequence[Event]) -> int:
        """Returns how many frames the last `receive_data` has begun, which returned ``events``.

        A frame begins where the last byte of its header comes. Those that are refused, or thrown
        away unseen, do not count.
        """
        frames = self._decoder.frames
        return len(events) if frames < 0 else frames

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
            for extension in self._extensions:
                extension.rest()
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

    def _send_close(self, close: Close, now: float) -> None:
        if self._pending_pong is not None:
            self._send_pending_pong()
        self._send_frame(Opcode.CLOSE, close.payload())
        self._close_sent = close
        self.state = transition(self.state, Trigger.SEND_CLOSE)
        self._set_deadline(self._limits.close_timeout, now)

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
        self._decoder.frames = 0
        self._discarded += size
        limit = self._limits.max_discarded_size
        self.only_messages = limit is None or self._discarded <= limit
        return [] if self.only_messages else self.receive_eof()
