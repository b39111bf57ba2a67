"""The virtual clock, and the proof that nothing is left behind."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from rfc6455.testing import (
    Stalled,
    VirtualTimeLoop,
    at_every_step,
    cancel_after,
    run,
    settle,
    virtual_time,
)


@virtual_time
async def test_an_hour_passes_at_once() -> None:
    loop = asyncio.get_running_loop()
    assert loop.time() == 0
    await asyncio.sleep(3600)
    assert loop.time() == 3600


@virtual_time
async def test_timers_go_off_in_order() -> None:
    order: list[int] = []
    loop = asyncio.get_running_loop()
    for seconds in (3, 1, 2):
        loop.call_later(seconds, order.append, seconds)
    await asyncio.sleep(2)
    await settle()
    assert order == [1, 2]
    await asyncio.sleep(1)
    await settle()
    assert order == [1, 2, 3]


@virtual_time
async def test_time_can_pass_without_a_turn() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    late: list[float] = []
    loop.call_later(1, lambda: late.append(loop.time()))
    loop.advance(10)
    await settle()
    assert late == [10]


def test_waiting_for_nothing_is_an_error() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stalled, match="nothing will bring about"):
        run(wait())


def test_settling_needs_the_clock() -> None:
    with pytest.raises(AssertionError, match="needs a VirtualTimeLoop"):
        run(settle(), asyncio.SelectorEventLoop)


def test_a_task_that_is_left_is_an_error() -> None:
    async def leave() -> None:
        leave.task = asyncio.create_task(asyncio.sleep(10))  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="tasks left running"):
        run(leave())


def test_an_exception_that_nobody_retrieved_is_an_error() -> None:
    async def fail() -> None:
        raise RuntimeError("nobody looks")

    async def leave() -> None:
        asyncio.create_task(fail())  # noqa: RUF006
        await settle()

    with pytest.raises(AssertionError, match="nobody looks"):
        run(leave())


def test_a_callback_that_fails_is_an_error() -> None:
    async def leave() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await settle()

    with pytest.raises(AssertionError, match="division by zero"):
        run(leave())


def test_what_runs_is_returned_and_raised() -> None:
    async def give() -> int:
        return 1

    async def fail() -> None:
        raise KeyError("mine")

    assert run(give()) == 1
    with pytest.raises(KeyError, match="mine"):
        run(fail())


def test_a_test_with_virtual_time_is_a_plain_function() -> None:
    @virtual_time
    async def test(fixture: int) -> int:
        return fixture + 1

    assert not inspect.iscoroutinefunction(inspect.unwrap(test))
    assert list(inspect.signature(test).parameters) == ["fixture"]
    assert test(1) == 2


@virtual_time
async def test_every_step_is_cancelled_once() -> None:
    cancelled: list[int] = []

    async def operation() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def attempt(count: int) -> asyncio.Task[None]:
        task = await cancel_after(count, operation())
        if task.cancelled():
            cancelled.append(count)
        return task

    count = await at_every_step(attempt)
    assert cancelled == list(range(count))
    assert count >= 4


@virtual_time
async def test_an_operation_that_never_ends_is_an_error() -> None:
    async def attempt(count: int) -> asyncio.Task[None]:
        return await cancel_after(0, asyncio.sleep(1))

    with pytest.raises(AssertionError, match="did not end by itself"):
        await at_every_step(attempt)
