"""The chat server, and thousands of members of its rooms.

What lives here: starting them, as one would in production: on uvloop, with a database on a disk,
and a listening socket that outlives the server. This file does not know what is measured.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from server.client import ChatClient
from tests.chaos.process import ChatProcess

from .programs import Program, raise_file_limit, start

__all__ = ["ask_all", "chat", "speaker"]

SEND_BUFFER: Final = 64 * 1024
"""Of the server's connections: the kernel is not to keep megabytes for who does not read."""


@asynccontextmanager
async def chat(
    members: int,
    rooms: Sequence[str],
    processes: int,
    under: tuple[str, ...] = (),
    settings: Sequence[str] = (),
) -> AsyncIterator[tuple[ChatProcess, list[Program]]]:
    """Runs a server, and as many programs of members as told; all members are in all rooms.

    Args:
        members: how many.
        rooms: names; the lobby is there, others are made.
        processes: of members.
        under: the command that they run under.
        settings: further ones of the server, as flags.
    """
    raise_file_limit()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        sock = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        # Connections have it from the socket that accepted them.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        server = ChatProcess(
            Path(folder),
            has_small_disk=False,
            sock=sock,
            settings=("--event-loop", "uvloop", *settings),
        )
        await server.start()
        stack.push_async_callback(server.close)
        async with speaker(server) as maker:
            for room in rooms:
                if room != "lobby":
                    await maker.request("create_room", room=room)
                    await maker.join(room)
            options = {"port": server.port, "rooms": list(rooms)}
            crowds = [
                await stack.enter_async_context(
                    start("members", {"number": number, **options}, under=under)
                )
                for number in range(processes)
            ]
            share, rest = divmod(members, processes)
            await asyncio.gather(
                *(
                    crowd.ask("enter", count=share + (number < rest), at_once=50)
                    for number, crowd in enumerate(crowds)
                )
            )
        yield server, crowds


@asynccontextmanager
async def speaker(server: ChatProcess, *rooms: str) -> AsyncIterator[ChatClient]:
    """Connects somebody who says something."""
    options = {"proxy": None}
    async with ChatClient(server.uri, "Speaker", is_listening=False, options=options) as client:
        for room in rooms:
            await client.join(room)
        yield client


async def ask_all(crowds: Sequence[Program], command: str, **arguments: Any) -> list[Any]:
    """Asks all programs the same."""
    return await asyncio.gather(*(crowd.ask(command, **arguments) for crowd in crowds))
