"""The chat is restarted with thousands in a room: all are back and have missed nothing, in time."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from .chat import ask_all, chat, speaker
from .figures import percentile
from .programs import processor_seconds

IN_TIME: Final = 15.0
DRAIN: Final = ("--drain-seconds", "4", "--reconnect-within", "8")
"""How a server ends gently that is to be back by then."""


async def run(
    *,
    members: int = 5_000,
    messages: int = 20,
    processes: int = 2,
    gently: int = 0,
    under: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Kills the server, starts it again, and waits for everybody.

    Members come back as the protocol's page asks them to: after up to 5 s, chosen at random, or
    when a server that ended gently has asked them to. What is said meanwhile has to reach each.

    Args:
        members: how many.
        messages: so many are said before, and so many after it is killed.
        processes: of members.
        gently: 1 for SIGTERM in the place of SIGKILL: members are closed in turns.
        under: the command that the members run under.
    """
    begin = time.monotonic()
    async with chat(members, ["lobby"], processes, under, DRAIN) as (server, crowds):
        entering = time.monotonic() - begin
        async with speaker(server, "lobby") as client:
            await ask_all(crowds, "expect", messages=2 * messages)
            for _ in range(messages):
                await client.send("lobby", str(time.monotonic_ns()))
            await ask_all(crowds, "expect_back")
            begin = time.monotonic()
            await (server.terminate() if gently else server.kill())
            await server.start()
            started = time.monotonic() - begin
            for _ in range(messages):
                await client.send("lobby", str(time.monotonic_ns()))
            found = await ask_all(crowds, "back")
            used = processor_seconds(server.pid)
            ends = await ask_all(crowds, "collect")
    times = sorted(at - begin for one in found for at in one["times"])
    heard = max(one["end"] for one in ends) - begin
    return {
        "gently": bool(gently),
        "members": members,
        "messages": messages,
        "entering_seconds": round(entering, 1),
        "started_seconds": round(started, 2),
        "back": len(times),
        "back_seconds": {
            **{f"p{percent}": round(percentile(times, percent), 2) for percent in (50, 99)},
            "last": round(times[-1], 2),
        },
        "heard_seconds": round(heard, 2),
        "delivered": sum(len(one["latencies"]) for one in ends),
        "server_processor_seconds": round(used, 2),
        "losses": sum(one["losses"] for one in found),
        "faults": sum((Counter(one["faults"]) for one in found), Counter()),
        "failures": sum((Counter(one["failures"]) for one in found), Counter()),
    }


QUICK: dict[str, Any] = {"members": 40, "messages": 3}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    expected = {
        "back": result["members"],
        "losses": result["members"],
        "delivered": 2 * result["messages"] * result["members"],
        "faults": {},
        "failures": {},
    }
    return [f"{n}: {result[n]}, not {v}" for n, v in expected.items() if result[n] != v]


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    last = max(result["back_seconds"]["last"], result["heard_seconds"])
    return [f"all were back after {last} s"] if last > IN_TIME else []
