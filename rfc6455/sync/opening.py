"""A client that has connected to a server, up to its WebSocket or its page.

What lives here: what is done with one request, in the thread of its client, and how a client is
sent away. This file does not know how many clients there are, nor what becomes of a WebSocket once
it is open.
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from ..close import Close
from ..connection import Connection, Role
from ..errors import HandshakeError
from ..handshake import ServerHandshake, offered_subprotocols, validate
from ..http import Request, Response, error_response
from ..state import State
from .connection import WebSocket
from .stream import Stream

if TYPE_CHECKING:
    from .server import Server

__all__ = ["Opening"]

logger = logging.getLogger("rfc6455.server")


class Opening:
    """A client whose opening handshake is under way, or that asks for plain HTTP."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._handshake = ServerHandshake(server.limits, server_header=server.server_header)
        self._deadline = self._in(server.limits.open_timeout)

    @staticmethod
    def _in(timeout: float | None) -> float | None:
        return None if timeout is None else time.monotonic() + timeout

    def leave(self, farewell: Close) -> None:
        """Ends the wait for a request, from another thread: the server is going away."""
        with suppress(OSError):
            # Whoever reads sees the end; an answer can still be written.
            socket.socket.shutdown(self._sock, socket.SHUT_RD)

    def open(self) -> WebSocket | None:
        """Runs the opening handshake. Returns None when the client got another answer."""
        try:
            stream = self._connect()
        except OSError:
            self._sock.close()
            return None
        try:
            return self._open(stream)
        except OSError:
            pass
        except Exception:
            logger.exception("opening handshake failed")
        stream.stop()
        stream.close()
        return None

    def _open(self, stream: Stream) -> WebSocket | None:
        try:
            return self._answer(stream)
        except HandshakeError as error:
            logger.info("opening handshake failed: %s", ascii(str(error)))
            response = error_response(error)
        except TimeoutError:
            response = Response.text("no request in time\n", HTTPStatus.REQUEST_TIMEOUT)
        except OSError:
            raise
        except Exception:
            if self._handshake.state is not State.CONNECTING:
                raise
            logger.exception("opening handshake failed")
            response = Response.text("internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        if self._handshake.state is State.CONNECTING:
            self._refuse(stream, response)
        return None

    def turn_away(self) -> None:
        """Tells the client that there are too many."""
        try:
            self._refuse(
                self._connect(),
                Response.text("too many connections\n", HTTPStatus.SERVICE_UNAVAILABLE),
            )
        except OSError:
            self._sock.close()

    def _connect(self) -> Stream:
        context = self._server.ssl
        if context is not None:
            self._sock.settimeout(self._server.limits.open_timeout)
            self._sock = context.wrap_socket(
                self._sock, server_side=True, do_handshake_on_connect=False
            )
            # The time is for all of it, not for each read.
            self._sock.do_handshake()
        return Stream(self._sock)

    def _answer(self, stream: Stream) -> WebSocket | None:
        request = self._read_request(stream)
        if request is None:
            stream.close()
            return None
        response = self._process(request)
        if response is None and self._server.is_closing:
            response = _GOING_AWAY
        if response is None and self._deadline is not None and time.monotonic() > self._deadline:
            response = Response.text("no answer in time\n", HTTPStatus.SERVICE_UNAVAILABLE)
        if response is not None:
            self._refuse(stream, response)
            return None
        return self._accept(stream, request)

    def _read_request(self, stream: Stream) -> Request | None:
        while True:
            data = stream.read_before(self._deadline)
            if not data:
                if self._server.is_closing:
                    self._refuse(stream, _GOING_AWAY)
                return None
            request = self._handshake.receive_data(data)
            if interim := self._handshake.data_to_send():
                stream.write_before(self._deadline, interim)
            if request is not None:
                return request

    def _process(self, request: Request) -> Response | None:
        if self._server.process_request is None:
            return None
        try:
            return self._server.process_request(request)
        except OSError as error:
            # Not one of this connection's.
            raise RuntimeError("process_request failed") from error

    def _accept(self, stream: Stream, request: Request) -> WebSocket:
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
        stream.write_before(self._deadline, answer)
        core = Connection(
            Role.SERVER, limits=server.limits, extensions=extensions, now=time.monotonic()
        )
        return WebSocket(
            core,
            stream,
            request=request,
            subprotocol=subprotocol,
            trailing_data=self._handshake.trailing_data,
        )

    def _refuse(self, stream: Stream, response: Response) -> None:
        """Answers with plain HTTP, and ends the connection once the client has read it."""
        self._server.start_refusing()
        deadline = self._in(self._server.limits.close_timeout)
        left = self._server.limits.max_discarded_size
        try:
            stream.write_before(deadline, self._handshake.respond(response))
            if not stream.is_tls:
                # To close with unread bytes in the socket resets TCP, and the answer may be lost.
                stream.end()
                while (data := stream.read_before(deadline)) and (left is None or left >= 0):
                    left = None if left is None else left - len(data)
        except OSError:
            pass
        stream.stop()
        stream.close()


_GOING_AWAY = Response.text("the server is going away\n", HTTPStatus.SERVICE_UNAVAILABLE)
