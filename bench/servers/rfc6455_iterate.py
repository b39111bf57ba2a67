"""Ours, as the README shows it: ``async for``, and ``send``."""

import argparse
from typing import Any

import rfc6455

from . import run, serve_forever

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
    """Returns permessage-deflate with one of its libraries, or nothing."""
    if deflate is None:
        return []
    library: Any
    if deflate == "isal":
        from isal import isal_zlib as library
    elif deflate == "zlib-ng":
        from zlib_ng import zlib_ng as library
    else:
        import zlib as library
    return [rfc6455.PermessageDeflate(library=library)]


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    handler = echo if options.workload == "echo" else publish
    offered = extensions(options.deflate)
    async with rfc6455.serve(handler, "127.0.0.1", options.port, extensions=offered):
        await serve_forever()


if __name__ == "__main__":
    run(main)
