"""An echo client that lets a fuzzing server of the Autobahn|Testsuite run its cases.

How our client is driven through the suite must live here. This file does not know which cases
there are or what is expected of them: the server at the URL numbers its cases from 1.

    python -m tests.autobahn.client ws://127.0.0.1:9001 --cases 247
"""

from __future__ import annotations

import argparse
import asyncio

import rfc6455

# 9.* sends messages of 16 MiB, and 4 MiB in fragments of 64 bytes with an empty one at the end.
LIMITS = rfc6455.Limits(max_message_size=16 * 2**20, max_fragments=4 * 2**20 // 64 + 1)


async def echo(uri: str) -> None:
    """Send every message back until the server ends the connection, in whichever way."""
    try:
        async with rfc6455.connect(uri, limits=LIMITS) as websocket:
            async for message in websocket:
                await websocket.send(message)
    except rfc6455.ConnectionClosed:
        # How the connection must end is for the suite to judge.
        pass


async def run(url: str, cases: int, agent: str) -> None:
    for number in range(1, cases + 1):
        try:
            await echo(f"{url}/runCase?case={number}&agent={agent}")
        except (OSError, rfc6455.WebSocketError) as error:
            print(f"case {number}: {error!r}", flush=True)
        else:
            print(f"case {number}", flush=True)
    await echo(f"{url}/updateReports?agent={agent}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the cases of a fuzzing server.")
    parser.add_argument("url", help="the fuzzing server, without a path")
    parser.add_argument("--cases", type=int, required=True, help="how many cases it offers")
    parser.add_argument("--agent", default="rfc6455", help="the name in the reports")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.url, arguments.cases, arguments.agent))


if __name__ == "__main__":
    main()
