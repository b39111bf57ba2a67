"""A run: people talk while things happen to the server; then the checker judges what they noted.

What lives here: what happens to the server, and the order of a run. This file does not know what is
right.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .checker import check
from .history import Entered, History, Outcome
from .people import Progress, Subscriber, publish, publish_boldly, read_log
from .process import ChatProcess

__all__ = ["HAPPENINGS", "Report", "run"]

ROOMS: Final = ("lobby", "tea")
SUBSCRIBERS: Final = 4
FAULT_TIMEOUT: Final = 120.0
"""Seconds until people must have got on, whatever has happened."""
END_TIMEOUT: Final = 120.0
"""Seconds until everybody must have heard everything, once nothing happens any more."""


@dataclass(slots=True)
class Report:
    """What came of a run.

    Attributes:
        faults: what is wrong, in words.
        happenings: how often what happened.
        acknowledged: how many messages were acknowledged.
        indeterminate: how many publishers never learned what became of.
        delivered: how many entries were handed to subscribers.
        comebacks: how often subscribers came back.
    """

    faults: list[str] = field(default_factory=list)
    happenings: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    indeterminate: int = 0
    delivered: int = 0
    comebacks: int = 0

    def __str__(self) -> str:
        happened = ", ".join(f"{count} × {name}" for name, count in self.happenings.items())
        return (
            f"{happened}; {self.acknowledged} messages acknowledged, {self.indeterminate}"
            f" indeterminate, {self.delivered} deliveries, {self.comebacks} comebacks:"
            f" {len(self.faults)} faults"
        )


async def kill(server: ChatProcess, progress: Progress) -> None:
    """``kill -9``, in the middle of everything."""
    await server.kill()
    await server.start()


async def freeze(server: ChatProcess, progress: Progress) -> None:
    """The process stands still for a moment, and then goes on as if nothing had been."""
    server.freeze()
    await asyncio.sleep(random.uniform(0.2, 1.0))
    server.thaw()


async def fill_disk(server: ChatProcess, progress: Progress) -> None:
    """There is no room on the disk, until somebody has been told so."""
    told = progress.unavailable
    server.fill_disk()
    try:
        await progress.wait_for(lambda: progress.unavailable > told)
    finally:
        server.free_disk()


async def move_clock(server: ChatProcess, progress: Progress) -> None:
    """The wall clock goes hours or days ahead or back, and later to where it was."""
    hours = random.choice((5, 24, -5, -24))
    server.move_clock(f"{hours:+d}h")
    # That the server has noticed is told by the times of messages, and by nothing else.
    await progress.wait_for(lambda: round(progress.hours_ahead) == hours)
    await progress.wait_for_more(20)
    if random.random() < 0.5:
        await kill(server, progress)
    server.move_clock("+0")
    await progress.wait_for(lambda: round(progress.hours_ahead) == 0)


HAPPENINGS: Final[dict[str, Callable[[ChatProcess, Progress], Awaitable[None]]]] = {
    "kill": kill,
    "freeze": freeze,
    "fill_disk": fill_disk,
    "move_clock": move_clock,
}


async def run(folder: Path, happenings: Sequence[str], **server_options: object) -> Report:
    """Lets people talk while things happen, one after the other, and judges the outcome.

    Args:
        folder: for the server's files.
        happenings: names in `HAPPENINGS`.
        server_options: see `ChatProcess`.
    """
    server = ChatProcess(folder, has_clock="move_clock" in happenings, **server_options)  # type: ignore[arg-type]
    history, progress = History(), Progress()
    try:
        await server.start()
        await _talk(server, history, progress, happenings)
    finally:
        await server.close()
    return _report(history, happenings)


async def _talk(
    server: ChatProcess, history: History, progress: Progress, happenings: Sequence[str]
) -> None:
    ending = asyncio.Event()
    async with AsyncExitStack() as stack:
        subscribers = []
        for number in range(SUBSCRIBERS):
            subscriber = Subscriber(server.uri, f"subscriber{number}", history, progress)
            await stack.enter_async_context(subscriber)
            subscribers.append(subscriber)
        await subscribers[0].request("create_room", room="tea")
        for subscriber in subscribers:
            for room in ROOMS:
                await subscriber.join(room)
        async with asyncio.TaskGroup() as people:
            for room in ROOMS:
                for kind in (publish, publish, publish_boldly):
                    name = f"{kind.__name__}-{len(people._tasks)}"
                    people.create_task(kind(server.uri, name, room, history, progress, ending))
            for name in happenings:
                async with _getting_on(server, progress, name):
                    await progress.wait_for_more(random.randint(5, 60))
                    await HAPPENINGS[name](server, progress)
            async with _getting_on(server, progress, "the end"):
                await progress.wait_for_more(20)
            ending.set()
        for room in ROOMS:
            entries = await read_log(server.uri, room)
            history.logs[room] = {entry["offset"]: entry["text"] for entry in entries}
        heads = {room: len(log) for room, log in history.logs.items()}
        # Who does not come to the end is found by the checker.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT):
                await progress.wait_for(
                    lambda: all(s.last(room) >= heads[room] for s in subscribers for room in ROOMS)
                )


@asynccontextmanager
async def _getting_on(server: ChatProcess, progress: Progress, name: str) -> AsyncIterator[None]:
    said = progress.acknowledged
    try:
        async with asyncio.timeout(FAULT_TIMEOUT):
            yield
    except TimeoutError as error:
        raise RuntimeError(
            f"{name}: {progress.acknowledged - said} messages were acknowledged in {FAULT_TIMEOUT}"
            f" s, by a server that {server.state}; the load was {os.getloadavg()[0]:.0f}"
        ) from error


def _report(history: History, happenings: Sequence[str]) -> Report:
    steps = [step for received in history.received.values() for step in received]
    outcomes = [publish.outcome for publish in history.publishes]
    entered = [step for step in steps if isinstance(step, Entered)]
    unrecovered = sum(not step.recovered for step in entered) - SUBSCRIBERS * len(ROOMS)
    faults = check(history)
    if unrecovered:
        faults.append(f"{unrecovered} times somebody could not be told what they had missed")
    return Report(
        faults=faults,
        happenings={name: happenings.count(name) for name in dict.fromkeys(happenings)},
        acknowledged=outcomes.count(Outcome.ACKNOWLEDGED),
        indeterminate=outcomes.count(Outcome.INDETERMINATE),
        delivered=len(steps) - len(entered),
        comebacks=len(entered) - SUBSCRIBERS * len(ROOMS),
    )
