"""The chat where WebSocket is blocked: events one way, and commands in requests the other.

What lives here: a connection made of one answer that does not end (Server-Sent Events, WHATWG HTML
§9.2) and of requests that bring commands; it does for the chat what a WebSocket does. What travels
is the same, and so is the recovery. This file does not know what commands mean.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Annotated, Final, Self

import msgspec

import rfc6455
from rfc6455 import Close, CloseCode, Request, Response

from .http import HttpError, Pages, answer, answer_json, read_json
from .protocol import Encoded

__all__ = ["EventStream", "Fallback"]

KEEPALIVE: Final = 15.0
"""Seconds of silence after which a comment shows that the connection lives."""
MAX_WAITING: Final = 16
"""Messages that wait for the client to take them; then `EventStream.send` waits."""
MAX_UNREAD: Final = 64
"""Commands that wait to be carried out; then the client has to wait."""
START_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 5.0
GOOD_CODES: Final = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY})


class Commands(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends.

    Attributes:
        connection: which one it is; nobody else knows it.
        number: of this request, from 1 on. One that is sent again, since its answer was lost, has
            the same.
        messages: commands, each the text that a WebSocket would carry.
        close: whether the client ends the connection.
        code: the close code of that, as a WebSocket's client can choose it.
    """

    connection: str
    number: int
    messages: Annotated[list[str], msgspec.Meta(max_length=MAX_UNREAD)] = []
    close: bool = False
    code: Annotated[int, msgspec.Meta(ge=3000, le=4999)] | None = None


class Changes:
    """Lets others wait until something is so; who changes it need not be a coroutine."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Has all who wait look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until a condition holds."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)


class EventStream:
    """A connection; in the place of a `rfc6455.WebSocket`.

    Attributes:
        request: the one that opened it.
        id: what the client shows with its commands.
        close_code: how it ended; None while it has not.
        started: is set once the answer is on its way.
    """

    def __init__(self, request: Request, max_message_size: int) -> None:
        self.request: Request | None = request
        self.id = secrets.token_urlsafe(24)
        self.close_code: int | None = None
        self._close = Close(CloseCode.ABNORMAL_CLOSURE)
        self._max_message_size = max_message_size
        self._number = 0
        self._outbox: deque[bytes] = deque()
        self._inbox: deque[str] = deque()
        self._changes = Changes()
        self.started = asyncio.Event()
        self._ended = asyncio.Event()

    # What the chat does with it

    @property
    def unsent_size(self) -> int:
        """How much waits to be taken, in bytes."""
        return sum(map(len, self._outbox))

    def push(self, message: Encoded) -> bool:
        """Sends an event without waiting.

        Raises:
            ConnectionClosed: the connection is over.
        """
        self._check_open()
        text = message if isinstance(message, str) else str(message.message)
        self._outbox.append(f"data: {text}\n\n".encode())
        self._changes.tell()
        return True

    async def send(self, message: Encoded) -> None:
        """Sends an event; waits while many wait to be taken.

        Raises:
            ConnectionClosed: the connection is over.
        """
        await self._changes.wait_for(
            lambda: len(self._outbox) < MAX_WAITING or self.close_code is not None
        )
        self.push(message)

    async def recv(self) -> str:
        """Receives the next command.

        Raises:
            ConnectionClosed: no more will come.
        """
        await self._changes.wait_for(lambda: bool(self._inbox) or self.close_code is not None)
        if self._inbox:
            return self._inbox.popleft()
        self._check_open()
        raise AssertionError("unreachable")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        try:
            return await self.recv()
        except rfc6455.ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Ends the connection, and waits a little for the client to have been told."""
        await self._end(code, reason)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._ended.wait()
        except TimeoutError:
            # The client does not read; the server ends TCP.
            self._outbox.clear()

    def set_max_message_size(self, size: int) -> None:
        """Changes how large a command may be, in bytes."""
        self._max_message_size = size

    # What requests do with it

    async def take(self, commands: Commands) -> None:
        """Takes commands, all or none of them.

        Raises:
            HttpError: 409: others are missing before them; 429: too many wait.
        """
        if commands.number == self._number:
            # The answer was lost, and what it answered has been taken.
            return
        if commands.number != self._number + 1:
            raise HttpError(409, "out_of_order", f"the next request is {self._number + 1}")
        if len(self._inbox) + len(commands.messages) > MAX_UNREAD:
            raise HttpError(429, "rate_limited", "too many commands wait", [("Retry-After", "1")])
        self._number = commands.number
        if any(len(message.encode()) > self._max_message_size for message in commands.messages):
            await self._end(CloseCode.MESSAGE_TOO_BIG, "message too big")
            return
        self._inbox.extend(commands.messages)
        self._changes.tell()
        if commands.close:
            await self._end(commands.code or CloseCode.NORMAL_CLOSURE, "", is_told=False)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Gives the answer that does not end until the connection does."""
        self.started.set()
        try:
            yield f"event: open\ndata: {json.dumps({'connection': self.id})}\n\n".encode()
            while True:
                piece = await self._next_piece()
                if piece is None:
                    break
                yield piece
        finally:
            # However it ended: if nobody has closed it, the client is gone.
            self._ended.set()
            await self._end(CloseCode.ABNORMAL_CLOSURE, "", is_told=False)

    async def _next_piece(self) -> bytes | None:
        try:
            async with asyncio.timeout(KEEPALIVE):
                await self._changes.wait_for(
                    lambda: bool(self._outbox) or self.close_code is not None
                )
        except TimeoutError:
            return b":\n\n"
        if not self._outbox:
            return None
        piece = self._outbox.popleft()
        self._changes.tell()
        return piece

    async def _end(self, code: int, reason: str, *, is_told: bool = True) -> None:
        if self.close_code is not None:
            return
        # At once: whoever looks next finds it closed.
        self.close_code, self._close = code, Close(code, reason)
        if is_told:
            told = json.dumps({"code": code, "reason": reason})
            self._outbox.append(f"event: close\ndata: {told}\n\n".encode())
        self._changes.tell()

    def _check_open(self) -> None:
        if self.close_code in GOOD_CODES:
            raise rfc6455.ConnectionClosedOK(self._close, None)
        if self.close_code is not None:
            raise rfc6455.ConnectionClosedError(self._close, None)


class Fallback:
    """``GET /events`` and ``POST /events``.

    Args:
        admit: judges a request that opens a connection; returns the answer to one that may not.
        serve: deals with a connection until it ends.
        max_message_size: how large a command may be at first, in bytes.
    """

    def __init__(
        self,
        admit: Callable[[Request], Response | None],
        serve: Callable[[EventStream], Awaitable[None]],
        max_message_size: int,
    ) -> None:
        self._admit = admit
        self._serve = serve
        self._max_message_size = max_message_size
        self._streams: dict[str, EventStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add_to(self, pages: Pages) -> None:
        """Has the requests answered."""
        pages.add("GET", "/events", self._open)
        pages.add("POST", "/events", self._take)

    async def close(self, code: int, reason: str) -> None:
        """Ends all connections."""
        await asyncio.gather(*[stream.close(code, reason) for stream in self._streams.values()])

    async def wait_closed(self) -> None:
        """Waits until all who dealt with a connection have finished."""
        await asyncio.gather(*self._tasks)

    def _open(self, request: Request) -> Response:
        refusal = self._admit(request)
        if refusal is not None:
            return refusal
        stream = EventStream(request, self._max_message_size)
        if request.method != "HEAD":
            self._streams[stream.id] = stream
            task = asyncio.create_task(self._run(stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # The second field asks nginx not to hold back what it gets.
        fields = [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
        head = answer(200, "text/event-stream", b"", fields)
        return Response(200, head.headers, stream=stream.pieces())

    async def _run(self, stream: EventStream) -> None:
        try:
            # A client that is gone already is never written to.
            async with asyncio.timeout(START_TIMEOUT):
                await stream.started.wait()
            await self._serve(stream)
        except (rfc6455.ConnectionClosed, TimeoutError):
            pass
        finally:
            del self._streams[stream.id]
            await stream.close()

    async def _take(self, request: Request) -> Response:
        commands = read_json(request, Commands)
        stream = self._streams.get(commands.connection)
        if stream is None or stream.close_code is not None:
            raise HttpError(404, "no_such_connection", "there is no such connection any more")
        await stream.take(commands)
        return answer_json({}, 202)
