"""What can be seen of connections from outside, for metrics and traces.

What lives here: one hook, called once per read, per write and per event of a connection's life. It
changes nothing; what it costs is what its methods cost. This file does not know what is done with
what is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from .errors import ProtocolError
from .events import Event

__all__ = ["Observer", "ObserverLike", "observer_of"]


class Observer:
    """Sees what happens on connections: derive from it, and override what you want to see.

    ``connection`` is a `WebSocket` or one of its kin. The methods run within whatever happens, so
    they must be quick and must not raise. On a connection of threads, which has a lock, they may
    look at its properties, but its methods raise `UsageError`.
    """

    def opened(self, connection: Any, core: Any) -> None:
        """The opening handshake is over; ``core`` is the `Connection` within."""

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        """A read has brought these bytes, which complete these events and begin so many frames."""

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        """A write takes these bytes, of so many frames."""

    def latency(self, connection: Any, seconds: float) -> None:
        """A Ping of ours was answered."""

    def fault(self, connection: Any, error: ProtocolError) -> None:
        """The peer has broken the protocol, a limit or a deadline: the connection fails."""

    def dropped(self, connection: Any, messages: int) -> None:
        """So many pushed messages were given up, since the peer reads too slowly."""

    def answered(self, status: int) -> None:
        """A server has answered with plain HTTP: a page, or a refusal such as 408, 429 or 431.

        Not for an observer that is chosen by request.
        """

    def closed(self, connection: Any, code: int) -> None:
        """The connection is over, with this close code (RFC 6455 §7.1.5)."""


ObserverLike: TypeAlias = Observer | Callable[[Any], Observer | None]
"""An observer, or a function that gets the request of each connection and returns one or None."""


def observer_of(observer: ObserverLike | None, request: Any) -> Observer | None:
    """Returns who observes the connection that a request has opened."""
    return observer if observer is None or isinstance(observer, Observer) else observer(request)
