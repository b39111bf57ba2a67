"""Cancellation at every await, one after the other.

What lives here: how an operation is stopped after so many turns of the event loop, for every number
of turns that it takes. This file does not know what an operation is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

__all__ = ["at_every_step", "cancel_after", "steps"]

T = TypeVar("T")
MOST_STEPS: Final = 1000


async def steps(count: int) -> None:
    """Lets the loop take some turns."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancel_after(count: int, operation: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Runs an operation for some turns of the loop, then cancels it; returns when it has ended."""
    task = asyncio.ensure_future(operation)
    await steps(count)
    task.cancel()
    await asyncio.wait([task])
    return task


async def at_every_step(
    attempt: Callable[[int], Coroutine[Any, Any, asyncio.Task[Any]]],
) -> int:
    """Attempts something, cancelled after 0, 1, 2 ... steps, until it ends before it is.

    Args:
        attempt: gets the number of steps, and returns what `cancel_after` gave it.

    Returns:
        After how many steps it was not cancelled any more.

    Raises:
        AssertionError: it goes on for ever.
    """
    for count in range(MOST_STEPS):
        if not (await attempt(count)).cancelled():
            return count
    raise AssertionError(f"the operation did not end by itself within {MOST_STEPS} steps")
