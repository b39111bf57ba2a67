"""picows.websockets, on asyncio."""

import argparse

from picows.websockets.asyncio.client import connect

from . import exchange, run


async def main(options: argparse.Namespace) -> None:
    """Runs the client."""
    async with connect(options.uri, compression=None) as websocket:
        await exchange(options, websocket.send, websocket.recv)


if __name__ == "__main__":
    run(main)
