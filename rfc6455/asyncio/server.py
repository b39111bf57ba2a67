"""A WebSocket server on asyncio.

What lives here: listening, the opening handshake of each client, the tasks that run the
application's handler, and a graceful end. This file does not know about messages.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Generator, Sequence
from http import HTTPStatus
from typing import Any, Final, Self, TypeAlias, cast

from ..close import Close, CloseCode
from ..connection import Connection, Role
from ..errors import ConnectionClosed, HandshakeError, UsageError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..handshake import ServerHandshake, offered_subprotocols, validate
from ..http import Request, Response, error_response
from ..limits import Limits
from ..state import State
from ..version import __version__
from .connection import WebSocket

__all__ = ["Server", "serve"]

Handler: TypeAlias = Callable[[WebSocket], Awaitable[None]]
ProcessRequest: TypeAlias = Callable[[Request], "Response | Awaitable[Response | None] | None"]

SERVER_HEADER: Final = f"rfc6455/{__version__}"
MAX_EARLY_DATA: Final = 64 * 1024
"""Bytes that a client may send behind its request before it is answered; then reading pauses."""

logger = logging.getLogger("rfc6455.server")


def serve(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    process_request: ProcessRequest | None = None,
    origins: Sequence[str | None] | None = None,
    subprotocols: Sequence[str] = (),
    extensions: Sequence[ExtensionFactory] = DEFAULT_EXTENSIONS,
    limits: Limits | None = None,
    max_connections: int | None = None,
    ssl: ssl_module.SSLContext | None = None,
    sock: socket.socket | None = None,
    server_header: str = SERVER_HEADER,
) -> Server:
    """Makes a server; it starts with ``async with`` or ``await``.

    Args:
        handler: a coroutine function that gets each `WebSocket`. When it returns, the connection is
            closed with 1000; when it raises, with 1011, and the error is logged.
        host: where to listen, as in `asyncio.loop.create_server`.
        port: likewise; 0 for any free port.
        process_request: gets each HTTP request before anything else is looked at. What it returns
            is the answer; None goes on to the opening handshake. It may be a coroutine function.
        origins: the Origin values that may connect (RFC 6455 §10.2), compared exactly; None among
            them stands for requests without Origin. Others get 403.
        subprotocols: those that the application speaks, the preferred one first.
        extensions: those that may be negotiated; by default permessage-deflate.
        limits: see `Limits`.
        max_connections: more than these get 503; by default 80 % of the process's file descriptors.
        ssl: a context for TLS.
        sock: a listening socket, instead of host and port.
        server_header: value of the Server field; empty for none.
    """
    return Server(
        handler,
        host,
        port,
        process_request=process_request,
        origins=origins,
        subprotocols=subprotocols,
        extensions=extensions,
        limits=Limits() if limits is None else limits,
        max_connections=_default_max_connections() if max_connections is None else max_connections,
        ssl=ssl,
        sock=sock,
        server_header=server_header,
    )


class Server:
    """A listening server, made by `serve`."""

    def __init__(
        self,
        handler: Handler,
        host: str | Sequence[str] | None,
        port: int | None,
        *,
        process_request: ProcessRequest | None,
        origins: Sequence[str | None] | None,
        subprotocols: Sequence[str],
        extensions: Sequence[ExtensionFactory],
        limits: Limits,
        max_connections: int | None,
        ssl: ssl_module.SSLContext | None,
        sock: socket.socket | None,
        server_header: str,
    ) -> None:
        self.handler = handler
        self.process_request = process_request
        self.origins = origins
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.limits = limits
        self.max_connections = max_connections
        self.server_header = server_header
        self._address = host, port
        self._ssl = ssl
        self._sock = sock
        self._listener: asyncio.Server | None = None
        self._openings: set[_Opening] = set()
        self._connections: set[WebSocket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._closed = asyncio.Event()
        self._vacant = asyncio.Event()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return tuple(self._listener.sockets) if self._listener is not None else ()

    @property
    def connections(self) -> frozenset[WebSocket]:
        """The connections whose TCP has not ended."""
        return frozenset(self._connections)

    async def start(self) -> Server:
        """Starts listening."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        options: dict[str, Any] = {"ssl": self._ssl}
        if self._ssl is not None:
            options["ssl_handshake_timeout"] = self.limits.open_timeout
        if self._sock is not None:
            options["sock"] = self._sock
        else:
            options |= {"host": host, "port": port}
        self._listener = await loop.create_server(lambda: _Opening(self, loop), **options)
        return self

    async def serve_forever(self) -> None:
        """Waits until the server is closed."""
        await self._closed.wait()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Stops listening and starts the closing handshake of every connection.

        Args:
            code: the close code; 1001 says that the server goes away.
            reason: the close reason.

        Raises:
            UsageError: the code must not travel, or the reason is too long. Nothing has changed.
        """
        try:
            Close(code, reason).payload()
        except ValueError as error:
            raise UsageError(str(error)) from error
        if self._closing:
            return
        self._closing = True
        if self._listener is not None:
            self._listener.close()
        for opening in list(self._openings):
            opening.refuse(Response.text("the server is going away\n", 503))
        for websocket in list(self._connections):
            self._spawn(websocket.close(code, reason))
        self._closed.set()

    async def wait_closed(self) -> None:
        """Waits until every connection has ended and every handler has returned.

        A handler that goes on for longer than `Limits.close_timeout` after that is cancelled.
        """
        await self._closed.wait()
        timeout = self.limits.close_timeout
        while self._openings or self._connections:
            self._vacant.clear()
            await self._vacant.wait()
        tasks = self._tasks - {asyncio.current_task()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    def __await__(self) -> Generator[Any, None, Server]:
        return self.start().__await__()

    # For `_Opening`

    def _is_full(self) -> bool:
        return (
            self.max_connections is not None
            and len(self._connections) + len(self._openings) > self.max_connections
        )

    def _opened(self, opening: _Opening, websocket: WebSocket) -> None:
        self._openings.discard(opening)
        self._connections.add(websocket)

    def _left(self, member: _Opening | WebSocket) -> None:
        self._openings.discard(cast("_Opening", member))
        self._connections.discard(cast("WebSocket", member))
        if not self._openings and not self._connections:
            self._vacant.set()

    def _spawn(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, websocket: WebSocket) -> None:
        try:
            await self.handler(websocket)
        except ConnectionClosed:
            pass
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            if _is_cancelled():
                websocket.abort()
                raise
            logger.exception("handler failed")
            await websocket.close(CloseCode.INTERNAL_ERROR)
            return
        await websocket.close()


class _Opening(asyncio.Protocol):
    """A client whose opening handshake is under way, or that asks for plain HTTP."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._handshake = ServerHandshake(server.limits, server_header=server.server_header)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered = False
        self._peer_eof = False
        self._discarded = 0
        # The clock runs from here on: `connection_made` comes after TLS's own handshake.
        self._accepted_at = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server._openings.add(self)
        if self._server._is_full() or self._server._closing:
            self.refuse(Response.text("too many connections\n", HTTPStatus.SERVICE_UNAVAILABLE))
        elif (timeout := self._server.limits.open_timeout) is not None:
            self._timer = self._loop.call_at(self._accepted_at + timeout, self._timed_out)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            self._discard(len(data))
            return
        handshake = self._handshake
        try:
            request = handshake.receive_data(data)
        except HandshakeError as error:
            logger.info("opening handshake failed: %s", ascii(str(error)))
            self.refuse(error_response(error))
            return
        if interim := handshake.data_to_send():
            self._transport.write(interim)
        if request is not None:
            self._task = self._server._spawn(self._answer(request))
        if len(handshake.trailing_data) > MAX_EARLY_DATA:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._peer_eof = True
        # A client that has asked and closed its side may still read the answer; over TLS it cannot.
        return (
            self._task is not None
            and not self._answered
            and self._transport.get_extra_info("sslcontext") is None
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        self._server._left(self)
        if self._task is not None and not self._answered:
            self._task.cancel()

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._process(request)
            if response is not None:
                self.refuse(response)
                return
            websocket = self._accept(request)
        except HandshakeError as error:
            logger.info("opening handshake failed: %s", ascii(str(error)))
            self.refuse(error_response(error))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            if _is_cancelled():
                raise
            logger.exception("opening handshake failed")
            if self._handshake.state is State.CONNECTING:
                self.refuse(Response.text("internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR))
            else:
                self._transport.abort()
        else:
            await self._server._run(websocket)

    async def _process(self, request: Request) -> Response | None:
        if self._server.process_request is None:
            return None
        response = self._server.process_request(request)
        return await response if inspect.isawaitable(response) else response

    def _accept(self, request: Request) -> WebSocket:
        server = self._server
        validate(request)
        # RFC 6455 §4.2.2: "If the server does not wish to accept this connection, it MUST return an
        # appropriate HTTP error code (e.g., 403 Forbidden)".
        if server.origins is not None and request.headers.get("Origin") not in server.origins:
            raise HandshakeError("this Origin may not connect", HTTPStatus.FORBIDDEN)
        offered = offered_subprotocols(request)
        subprotocol = next((s for s in server.subprotocols if s in offered), None)
        answer, extensions = self._handshake.accept(
            subprotocol=subprotocol, extensions=server.extensions
        )
        core = Connection(
            Role.SERVER, limits=server.limits, extensions=extensions, now=self._loop.time()
        )
        websocket = WebSocket(
            core,
            self._transport,
            self._loop,
            request=request,
            subprotocol=subprotocol,
            on_lost=server._left,
        )
        self._answered = True
        self._cancel_timer()
        server._opened(self, websocket)
        self._transport.write(answer)
        self._transport.set_protocol(websocket)
        if self._handshake.trailing_data:
            websocket.data_received(self._handshake.trailing_data)
            if (
                len(self._handshake.trailing_data) > MAX_EARLY_DATA
                and not websocket._reading_paused
            ):
                self._transport.resume_reading()
        if self._peer_eof and not websocket.eof_received():
            self._transport.close()
        return websocket

    def refuse(self, response: Response) -> None:
        """Answers with plain HTTP, and ends the connection once the client has read it."""
        if self._answered:
            return
        answer = self._handshake.respond(response)
        self._answered = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._cancel_timer()
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(answer)
        # To close with unread bytes in the socket resets TCP, and the answer may be lost.
        if self._peer_eof or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
            transport.resume_reading()
        if (timeout := self._server.limits.close_timeout) is not None:
            self._timer = self._loop.call_later(timeout, transport.abort)

    def _timed_out(self) -> None:
        if self._task is None:
            self.refuse(Response.text("no request in time\n", HTTPStatus.REQUEST_TIMEOUT))
        else:
            self.refuse(Response.text("no answer in time\n", HTTPStatus.SERVICE_UNAVAILABLE))

    def _discard(self, size: int) -> None:
        self._discarded += size
        limit = self._server.limits.max_discarded_size
        if limit is not None and self._discarded > limit:
            self._transport.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _is_cancelled() -> bool:
    """Whether somebody wants this task to stop; else a CancelledError only passes through it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _default_max_connections() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft * 4 // 5
