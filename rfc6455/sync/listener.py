"""A connection of threads whose messages go to callbacks.

What lives here: `Listener`, which an application derives from, and the connection that calls it.
This file does not know how messages come, nor about sending, closing and time, which are its base
classes'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ..close import CloseCode
from ..connection import Connection
from ..errors import ConnectionClosed
from ..events import Message
from .endpoint import Endpoint
from .stream import Stream

__all__ = ["CallbackWebSocket", "Listener"]


class Listener:
    """What happens on a connection, as callbacks.

    A class derived from this one stands for a handler: ``serve(MyListener, ...)`` makes one for
    each connection, with the converted parts of the path as keywords where there is a router. A
    client uses one with ``connect_listener(MyListener(), uri)``.

    The callbacks of a connection run one after the other in one thread, the one that reads: on a
    server that of the connection, on a client one that `connect_listener` starts. One that takes
    long keeps nobody else waiting. While it runs, and while the peer reads too slowly for more than
    `Limits.write_high_water` bytes to wait for it, at most `Limits.max_queued_messages` are read
    from the peer. An exception in a callback is logged and closes the connection with 1011.
    """

    def on_open(self, websocket: CallbackWebSocket) -> None:
        """The connection is open."""

    def on_message(self, websocket: CallbackWebSocket, message: Message) -> None:
        """A message has come: `str` for text, `bytes` for binary.

        Answer with `push`, which does not wait, or with `send`, which does.
        """

    def on_close(self, websocket: CallbackWebSocket) -> None:
        """The connection is over: ``close_code`` and ``close_reason`` tell how it ended."""


class CallbackWebSocket(Endpoint):
    """An open WebSocket whose messages go to a `Listener`.

    Every method may be called from any thread, callbacks included.

    Attributes:
        listener: who is called.
        request: the HTTP request that opened it; None on a client.
        response: the HTTP answer that opened it; None on a server.
        subprotocol: the one that was agreed on, or None.
    """

    def __init__(
        self,
        core: Connection,
        stream: Stream,
        listener: Listener,
        *,
        on_error: Callable[[str], None],
        **options: Any,
    ) -> None:
        self.listener = listener
        self._on_error = on_error
        self._reading_held = False
        super().__init__(core, stream, **options)

    def pause_reading(self) -> None:
        """Asks for no more messages until `resume_reading`: the peer has to wait.

        Called from another thread, one that is being handed over still comes.
        """
        with self._lock:
            self._reading_held = True

    def resume_reading(self) -> None:
        """Asks for messages again."""
        with self._lock:
            self._reading_held = False
            if self._waiting:
                self._changed.notify_all()

    def run(self) -> None:
        """Calls the listener until the connection is over, in this thread."""
        self._call(self.listener.on_open)
        try:
            while True:
                message = self._next()
                try:
                    self.listener.on_message(self, message)
                except Exception:
                    self._fail()
        except ConnectionClosed:
            self.wait_closed()
        self._call(self.listener.on_close)

    def _next(self) -> Message:
        with self._lock:
            while True:
                if self._unsent is not None or self._reading_held:
                    # By what other threads do: `resume_reading` wakes nobody at the socket.
                    self._wait(self._may_go_on, None, to_write=True)
                if not self._inbox:
                    self._wait_for_event(None)
                    continue
                message = cast("Message", self._take(None))
                # Once closing has begun nobody asks for what came before.
                if not self._closing:
                    return message

    def _may_go_on(self) -> bool:
        return self._lost or (not self._reading_held and self._backlog <= self._high_water)

    def _call(self, callback: Callable[[CallbackWebSocket], None]) -> None:
        try:
            callback(self)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        self._on_error("listener failed")
        self.start_close(CloseCode.INTERNAL_ERROR)
