"""The thread that attends to connections: its agenda, its end, and a process that forks.

Knows no connection but one that does nothing, except in the child of a fork.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from rfc6455.sync.attendant import NEVER, STALE, Attendant, Visit

from .support import PATIENCE, until


class Member:
    """What the attendant visits: it remembers when, and does as it is told."""

    def __init__(self) -> None:
        self.due = NEVER
        self.answer: Visit | Exception | None = Visit(0, NEVER)
        self.visited = threading.Semaphore(0)
        self.has_left = threading.Event()
        self.parting: Exception | None = None

    def fileno(self) -> int:
        return -1

    def visit(self, now: float, *, ready: bool) -> Visit | None:
        assert now >= self.due
        assert not ready
        # All of it before the test hears of it.
        answer, self.due = self.answer, NEVER
        self.visited.release()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def left(self) -> None:
        self.has_left.set()
        if self.parting is not None:
            raise self.parting

    def ask(self, attendant: Attendant, delay: float) -> None:
        self.due = time.monotonic() + delay
        attendant.schedule(self, self.due)


def test_it_comes_when_it_is_due_and_ends_with_the_last_member() -> None:
    attendant, first, second = Attendant(), Member(), Member()
    second.ask(attendant, 1000)
    first.ask(attendant, 0.01)
    assert first.visited.acquire(timeout=PATIENCE)
    # It sleeps until the other is due: an earlier date wakes it.
    first.answer = second.answer = None
    first.ask(attendant, 0)
    assert first.has_left.wait(PATIENCE)
    assert attendant.thread is not None
    second.ask(attendant, 0)
    assert second.has_left.wait(PATIENCE)
    until(lambda: attendant.thread is None)
    first.ask(attendant, 0)
    until(lambda: attendant.thread is None)


def test_dates_that_are_out_of_date_do_not_pile_up() -> None:
    attendant, member = Attendant(), Member()
    for number in range(1000):
        member.ask(attendant, 1000 - number / 1000)
    member.ask(attendant, 0)
    assert member.visited.acquire(timeout=PATIENCE)
    # Two for the member are let pass besides.
    until(lambda: len(attendant._agenda) <= STALE + 2)
    member.answer = None
    member.ask(attendant, 0)
    assert member.has_left.wait(PATIENCE)


def test_a_member_that_fails_is_left_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    attendant, member = Attendant(), Member()
    member.answer = RuntimeError("a bug")
    with caplog.at_level(logging.ERROR):
        member.ask(attendant, 0)
        assert member.has_left.wait(PATIENCE)
    assert "a bug" in caplog.text


def test_a_member_that_fails_twice_does_not_keep_it_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attendant, member, other = Attendant(), Member(), Member()
    member.answer, member.parting = RuntimeError("a bug"), ZeroDivisionError("another")
    other.answer = None
    with caplog.at_level(logging.ERROR):
        other.ask(attendant, 1000)
        member.ask(attendant, 0)
        assert member.has_left.wait(PATIENCE)
        other.ask(attendant, 0)
        assert other.has_left.wait(PATIENCE)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        RuntimeError,
        ZeroDivisionError,
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_has_an_attendant_of_its_own() -> None:
    program = """
        import os, socket, sys, time, warnings
        from rfc6455 import Connection, Role
        from rfc6455.sync.attendant import attendant
        from rfc6455.sync.connection import WebSocket
        from rfc6455.sync.stream import Stream

        def answers_a_ping():
            ours, theirs = socket.socketpair()
            core = Connection(Role.CLIENT, now=time.monotonic())
            websocket = WebSocket(core, Stream(ours))
            theirs.settimeout(60)
            theirs.sendall(bytes([0x89, 0]))
            return websocket, theirs.recv(1) == bytes([0x8a])

        warnings.simplefilter("ignore")
        parents, answered = answers_a_ping()
        assert answered and attendant.thread is not None
        child = os.fork()
        if child == 0:
            assert attendant.thread is None
            os._exit(0 if answers_a_ping()[1] else 1)
        _, status = os.waitpid(child, 0)
        parents.abort()
        sys.exit(status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
