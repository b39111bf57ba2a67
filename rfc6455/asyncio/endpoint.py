"""One end of an open WebSocket on asyncio.

What lives here: Pings, closing and time, as they are whether a coroutine or a `Listener` takes the
messages. This file does not know about frames, nor who takes the messages, nor how the opening
handshake went.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from math import inf
from typing import Any, Self

from ..budget import PROCESS_BUDGET, MemoryBudget
from ..close import CloseCode
from ..connection import ABORT, CLOSE, HALF_CLOSE, Connection
from ..errors import ConnectionClosed, UsageError
from ..http import Request, Response
from ..observer import Observer
from ..state import CLOSE_EXCHANGED, CLOSE_RECEIVED, CLOSED, OPEN, State
from .alarms import Bucket
from .reads import writes_to_socket
from .receiving import Receiving
from .shared import shared_in

__all__ = ["Endpoint"]


class Endpoint(Receiving):
    """What `WebSocket` and the connection of a `Listener` have in common.

    Attributes:
        request: the HTTP request that opened it; None on a client.
        response: the HTTP answer that opened it; None on a server.
        subprotocol: the one that was agreed on, or None.
    """

    __slots__ = (
        "__weakref__",
        "_bucket",
        "_close_written",
        "_closed_waiter",
        "_due",
        "_on_lost",
        "_peer_eof",
        "_pings",
        "request",
        "response",
        "subprotocol",
    )

    def __init__(
        self,
        core: Connection,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        request: Request | None = None,
        response: Response | None = None,
        subprotocol: str | None = None,
        on_lost: Callable[[Any], None] | None = None,
        budget: MemoryBudget = PROCESS_BUDGET,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(core, transport, loop, budget, observer)
        self.request = request
        self.response = response
        self.subprotocol = subprotocol
        self._on_lost = on_lost
        self._peer_eof = False
        self._close_written = False
        self._pings: dict[bytes, tuple[float, asyncio.Future[float]]] | None = None
        self._closed_waiter: asyncio.Future[None] | None = None
        # When `deadline_reached` is called, and among whom.
        self._due = inf
        self._bucket: Bucket | None = None
        self._set_timer()
        self._settle()

    # What an application sees

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state.value} {self.remote_address}>"

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._core.state

    @property
    def close_code(self) -> int | None:
        """The close code of RFC 6455 §7.1.5, 1005 and 1006 included; None while it is not over."""
        if self._core.state is CLOSED or self._core.close_received is not None:
            return self._closed_error().code
        return None

    @property
    def close_reason(self) -> str:
        """The close reason of §7.1.6; empty while there is none."""
        return self._closed_error().reason

    @property
    def remote_address(self) -> Any:
        """The peer's address, as the socket gives it."""
        return self._transport.get_extra_info("peername")

    @property
    def local_address(self) -> Any:
        """Our own address, as the socket gives it."""
        return self._transport.get_extra_info("sockname")

    async def ping(self, data: bytes = b"") -> float:
        """Sends a Ping and waits for its Pong. Returns the time that took, in seconds.

        Args:
            data: at most 125 bytes, different from those of other Pings under way; random if empty.

        Raises:
            ConnectionClosed: the connection is over, or ends before the Pong.
        """
        payload = bytes(data) or os.urandom(4)
        pings = self._pings = {} if self._pings is None else self._pings
        if payload in pings:
            raise UsageError("a Ping with this payload is under way")
        self._core.send_ping(payload)
        waiter: asyncio.Future[float] = self._loop.create_future()
        under_way = pings[payload] = (self._loop.time(), waiter)
        self._flush()
        try:
            return await waiter
        finally:
            if pings.get(payload) is under_way:
                del pings[payload]

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Runs the closing handshake (§7.1.2) and waits for its end.

        Messages that arrive from here on are thrown away; those that have arrived can still be
        received. Takes at most `Limits.close_timeout`, then TCP is dropped. Safe to call again.

        Raises:
            UsageError: the code must not travel, or the reason is over 123 bytes. Nothing was sent.
        """
        self.start_close(code, reason)
        await self.wait_closed()

    def start_close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Starts the closing handshake, as `close` does, without waiting for its end."""
        # What was pushed before goes before; each in a write of its own, since joining them would
        # copy what a thousand peers that are closed at once have in common.
        while self._pushed and not self._fragmenting and self._core.may_send:
            self._hand_over()
            self._flush_anyhow()
        self._core.close(code, reason, self._loop.time())
        self._closing = True
        self._after_closing_step()
        if self._reading_paused:
            self._resume_reading()

    def set_max_message_size(self, size: int | None) -> None:
        """Changes `Limits.max_message_size`, from the next frame on.

        For a peer that is trusted with more once it has told who it is.

        Args:
            size: in bytes, after decompression; None for no limit.
        """
        self._core.set_max_message_size(size)
        self._settle()

    async def wait_closed(self) -> None:
        """Waits until TCP has ended."""
        if self._closed_waiter is None:
            self._closed_waiter = self._loop.create_future()
            if self._core.state is CLOSED and self._transport.is_closing():
                self._closed_waiter.set_result(None)
        await asyncio.shield(self._closed_waiter)

    def abort(self) -> None:
        """Drops TCP at once; the peer sees 1006."""
        self._transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        failed = exc_type is not None and not issubclass(exc_type, ConnectionClosed)
        await self.close(CloseCode.INTERNAL_ERROR if failed else CloseCode.NORMAL_CLOSURE)

    # What the transport calls

    def eof_received(self) -> bool:
        """Takes the end of the peer's side of TCP; tells whether ours stays open."""
        self._peer_eof = True
        if self._core.state is not CLOSE_RECEIVED:
            return False
        # The peer has said all, in good order, and may still be reading: answer what it said.
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the end of TCP."""
        self._sort(self._core.receive_eof())
        self._give_back()
        if self._charged:
            self._budget.charge(self, 0)
        if self._bucket is not None:
            self._bucket.leave(self)
        self._let_all_go()
        self._fail_pings()
        if self._closed_waiter is not None and not self._closed_waiter.done():
            self._closed_waiter.set_result(None)
        if self._on_lost is not None:
            self._on_lost(self)

    def opened(self) -> None:
        """Is told by whoever ran the opening handshake that it is over."""
        if self._observer is not None:
            self._observer.opened(self, self._core)

    # Pings

    def _accept_pong(self, payload: bytes) -> None:
        if not self._pings or payload not in self._pings:
            return
        now = self._loop.time()
        # §5.5.3: a Pong may answer "only the most recently processed Ping frame", and those before.
        for earlier in list(self._pings):
            sent, waiter = self._pings.pop(earlier)
            if not waiter.done():
                waiter.set_result(now - sent)
                if self._observer is not None:
                    self._observer.latency(self, now - sent)
            if earlier == payload:
                break

    def _fail_pings(self) -> None:
        # Behind a Close or a fault no Pong comes any more.
        if self._pings is None:
            return
        for _, pinging in self._pings.values():
            if not pinging.done():
                pinging.set_exception(self._closed_error())

    # Closing and time

    def _after_closing_step(self) -> None:
        self._settle()
        # Our Close goes out behind whatever waits, even when writing is held up: there may be no
        # other chance. What comes after it, which is Pongs, waits its turn.
        if not self._close_written:
            self._close_written = self._core.close_sent is not None
            self._flush_anyhow()
        else:
            self._flush()
        action = self._core.transport_action
        transport = self._transport
        if action is ABORT:
            transport.abort()
        elif self._core.state is CLOSE_EXCHANGED and (
            action is CLOSE
            or self._peer_eof
            or (action is HALF_CLOSE and not transport.can_write_eof())
        ):
            transport.close()
            # With nothing to write first, nor TLS to end, it ends in the next turn by itself.
            if writes_to_socket(transport) and not transport.get_write_buffer_size():
                return
        elif action is HALF_CLOSE and not transport.is_closing():
            end_writing(transport)
        self._set_timer()

    def _flush_anyhow(self) -> None:
        paused, self._write_paused = self._write_paused, False
        self._flush()
        self._write_paused = paused

    def _set_timer(self) -> None:
        deadline = self._core.next_deadline()
        # It is not put off: what is due then is found out then.
        if deadline is None or self._due <= deadline:
            return
        if self._bucket is not None:
            self._bucket.leave(self)
        self._due = deadline
        self._bucket = shared_in(self._loop).alarms.set(deadline, self)

    def deadline_reached(self) -> None:
        """Is called at a deadline that the core had, or a little later; see `alarms`."""
        self._due, self._bucket = inf, None
        self._sort(self._core.handle_deadline(self._loop.time()))
        if self._core.state is OPEN:
            self._flush()
            self._set_timer()
        else:
            self._after_closing_step()


def end_writing(transport: asyncio.Transport) -> None:
    """Ends our side of TCP behind what waits to be written."""
    try:
        transport.write_eof()
    except OSError:
        # The peer has reset the connection, and the loop has not read that yet.
        transport.abort()
