"""Pings that are answered and Pings that ask for life, whatever the application is doing.

Time stands still where a timer matters, and the test does the attendant's visits.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from rfc6455 import ConnectionClosedError, State
from rfc6455.frames import Frame, Opcode
from rfc6455.sync.attendant import attendant
from rfc6455.sync.stream import READ
from tests.transports.support import close, ping, pong, text

from .support import Clock, Task, pair, until

IDLE: dict[str, Any] = {"ping_interval": 20.0, "ping_timeout": 20.0}


def test_a_ping_is_answered_although_no_thread_is_there() -> None:
    """RFC 6455 §5.5.2: "It SHOULD respond with Pong frame as soon as is practical"."""
    with pair() as (_, peer):
        peer.send(ping(b"?"))
        assert peer.frame() == Frame(Opcode.PONG, b"?")
        for number in range(3):
            peer.send(ping(b"%d" % number))
            assert peer.frame() == Frame(Opcode.PONG, b"%d" % number)


def test_a_ping_is_answered_after_the_application_has_left() -> None:
    with pair() as (websocket, peer):
        for number in range(5):
            peer.send(text(str(number)))
            assert websocket.recv() == str(number)
            peer.send(ping(b"?"))
            assert peer.frame() == Frame(Opcode.PONG, b"?")


def test_a_message_that_the_attendant_has_read_is_received() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + ping(b"?"))
        assert peer.frame() == Frame(Opcode.PONG, b"?")
        assert websocket.recv(timeout=0) == "a"


def test_who_silent_is_gets_a_ping_and_then_1011(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, **IDLE) as (websocket, peer):
        assert clock.visit(websocket, after=0.1) == READ
        assert websocket.due == 1020.0
        clock.visit(websocket, after=19.9)
        assert peer.frame().opcode is Opcode.PING
        assert websocket.due == 1040.0
        clock.visit(websocket, after=20)
        assert peer.close_frame().code == 1011
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv()
        assert "keepalive" in str(caught.value.__cause__)


def test_any_byte_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, **IDLE) as (websocket, peer):
        clock.visit(websocket, after=20)
        assert peer.frame().opcode is Opcode.PING
        peer.send(text("x")[:3])
        clock.visit(websocket, after=19, ready=True)
        clock.visit(websocket, after=19)
        assert websocket.state is State.OPEN
        clock.visit(websocket, after=1)
        assert peer.frame().opcode is Opcode.PING


def test_the_clock_stands_still_while_we_do_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, max_queued_messages=1, **IDLE) as (websocket, peer):
        clock.visit(websocket, after=20)
        assert peer.frame().opcode is Opcode.PING
        peer.send(text("a"))
        clock.visit(websocket, after=1, ready=True)
        peer.send(pong())
        assert clock.visit(websocket, after=1000) == 0
        assert websocket.state is State.OPEN
        # Taken, and read again: the peer's time starts anew, and its Pong is found.
        assert websocket.recv() == "a"
        assert clock.asked[-1] == pytest.approx(clock.now + 0.1)
        assert clock.visit(websocket, after=0.1) == READ
        clock.visit(websocket, after=19, ready=True)
        assert websocket.state is State.OPEN


def test_a_pong_that_waited_while_we_were_held_up_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, **IDLE) as (websocket, peer):
        for visit in (True, False):
            clock.visit(websocket, after=20)
            peer.send(pong(peer.frame().payload))
            # Nobody got a turn, as when the laptop was asleep.
            clock.now += 1000
            if visit:
                clock.visit(websocket)
            else:
                with pytest.raises(TimeoutError):
                    websocket.recv(timeout=0)
            assert websocket.state is State.OPEN
            clock.visit(websocket)


def test_a_peer_that_has_caught_up_while_we_were_held_up_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    message = bytes(1 << 20)
    with pair(clock=clock, write_timeout=20, ping_interval=None) as (websocket, peer):
        websocket.send(message, timeout=0)
        reader = Task(peer.message)
        until(lambda: peer.buffer)
        clock.visit(websocket, after=1000)
        while not reader.done:
            clock.visit(websocket, ready=True)
        assert reader.result() == message
        assert websocket.state is State.OPEN


def test_a_thread_that_receives_keeps_the_connection_alive_by_itself() -> None:
    with pair(ping_interval=0.02, ping_timeout=20) as (websocket, peer):
        receiver = Task(websocket.recv)
        for _ in range(3):
            frame = peer.frame()
            assert frame.opcode is Opcode.PING
            peer.send(pong(frame.payload))
        peer.send(text("a"))
        assert receiver.result() == "a"


def test_a_thread_that_receives_learns_of_1011() -> None:
    with pair(ping_interval=0.01, ping_timeout=0.01) as (websocket, peer):
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1011
        assert peer.frame().opcode is Opcode.PING
        assert peer.close_frame().code == 1011


def test_a_dead_peer_does_not_hold_up_a_send_for_ever() -> None:
    with pair(ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01) as (websocket, _):
        with pytest.raises(ConnectionClosedError):
            websocket.send(bytes(1 << 20))
        assert websocket.close_code == 1006


def test_no_thread_is_started_where_no_connection_is() -> None:
    assert attendant.thread is None
    with pair() as (websocket, peer):
        until(lambda: attendant.thread)
        peer.send(close())
        websocket.wait_closed()
    until(lambda: attendant.thread is None)


def test_one_thread_attends_to_many_connections() -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(pair())[1] for _ in range(50)]
        for peer in peers:
            peer.send(ping(b"?"))
        for peer in peers:
            assert peer.frame() == Frame(Opcode.PONG, b"?")
        thread = attendant.thread
        assert thread is not None


def test_the_attendant_leaves_a_connection_to_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock) as (websocket, peer):
        assert clock.visit(websocket, after=0.1) == READ
        peer.send(text("a"))
        assert websocket.recv() == "a"
        # The socket wakes it as well, but it has nothing to do with what was there.
        assert clock.visit(websocket, ready=True) == 0
        peer.send(text("b"))
        assert clock.visit(websocket, after=0.1) == READ
        clock.visit(websocket, ready=True)
        assert websocket.recv(timeout=0) == "b"
