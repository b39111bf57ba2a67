"""``python -m tests.chaos.crowd``: many members of one room, and the server killed among them.

What lives here: how long it takes until all are in, how soon they hear what is said, how long it
takes until all are back after the server was killed, and whether each of them has heard everything.
Clients and server share the machine, so the numbers are a lower bound of what the server can do.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import rfc6455
from server.client import ChatClient, Event

from .process import ChatProcess

AT_ONCE = 200
"""Clients that connect at the same time."""


class Member(ChatClient):
    """A client that counts what it hears, and notes how late."""

    def __init__(self, uri: str, name: str, delays: float) -> None:
        super().__init__(
            uri,
            name,
            is_listening=False,
            delays=lambda: rfc6455.backoff_delays(initial=delays),
            options={"one_at_a_time": False},
        )
        self.heard: list[int] = []
        self.lateness: list[float] = []
        self.is_recovered = True

    def _tell(self, event: Event) -> None:
        if event["type"] == "entered":
            self.is_recovered = bool(event["recovered"])

    def _is_news(self, log: object, event: Event) -> bool:
        if event["type"] == "message":
            self.heard.append(event["offset"])
            self.lateness.append(time.perf_counter() - float(event["text"]))
        return super()._is_news(log, event)  # type: ignore[arg-type]


async def crowd(clients: int, messages: int, delays: float) -> bool:
    """Runs, prints numbers, and tells whether everybody has heard everything."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = ChatProcess(Path(folder))
        await server.start()
        try:
            async with AsyncExitStack() as stack:
                return await _measure(server, stack, clients, messages, delays)
        finally:
            await server.close()


async def _measure(
    server: ChatProcess, stack: AsyncExitStack, clients: int, messages: int, delays: float
) -> bool:
    members = [Member(server.uri, f"member{number}", delays) for number in range(clients)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def enter(member: Member) -> None:
        async with turns:
            await stack.enter_async_context(member)
            await member.join("lobby")

    start = time.perf_counter()
    await asyncio.gather(*(enter(member) for member in members))
    print(f"{clients} members joined one room in {time.perf_counter() - start:.1f} s", flush=True)

    start = time.perf_counter()
    for _ in range(messages):
        await members[0].send("lobby", str(time.perf_counter()))
    await _until(lambda: all(len(member.heard) >= messages for member in members))
    seconds = time.perf_counter() - start
    lateness = sorted(late for member in members for late in member.lateness)
    print(
        f"{messages} messages, {len(lateness)} deliveries in {seconds:.1f} s:"
        f" {len(lateness) / seconds:.0f} a second,"
        f" p50 {lateness[len(lateness) // 2] * 1000:.0f} ms,"
        f" p99 {lateness[len(lateness) * 99 // 100] * 1000:.0f} ms",
        flush=True,
    )

    await server.kill()
    delivery = members[0].send("lobby", str(time.perf_counter()))
    start = time.perf_counter()
    await server.start()
    await delivery
    await _until(lambda: all(len(member.heard) > messages for member in members))
    seconds = time.perf_counter() - start
    expected = list(range(1, messages + 2))
    right = sum(member.heard == expected and member.is_recovered for member in members)
    print(
        f"killed: all back after {seconds:.1f} s, {right} of {clients} missed nothing", flush=True
    )
    return right == clients


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - thousands of members would notify at once
        await asyncio.sleep(0.05)


def main() -> int:
    """Runs, and returns 0 if everybody has heard everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crowd", description=__doc__)
    parser.add_argument("--clients", type=int, default=5000, metavar="N")
    parser.add_argument("--messages", type=int, default=20, metavar="N")
    parser.add_argument(
        "--delays", type=float, default=5.0, metavar="SECONDS", help="before coming back, at most"
    )
    arguments = parser.parse_args()
    is_right = asyncio.run(crowd(arguments.clients, arguments.messages, arguments.delays))
    return not is_right


if __name__ == "__main__":
    sys.exit(main())
