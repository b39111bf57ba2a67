"""Deadlines of many connections, kept by few timers of the loop."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from rfc6455.asyncio.alarms import AT_ONCE, Alarms, Bucket
from rfc6455.testing import VirtualTimeLoop, settle, virtual_time


class Sleeper:
    """Notes when it was woken."""

    def __init__(self) -> None:
        self.woken: list[float] = []

    def deadline_reached(self) -> None:
        self.woken.append(asyncio.get_running_loop().time())


class Failing(Sleeper):
    """Fails when it is woken."""

    def deadline_reached(self) -> None:
        super().deadline_reached()
        raise ValueError("no")


def timers() -> int:
    """How many timers the loop has."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(not timer.cancelled() for timer in scheduled)


@virtual_time
async def test_near_deadlines_are_kept_to_the_point() -> None:
    alarms, sleepers = Alarms(asyncio.get_running_loop()), [Sleeper() for _ in range(4)]
    for sleeper, when in zip(sleepers, [1 / 1024, 0.25, 0.25, 0.875], strict=True):
        alarms.set(when, sleeper)
    await asyncio.sleep(2)
    assert [sleeper.woken for sleeper in sleepers] == [[1 / 1024], [0.25], [0.25], [0.875]]


@virtual_time
async def test_far_deadlines_are_met_a_little_later_and_never_earlier() -> None:
    alarms = Alarms(asyncio.get_running_loop())
    deadlines = [20 + n / 100 for n in range(100)]
    sleepers = [Sleeper() for _ in deadlines]
    for sleeper, when in zip(sleepers, deadlines, strict=True):
        alarms.set(when, sleeper)
    # One for each sixteenth of a second.
    assert timers() == 17
    await asyncio.sleep(30)
    for sleeper, when in zip(sleepers, deadlines, strict=True):
        (woken,) = sleeper.woken
        assert when <= woken < when + 1 / 16
    assert timers() == 0


@virtual_time
async def test_who_leaves_sleeps_on_and_the_last_one_takes_the_timer_along() -> None:
    alarms, stays, leaves = Alarms(asyncio.get_running_loop()), Sleeper(), Sleeper()
    bucket = alarms.set(20.0, leaves)
    assert alarms.set(20.0, stays) is bucket
    bucket.leave(leaves)
    bucket.leave(leaves)
    assert timers() == 1
    await asyncio.sleep(30)
    assert (stays.woken, leaves.woken) == ([20.0], [])
    alone = alarms.set(50.0, leaves)
    alone.leave(leaves)
    assert timers() == 0
    assert alarms.set(50.0, stays) is not alone
    alone.leave(leaves)
    await asyncio.sleep(30)
    assert stays.woken == [20.0, 50.0]


@virtual_time
async def test_who_is_woken_may_be_woken_again_and_have_others_leave() -> None:
    alarms = Alarms(asyncio.get_running_loop())
    buckets: list[Bucket] = []

    class Last(Sleeper):
        def deadline_reached(self) -> None:
            super().deadline_reached()
            for sleeper in sleepers:
                buckets[0].leave(sleeper)
            if len(self.woken) == 1:
                alarms.set(40.0, self)

    sleepers = [Last() for _ in range(5)]
    buckets += [alarms.set(20.0, sleeper) for sleeper in sleepers]
    await asyncio.sleep(100)
    woken = [time for sleeper in sleepers for time in sleeper.woken]
    # The one that was first had the others leave.
    assert woken == [20.0, 40.0]


@virtual_time
async def test_one_that_fails_does_not_keep_the_others() -> None:
    loop = asyncio.get_running_loop()
    alarms, complaints = Alarms(loop), []
    loop.set_exception_handler(lambda loop, context: complaints.append(context["exception"]))
    sleepers = [Failing(), Sleeper(), Failing(), Sleeper()]
    for sleeper in sleepers:
        alarms.set(20.0, sleeper)
    await asyncio.sleep(30)
    assert [sleeper.woken for sleeper in sleepers] == [[20.0]] * 4
    assert list(map(str, complaints)) == ["no", "no"]


def test_who_ends_the_program_does_not_keep_those_who_clean_up() -> None:
    class Ending(Sleeper):
        def deadline_reached(self) -> None:
            super().deadline_reached()
            raise KeyboardInterrupt

    loop = VirtualTimeLoop()
    alarms, sleepers = Alarms(loop), [Ending(), Ending(), Sleeper()]
    for sleeper in sleepers:
        alarms.set(loop.time() + 20.0, sleeper)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.sleep(30))
    loop.run_until_complete(asyncio.sleep(30))
    assert [len(sleeper.woken) for sleeper in sleepers] == [1, 1, 1]
    loop.close()


@virtual_time
async def test_a_crowd_is_woken_in_several_turns() -> None:
    loop = asyncio.get_running_loop()
    alarms, sleepers = Alarms(loop), [Sleeper() for _ in range(3 * AT_ONCE)]
    counts: list[int] = []

    def count() -> None:
        counts.append(sum(len(sleeper.woken) for sleeper in sleepers))
        if counts[-1] < len(sleepers):
            loop.call_soon(count)

    for sleeper in sleepers:
        alarms.set(20.0, sleeper)
    loop.call_at(20.0, count)
    await asyncio.sleep(20)
    await settle()
    assert [b - a for a, b in pairwise(counts)] == [AT_ONCE] * 2
    assert counts[-1] == len(sleepers)
