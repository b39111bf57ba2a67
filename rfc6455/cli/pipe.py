"""The client in a pipe: lines in, messages out; messages in, lines out.

What lives here: how lines and messages become one another, and when the conversation is over. This
file does not know how the connection was opened.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from ..asyncio import WebSocket
from ..errors import ConnectionClosed
from ..events import Message
from . import status
from .stdin import read_lines
from .terminal import escape, preview

__all__ = ["run"]

DEFAULT_WAIT: Final = 1.0


async def run(websocket: WebSocket, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Lets messages go back and forth until an end comes; returns the exit status.

    Args:
        websocket: an open connection.
        options: those of the command.
        say: tells the user something, on standard error.
    """
    conversation = _Conversation(websocket, options)
    try:
        exit_status = await conversation.run()
    except ConnectionClosed as error:
        exit_status = status.close_status(error)
        if exit_status:
            say(f"rfc6455: {status.tell_close(error)}")
    except BrokenPipeError:
        # Python would complain about it once more, when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        exit_status = status.OUTPUT_CLOSED
    except (OSError, ValueError) as error:
        say(f"rfc6455: {escape(str(error))}")
        exit_status = status.USAGE
    finally:
        await websocket.close()
    if options.verbose and not exit_status:
        say(f"rfc6455: closed with {websocket.close_code}")
    if options.json and exit_status != status.OUTPUT_CLOSED:
        _write_json(type="close", code=websocket.close_code, reason=websocket.close_reason)
    return exit_status


class _Conversation:
    """Input, output, and the question when both are over."""

    def __init__(self, websocket: WebSocket, options: argparse.Namespace) -> None:
        self._websocket = websocket
        self._options = options
        self._separator = b"\0" if options.null else b"\n"
        self._terminal = sys.stdout.isatty()
        self._last_received = 0.0

    async def run(self) -> int:
        """Runs until the input and what answers it are over; returns the exit status.

        Raises:
            ConnectionClosed: the connection ended before.
            BrokenPipeError: nobody reads the output.
            ValueError: a line cannot be sent.
        """
        loop = asyncio.get_running_loop()
        interrupted: asyncio.Future[int] = loop.create_future()
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, _set_once, interrupted, 128 + number)
        receiving = asyncio.create_task(self._receive())
        talking = asyncio.create_task(self._talk(receiving))
        try:
            ends: set[asyncio.Future[Any]] = {talking, interrupted}
            done, _ = await asyncio.wait(
                ends,
                timeout=self._options.timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if talking in done:
                talking.result()
                return 0
            return interrupted.result() if done else status.TIMED_OUT
        finally:
            await _end(talking, receiving)

    async def _talk(self, receiving: asyncio.Task[None]) -> None:
        sending = asyncio.create_task(self._send())
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            # What came before the end of the connection is written, whoever learnt of it first.
            if not receiving.done() and not isinstance(sending.exception(), ConnectionClosed):
                sending.result()
                await self._wait_for_rest(receiving)
            else:
                await receiving
        finally:
            await _end(sending)

    async def _wait_for_rest(self, receiving: asyncio.Task[None]) -> None:
        options = self._options
        wait = options.wait
        if wait is None:
            wait = math.inf if options.count or options.no_stdin else DEFAULT_WAIT
        loop = asyncio.get_running_loop()
        start = loop.time()
        while not receiving.done():
            left = max(start, self._last_received) + wait - loop.time()
            if left <= 0:
                return
            await asyncio.wait({receiving}, timeout=None if math.isinf(left) else left)
        await receiving

    # Input

    async def _send(self) -> None:
        options = self._options
        for text in options.message:
            await self._send_one(text.encode("utf-8", "surrogateescape"), "--message")
        if not options.message and not options.no_stdin:
            number = 0
            async for line in read_lines(self._separator):
                number += 1
                await self._send_one(line, f"line {number} of the input")

    async def _send_one(self, data: bytes, name: str) -> None:
        if self._options.binary:
            await self._websocket.send(data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ValueError(f"{name} is not UTF-8; --binary sends any bytes") from None
        await self._websocket.send(text)

    # Output

    async def _receive(self) -> None:
        count = 0
        while self._options.count is None or count < self._options.count:
            message = await self._websocket.recv()
            self._last_received = asyncio.get_running_loop().time()
            self._write(message)
            count += 1

    def _write(self, message: Message) -> None:
        if isinstance(message, str):
            event, shown = {"type": "text", "data": message}, escape(message, newlines=True)
            data = message.encode()
        else:
            encoded = base64.b64encode(message).decode()
            event, shown = {"type": "binary", "base64": encoded}, preview(message)
            data = message
        if self._options.json:
            _write_json(**event)
        elif self._terminal:
            print(shown, flush=True)
        else:
            sys.stdout.buffer.write(data + self._separator)
            sys.stdout.buffer.flush()


def _write_json(**event: Any) -> None:
    # ASCII alone, so that no terminal obeys it either.
    print(json.dumps(event | {"time": round(time.time(), 6)}), flush=True)


def _set_once(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
