"""Ours, on asyncio."""

import argparse

import rfc6455

from . import exchange, run


async def main(options: argparse.Namespace) -> None:
    """Runs the client."""
    async with rfc6455.connect(options.uri, extensions=()) as websocket:
        await exchange(options, websocket.send, websocket.recv)


if __name__ == "__main__":
    run(main)
