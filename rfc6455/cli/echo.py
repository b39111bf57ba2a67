"""``rfc6455 echo``: a server that sends every message back.

What lives here: the server that conformance tests and benchmarks talk to.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from ..asyncio import WebSocket, serve
from ..limits import Limits

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

DEFAULTS = Limits()


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("echo", help="run a server that sends every message back")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=9001, help="port; 0 for any (%(default)s)")
    parser.add_argument(
        "--max-message-size",
        type=int,
        default=DEFAULTS.max_message_size,
        metavar="BYTES",
        help="largest message that is received (%(default)s)",
    )
    parser.add_argument(
        "--max-fragments",
        type=int,
        default=DEFAULTS.max_fragments,
        metavar="N",
        help="most fragments that a message may have (%(default)s)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the server until it is interrupted."""
    try:
        limits = Limits(
            max_message_size=options.max_message_size, max_fragments=options.max_fragments
        )
        asyncio.run(_serve(options.host, options.port, limits))
    except (OSError, ValueError, OverflowError) as error:
        print(f"rfc6455 echo: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(host: str, port: int, limits: Limits) -> None:
    async with serve(_echo, host, port, limits=limits) as server:
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, server.close)
        host, port, *_ = server.sockets[0].getsockname()
        print(f"Echo at ws://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        await server.serve_forever()


async def _echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)
