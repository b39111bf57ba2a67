"""Clients that connect, have one message echoed, and close: nothing may stay behind."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from .programs import start

FLAT: Final = 10.0
"""Bytes for each connection that came and went: with so few, a leak of any object shows."""
WARM_UP: Final = 0.2
"""The share of the cycles in which pools and caches of the interpreter may still fill."""


async def run(
    *, cycles: int = 100_000, at_once: int = 50, processes: int = 2, samples: int = 40
) -> dict[str, Any]:
    """Lets clients come and go, and looks at the server's memory now and then.

    Args:
        cycles: how many connections.
        at_once: how many of them at a time.
        processes: of clients.
        samples: how often the memory is looked at; nobody is connected then.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(start("server"))
        port = (await server.answer())["port"]
        crowds = [
            await stack.enter_async_context(start("crowd", {"number": number, "port": port}))
            for number in range(processes)
        ]
        before = await server.ask("state")
        descriptors = server.descriptors()
        count = cycles // samples // processes
        codes: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        seconds = 0.0
        sizes: list[tuple[int, int]] = []
        for number in range(1, samples + 1):
            rounds = await asyncio.gather(
                *(
                    crowd.ask("cycles", count=count, at_once=at_once // processes)
                    for crowd in crowds
                )
            )
            for one in rounds:
                codes.update(one["codes"])
                failures.update(one["failures"])
            seconds += max(one["seconds"] for one in rounds)
            # The clients have seen their ends; so will the server as soon as it has a turn.
            after = await server.ask_until(partial(_is_over, before, codes), "state")
            sizes.append((number * count * processes, server.memory()["rss"]))
        warm = sizes[int(len(sizes) * WARM_UP) :]
        slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
        return {
            "cycles": sum(codes.values()),
            "codes": codes,
            "failures": failures,
            "per_second": round(sum(codes.values()) / seconds),
            "before": {**before, "descriptors": descriptors},
            "after": {**after, "descriptors": server.descriptors()},
            "rss_bytes_per_cycle": round(slope, 2),
            "rss_kib": [size // 1024 for _, size in sizes],
        }


def _is_over(before: dict[str, Any], codes: Counter[str], state: dict[str, Any]) -> bool:
    """Whether the server has seen these ends, and is as it was before."""
    return state == {**before, "ended": codes}


QUICK: dict[str, Any] = {"cycles": 200, "at_once": 10, "samples": 5}


def faults(result: dict[str, Any]) -> list[str]:
    """Returns what should not have been."""
    found = [f"failures: {result['failures']}"] if result["failures"] else []
    if set(result["codes"]) != {"1000"}:
        found.append(f"close codes: {result['codes']}")
    if result["after"]["ended"] != result["codes"]:
        found.append(f"the server saw other ends: {result['after']['ended']}")
    found += [
        f"{name}: {result['before'][name]}, then {result['after'][name]}"
        for name in ("connections", "tasks", "descriptors", "budget")
        if result["after"][name] != result["before"][name]
    ]
    return found


def misses(result: dict[str, Any]) -> list[str]:
    """Returns the figures that are not what they should be."""
    slope = result["rss_bytes_per_cycle"]
    return [f"memory grows by {slope} bytes a cycle"] if slope > FLAT else []
