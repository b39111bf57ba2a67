"""The lock of a connection that is observed, by itself."""

from __future__ import annotations

import threading

import pytest

from rfc6455 import UsageError
from rfc6455.sync.observedlock import ObservedLock

from .support import Task


def test_the_thread_that_has_it_is_refused_and_has_it_still() -> None:
    lock = ObservedLock()
    with lock:
        with pytest.raises(UsageError, match="an observer"), lock:
            pass
        assert not lock.acquire(False)
        assert not Task(lambda: lock.acquire(False)).result()
    with lock:
        pass


def test_only_the_thread_that_has_it_gives_it_back() -> None:
    lock = ObservedLock()
    with pytest.raises(RuntimeError):
        lock.release()
    with lock:
        with pytest.raises(RuntimeError):
            Task(lock.release).result()
        assert not Task(lambda: lock.acquire(False)).result()


def test_it_is_free_after_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, just after it was taken or before."""

    class Interrupted:
        def __init__(self, before: bool) -> None:
            self.lock = threading.RLock()
            self.before = before

        def acquire(self, blocking: bool = True) -> bool:
            if not self.before:
                self.lock.acquire(blocking)
            raise KeyboardInterrupt

        def release(self) -> None:
            self.lock.release()

    for before in (True, False):
        lock = ObservedLock()
        inner = Interrupted(before)
        monkeypatch.setattr(lock, "_lock", inner)
        with pytest.raises(KeyboardInterrupt), lock:
            pass
        assert Task(lambda inner=inner: inner.lock.acquire(False)).result()


def test_a_condition_waits_with_it() -> None:
    lock = ObservedLock()
    condition = threading.Condition(lock)  # type: ignore[arg-type]
    told: list[str] = []

    def wait() -> None:
        with lock:
            told.append("waits")
            condition.notify_all()
            condition.wait_for(lambda: "go" in told)
            with pytest.raises(UsageError), lock:
                pass

    with lock:
        waiting = Task(wait)
        condition.wait_for(lambda: told)
        told.append("go")
        condition.notify_all()
    waiting.result()
