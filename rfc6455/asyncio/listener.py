"""A connection without a coroutine: its messages go to callbacks.

What lives here: `Listener`, which an application derives from, and the connection that calls it.
This file does not know about frames, nor about closing and time, which are its base class's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..close import CloseCode
from ..connection import Connection
from ..events import Fragment, Message
from ..state import CLOSE_RECEIVED
from .endpoint import Endpoint

__all__ = ["CallbackWebSocket", "Listener"]


class Listener:
    """What happens on a connection, as callbacks: for the lowest latency, and without a task.

    A class derived from this one stands for a handler: ``serve(MyListener, ...)`` makes one for
    each connection, with the converted parts of the path as keywords where there is a router. A
    client uses one with ``connect_listener(MyListener(), uri)``.

    The callbacks run in the event loop, within the read that caused them: one that takes long keeps
    everybody waiting. Nothing queues up: while the peer reads too slowly for more than
    `Limits.write_high_water` bytes to wait for it, nothing more is read from it. An exception in a
    callback is logged and closes the connection with 1011.
    """

    def on_open(self, websocket: CallbackWebSocket) -> None:
        """The connection is open."""

    def on_message(self, websocket: CallbackWebSocket, message: Message) -> None:
        """A message has come: `str` for text, `bytes` for binary.

        Answer with `push`.
        """

    def on_close(self, websocket: CallbackWebSocket) -> None:
        """The connection is over: ``close_code`` and ``close_reason`` tell how it ended."""


class CallbackWebSocket(Endpoint):
    """An open WebSocket whose messages go to a `Listener`.

    Attributes:
        listener: who is called.
        request: the HTTP request that opened it; None on a client.
        response: the HTTP answer that opened it; None on a server.
        subprotocol: the one that was agreed on, or None.
    """

    __slots__ = ("_on_error", "_reading_held", "listener")

    def __init__(
        self,
        core: Connection,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        *,
        on_error: Callable[[str], None],
        **options: Any,
    ) -> None:
        super().__init__(core, transport, loop, **options)
        self.listener = listener
        self._on_message = listener.on_message
        self._on_error = on_error
        self._inbox = ()
        self._reading_held = False

    def opened(self) -> None:
        """Tells the listener that the connection is open."""
        super().opened()
        self._call(self.listener.on_open)

    def pause_reading(self) -> None:
        """Asks for no more messages until `resume_reading`: the peer has to wait.

        Those of the read that is being dealt with still come.
        """
        self._reading_held = True
        self._pause_reading()

    def resume_reading(self) -> None:
        """Asks for messages again."""
        self._reading_held = False
        self._read_again()

    def pause_writing(self) -> None:
        """The peer reads too slowly: it is not read from."""
        super().pause_writing()
        self._pause_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        super().resume_writing()
        self._read_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the end of TCP."""
        super().connection_lost(exc)
        self._call(self.listener.on_close)

    # What the base class delivers

    def _deliver(self, messages: list[Message | Fragment], size: int) -> None:
        on_message = self.listener.on_message
        try:
            for message in messages:
                on_message(self, message)  # type: ignore[arg-type]
                if self._closing:
                    break
        except Exception:
            self._fail()

    def _deliver_end(self) -> None:
        if self._core.state is CLOSE_RECEIVED:
            self._core.answer_close(self._loop.time())

    def _may_read(self) -> bool:
        return not self._write_paused and not self._reading_held and super()._may_read()

    def _call(self, callback: Callable[[CallbackWebSocket], None]) -> None:
        try:
            callback(self)
        except Exception:
            self._fail()

    def _fail_with(self, error: Exception) -> None:
        try:
            raise error
        except Exception:
            self._fail()

    def _fail(self) -> None:
        self._on_error("listener failed")
        self.start_close(CloseCode.INTERNAL_ERROR)
