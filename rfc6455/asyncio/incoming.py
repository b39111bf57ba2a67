"""A client that has connected to a server, up to its WebSocket or its page.

What lives here: what is done with one request, hook by hook, and how a client is sent away. This
file does not know how many clients there are, nor what becomes of a WebSocket once it is open.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ..addresses import TrustedProxies
from ..budget import MemoryBudget
from ..errors import HandshakeError
from ..framelog import with_frame_log
from ..handshake import ServerHandshake
from ..http import Request, Response, error_response
from ..limits import Limits
from ..logs import LoggerLike
from ..observer import Observer, ObserverLike, observer_of
from ..reception import Accepted, Steps
from ..router import Route, Router
from ..state import CONNECTING
from .alarms import Bucket
from .connection import WebSocket
from .endpoint import Endpoint, end_writing
from .listener import CallbackWebSocket, Listener
from .reads import BytesProtocol
from .shared import shared_in

if TYPE_CHECKING:
    from .server import Server

__all__ = ["Incoming", "Options", "ProcessRequest", "ProcessResponse", "is_cancelled"]

ProcessRequest: TypeAlias = Callable[[Request], "Response | Awaitable[Response | None] | None"]
ProcessResponse: TypeAlias = Callable[
    [Request, Response], "Response | Awaitable[Response | None] | None"
]

MAX_EARLY_DATA: Final = 64 * 1024
"""Bytes that a client may send behind its request before it is answered; then reading pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `serve` was told about requests; its arguments of these names have the details."""

    route: Route
    router: Router | None
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    limits: Limits
    max_connections: int | None
    max_connections_per_address: int | None
    trusted_proxies: TrustedProxies
    server_header: str
    memory_budget: MemoryBudget
    observer: ObserverLike | None
    logger: LoggerLike


class Incoming(BytesProtocol):
    """A client whose opening handshake is under way, or that asks for plain HTTP.

    Attributes:
        group: what the client is counted as among its like; empty while it is not.
        is_silent: whether nothing has come from it yet.
    """

    __slots__ = (
        "__weakref__",
        "_accepted_at",
        "_answered",
        "_bucket",
        "_discarded",
        "_handshake",
        "_is_proxy",
        "_loop",
        "_may_write",
        "_options",
        "_peer",
        "_peer_eof",
        "_server",
        "_streaming",
        "_task",
        "_timer",
        "_transport",
        "group",
        "is_silent",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.group = ""
        self._server = server
        self._options = options = server.options
        self._loop = loop
        self._handshake = ServerHandshake(options.limits, server_header=options.server_header)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._peer = ""
        self._is_proxy = False
        self._task: asyncio.Task[None] | None = None
        self._bucket: Bucket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_silent = True
        self._answered = False
        self._streaming: asyncio.Task[None] | None = None
        self._may_write: asyncio.Event | None = None
        self._peer_eof = False
        self._discarded = 0
        # The clock runs from here on: `connection_made` comes after TLS's own handshake.
        self._accepted_at = loop.time()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a client, if there is room for it."""
        self._transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self._peer = peername[0] if isinstance(peername, tuple) else ""
        self._is_proxy = self._options.trusted_proxies.trust(self._peer)
        try:
            self._server.enter(self)
            if not self._is_proxy:
                self._server.count(self, self._peer)
        except HandshakeError as error:
            self._server.log_failure(error, self._peer)
            self.refuse(error_response(error), linger=not self._server.is_flooded)
        else:
            if (timeout := self._options.limits.open_timeout) is not None:
                self._bucket = shared_in(self._loop).alarms.set(self._accepted_at + timeout, self)

    def data_received(self, data: bytes) -> None:
        """Takes what a read brought."""
        self.is_silent = False
        if self._answered:
            self._discard(len(data))
            return
        handshake = self._handshake
        try:
            request = handshake.receive_data(data)
            if request is not None:
                self._identify(request)
        except HandshakeError as error:
            self._server.log_failure(error, self._peer)
            self.refuse(error_response(error))
            return
        if interim := handshake.data_to_send():
            self._transport.write(interim)
        if request is not None:
            self._take(request)
        if self._task is not None and len(handshake.trailing_data) > MAX_EARLY_DATA:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Takes the end of the client's side of TCP; tells whether ours stays open."""
        self._peer_eof = True
        # A client that has asked and closed its side may still read the answer; over TLS it cannot.
        return (
            self._task is not None
            and not self._answered
            and self._transport.get_extra_info("sslcontext") is None
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the end of TCP."""
        self._cancel_timer()
        self._server.leave(self)
        if self._task is not None and not self._answered:
            self._task.cancel()
        self._end_stream()

    def pause_writing(self) -> None:
        """The client reads too slowly: a stream waits."""
        if self._may_write is not None:
            self._may_write.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._may_write is not None:
            self._may_write.set()

    # The answer

    def _identify(self, request: Request) -> None:
        request.client_address = self._peer
        if self._is_proxy:
            request.client_address = self._options.trusted_proxies.client_address(
                self._peer, request.headers.get_all("X-Forwarded-For")
            )
            self._server.count(self, request.client_address)

    def _take(self, request: Request) -> None:
        """Deals with a request: at once, or in a task where the application is to be asked."""
        steps = self._server.reception.decide(request)
        try:
            call = next(steps)
        except StopIteration as end:
            self._carry_out(end.value, request)
        else:
            self._task = self._server.spawn(self._ask(request, steps, call))

    async def _ask(self, request: Request, steps: Steps, call: Callable[[], Any]) -> None:
        try:
            while True:
                try:
                    result = call()
                    if inspect.isawaitable(result):
                        result = await result
                except BaseException as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            self._carry_out(end.value, request)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            if is_cancelled():
                raise
            self._fail()

    def _carry_out(self, decided: Response | Accepted, request: Request) -> None:
        try:
            if isinstance(decided, Accepted):
                self._server.attend(self._accept(decided, request), decided)
            else:
                self.refuse(decided)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        self._server.log_error("opening handshake failed")
        if self._handshake.state is CONNECTING:
            self.refuse(Response.text("internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR))
        else:
            self._transport.abort()

    def _accept(self, accepted: Accepted, request: Request) -> Endpoint:
        handler = accepted.route.handler
        kind: Callable[..., Endpoint] = WebSocket
        if isinstance(handler, type) and issubclass(handler, Listener):
            listener = handler(**accepted.arguments)
            kind = partial(CallbackWebSocket, listener=listener, on_error=self._server.log_error)
        answer, core = accepted.open(self._handshake, self._options.limits, self._loop.time())
        websocket = kind(
            core,
            self._transport,
            self._loop,
            request=request,
            subprotocol=accepted.subprotocol,
            on_lost=self._server.lost,
            budget=self._options.memory_budget,
            observer=with_frame_log(
                observer_of(self._options.observer, request), self._options.logger
            ),
        )
        self._answered = True
        self._cancel_timer()
        self._server.opened(self, websocket)
        self._transport.write(answer)
        self._transport.set_protocol(websocket)
        websocket.opened()
        early = self._handshake.trailing_data
        if early:
            websocket.data_received(early)
            # Reading was paused while the application was asked.
            if len(early) > MAX_EARLY_DATA and not websocket._reading_paused:
                self._transport.resume_reading()
        if self._peer_eof and not websocket.eof_received():
            self._transport.close()
        return websocket

    def refuse(self, response: Response, *, linger: bool = True) -> None:
        """Answers with plain HTTP, and ends the connection once the client has read it.

        Args:
            response: the answer.
            linger: whether the client's end of TCP is waited for. Otherwise a client that goes on
                sending may lose the answer.
        """
        if self._answered:
            if self._streaming is not None and not self._streaming.done():
                self._end_stream()
                self._transport.close()
            return
        answer = self._handshake.respond(response)
        if isinstance(self._options.observer, Observer):
            self._options.observer.answered(response.status)
        self._answered = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._cancel_timer()
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(answer)
        if response.stream is not None and self._handshake.wants_content:
            transport.set_write_buffer_limits(high=self._options.limits.write_high_water)
            self._may_write = asyncio.Event()
            self._may_write.set()
            streaming = self._stream(response.stream, self._may_write)
            self._streaming = self._server.spawn(streaming)
            return
        self._end(linger)

    async def _stream(
        self, stream: AsyncIterable[bytes] | Iterable[bytes], may_write: asyncio.Event
    ) -> None:
        """Writes a body piece by piece, no faster than the client reads."""
        pieces: AsyncIterator[bytes] | None = None
        try:
            if not isinstance(stream, AsyncIterable):
                raise TypeError("on asyncio, an answer that comes over time is asynchronous")
            pieces = aiter(stream)
            async for piece in pieces:
                self._transport.write(piece)
                # What never waits itself would keep all others waiting, and not hear of its end.
                await asyncio.sleep(0)
                await may_write.wait()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            if is_cancelled():
                raise
            self._server.log_error("answer failed")
            # The client must not take it for the whole.
            self._transport.abort()
        else:
            self._end()
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    def drop(self) -> None:
        """Ends the connection without a word."""
        self._answered = True
        self._cancel_timer()
        self._transport.close()

    def _end_stream(self) -> None:
        if self._streaming is not None:
            self._streaming.cancel()

    def _end(self, linger: bool = True) -> None:
        """Ends the connection once the client has read the answer."""
        transport = self._transport
        # To close with unread bytes in the socket resets TCP, and the answer may be lost.
        if self._peer_eof or not linger or not transport.can_write_eof():
            transport.close()
        else:
            end_writing(transport)
            transport.resume_reading()
        if (timeout := self._options.limits.close_timeout) is not None:
            self._timer = self._loop.call_later(timeout, transport.abort)

    def deadline_reached(self) -> None:
        """Is called when the time for the opening handshake is over."""
        if self._task is None:
            self.refuse(Response.text("no request in time\n", HTTPStatus.REQUEST_TIMEOUT))
        else:
            self.refuse(Response.text("no answer in time\n", HTTPStatus.SERVICE_UNAVAILABLE))

    def _discard(self, size: int) -> None:
        self._discarded += size
        limit = self._options.limits.max_discarded_size
        if limit is not None and self._discarded > limit:
            self._transport.abort()

    def _cancel_timer(self) -> None:
        if self._bucket is not None:
            self._bucket.leave(self)
        if self._timer is not None:
            self._timer.cancel()


def is_cancelled() -> bool:
    """Whether somebody wants this task to stop; else a CancelledError only passes through it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
