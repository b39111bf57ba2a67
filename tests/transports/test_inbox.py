"""The inbox of a connection: its reader runs at once, and both implementations do the same."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any, cast

import pytest

from rfc6455.asyncio.inbox import PythonInbox
from rfc6455.codec import NativeInbox
from rfc6455.errors import UsageError
from tests.transports.support import real_time

both = pytest.mark.parametrize(
    "kind",
    [PythonInbox]
    if NativeInbox is None
    else [PythonInbox, pytest.param(NativeInbox, id="NativeInbox")],
)


class Owner:
    """Notes what it is told; raises ``error`` instead of letting the reader wait."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.error: Exception | None = None

    def _run_out(self, iterating: bool) -> None:
        self.told.append(("run out", iterating))
        if self.error is not None:
            raise self.error

    def _caught_up(self) -> None:
        self.told.append("caught up")

    def _second_reader(self) -> UsageError:
        return UsageError("somebody waits already")


async def outside_of_tasks(call: Any, *args: Any) -> None:
    """Calls from the event loop itself, as a transport does."""
    done = asyncio.Event()

    def run() -> None:
        call(*args)
        done.set()

    asyncio.get_running_loop().call_soon(run)
    await done.wait()


@both
@real_time
async def test_messages_come_in_order(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    inbox.put(["a", b"b"])
    assert await inbox.get(owner, False) == "a"
    inbox.put(["c"])
    inbox.put([])
    assert (len(inbox), inbox.peek()) == (2, [b"b", "c"])
    assert [await inbox.get(owner, False) for _ in range(2)] == [b"b", "c"]
    assert not inbox
    assert owner.told == []


@both
@real_time
async def test_the_reader_runs_before_put_returns(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    log: list[object] = []

    async def read() -> None:
        while True:
            log.append(await inbox.get(owner, True))

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    assert inbox.waiting
    assert inbox.reader is reader

    def feed() -> None:
        inbox.put(["a", "b"])
        log.append("put")
        inbox.put(["c"])

    await outside_of_tasks(feed)
    assert log == ["a", "b", "put", "c"]
    assert owner.told == []
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert not inbox.waiting
    assert inbox.reader is None


@both
@real_time
async def test_within_a_task_the_reader_runs_at_the_next_turn(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    reader = asyncio.create_task(cast("Any", inbox.get(owner, False)))
    await asyncio.sleep(0)
    inbox.put(["a"])
    assert not reader.done()
    inbox.wake()
    assert inbox.reader is reader
    await asyncio.sleep(0)
    assert reader.done()
    assert reader.result() == "a"


@both
@real_time
async def test_the_reader_runs_in_its_own_context(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    seen: list[object] = []

    async def read() -> None:
        variable.set("inside")
        await inbox.get(owner, False)
        seen.append((variable.get(), asyncio.current_task()))

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    await outside_of_tasks(inbox.put, ["a"])
    assert seen == [("inside", reader)]
    assert variable.get() == "outside"
    await reader


@both
@real_time
async def test_a_cancelled_reader_takes_no_message(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    for woken_first in (False, True):
        reader = asyncio.create_task(cast("Any", inbox.get(owner, False)))
        await asyncio.sleep(0)
        if woken_first:
            inbox.put(["a"])
            assert not inbox.cancel()
        assert reader.cancel()
        inbox.wake()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert not inbox.waiting
    assert not inbox.cancel()
    assert await inbox.get(owner, False) == "a"


@both
@real_time
async def test_cancelling_before_the_first_step(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    reader = asyncio.create_task(cast("Any", inbox.get(owner, False)))
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert not inbox.waiting


@both
@real_time
async def test_one_reader_at_a_time(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    reader = asyncio.create_task(cast("Any", inbox.get(owner, False)))
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="somebody waits"):
        await inbox.get(owner, False)
    inbox.put(["a"])
    with pytest.raises(UsageError, match="somebody waits"):
        await inbox.get(owner, False)
    assert await reader == "a"


@both
@real_time
async def test_the_owner_is_told(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    inbox.watched = True
    inbox.put(["a", "b"])
    assert not inbox.busy
    await inbox.get(owner, False)
    assert (owner.told, inbox.busy) == ([], True)
    await inbox.get(owner, False)
    assert (owner.told, inbox.busy) == (["caught up"], True)
    inbox.over = True
    owner.error = EOFError()
    with pytest.raises(EOFError):
        await inbox.get(owner, True)
    assert owner.told == ["caught up", ("run out", True)]
    assert not inbox.busy


@both
@real_time
async def test_the_end_of_an_iteration(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    inbox.over = True
    owner.error = StopAsyncIteration()

    class Messages:
        def __aiter__(self) -> Messages:
            return self

        def __anext__(self) -> Any:
            return inbox.get(owner, True)

    inbox.put(["a", b"b"])
    assert [message async for message in Messages()] == ["a", b"b"]


@both
@real_time
async def test_messages_put_while_the_owner_is_told(kind: type[PythonInbox]) -> None:
    class Generous(Owner):
        def _run_out(self, iterating: bool) -> None:
            inbox.put(["a"])

    inbox = kind(asyncio.get_running_loop())
    inbox.over = True
    assert await inbox.get(Generous(), False) == "a"


@both
@real_time
async def test_nothing_is_kept(kind: type[PythonInbox]) -> None:
    class Text(str):
        __slots__ = ("__weakref__",)

    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    messages: list[Any] = [Text("a"), Text("b")]
    first = weakref.ref(messages[0])
    inbox.put(messages)
    del messages
    await inbox.get(owner, False)
    assert first() is None
    reader = asyncio.create_task(cast("Any", inbox.get(owner, False)))
    await reader
    waiting = asyncio.create_task(cast("Any", inbox.get(owner, False)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    kept = weakref.ref(waiting)
    del waiting
    gc.disable()
    try:
        assert kept() is None
    finally:
        gc.enable()


@both
@real_time
async def test_it_waits_with_other_tasks_and_timeouts(kind: type[PythonInbox]) -> None:
    inbox, owner = kind(asyncio.get_running_loop()), Owner()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.get(owner, False), 0)
    inbox.put(["a", "b"])
    assert await asyncio.wait_for(inbox.get(owner, False), None) == "a"
    assert await asyncio.gather(inbox.get(owner, False)) == ["b"]


@both
def test_it_is_used_on_the_loop_that_it_was_made_for(kind: type[PythonInbox]) -> None:
    loop = asyncio.new_event_loop()
    inbox = kind(loop)

    async def read() -> None:
        await inbox.get(Owner(), False)

    with pytest.raises(RuntimeError, match="different loop"):
        asyncio.run(read())
    assert not inbox.waiting
    loop.close()
