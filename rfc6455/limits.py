"""Every limit of the protocol and its transports, with its default.

What lives here: numbers, and the close code or HTTP status of a breach. This file does not know who
enforces them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]

KiB = 1024
MiB = 1024 * KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one connection. Sizes are in bytes, times in seconds; None switches a limit off.

    Attributes:
        max_message_size: of a received message, after decompression. Breach: close code 1009, from
            the header of the frame that would exceed it.
        max_fragments: frames in one received message. Breach: 1008.
        max_discarded_size: bytes that are read and thrown away after the peer's Close, or after a
            fault of the peer's. Breach: the transport is dropped.
        max_closing_size: bytes that the peer may send after our Close, before its own: what was
            under way, and no flood. What extensions make of them counts. Breach: the transport is
            dropped.

        max_request_line_size: of the line that opens the handshake. Breach: HTTP status 414.
        max_header_line_size: of a header field in the handshake. Breach: 431.
        max_head_size: of the whole head. Breach: 431.
        max_headers: header fields in the head. Breach: 431.
        max_body_size: of a plain HTTP request's body, and of the body of a refused handshake that
            a client keeps. Breach: 413.

        open_timeout: for the whole opening handshake, TLS included; it does not start again with
            each byte. Breach: 408, then close.
        ping_interval: without a byte from the peer, until a Ping asks for life.
        ping_timeout: for any byte after that Ping. Breach: 1011. The clock stands still while we
            ourselves have paused reading.
        close_timeout: for the peer's half of the closing handshake and the end of TCP. Breach: the
            transport is dropped.
        close_grace: for the application to answer messages that came before the peer's Close, or
            before its fault, until our own Close goes out.

        max_queued_messages: received and not yet taken by the application; then reading pauses.
        max_queued_size: the same in bytes.
        write_high_water: bytes that wait to be written; then ``send`` waits.
        max_unsent_size: bytes of pushed messages that wait behind those; see `Overflow`.
        max_unsent_messages: the same in messages.
        write_timeout: in which a peer must take some of what waits to be written, when that is over
            the high-water mark. Breach: the transport is dropped.

        control_rate: Pings and Pongs of the peer's in a second, over time; off by default. Breach:
            1008.
        control_burst: those that may come at once, before the rate counts.
    """

    max_message_size: int | None = 1 * MiB
    max_fragments: int | None = 1024
    max_discarded_size: int | None = 64 * KiB
    max_closing_size: int | None = 16 * MiB

    max_request_line_size: int | None = 8 * KiB
    max_header_line_size: int | None = 8 * KiB
    max_head_size: int | None = 16 * KiB
    max_headers: int | None = 100
    max_body_size: int | None = 64 * KiB

    open_timeout: float | None = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    close_timeout: float | None = 5.0
    close_grace: float | None = 1.0

    max_queued_messages: int | None = 16
    max_queued_size: int | None = 1 * MiB
    write_high_water: int = 64 * KiB
    max_unsent_size: int | None = 1 * MiB
    max_unsent_messages: int | None = 4096
    write_timeout: float | None = 20.0

    control_rate: float | None = None
    control_burst: int | None = 50

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must not be negative: {value!r}")
