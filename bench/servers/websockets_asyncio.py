"""websockets: its asyncio server."""

import argparse

from websockets.asyncio.server import ServerConnection, broadcast, serve

from . import run, serve_forever

everybody: set[ServerConnection] = set()


async def echo(websocket: ServerConnection) -> None:
    """Serves one connection."""
    async for message in websocket:
        await websocket.send(message)


async def publish(websocket: ServerConnection) -> None:
    """Serves one connection."""
    everybody.add(websocket)
    try:
        async for message in websocket:
            broadcast(everybody, message)
    finally:
        everybody.discard(websocket)


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    handler = echo if options.workload == "echo" else publish
    compression = "deflate" if options.deflate else None
    async with serve(handler, "127.0.0.1", options.port, compression=compression):
        await serve_forever()


if __name__ == "__main__":
    run(main)
