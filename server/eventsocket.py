"""A client's connection where WebSocket is blocked: Server-Sent Events one way, requests the other.

What lives here: an object that the client uses like a `rfc6455.WebSocket`, and that speaks to the
chat's ``/events`` (WHATWG HTML §9.2). How requests get there is in `requests`. This file imports
nothing of the server, and does not know what travels.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final, Self

import rfc6455

from .requests import Answer, Requests

__all__ = ["EventSocket"]

BATCH: Final = 32
"""Commands that go together in one request."""
MAX_WAITING: Final = 256
"""Commands that wait for a request; then `EventSocket.send` waits."""
TRIES: Final = 5
"""How often a request is made again whose answer was lost."""
PAUSE: Final = 1.0
"""Seconds before that."""
SILENCE: Final = 40.0
"""Seconds without anything that prove that the connection is lost: comments come every 15."""
MAX_EVENT: Final = 8 * 1024 * 1024
"""Bytes of one event; the server's are far smaller."""
GOOD_CODES: Final = frozenset({1000, 1001})


class EventSocket:
    """A connection, for an ``async with`` block.

    Args:
        uri: the ws or wss URI of the WebSocket in whose place this stands.
        options: those of `rfc6455.connect` that make sense here: ``additional_headers``, ``ssl``,
            ``proxy``.

    Raises:
        HandshakeError: the server, or a proxy, refused.
        OSError: it could not be reached.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        self._requests = Requests(uri, "/events", **options)
        self._answer: Answer | None = None
        self._rest = b""
        self._id = ""
        self._number = 0
        self._waiting: list[str] = []
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._poster: asyncio.Task[None] | None = None
        self._close: rfc6455.Close | None = None
        self._is_over = False

    async def __aenter__(self) -> Self:
        self._answer = await self._requests.stream()
        try:
            kind, data = await self._event()
            if kind != "open":
                raise rfc6455.HandshakeError("the answer is not one of the chat's")
            self._id = str(json.loads(data)["connection"])
        except BaseException:
            self._answer.close()
            raise
        self._poster = asyncio.create_task(self._post())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Gives messages until the connection is closed as agreed."""
        with contextlib.suppress(rfc6455.ConnectionClosedOK):
            while True:
                yield await self.recv()

    async def recv(self) -> str:
        """Receives the next message.

        Raises:
            ConnectionClosed: no more will come.
        """
        while not self._is_over:
            try:
                kind, data = await self._event()
            except (rfc6455.WebSocketError, OSError, EOFError):
                # However the answer ended, nothing more will come.
                self._end(None)
                break
            if kind == "message":
                return data
            if kind == "close":
                close = json.loads(data)
                self._end(rfc6455.Close(close["code"], close["reason"]))
        raise self._closed()

    async def send(self, message: str) -> None:
        """Sends a message, after those that wait.

        Raises:
            ConnectionClosed: the connection is over.
        """
        await self._room.wait()
        if self._is_over:
            raise self._closed()
        self._waiting.append(message)
        self._changed.set()
        if len(self._waiting) >= MAX_WAITING:
            self._room.clear()

    async def close(self, code: int = 1000) -> None:
        """Ends the connection; the server is told once, as far as it can be reached."""
        if self._poster is not None:
            self._poster.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poster
        if self._is_over:
            return
        # Before the answer is let go of, whose end would tell the server something else.
        body: dict[str, Any] = {"connection": self._id, "number": self._number + 1}
        body |= {"close": True} | ({} if code == 1000 else {"code": code})
        try:
            with contextlib.suppress(rfc6455.WebSocketError, OSError, EOFError):
                await self._requests.post(body)
        finally:
            self._end(None)

    # What comes

    async def _event(self) -> tuple[str, str]:
        """Returns the next event: its kind, and its data."""
        assert self._answer is not None
        while True:
            block, end, rest = self._rest.partition(b"\n\n")
            if not end:
                async with asyncio.timeout(SILENCE):
                    self._rest += await self._answer.read()
                if len(self._rest) > MAX_EVENT:
                    raise rfc6455.HandshakeError("an event is too long")
                continue
            self._rest = rest
            kind, data = "message", ""
            for line in block.decode().split("\n"):
                field, _, value = line.partition(": ")
                if field == "event":
                    kind = value
                elif field == "data":
                    data += value
            if data:
                return kind, data

    # What goes

    async def _post(self) -> None:
        """Sends what waits, one request after the other: so its order stays."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                messages, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                self._room.set()
                self._number += 1
                body = {"connection": self._id, "number": self._number, "messages": messages}
                if not await self._deliver(body):
                    self._end(None)
                    return

    async def _deliver(self, body: dict[str, Any]) -> bool:
        """Makes a request until it is answered; with its number it is carried out once."""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE)
            try:
                status = await self._requests.post(body)
            except (rfc6455.WebSocketError, OSError, EOFError):
                continue
            if status == 202:
                return True
            # A proxy, or a server that is busy: it passes. All else does not.
            if status != 429 and status < 500:
                return False
        return False

    # The end

    def _end(self, close: rfc6455.Close | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._close = close
        self._waiting.clear()
        self._room.set()
        if self._answer is not None:
            self._answer.close()

    def _closed(self) -> rfc6455.ConnectionClosed:
        if self._close is not None and self._close.code in GOOD_CODES:
            return rfc6455.ConnectionClosedOK(self._close, None)
        return rfc6455.ConnectionClosedError(self._close, None)
