"""A client that has connected to a server, up to its WebSocket or its page.

What lives here: what is done with one request, hook by hook, in the thread of its client, and how a
client is sent away. This file does not know how many clients there are, nor what becomes of a
WebSocket once it is open.
"""

from __future__ import annotations

import inspect
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from ..addresses import TrustedProxies
from ..budget import MemoryBudget
from ..connection import Connection, Role
from ..errors import HandshakeError, UsageError
from ..framelog import with_frame_log
from ..handshake import Offer, ServerHandshake, validate
from ..headers import Headers
from ..http import Request, Response, error_response
from ..limits import Limits
from ..logs import LoggerLike
from ..observer import Observer, ObserverLike, observer_of
from ..router import Route, Router
from ..state import State
from .connection import WebSocket
from .endpoint import Endpoint
from .listener import CallbackWebSocket, Listener
from .stream import Stream

if TYPE_CHECKING:
    from .server import Server

__all__ = ["Incoming", "Opened", "Options", "ProcessRequest", "ProcessResponse"]

ProcessRequest: TypeAlias = Callable[[Request], "Response | None"]
ProcessResponse: TypeAlias = Callable[[Request, Response], "Response | None"]
Opened: TypeAlias = tuple[Route, dict[str, Any], Endpoint]
"""An open WebSocket, and who deals with it: a route, and the converted parts of the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `serve` was told about requests; its arguments of these names have the details."""

    route: Route
    router: Router | None
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    limits: Limits
    max_connections: int
    max_connections_per_address: int | None
    trusted_proxies: TrustedProxies
    ssl: ssl.SSLContext | None
    server_header: str
    memory_budget: MemoryBudget
    observer: ObserverLike | None
    logger: LoggerLike


class Incoming:
    """A client whose opening handshake is under way, or that asks for plain HTTP."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._options = options = server.options
        self._sock = sock
        self._peer = ""
        self._handshake = ServerHandshake(options.limits, server_header=options.server_header)
        self._deadline = _in(options.limits.open_timeout)

    def leave(self) -> None:
        """Ends the wait for a request, from another thread: the server is going away."""
        with suppress(OSError):
            # Whoever reads sees the end; an answer can still be written.
            socket.socket.shutdown(self._sock, socket.SHUT_RD)

    def open(self) -> Opened | None:
        """Runs the opening handshake. Returns None when the client got another answer."""
        try:
            stream = self._connect()
        except OSError:
            self._sock.close()
            return None
        try:
            answer = self._answer(stream)
            if not isinstance(answer, Response):
                return answer
            if self._handshake.state is State.CONNECTING:
                self._refuse(stream, answer)
        except OSError:
            pass
        except BaseException:
            stream.close()
            raise
        stream.stop()
        stream.close()
        return None

    def turn_away(self, error: HandshakeError) -> None:
        """Tells the client why there is no place for it."""
        try:
            stream = self._connect()
        except OSError:
            self._sock.close()
            return
        self._server.log_failure(error, self._peer)
        with suppress(OSError):
            self._refuse(stream, error_response(error))
        stream.stop()
        stream.close()

    def _connect(self) -> Stream:
        context = self._options.ssl
        if context is not None:
            self._sock.settimeout(self._options.limits.open_timeout)
            self._sock = context.wrap_socket(
                self._sock, server_side=True, do_handshake_on_connect=False
            )
            # The time is for all of it, not for each read.
            self._sock.do_handshake()
        stream = Stream(self._sock)
        if isinstance(stream.remote_address, tuple):
            self._peer = stream.remote_address[0]
        return stream

    # The answer

    def _answer(self, stream: Stream) -> Response | Opened:
        """Returns the answer, or what was opened.

        Raises:
            OSError: the client has gone.
        """
        try:
            return self._process(stream, self._read_request(stream))
        except HandshakeError as error:
            self._server.log_failure(error, self._peer)
            return error_response(error)
        except TimeoutError:
            return Response.text("no request in time\n", HTTPStatus.REQUEST_TIMEOUT)
        except OSError:
            raise
        except Exception:
            self._server.log_error("opening handshake failed")
            return Response.text("internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR)

    def _read_request(self, stream: Stream) -> Request:
        if self._server.is_closing:
            raise HandshakeError("the server is going away", HTTPStatus.SERVICE_UNAVAILABLE)
        is_proxy = self._options.trusted_proxies.trust(self._peer)
        if not is_proxy:
            self._server.count(self._peer)
        request = None
        while request is None:
            data = stream.read_before(self._deadline)
            if not data:
                if self._server.is_closing:
                    raise HandshakeError("the server is going away", HTTPStatus.SERVICE_UNAVAILABLE)
                raise ConnectionResetError("the client has gone")
            request = self._handshake.receive_data(data)
            if interim := self._handshake.data_to_send():
                stream.write_before(self._deadline, interim)
        request.client_address = self._peer
        if is_proxy:
            request.client_address = self._options.trusted_proxies.client_address(
                self._peer, request.headers.get_all("X-Forwarded-For")
            )
            self._server.count(request.client_address)
        return request

    def _process(self, stream: Stream, request: Request) -> Response | Opened:
        """Returns the answer; or, once it is accepted, the WebSocket and who deals with it."""
        hook = self._options.process_response
        try:
            arranged = self._choose(request)
            if self._server.is_closing:
                raise HandshakeError("the server is going away", HTTPStatus.SERVICE_UNAVAILABLE)
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise HandshakeError("no answer in time", HTTPStatus.SERVICE_UNAVAILABLE)
            if not isinstance(arranged, Response):
                route, arguments, offer = arranged
                subprotocol = _call(route.choose_subprotocol, request, offer.subprotocols)
                accepted = Response(HTTPStatus.SWITCHING_PROTOCOLS)
                if hook is not None:
                    accepted = _call(hook, request, accepted) or accepted
                if accepted.status != HTTPStatus.SWITCHING_PROTOCOLS:
                    return accepted
                chosen = route, arguments
                websocket = self._accept(
                    stream, request, chosen, offer, subprotocol, accepted.headers
                )
                return route, arguments, websocket
        except HandshakeError as error:
            self._server.log_failure(error, request.client_address, request)
            arranged = error_response(error)
        if hook is not None:
            arranged = _call(hook, request, arranged) or arranged
        return arranged

    def _choose(self, request: Request) -> Response | tuple[Route, dict[str, Any], Offer]:
        """Asks the hooks; returns their answer, or the route of a WebSocket and what is offered."""
        options = self._options
        route: Route = options.route
        arguments: dict[str, Any] = {}
        response: Response | None
        if options.process_request is not None:
            response = _call(options.process_request, request)
            if response is not None:
                return response
        if options.router is not None:
            route, arguments = options.router.resolve(request)
            if route.process_request is not None:
                response = _call(route.process_request, request)
                if response is not None:
                    return response
            if route.methods is not None:
                answer: Response = _call(route.handler, request, **arguments)
                return answer
            route = route.over(options.route)
        return route, arguments, validate(request)

    def _accept(
        self,
        stream: Stream,
        request: Request,
        chosen: tuple[Route, dict[str, Any]],
        offer: Offer,
        subprotocol: str | None,
        headers: Headers,
    ) -> Endpoint:
        route, arguments = chosen
        kind: Callable[..., Endpoint] = WebSocket
        if isinstance(route.handler, type) and issubclass(route.handler, Listener):
            listener = _call(route.handler, **arguments)
            kind = partial(CallbackWebSocket, listener=listener, on_error=self._server.log_error)
        answer, extensions = self._handshake.accept(
            subprotocol=subprotocol,
            extensions=route.extensions or (),
            headers=headers,
            offer=offer,
        )
        stream.write_before(self._deadline, answer)
        core = Connection(
            Role.SERVER,
            limits=route.limits or self._options.limits,
            extensions=extensions,
            now=time.monotonic(),
        )
        return kind(
            core,
            stream,
            request=request,
            subprotocol=subprotocol,
            trailing_data=self._handshake.trailing_data,
            budget=self._options.memory_budget,
            observer=with_frame_log(
                observer_of(self._options.observer, request), self._options.logger
            ),
        )

    def _refuse(self, stream: Stream, response: Response) -> None:
        """Answers with plain HTTP, and waits until the client has read it."""
        pieces = response.stream
        try:
            if pieces is not None and not isinstance(pieces, Iterable):
                raise UsageError("asynchronous answers are for servers on asyncio")
            data = self._handshake.respond(response)
        except UsageError:
            self._server.log_error("opening handshake failed")
            return
        if isinstance(self._options.observer, Observer):
            self._options.observer.answered(response.status)
        limits = self._options.limits
        if pieces is not None and self._handshake.wants_content:
            stream.write_before(_in(limits.write_timeout), data)
            if not self._stream(stream, pieces):
                return
            data = b""
        self._server.start_refusing()
        deadline = _in(limits.close_timeout)
        stream.write_before(deadline, data)
        if stream.is_tls:
            return
        # To close with unread bytes in the socket resets TCP, and the answer may be lost.
        stream.end()
        discarded = 0
        while data := stream.read_before(deadline):
            discarded += len(data)
            if limits.max_discarded_size is not None and discarded > limits.max_discarded_size:
                return

    def _stream(self, stream: Stream, pieces: Iterable[bytes]) -> bool:
        """Writes a body piece by piece, no faster than the client reads. Tells whether it ended."""
        iterator = iter(pieces)
        try:
            while (piece := _call(next, iterator, None)) is not None:
                if self._server.is_closing:
                    return False
                stream.write_before(_in(self._options.limits.write_timeout), piece)
        except OSError:
            raise
        except Exception:
            self._server.log_error("answer failed")
            return False
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
        return True


def _in(timeout: float | None) -> float | None:
    """Returns when a time limit ends that begins now."""
    return None if timeout is None else time.monotonic() + timeout


def _call(function: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
    """Calls a function of the application's."""
    try:
        result = function(*args, **arguments)
    except OSError as error:
        # Not one of this connection's.
        raise RuntimeError(f"{function!r} failed") from error
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"{function!r} is a coroutine function; here plain ones are called")
    return result
