"""Every exception of the package, under one root.

What lives here: who is to blame (we, the peer, the handshake), and which close code or HTTP status
tells the peer. This file does not know when an error is raised.
"""

from __future__ import annotations

from collections.abc import Sequence

from .close import Close, CloseCode

__all__ = [
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "HandshakeError",
    "ProtocolError",
    "ProxyError",
    "UsageError",
    "WebSocketError",
]


class WebSocketError(Exception):
    """The root of all errors of this package."""


class UsageError(WebSocketError, ValueError):
    """This side asked for something that the protocol or this API forbids. Nothing was sent."""


class ProtocolError(WebSocketError):
    """The peer broke the protocol, a limit or a deadline: the connection fails (RFC 6455 §7.1.7).

    Attributes:
        code: the close code that tells the peer, for instance 1002, 1007 or 1009.
        reason: what was wrong, in words that may go on the wire (at most 123 bytes).
        section: the section of the RFC that was broken, for instance ``"5.2"``; empty for limits of
            our own.
    """

    def __init__(self, code: CloseCode, reason: str, section: str = "") -> None:
        super().__init__(f"{reason} (RFC 6455 §{section})" if section else reason)
        self.code = code
        self.reason = reason
        self.section = section


class HandshakeError(WebSocketError):
    """The opening handshake failed (RFC 6455 §4).

    Attributes:
        status: on a server, the HTTP status to answer with; on a client, the status that the server
            answered with, or 0 where there was no valid answer.
        headers: on a server, header fields that the HTTP answer must carry, such as ``Allow`` with
            a 405; on a client, those of the server's answer.
        body: on a client, the body of the server's answer, as much of it as `Limits.max_body_size`
            allows.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)
        self.body = body


class ProxyError(HandshakeError):
    """A proxy did not open the way to the server.

    Attributes:
        status: what an HTTP proxy answered with, for instance 407 where it wants other credentials;
            0 where there was no valid answer.
        headers: those of its answer.
        body: that of its answer, as much of it as `Limits.max_body_size` allows.
    """


class ConnectionClosed(WebSocketError):
    """The connection is over, or is being closed: nothing more can be received or sent.

    Attributes:
        received: the first Close frame that the peer sent, or None.
        sent: the Close frame that we sent, or None.
    """

    def __init__(self, received: Close | None, sent: Close | None) -> None:
        super().__init__(received, sent)
        self.received = received
        self.sent = sent

    def __str__(self) -> str:
        if self.received is None:
            return f"no Close received; sent {self.sent}"
        return f"received {self.received}; sent {self.sent}"

    @property
    def code(self) -> int:
        """The close code of §7.1.5: the peer's, 1005 without one, 1006 without a Close frame."""
        return self.received.code if self.received else CloseCode.ABNORMAL_CLOSURE

    @property
    def reason(self) -> str:
        """The close reason of §7.1.6: the peer's, or an empty string."""
        return self.received.reason if self.received else ""


class ConnectionClosedOK(ConnectionClosed):
    """Closed as agreed: the peer's Close said 1000 or 1001, or gave no code."""


class ConnectionClosedError(ConnectionClosed):
    """Closed with any other code, or lost without a closing handshake (1006)."""


def connection_closed(received: Close | None, sent: Close | None) -> ConnectionClosed:
    """Returns the error that fits how the connection ended."""
    if received is not None and received.code in NORMAL_CODES:
        return ConnectionClosedOK(received, sent)
    return ConnectionClosedError(received, sent)


NORMAL_CODES = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)
