"""A WebSocket server on asyncio.

What lives here: listening, who may come in, the tasks that run the application's handler, and a
graceful end. This file does not know about requests, nor about messages.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl as ssl_module
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from http import HTTPStatus
from typing import Any, Final, Literal, Self, TypeAlias

from ..addresses import TrustedProxies, address_group
from ..budget import PROCESS_BUDGET, MemoryBudget
from ..close import Close, CloseCode
from ..errors import ConnectionClosed, HandshakeError, UsageError
from ..extensions import DEFAULT_EXTENSIONS, ExtensionFactory
from ..farewell import Drained, ReconnectHint, farewells
from ..headers import Headers
from ..http import Request, Response
from ..limits import Limits
from ..logs import LoggerLike, LogSampler
from ..observer import ObserverLike
from ..origins import OriginsLike
from ..reception import Accepted, Reception
from ..router import Route, Router, SelectSubprotocol
from ..state import CLOSE_EXCHANGED, CLOSED
from ..version import __version__
from .accepting import Listening, default_max_connections
from .connection import WebSocket
from .endpoint import Endpoint
from .incoming import Incoming, Options, ProcessRequest, ProcessResponse, is_cancelled
from .listener import Listener

__all__ = ["Drained", "Server", "serve"]

Handler: TypeAlias = "Callable[[WebSocket], Awaitable[None]] | type[Listener]"

SERVER_HEADER: Final = f"rfc6455/{__version__}"
BACKLOG: Final = 128
"""Connections that wait in the kernel; asyncio takes so many at once."""
TOLERANCE: Final = 16
"""Of clients over the limit, so many wait until they have read that they are."""


def serve(
    handler: Handler | Router,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    origins: OriginsLike | None = None,
    subprotocols: Sequence[str] = (),
    select_subprotocol: SelectSubprotocol | None = None,
    extensions: Sequence[ExtensionFactory] = DEFAULT_EXTENSIONS,
    limits: Limits | None = None,
    max_connections: int | None = None,
    max_connections_per_address: int | None = None,
    trusted_proxies: Sequence[str] = (),
    cancel_on_disconnect: bool = False,
    ssl: ssl_module.SSLContext | None = None,
    path: str | os.PathLike[str] | None = None,
    sock: socket.socket | Sequence[socket.socket] | None = None,
    reuse_port: bool = False,
    backlog: int = BACKLOG,
    server_header: str = SERVER_HEADER,
    memory_budget: MemoryBudget = PROCESS_BUDGET,
    observer: ObserverLike | None = None,
    logger: LoggerLike | None = None,
) -> Server:
    """Makes a server; it starts with ``async with`` or ``await``.

    Args:
        handler: a coroutine function that gets each `WebSocket`. When it returns, the connection is
            closed with 1000; when it raises, with 1011, and the error is logged. A `Router` stands
            for several of them, by path. A class derived from `Listener` takes the place of a
            handler: an instance of it gets the messages of each connection as callbacks.
        host: where to listen: a name or an address, or several; by default everywhere.
        port: likewise; 0 for any free port.
        process_request: gets each HTTP request before anything else is looked at. What it returns
            is the answer; None goes on to the opening handshake. It may be a coroutine function.
        process_response: gets each request with its answer, and may return another one. For a
            handshake that is accepted the answer has status 101 and only the fields that are added
            here. It may be a coroutine function.
        origins: the Origin values that may connect (RFC 6455 §10.2); others get 403. Compiled
            regular expressions are taken too, and have to match the whole value. None among them
            stands for requests without Origin, which no browser sends. By default all may.
        subprotocols: those that the application speaks, the preferred one first.
        select_subprotocol: instead of that list, a function that gets the request and the
            subprotocols that the client offers, and returns one of them or None.
        extensions: those that may be negotiated; by default permessage-deflate.
        limits: see `Limits`.
        max_connections: more than these get 503; by default 80 % of the process's file descriptors.
        max_connections_per_address: from one client more than these get 429; a client is an IPv4
            address, or the first 64 bits of an IPv6 address. By default there is no such limit.
        trusted_proxies: networks such as ``10.0.0.0/8``, or ``unix`` for Unix domain sockets, from
            which X-Forwarded-For is believed; see `Request.client_address`.
        cancel_on_disconnect: whether the handler's task is cancelled when the connection has ended.
            Otherwise a handler learns of it when it next receives or sends.
        ssl: a context for TLS.
        path: of a Unix domain socket to listen on, instead of host and port. A file that a dead
            server left there is replaced, and ours is removed at the end.
        sock: a listening socket, or several, instead of host and port; see `systemd_sockets`.
        reuse_port: whether other processes may listen on the same port (SO_REUSEPORT); the kernel
            spreads connections over them.
        backlog: connections that the kernel keeps until they are accepted.
        server_header: value of the Server field; empty for none.
        memory_budget: for the unfinished messages of all connections together; by default one that
            all servers and clients of the process share.
        observer: sees what happens on each connection; for metrics and traces. Or a function that
            gets the `Request` of each, and returns who sees it, or None.
        logger: where to log, instead of ``rfc6455.server``.

    Raises:
        UsageError: an origin or a proxy is none, or options contradict each other.
    """
    if server_header:
        Headers([("Server", server_header)])
    limits = Limits() if limits is None else limits
    logger = logging.getLogger("rfc6455.server") if logger is None else logger
    router = handler if isinstance(handler, Router) else None
    route = Route(
        "",
        _unreachable if isinstance(handler, Router) else handler,
        origins=origins,
        subprotocols=subprotocols or None,
        select_subprotocol=select_subprotocol,
        extensions=extensions,
        limits=limits,
        cancel_on_disconnect=cancel_on_disconnect,
    )
    options = Options(
        route=route,
        router=router,
        process_request=process_request,
        process_response=process_response,
        limits=limits,
        max_connections=default_max_connections() if max_connections is None else max_connections,
        max_connections_per_address=max_connections_per_address,
        trusted_proxies=TrustedProxies(trusted_proxies),
        server_header=server_header,
        memory_budget=memory_budget,
        observer=observer,
        logger=logger,
    )
    return Server(options, Listening(host, port, path, sock, reuse_port, backlog, ssl))


class Server:
    """A listening server, made by `serve`."""

    def __init__(self, options: Options, listening: Listening) -> None:
        self.options = options
        self._listening = listening
        self._started = False
        # Set by `start`: nobody comes in before.
        self._loop: asyncio.AbstractEventLoop
        self.reception = Reception(
            options.route,
            options.router,
            options.process_request,
            options.process_response,
            self.log_failure,
        )
        self._incoming: set[Incoming] = set()
        # With what each is counted as among its like; the tasks of their handlers; and those whose
        # handlers end with them.
        self._connections: dict[Endpoint, str] = {}
        self._handlers: dict[Endpoint, asyncio.Task[None]] = {}
        self._bound: set[Endpoint] = set()
        self._groups: Counter[str] = Counter()
        # All others, and of handlers those that go on after their connection.
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = LogSampler(options.logger)
        self._turns: deque[tuple[float, Endpoint]] = deque()
        self._turn_timer: asyncio.TimerHandle | None = None
        self._farewell: Callable[[], Close] = lambda: Close(CloseCode.GOING_AWAY)
        self._ended = Counter[bool]()
        self._closing = asyncio.Event()
        self._done = asyncio.Event()
        self._vacant = asyncio.Event()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return self._listening.sockets

    @property
    def connections(self) -> frozenset[Endpoint]:
        """The connections whose TCP has not ended."""
        return frozenset(self._connections)

    @property
    def is_closing(self) -> bool:
        """Whether the server has begun to end: nobody gets in any more."""
        return self._closing.is_set()

    async def start(self) -> Server:
        """Starts listening; does nothing if it has started already.

        Raises:
            OSError: an address or a path is in use, or is not this machine's.
            UsageError: it was closed.
        """
        loop = self._loop = asyncio.get_running_loop()
        if self._closing.is_set():
            raise UsageError("a server that was closed does not start again")
        if not self._started:
            self._started = True
            limits = self.options.limits
            await self._listening.open(
                lambda: Incoming(self, loop), limits.open_timeout, limits.close_timeout
            )
        if self._closing.is_set():
            self._listening.close()
        return self

    async def serve_forever(self) -> None:
        """Waits until the server is closed, or has been drained."""
        await self._done.wait()

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Stops listening and starts the closing handshake of every connection, at once.

        While `drain` goes on, this hurries it: whoever waits for a turn has it now.

        Args:
            code: the close code; 1001 says that the server goes away.
            reason: the close reason.

        Raises:
            UsageError: the code must not travel, or the reason is too long. Nothing has changed.
        """
        farewell = farewells(code, reason, None)
        if not self._closing.is_set():
            self._farewell = farewell
            self._stop()
            self._turns.extend((0.0, websocket) for websocket in self._connections)
        self._hurry()
        self._done.set()

    async def drain(
        self,
        over: float = 0.0,
        *,
        code: int = CloseCode.SERVICE_RESTART,
        reason: str = "",
        reconnect_hint: ReconnectHint = None,
        order: Literal["random", "oldest"] = "random",
        abort_after: float | None = None,
    ) -> Drained:
        """Stops listening, closes the connections one after the other, and waits for their end.

        Spread over time, the clients do not come back all at once. It goes on if the one who waits
        is cancelled; a second call, or `close`, gives all who wait for a turn theirs at once.

        Args:
            over: the time in which all have their turn, in seconds.
            code: the close code: 1012 says that the server comes back, 1001 that it goes away.
            reason: the close reason.
            reconnect_hint: when clients are to come back, in seconds from their end: a random time
                up to this, or between two numbers. The close reason carries it at its end, as
                ``retry-after=3.2``; `Close.retry_after` reads it.
            order: of the turns; ``oldest`` has the longest connected first.
            abort_after: what is left so many seconds after the last turn is dropped. By default
                each connection has `Limits.close_timeout` for itself.

        Returns:
            How many ended in which way.

        Raises:
            UsageError: as in `close`, or a time is negative. Nothing has changed.
        """
        farewell = farewells(code, reason, reconnect_hint)
        if not (over >= 0 and (abort_after is None or abort_after >= 0)):
            raise UsageError("times must not be negative")
        loop = asyncio.get_running_loop()
        if self._closing.is_set():
            self._hurry()
        else:
            self._farewell = farewell
            self._stop()
            waiting = list(self._connections)
            if order == "random":
                random.shuffle(waiting)
            start, step = loop.time(), over / max(len(waiting), 1)
            self._turns.extend((start + i * step, w) for i, w in enumerate(waiting))
            self._next_turns()
        deadline = None
        if abort_after is not None:
            last = self._turns[-1][0] if self._turns else loop.time()
            deadline = loop.call_at(last + abort_after, self._abort)
        await self.wait_closed()
        if deadline is not None:
            deadline.cancel()
        self._done.set()
        return Drained(closed=self._ended[True], aborted=self._ended[False])

    async def wait_closed(self) -> None:
        """Waits until every connection has ended and every handler has returned.

        A handler that goes on for longer than `Limits.close_timeout` after that is cancelled.
        """
        await self._closing.wait()
        while self._incoming or self._connections:
            self._vacant.clear()
            await self._vacant.wait()
        tasks = self._tasks - {asyncio.current_task()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.options.limits.close_timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        self._failures.flush()

    def reload_certificate(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        password: Callable[[], str | bytes] | str | bytes | None = None,
    ) -> None:
        """Takes another certificate, for the TLS of those who come from now on.

        Connections that are open go on as they are. The arguments are those of
        `ssl.SSLContext.load_cert_chain`. A certificate with another kind of key (ECDSA beside RSA)
        stands beside the old one, as always in OpenSSL, and each client chooses.

        Raises:
            UsageError: the server does not speak TLS.
            OSError: a file cannot be read, or (as `ssl.SSLError`) is malformed, or the key does not
                belong to the certificate. The old certificate stays.
        """
        self._listening.reload_certificate(certfile, keyfile, password)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    def __await__(self) -> Generator[Any, None, Server]:
        return self.start().__await__()

    # The end

    def _stop(self) -> None:
        """Lets nobody in any more."""
        self._closing.set()
        self._listening.close()
        for client in list(self._incoming):
            # Browsers keep connections on which they say nothing, and would take what comes there
            # for the answer to their next request, which may be one to the next server.
            if client.is_silent:
                client.drop()
            else:
                client.refuse(Response.text("the server is going away\n", 503))

    def _hurry(self) -> None:
        self._turns = deque((0.0, websocket) for _, websocket in self._turns)
        if self._turns:
            self._next_turns()

    def _next_turns(self) -> None:
        """Closes those whose turn it is, and waits for the next."""
        loop = asyncio.get_running_loop()
        if self._turn_timer is not None:
            self._turn_timer.cancel()
        while self._turns and self._turns[0][0] <= loop.time():
            _, websocket = self._turns.popleft()
            if websocket in self._connections:
                farewell = self._farewell()
                self.spawn(websocket.close(farewell.code, farewell.reason))
        if self._turns:
            self._turn_timer = loop.call_at(self._turns[0][0], self._next_turns)

    def _abort(self) -> None:
        for websocket in list(self._connections):
            websocket.abort()

    # For `Incoming`

    @property
    def is_flooded(self) -> bool:
        """Whether so many are over the limit that they cannot be waited for."""
        limit = self.options.max_connections
        present = len(self._connections) + len(self._incoming)
        return limit is not None and present > limit + max(TOLERANCE, limit // TOLERANCE)

    def enter(self, client: Incoming) -> None:
        """Takes a client up.

        Raises:
            HandshakeError: 503; there is no room for it.
        """
        self._incoming.add(client)
        limit = self.options.max_connections
        if self._closing.is_set():
            raise HandshakeError("the server is going away", HTTPStatus.SERVICE_UNAVAILABLE)
        if limit is not None and len(self._connections) + len(self._incoming) > limit:
            raise HandshakeError("too many connections", HTTPStatus.SERVICE_UNAVAILABLE)

    def count(self, client: Incoming, address: str) -> None:
        """Counts a client among those of its address.

        Raises:
            HandshakeError: 429; there are enough.
        """
        limit = self.options.max_connections_per_address
        if limit is None or not address:
            return
        group = address_group(address)
        if self._groups[group] >= limit:
            raise HandshakeError("too many connections", HTTPStatus.TOO_MANY_REQUESTS)
        self._groups[group] += 1
        client.group = group

    def opened(self, client: Incoming, websocket: Endpoint) -> None:
        """Takes note that a client's WebSocket is open."""
        self._incoming.discard(client)
        self._connections[websocket] = client.group

    def leave(self, client: Incoming) -> None:
        """Takes note that a client has gone before its WebSocket was open."""
        self._incoming.discard(client)
        self._forget(client.group)

    def lost(self, websocket: Endpoint) -> None:
        """Takes note that a connection has ended."""
        group = self._connections.pop(websocket)
        if self._closing.is_set():
            self._ended[websocket.close_code != CloseCode.ABNORMAL_CLOSURE] += 1
        task = self._handlers.pop(websocket, None)
        if task is not None and not task.done():
            self._wait_for(task)
            if websocket in self._bound:
                task.cancel()
        self._bound.discard(websocket)
        self._forget(group)

    def _forget(self, group: str) -> None:
        if group:
            self._groups[group] -= 1
            if not self._groups[group]:
                del self._groups[group]
        if not self._incoming and not self._connections:
            self._vacant.set()
            if self._closing.is_set():
                self._done.set()

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Runs a coroutine as a task that the server's end waits for."""
        task: asyncio.Task[None] = self._loop.create_task(coroutine)
        self._wait_for(task)
        return task

    def _wait_for(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def attend(self, websocket: Endpoint, accepted: Accepted) -> None:
        """Runs the handler of a connection, if it has one, in a task."""
        if isinstance(websocket, WebSocket):
            route = accepted.route
            self._handlers[websocket] = self._loop.create_task(
                self._handle(websocket, route.handler, accepted.arguments)
            )
            if route.cancel_on_disconnect:
                self._bound.add(websocket)

    async def _handle(
        self, websocket: WebSocket, handler: Callable[..., Any], arguments: dict[str, Any]
    ) -> None:
        try:
            await handler(websocket, **arguments)
        except ConnectionClosed:
            pass
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            if is_cancelled():
                websocket.abort()
                raise
            self.log_error("handler failed")
            await websocket.close(CloseCode.INTERNAL_ERROR)
            return
        # Where both sides have said their last word, only TCP has still to end, by itself.
        if websocket.state not in (CLOSE_EXCHANGED, CLOSED):
            await websocket.close()

    def log_failure(
        self, error: HandshakeError, address: str, request: Request | None = None
    ) -> None:
        """Logs that a client is sent away; of many, some."""
        is_plain = request is not None and not request.wants_websocket
        self._failures.log(
            asyncio.get_running_loop().time(),
            logging.DEBUG if is_plain or error.status < 400 else logging.INFO,
            "plain request of %s refused: %s" if is_plain else "opening handshake of %s failed: %s",
            address or "a client",
            ascii(str(error)),
        )

    def log_error(self, message: str) -> None:
        """Logs the exception that is being handled."""
        self.options.logger.exception(message)


async def _unreachable(websocket: WebSocket) -> None:
    raise AssertionError("the router has handlers of its own")
