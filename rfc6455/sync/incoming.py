"""A client that has connected to a server, up to its WebSocket or its page.

What lives here: one request in the thread of its client, which asks the application as `reception`
says, and how a client is sent away. This file does not know how many clients there are, nor what
becomes of a WebSocket once it is open.
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
from ..errors import HandshakeError, UsageError
from ..framelog import with_frame_log
from ..handshake import ServerHandshake
from ..http import Request, Response, error_response
from ..limits import Limits
from ..logs import LoggerLike
from ..observer import Observer, ObserverLike, observer_of
from ..reception import Accepted
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
            request = self._read_request(stream)
            decided = self._decide(request)
            if isinstance(decided, Response):
                return decided
            return self._accept(stream, request, decided)
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
            self._server.guests.count(self._peer)
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
            self._server.guests.count(request.client_address)
        return request

    def _decide(self, request: Request) -> Response | Accepted:
        steps = self._server.reception.decide(request, self._check_time)
        try:
            call = next(steps)
            while True:
                try:
                    result = _call(call)
                except BaseException as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            decided: Response | Accepted = end.value
            return decided

    def _check_time(self) -> None:
        """Raises HandshakeError where the application has taken too long."""
        if self._server.is_closing:
            raise HandshakeError("the server is going away", HTTPStatus.SERVICE_UNAVAILABLE)
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise HandshakeError("no answer in time", HTTPStatus.SERVICE_UNAVAILABLE)

    def _accept(self, stream: Stream, request: Request, accepted: Accepted) -> Opened:
        route, arguments = accepted.route, accepted.arguments
        kind: Callable[..., Endpoint] = WebSocket
        if isinstance(route.handler, type) and issubclass(route.handler, Listener):
            listener = _call(partial(route.handler, **arguments))
            kind = partial(CallbackWebSocket, listener=listener, on_error=self._server.log_error)
        answer, core = accepted.open(self._handshake, self._options.limits, time.monotonic())
        stream.write_before(self._deadline, answer)
        websocket = kind(
            core,
            stream,
            request=request,
            subprotocol=accepted.subprotocol,
            trailing_data=self._handshake.trailing_data,
            budget=self._options.memory_budget,
            observer=with_frame_log(
                observer_of(self._options.observer, request), self._options.logger
            ),
        )
        return route, arguments, websocket

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
        self._server.guests.refuse()
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
            advance = partial(next, iterator, None)
            while (piece := _call(advance)) is not None:
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


def _call(call: Callable[[], Any]) -> Any:
    """Calls a function of the application's."""
    try:
        result = call()
    except OSError as error:
        # Not one of this connection's.
        raise RuntimeError(f"{_function_of(call)!r} failed") from error
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"{_function_of(call)!r} is a coroutine function; here plain ones are called"
        )
    return result


def _function_of(call: Callable[[], Any]) -> Callable[..., Any]:
    return call.func if isinstance(call, partial) else call
