"""The servers that are measured: a small file for each library, at the settings that it recommends.

What lives here: the arguments that all of them take. Each is started, in a process of its own, as

    python -m bench.servers.NAME PORT echo|broadcast [--loop uvloop] [--deflate zlib] [--variant V]

and serves until it is ended. ``echo`` sends each message back to where it came from, ``broadcast``
to every connection, that of the sender among them. `raw` alone knows ``handshakes``: for it the
closing handshake is a workload of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["arguments", "raise_file_limit", "run", "serve_forever"]


def arguments() -> argparse.Namespace:
    """Returns what the runner asks for."""
    parser = argparse.ArgumentParser(description="A server to be measured.")
    parser.add_argument("port", type=int)
    parser.add_argument("workload", choices=["echo", "broadcast", "handshakes"])
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--deflate", metavar="LIBRARY[:LEVEL]", help="zlib, isal or zlib-ng")
    parser.add_argument("--variant", default="")
    raise_file_limit()
    return parser.parse_args()


def raise_file_limit() -> None:
    """Allows as many connections as the system does: the usual soft limit is 1024."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(main: Callable[[argparse.Namespace], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` with the arguments, on the event loop that they ask for."""
    options = arguments()
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(main(options))
    else:
        asyncio.run(main(options))


async def serve_forever() -> None:
    """Waits until the process is ended."""
    await asyncio.get_running_loop().create_future()
