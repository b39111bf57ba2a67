"""What a `Connection` hands out.

What lives here: the values that `Connection.receive_data` returns, in the order in which the peer
caused them. Events are messages, not frames: a text message is a `str`, a binary message is
`bytes`. This file does not know what an application does with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .close import Close
from .errors import ProtocolError

__all__ = ["Closed", "Event", "Fault", "Fragment", "Message", "Ping", "Pong"]


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asked for life. The connection has answered already (§5.5.2)."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer answered a Ping of ours, or sent a Pong unasked (§5.5.3)."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a message, where `Connection.stream` asked for pieces.

    Attributes:
        data: text that ends between two characters, or bytes.
        final: whether the message ends here.
    """

    data: str | bytes
    final: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """The connection fails here (§7.1.7): nothing that the peer sent later is looked at.

    Like `Close` it stands at the end of what the peer said; `Connection.answer_close` sends our
    Close, with the code of ``error``.
    """

    error: ProtocolError


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; this is the last event.

    Attributes:
        code: the close code of §7.1.5.
        reason: the close reason of §7.1.6.
        clean: whether the closing handshake was completed (§7.1.4).
    """

    code: int
    reason: str
    clean: bool


Message: TypeAlias = str | bytes
Event: TypeAlias = Message | Fragment | Ping | Pong | Close | Fault | Closed
