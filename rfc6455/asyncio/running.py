"""Running a program on the fastest event loop that is there.

What lives here: `run`, and the choice between uvloop and asyncio's own loop. This file does not
know about WebSockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Runs a coroutine as `asyncio.run` does, on uvloop where that is installed.

    Install it with ``pip install rfc6455[fast]``; without it, as on Windows, asyncio's own loop
    runs. Everything in this library works on both, and on any other loop that is running already.

    Args:
        main: what to run; the loop ends with it.
        debug: asyncio's debug mode; None leaves that to ``PYTHONASYNCIODEBUG``.

    Returns:
        What the coroutine returns.

    Raises:
        RuntimeError: an event loop is running in this thread.
    """
    # As asyncio.run: a Runner would find out when it has made a loop that it cannot end.
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("rfc6455.run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
