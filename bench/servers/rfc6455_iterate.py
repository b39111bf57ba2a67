"""Ours, as the README shows it: ``async for``, and ``send``."""

import argparse
import importlib
from typing import Any, Final

import rfc6455

from . import run, serve_forever

LIBRARIES: Final = {"zlib": "zlib", "isal": "isal.isal_zlib", "zlib-ng": "zlib_ng.zlib_ng"}

everybody: set[rfc6455.WebSocket] = set()


async def echo(websocket: rfc6455.WebSocket) -> None:
    """Serves one connection."""
    async for message in websocket:
        await websocket.send(message)


async def publish(websocket: rfc6455.WebSocket) -> None:
    """Serves one connection."""
    everybody.add(websocket)
    try:
        async for message in websocket:
            rfc6455.broadcast(everybody, message)
    finally:
        everybody.discard(websocket)


def extensions(deflate: str | None) -> list[rfc6455.ExtensionFactory]:
    """Returns permessage-deflate with a library and perhaps a level, or nothing."""
    if deflate is None:
        return []
    name, _, level = deflate.partition(":")
    library = importlib.import_module(LIBRARIES[name])
    options: dict[str, Any] = {"level": int(level)} if level else {}
    return [rfc6455.PermessageDeflate(library=library, **options)]


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    handler = echo if options.workload == "echo" else publish
    offered = extensions(options.deflate)
    # A hundred clients with a mebibyte under way from each are more than the default allows.
    budget = rfc6455.MemoryBudget(1024 * 1024 * 1024)
    async with rfc6455.serve(
        handler, "127.0.0.1", options.port, extensions=offered, memory_budget=budget
    ):
        await serve_forever()


if __name__ == "__main__":
    run(main)
