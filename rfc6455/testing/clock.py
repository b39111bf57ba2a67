"""Time that passes as soon as nothing else can happen.

What lives here: an event loop with a virtual clock, and `run`, which proves that what ran on a loop
left nothing behind. This file does not know about WebSockets.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["Stalled", "VirtualTimeLoop", "run", "settle", "virtual_time"]

P = ParamSpec("P")
T = TypeVar("T")


class Stalled(AssertionError):
    """Nothing can happen any more, and the test still waits."""


class _VirtualSelector(selectors.SelectSelector):
    """Never waits: what would be waited for either is there, or its time comes at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            if timeout is None:
                raise Stalled("the test waits for something that nothing will bring about")
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and jumps to the next timer when nothing is ready.

    A test of a timeout of an hour takes no time, and cannot be early or late. When nothing is ready
    and no timer is set, the loop raises `Stalled` where another would wait for ever.

    It is exact for what happens in the process: the transports of `rfc6455.testing`, Unix domain
    sockets and socket pairs. It does not wait for threads or other processes.
    """

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Returns the time, in seconds since the loop was made."""
        return self._virtual.now

    def advance(self, seconds: float) -> None:
        """Lets time pass in which the loop gets no turn, as when the process was stopped."""
        self._virtual.now += seconds


async def settle() -> None:
    """Returns when everything has happened that can happen without time passing.

    Needs a `VirtualTimeLoop`. `asyncio.sleep` lets time pass there, and everything happen that is
    due in it.
    """
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop), "needs a VirtualTimeLoop"
    await asyncio.sleep(1e-6)


def run(
    main: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = VirtualTimeLoop,
) -> T:
    """Runs a coroutine, and proves that it leaves nothing behind.

    Args:
        main: what is run.
        loop_factory: makes the event loop; by default a `VirtualTimeLoop`.

    Raises:
        AssertionError: a task is still running when it returns, or the loop had something to
            complain about: an exception that nobody retrieved, a task that was destroyed while
            pending, a callback that failed.
    """
    complaints: list[dict[str, Any]] = []

    async def supervised() -> T:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: complaints.append(context)
        )
        result = await main
        # Tasks of other libraries that were cancelled get a turn to end in.
        await asyncio.sleep(0)
        # asyncio's own task, of a client that does not finish the handshake of TLS, is nobody's.
        left = [
            task
            for task in asyncio.all_tasks() - {asyncio.current_task()}
            if "_accept_connection2" not in repr(task)
        ]
        if left:
            raise AssertionError(f"tasks left running: {left}")
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(supervised())
    gc.collect(1)
    if complaints:
        raise AssertionError(complaints)
    return result


def virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Makes a coroutine function a plain function, which runs it with virtual time.

    For tests: no plugin has to know about them, and fixtures and parameters work as for any other.
    """

    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(test(*args, **kwargs))

    # pytest and its plugins look through wrappers for coroutine functions.
    vars(run_test)["__signature__"] = inspect.signature(test)
    del vars(run_test)["__wrapped__"]
    return run_test
