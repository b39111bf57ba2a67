"""An open connection of threads, as the application sees it: it receives, and it sends.

What lives here: messages that a thread asks for, whole or in pieces. This file does not know how
they come, nor about sending, closing and time, which are its base classes'.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..connection import Connection
from ..errors import ConnectionClosedOK
from ..events import Message
from .endpoint import Endpoint
from .pieces import Assembly, Pieces
from .stream import Stream

__all__ = ["WebSocket"]


class WebSocket(Endpoint):
    """An open WebSocket.

    Made by `serve` and `connect`. It is an iterator of messages, and a context manager that closes
    it. Every method may be called from any thread, also while others are at work in another.

    Attributes:
        request: the HTTP request that opened it; None on a client.
        response: the HTTP answer that opened it; None on a server.
        subprotocol: the one that was agreed on, or None.
    """

    def __init__(self, core: Connection, stream: Stream, **options: Any) -> None:
        self._assembly: Assembly | None = None
        super().__init__(core, stream, **options)

    def recv(self, timeout: float | None = None) -> Message:
        """Receives the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: in seconds; None for no limit, 0 for what has arrived.

        Raises:
            ConnectionClosed: nothing more will come; every message before has been received.
            TimeoutError: no message came in time. None is lost.
            UsageError: another thread is receiving already.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            if self._assembly is not None and self._assembly.is_busy:
                return self._assembly.whole(deadline)
            return self._take(deadline)  # type: ignore[return-value]

    def recv_streaming(self, timeout: float | None = None) -> Iterator[Message]:
        """Receives the next message in pieces as they come: `str` for text, `bytes` for binary.

        The pieces are as large as frames and reads make them, and text is cut between characters.
        A message that is here already is one piece. The limits of a message hold for the sum of its
        pieces. Where the iteration is given up in the middle, the rest of the message is thrown
        away.

        Args:
            timeout: for each piece, in seconds; None for no limit.

        Raises:
            ConnectionClosed: nothing more will come; the message may be unfinished.
            TimeoutError: no piece came in time. The iteration can go on.
            UsageError: another thread is receiving already.
        """
        return Pieces(self._take_piece, timeout)

    def __iter__(self) -> Iterator[Message]:
        """Iterates over messages until the connection is closed as agreed (1000, 1001).

        Raises:
            ConnectionClosedError: it ended in any other way.
        """
        return self

    def __next__(self) -> Message:
        try:
            return self.recv()
        except ConnectionClosedOK:
            raise StopIteration from None

    def _take_piece(self, reader: Pieces, deadline: float | None) -> tuple[Message, bool]:
        with self._lock:
            assembly = self._assembly
            if assembly is None:
                assembly = self._assembly = Assembly(self._take, self._ask_for_pieces)
            return assembly.piece(reader, deadline)

    def _ask_for_pieces(self) -> None:
        if not self._inbox and self._receiver is None:
            assert self._assembly is not None
            self._assembly.expected = True
            here = self._core.stream()
            if here is not None:
                self._inbox.append(here)
