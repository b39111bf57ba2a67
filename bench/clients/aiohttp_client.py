"""aiohttp, on asyncio."""

import argparse

import aiohttp

from . import exchange, run


async def main(options: argparse.Namespace) -> None:
    """Runs the client."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(options.uri, compress=0) as websocket,
    ):
        await exchange(options, websocket.send_str, websocket.receive_str)


if __name__ == "__main__":
    run(main)
