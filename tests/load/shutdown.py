"""SIGTERM, with thousands connected: all are told when to come back, and the end comes in time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Final

from .programs import start

IN_TIME: Final = 30.0
SERVICE_RESTART: Final = "1012"


async def run(
    *,
    connections: int = 10_000,
    over: float = 10.0,
    hint: float = 30.0,
    abort_after: float = 10.0,
    processes: int = 2,
) -> dict[str, Any]:
    """Ends a server while clients are connected.

    Args:
        connections: how many.
        over: seconds in which all have their turn to be closed.
        hint: seconds; at some time up to this each client is to come back.
        abort_after: seconds from the last turn until those that are left are dropped.
        processes: of clients.
    """
    async with AsyncExitStack() as stack:
        drain = {"over": over, "reconnect_hint": hint, "abort_after": abort_after}
        options = {"max_connections": connections + 10, "drain": drain}
        server = await stack.enter_async_context(start("server", options))
        port = (await server.answer())["port"]
        crowds = [
            await stack.enter_async_context(start("crowd", {"number": number, "port": port}))
            for number in range(processes)
        ]
        share = connections // processes
        found = await asyncio.gather(*(crowd.ask("open", count=share) for crowd in crowds))
        opened = sum(one["open"] for one in found)
        begin = time.monotonic()
        farewells = asyncio.gather(
            *(crowd.ask("farewells", count=share, within=120.0) for crowd in crowds)
        )
        os.kill(server.pid, signal.SIGTERM)
        drained = await server.answer()
        code = await server.wait()
        seconds = time.monotonic() - begin
        ends = await farewells
        times = [end - begin for one in ends for end in one["times"]]
        hints = [given for one in ends for given in one["hints"]]
        return {
            "connections": connections,
            "opened": opened,
            "exit_code": code,
            "exit_seconds": round(seconds, 2),
            "drained": {name: drained[name] for name in ("closed", "aborted")},
            "handlers": drained["handlers"],
            "clients": sum((Counter(one["ended"]) for one in ends), Counter()),
            "hints": len(hints),
            "hint_seconds": [min(hints, default=0), max(hints, default=0)],
            "first_and_last_end": [round(min(times), 2), round(max(times), 2)],
            "most_ends_in_a_second": max(Counter(map(int, times)).values()),
        }


QUICK: dict[str, Any] = {"connections": 100, "over": 0.5, "abort_after": 60.0}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been, but for figures that the machine has a say in."""
    all_of_them = {SERVICE_RESTART: result["connections"]}
    expected = {
        "opened": result["connections"],
        "exit_code": 0,
        "drained": {"closed": result["connections"], "aborted": 0},
        "handlers": all_of_them,
        "clients": all_of_them,
        "hints": result["connections"],
    }
    return [f"{n}: {result[n]}, not {v}" for n, v in expected.items() if result[n] != v]


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    seconds = result["exit_seconds"]
    return [f"the server ended after {seconds} s"] if seconds > IN_TIME else []
