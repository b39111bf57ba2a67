"""The states of a connection, and the table of its transitions.

What lives here: all that may ever change the state. This file does not know about bytes, roles or
time.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = [
    "CLOSED",
    "CLOSE_EXCHANGED",
    "CLOSE_RECEIVED",
    "CLOSE_SENT",
    "CONNECTING",
    "OPEN",
    "TRANSITIONS",
    "State",
    "Trigger",
    "transition",
]


class State(Enum):
    """Where a connection stands.

    RFC 6455 §7.1.3 calls the three states between OPEN and CLOSED together CLOSING.
    """

    CONNECTING = "connecting"
    """The opening handshake is under way (§4.1)."""
    OPEN = "open"
    """Messages travel both ways."""
    CLOSE_RECEIVED = "close received"
    """The peer's side is over, by its Close or by its fault; we still owe our Close."""
    CLOSE_SENT = "close sent"
    """Our side is over; the peer's Close is due."""
    CLOSE_EXCHANGED = "close exchanged"
    """Both sides are over; only TCP has still to end."""
    CLOSED = "closed"
    """TCP has ended, or is to be dropped (§7.1.4)."""

    # Enum hashes names, in Python; each member is there once.
    __hash__ = object.__hash__


# CPython 3.11 takes longer to find a member in its class than to receive a short message.
CONNECTING: Final = State.CONNECTING
OPEN: Final = State.OPEN
CLOSE_RECEIVED: Final = State.CLOSE_RECEIVED
CLOSE_SENT: Final = State.CLOSE_SENT
CLOSE_EXCHANGED: Final = State.CLOSE_EXCHANGED
CLOSED: Final = State.CLOSED


class Trigger(Enum):
    """What changes the state."""

    ACCEPT = "the opening handshake succeeds"
    REFUSE = "the opening handshake fails"
    RECEIVE_CLOSE = "a Close frame arrives"
    FAULT = "the peer breaks the protocol, a limit or a deadline"
    SEND_CLOSE = "our Close frame is sent"
    END = "TCP ends, or has to"

    __hash__ = object.__hash__


TRANSITIONS: Final[dict[State, dict[Trigger, State]]] = {
    State.CONNECTING: {
        Trigger.ACCEPT: State.OPEN,
        Trigger.REFUSE: State.CLOSED,
        Trigger.END: State.CLOSED,
    },
    State.OPEN: {
        Trigger.RECEIVE_CLOSE: State.CLOSE_RECEIVED,
        Trigger.FAULT: State.CLOSE_RECEIVED,
        Trigger.SEND_CLOSE: State.CLOSE_SENT,
        Trigger.END: State.CLOSED,
    },
    State.CLOSE_RECEIVED: {
        Trigger.SEND_CLOSE: State.CLOSE_EXCHANGED,
        Trigger.END: State.CLOSED,
    },
    State.CLOSE_SENT: {
        Trigger.RECEIVE_CLOSE: State.CLOSE_EXCHANGED,
        Trigger.FAULT: State.CLOSE_EXCHANGED,
        Trigger.END: State.CLOSED,
    },
    State.CLOSE_EXCHANGED: {
        Trigger.END: State.CLOSED,
    },
    State.CLOSED: {},
}


def transition(state: State, trigger: Trigger) -> State:
    """Returns the state that ``trigger`` leads to.

    Raises:
        KeyError: the table has no such transition; it is a bug of the caller.
    """
    return TRANSITIONS[state][trigger]
