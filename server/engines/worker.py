"""The thread that works with a database, for an event loop that must not wait.

What lives here: how what many ask for becomes one transaction, and what is tried again after a
failure. This file does not know what is asked for.

What is asked for in one turn of the event loop goes to the thread together: to wake it for each
call would cost more than most calls do. The thread takes all that waits, carries it out in one
transaction, commits, and only then lets anybody know. When a transaction fails, all of it has
failed, and the next one is tried as if nothing had been.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from .base import Conflict, EngineError
from .store import Store

__all__ = ["Worker", "explain"]

MAX_BATCH: Final = 512
"""Calls to which a transaction adds no others."""
MAX_WAITING: Final = 10_000
"""Calls that may wait for a thread."""
T = TypeVar("T")

logger = logging.getLogger("rfc6455.chat")

FAULTS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "the database is locked by another program",
    sqlite3.SQLITE_LOCKED: "the database is locked by another program",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the database is damaged, or no database",
    sqlite3.SQLITE_READONLY: "the database cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
}


class _Call(Generic[T]):
    """Something to be done with the database, and who waits for it."""

    __slots__ = ("done", "future", "operation")

    def __init__(
        self, operation: Callable[[Store], T], done: Callable[[T], None] | None = None
    ) -> None:
        self.operation = operation
        self.done = done
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: T | Exception) -> None:
        """Tells the outcome, in the event loop's thread."""
        if isinstance(outcome, Exception):
            if not self.future.cancelled():
                self.future.set_exception(outcome)
            return
        if self.done is not None:
            try:
                self.done(outcome)
            except Exception:
                # It is committed, and whoever waits, for this or for another call, is to know.
                logger.exception("what was appended could not be told")
        if not self.future.cancelled():
            self.future.set_result(outcome)


class Worker:
    """A thread with a connection to the database of its own.

    Args:
        name: of the thread.
        open_store: makes the connection, now and after each failure that may be its own.
        writing: whether its transactions write.
    """

    def __init__(self, name: str, open_store: Callable[[], Store], *, writing: bool) -> None:
        self.fault: str | None = None
        self._open_store = open_store
        self._store: Store | None = open_store()
        self._writing = writing
        self._loop = asyncio.get_running_loop()
        self._calls: list[_Call[Any]] = []
        self._waiting = 0
        self._batches: queue.SimpleQueue[Sequence[_Call[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(
        self, operation: Callable[[Store], T], done: Callable[[T], None] | None = None
    ) -> T:
        """Carries out an operation; calls ``done`` with its result before anybody goes on."""
        if self._waiting >= MAX_WAITING:
            raise EngineError("the database does not keep up")
        call = _Call(operation, done)
        self._waiting += 1
        self._calls.append(call)
        if len(self._calls) == 1:
            self._loop.call_soon(self._hand_over)
        return await call.future

    async def close(self) -> None:
        """Ends the thread when all that waits is done."""
        self._hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        if self._calls:
            self._batches.put(self._calls)
            self._calls = []

    def _run(self) -> None:
        ending = False
        while not ending:
            batch: list[_Call[Any]] = []
            while not ending and not (batch and (self._batches.empty() or len(batch) > MAX_BATCH)):
                calls = self._batches.get()
                ending = calls is None
                batch += calls or ()
            if batch:
                outcomes = self._carry_out(batch)
                self._loop.call_soon_threadsafe(self._settle, batch, outcomes)
        if self._store is not None:
            self._store.close()

    def _carry_out(self, batch: Sequence[_Call[Any]]) -> Sequence[Any]:
        try:
            if self._store is None:
                self._store = self._open_store()
            self._store.begin(writing=self._writing)
            outcomes = [self._attempt(call) for call in batch]
            self._store.commit()
        except sqlite3.Error as error:
            self._recover(error)
            self.fault = explain(error)
            return [EngineError(self.fault) for _ in batch]
        except Exception as error:
            self._recover(None)
            return [error for _ in batch]
        self.fault = None
        return outcomes

    def _attempt(self, call: _Call[Any]) -> Any:
        assert self._store is not None
        try:
            return call.operation(self._store)
        except Conflict as conflict:
            # Raised before anything was changed: the others' transaction goes on.
            return conflict

    def _recover(self, error: sqlite3.Error | None) -> None:
        """Makes the connection what it was before the transaction, or lets it go."""
        if self._store is None:
            return
        with contextlib.suppress(sqlite3.Error):
            self._store.rollback()
            if error is None or _primary(error) == sqlite3.SQLITE_FULL:
                return
        # What a failed connection takes for granted may be wrong. One in memory has nothing else.
        if self._store.path is not None:
            self._store.close()
            self._store = None

    def _settle(self, batch: Sequence[_Call[Any]], outcomes: Sequence[Any]) -> None:
        self._waiting -= len(batch)
        for call, outcome in zip(batch, outcomes, strict=True):
            call.settle(outcome)


def _primary(error: sqlite3.Error) -> int:
    """The kind of an error; SQLite's extended codes have it in their low byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explain(error: sqlite3.Error) -> str:
    """Returns what is wrong with a database, in words."""
    return FAULTS.get(_primary(error), f"the database failed: {error}")
