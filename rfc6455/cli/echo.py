"""``rfc6455 echo``: a server that sends every message back.

What lives here: the server that conformance tests and benchmarks talk to.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from ..asyncio import WebSocket, serve
from ..asyncio import run as run_on_loop
from ..extensions import DEFAULT_EXTENSIONS
from ..limits import Limits
from .options import port

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

DEFAULTS = Limits()


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "echo",
        help="run a server that sends every message back",
        description="Runs a server that sends every message back, until Ctrl-C.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=port, default=9001, help="port; 0 for any (%(default)s)")
    parser.add_argument(
        "--unix", metavar="PATH", help="listen on a Unix domain socket, not on host and port"
    )
    parser.add_argument("--cert", metavar="PATH", help="serve TLS with this certificate, in PEM")
    parser.add_argument("--key", metavar="PATH", help="its key, where that is in another file")
    parser.add_argument(
        "-s",
        "--subprotocol",
        action="append",
        default=[],
        metavar="NAME",
        help="a subprotocol to choose, the preferred one first; may be repeated",
    )
    parser.add_argument(
        "--compression",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="accept permessage-deflate, or not",
    )
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
        if options.key and not options.cert:
            raise ValueError("--key needs --cert")
        context = None
        if options.cert:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.cert, options.key)
        arguments: dict[str, Any] = {
            "ssl": context,
            "subprotocols": options.subprotocol,
            "extensions": DEFAULT_EXTENSIONS if options.compression else (),
            "limits": Limits(
                max_message_size=options.max_message_size, max_fragments=options.max_fragments
            ),
        }
        if options.unix:
            arguments["path"] = options.unix
        else:
            arguments |= {"host": options.host, "port": options.port}
        run_on_loop(_serve(**arguments))
    except (OSError, ValueError, OverflowError) as error:
        print(f"rfc6455 echo: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(**arguments: Any) -> None:
    async with serve(_echo, **arguments) as server:
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, server.close)
        print(f"Echo at {_uri(server.sockets[0], arguments['ssl'] is not None)}", flush=True)
        await server.serve_forever()


def _uri(listener: socket.socket, secure: bool) -> str:
    scheme = "wss" if secure else "ws"
    name = listener.getsockname()
    if isinstance(name, str):
        return f"{scheme}://localhost/ on {name}"
    host, number, *_ = name
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{number}"


async def _echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)
