"""The client on a terminal: a prompt to type at, and messages that come above it.

What lives here: the commands that begin with a slash, and the prompt. It is that of
`prompt_toolkit` where that is installed (the extra ``cli``), with history and editing; otherwise
lines are read as the terminal gives them. This file does not know how the connection was opened.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ..asyncio import WebSocket
from ..errors import ConnectionClosed, UsageError
from ..events import Message
from . import status
from .stdin import read_lines
from .terminal import escape, preview, style_for

__all__ = ["run"]

HELP: Final = """\
/ping [TEXT]            send a Ping, and tell how long its Pong took
/binary PATH            send the contents of a file as a binary message
/hex OCTETS             send octets in hexadecimal as a binary message
/text PATH              send the contents of a file as a text message
/close [CODE] [REASON]  close the connection (1000)
/help                   show this
//TEXT                  send a text that begins with a slash
Alt-Enter begins another line of the same message; Ctrl-D closes."""


async def run(websocket: WebSocket, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Lets a person talk until the connection ends; returns the exit status."""
    conversation = _Conversation(websocket, options)
    with _prompt(options) as lines:
        return await conversation.run(lines)


class _Conversation:
    """What is typed, and what is shown."""

    def __init__(self, websocket: WebSocket, options: argparse.Namespace) -> None:
        self._websocket = websocket
        self._style = style_for(sys.stdout, options.color)
        self._uri: str = options.uri
        self._sent_at: float | None = None
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "ping": self._ping,
            "binary": self._binary,
            "hex": self._hex,
            "text": self._text,
            "close": self._close,
            "help": self._help,
        }

    async def run(self, lines: AsyncIterator[str]) -> int:
        """Runs until the connection ends; returns the exit status."""
        self._print(self._greeting())
        receiving = asyncio.create_task(self._receive())
        typing = asyncio.create_task(self._type(lines))
        try:
            await asyncio.wait({receiving, typing}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                await self._websocket.close()
        finally:
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
        error = await receiving
        exit_status = status.close_status(error)
        paint = self._style.bad if exit_status else self._style.good
        self._print(paint(status.tell_close(error)))
        if not typing.cancelled():
            typing.result()
        return exit_status

    def _greeting(self) -> str:
        response = self._websocket.response
        agreed = [
            self._websocket.subprotocol and f"subprotocol {self._websocket.subprotocol}",
            response.headers.get("Sec-WebSocket-Extensions") if response else None,
        ]
        said = f" ({escape(', '.join(filter(None, agreed)))})" if any(agreed) else ""
        aside = self._style.aside("/help lists commands, Ctrl-D closes.")
        return f"{self._style.good('connected')} to {escape(self._uri)}{said}. {aside}"

    async def _receive(self) -> ConnectionClosed:
        loop = asyncio.get_running_loop()
        try:
            while True:
                message = await self._websocket.recv()
                after = ""
                if self._sent_at is not None:
                    after = self._style.aside(f"  ({(loop.time() - self._sent_at) * 1000:.1f} ms)")
                    self._sent_at = None
                self._print(self._style.received("< " + _shown(message)) + after)
        except ConnectionClosed as error:
            return error

    async def _type(self, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            try:
                await self._do(line)
            except ConnectionClosed:
                return
            except (OSError, UsageError, ValueError) as error:
                self._print(self._style.bad(escape(str(error))))
            if self._websocket.close_code is not None:
                return

    async def _do(self, line: str) -> None:
        if not line.startswith("/"):
            await self._send(line)
            return
        if line.startswith("//"):
            await self._send(line[1:])
            return
        name, _, argument = line[1:].partition(" ")
        command = self._commands.get(name)
        if command is None:
            raise ValueError(f"no command /{name}; //{name} sends it as a text, /help lists them")
        await command(argument.strip())

    async def _send(self, message: Message) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        await self._websocket.send(message)

    # Commands

    async def _ping(self, argument: str) -> None:
        seconds = await self._websocket.ping(argument.encode())
        self._print(self._style.aside(f"pong after {seconds * 1000:.1f} ms"))

    async def _binary(self, argument: str) -> None:
        data = await asyncio.to_thread(Path(argument).read_bytes)
        await self._send(data)
        self._print(self._style.aside(f"{len(data)} bytes sent"))

    async def _hex(self, argument: str) -> None:
        await self._send(bytes.fromhex(argument))

    async def _text(self, argument: str) -> None:
        await self._send(await asyncio.to_thread(Path(argument).read_text, "utf-8"))

    async def _close(self, argument: str) -> None:
        code, _, reason = argument.partition(" ")
        if code and not (code.isascii() and code.isdigit()):
            raise ValueError("/close takes a code, then a reason")
        await self._websocket.close(int(code or 1000), reason.strip())

    async def _help(self, argument: str) -> None:
        self._print(HELP)

    def _print(self, text: str) -> None:
        print(text, flush=True)


def _shown(message: Message) -> str:
    if isinstance(message, str):
        return escape(message, newlines=True).replace("\n", "\n  ")
    return f"{len(message)} bytes: {preview(message)}"


# The prompt


@contextlib.contextmanager
def _prompt(options: argparse.Namespace) -> Iterator[AsyncIterator[str]]:
    """Gives the lines that are typed, while what is printed appears above the one being typed."""
    try:
        from prompt_toolkit.patch_stdout import patch_stdout
    except ImportError:
        yield _plain_lines()
    else:
        with patch_stdout(raw=True):
            yield _edited_lines(options)


async def _plain_lines() -> AsyncIterator[str]:
    async for line in read_lines():
        yield line.decode(errors="replace")


async def _edited_lines(options: argparse.Namespace) -> AsyncIterator[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _another_line(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("enter")
    def _accept(event: Any) -> None:
        event.current_buffer.validate_and_handle()

    session: PromptSession[str] = PromptSession(
        "> ",
        multiline=True,
        prompt_continuation="  ",
        key_bindings=bindings,
        history=FileHistory(options.history) if options.history else InMemoryHistory(),
    )
    while True:
        try:
            yield await session.prompt_async()
        except (EOFError, KeyboardInterrupt):
            return
