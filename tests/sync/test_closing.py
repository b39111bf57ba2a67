"""How a connection of threads ends: the closing handshake, faults at their place, truthful codes.

Knows a raw peer at the other end of a socket pair; where a timer matters, time stands still.
"""

from __future__ import annotations

import pytest

from rfc6455 import (
    Close,
    ConnectionClosedError,
    ConnectionClosedOK,
    Role,
    State,
    UsageError,
)
from rfc6455.frames import Opcode
from rfc6455.sync.stream import READ
from tests.helpers import both_roles, peer_frame
from tests.transports.conftest import TLS
from tests.transports.support import BAD_FRAME, binary, close, text

from .support import Clock, Task, echo, pair, repeat, until


@both_roles
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1011, "x" * 123), (4999, "é")])
def test_close_runs_the_closing_handshake(
    role: Role, code: int, reason: str, link: TLS | None
) -> None:
    with pair(role, tls=link) as (websocket, peer):
        assert (websocket.close_code, websocket.close_reason) == (None, "")
        closing = Task(websocket.close, code, reason)
        assert peer.close_frame() == Close(code, reason)
        assert (websocket.close_code, websocket.close_reason) == (None, "")
        peer.send(close(code, reason, role))
        # §7.1.1: the server ends TCP first; the client waits for that.
        if role is Role.SERVER:
            assert peer.rest() == b""
        else:
            peer.sock.close()
        closing.result()
        assert websocket.state is State.CLOSED
        assert (websocket.close_code, websocket.close_reason) == (code, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [*((code, "") for code in (0, 999, 1004, 1006, 1015, 2999, 5000)), (1000, "x" * 124)],
)
def test_codes_and_reasons_that_must_not_travel_are_refused(code: int, reason: str) -> None:
    with pair() as (websocket, peer):
        with pytest.raises(UsageError):
            websocket.close(code, reason)
        websocket.send("it lives")
        assert peer.message() == "it lives"


def test_the_close_code_is_the_peers_not_ours() -> None:
    with pair() as (websocket, peer):
        closing = Task(websocket.close, 4000, "ours")
        peer.close_frame()
        peer.send(close(4001, "theirs"))
        closing.result()
        assert (websocket.close_code, websocket.close_reason) == (4001, "theirs")


def test_many_threads_that_close_send_one_close_frame() -> None:
    with pair() as (websocket, peer):
        tasks = [Task(websocket.close, 4000) for _ in range(8)]
        assert peer.close_frame() == Close(4000)
        peer.send(close(4000))
        for task in tasks:
            task.result()
        websocket.close()
        assert peer.rest() == b""


def test_close_ends_the_wait_of_a_thread_that_receives() -> None:
    with pair() as (websocket, peer):
        receiver = Task(websocket.recv)
        until(lambda: websocket._reads)
        closing = Task(websocket.close)
        peer.close_frame()
        peer.send(close(1000))
        closing.result()
        with pytest.raises(ConnectionClosedOK):
            receiver.result()


def test_abort_ends_every_wait_and_is_1006(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, _):
        receiving, pinging = Task(websocket.recv), Task(websocket.ping)
        until(lambda: websocket._waiting + websocket._at_the_socket == 2)
        closing = Task(websocket.close)
        until(lambda: websocket._waiting + websocket._at_the_socket == 3)
        websocket.abort()
        with pytest.raises(ConnectionClosedError):
            receiving.result()
        with pytest.raises(ConnectionClosedError):
            pinging.result()
        closing.result()
        websocket.wait_closed()
        assert websocket.close_code == 1006
        websocket.abort()


@both_roles
def test_close_drops_tcp_when_the_peer_does_not_answer(role: Role) -> None:
    with pair(role, close_timeout=0.01) as (websocket, peer):
        websocket.close()
        assert websocket.close_code == 1006
        with pytest.raises(ConnectionClosedError):
            websocket.recv()
        peer.close_frame()
        assert peer.rest() == b""


def test_a_thread_that_receives_learns_that_closing_took_too_long() -> None:
    """It waits without a time limit of its own."""
    with pair(close_timeout=0.01, ping_interval=None) as (websocket, peer):
        receiver = Task(websocket.recv)
        until(lambda: websocket._reads)
        websocket.start_close(1001)
        with pytest.raises(ConnectionClosedError):
            receiver.result()
        assert peer.close_frame() == Close(1001)


def test_a_client_drops_tcp_when_the_server_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with pair(Role.CLIENT, clock=clock, close_timeout=5) as (websocket, peer):
        websocket.start_close()
        peer.close_frame()
        peer.send(close(role=Role.CLIENT))
        assert clock.visit(websocket, after=0.1) == READ
        clock.visit(websocket, ready=True)
        assert websocket.state is State.CLOSE_EXCHANGED
        assert not websocket.is_over
        clock.visit(websocket, after=5)
        assert websocket.is_over
        # The closing handshake itself was complete.
        assert websocket.close_code == 1000


def test_as_a_context_manager_it_closes() -> None:
    with pair() as (websocket, peer):
        peer.send(close())
        with websocket as entered:
            assert entered is websocket
        assert peer.close_frame() == Close(1000)


def test_as_a_context_manager_it_says_1011_on_errors() -> None:
    with pair(close_timeout=0.01) as (websocket, peer):
        with pytest.raises(RuntimeError), websocket:
            raise RuntimeError
        assert peer.close_frame() == Close(1011)


# The peer closes


@both_roles
@pytest.mark.parametrize("code", [1000, 1001, 1005, 1011, 4999])
def test_the_peers_close_is_echoed_while_nobody_is_there(role: Role, code: int) -> None:
    with pair(role) as (websocket, peer):
        peer.send(close(code, role=role))
        assert peer.close_frame() == Close(code)
        if role is Role.CLIENT:
            peer.sock.close()
        websocket.wait_closed()
        assert websocket.close_code == code


def test_a_thread_that_only_sends_learns_of_the_end() -> None:
    with pair() as (websocket, peer):
        peer.send(close(4000))
        reading = Task(peer.rest)
        with pytest.raises(ConnectionClosedError) as caught:
            repeat(lambda: websocket.send("x"), 10_000_000)
        reading.result()
        assert caught.value.code == 4000


def test_replies_to_messages_before_the_peers_close_leave_before_the_echo() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b") + close(4000, "done"))
        with pytest.raises(ConnectionClosedError):
            echo(websocket)
        assert [peer.message(), peer.message()] == ["a", "b"]
        assert peer.close_frame() == Close(4000)
        websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4000, "done")


def test_the_echo_waits_for_the_application_no_longer_than_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, close_grace=1) as (websocket, peer):
        peer.send(text("a") + close())
        assert websocket.recv() == "a"
        clock.visit(websocket, after=0.5)
        websocket.send("in time")
        clock.visit(websocket, after=0.5)
        assert peer.message() == "in time"
        assert peer.close_frame() == Close(1000)
        with pytest.raises(ConnectionClosedOK):
            websocket.send("too late")


def test_a_peer_that_ends_its_side_behind_its_close_gets_replies_and_echo() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + close(1000))
        peer.end()
        echo(websocket)
        assert peer.message() == "a"
        assert peer.close_frame() == Close(1000)
        assert peer.rest() == b""
        websocket.wait_closed()
        assert websocket.close_code == 1000


def test_the_peers_end_of_tcp_without_a_close_is_1006(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        peer.send(text("a"))
        peer.sock.close()
        assert websocket.recv() == "a"
        with pytest.raises(ConnectionClosedError):
            websocket.recv()
        assert websocket.close_code == 1006


@both_roles
def test_closes_that_cross(role: Role) -> None:
    with pair(role) as (websocket, peer):
        closing = Task(websocket.close, 4000)
        peer.close_frame()
        peer.send(close(4001, "crossed", role))
        peer.sock.close()
        closing.result()
        assert (websocket.close_code, websocket.close_reason) == (4001, "crossed")


def test_our_close_leaves_behind_what_waits_to_be_written() -> None:
    with pair() as (websocket, peer):
        message = bytes(1 << 20)
        websocket.send(message, timeout=0.01)
        closing = Task(websocket.close, 4000)
        assert peer.message() == message
        assert peer.close_frame() == Close(4000)
        peer.send(close(4000))
        closing.result()
        assert websocket.close_code == 4000


def test_a_wait_for_the_end_can_time_out() -> None:
    with pair() as (websocket, _), pytest.raises(TimeoutError):
        websocket.wait_closed(timeout=0.01)


# Faults

FAULTS = [
    pytest.param(BAD_FRAME, 1002, id="1002"),
    pytest.param(peer_frame(Role.SERVER, Opcode.TEXT, b"\xff"), 1007, id="1007"),
    pytest.param(binary(bytes(1001)), 1009, id="1009"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_a_fault_is_answered_and_our_side_ends(fault: bytes, code: int, link: TLS | None) -> None:
    with pair(tls=link, max_message_size=1000) as (websocket, peer):
        peer.send(fault)
        assert peer.close_frame().code == code
        # §7.1.7, and RFC 1122: our side of TCP ends; what the peer still sends is discarded.
        assert peer.rest() == b""
        peer.sock.close()
        websocket.wait_closed()
        assert websocket.close_code == 1006


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_replies_to_messages_before_a_fault_leave_before_our_close(fault: bytes, code: int) -> None:
    with pair(max_message_size=1000) as (websocket, peer):
        peer.send(text("a") + text("b") + fault)
        with pytest.raises(ConnectionClosedError):
            echo(websocket)
        assert [peer.message(), peer.message()] == ["a", "b"]
        assert peer.close_frame().code == code


def test_a_peer_that_goes_on_after_a_fault_is_dropped() -> None:
    with pair(max_discarded_size=1000) as (websocket, peer):
        peer.send(BAD_FRAME)
        assert peer.close_frame().code == 1002
        with pytest.raises(OSError, match=r"."):
            repeat(lambda: peer.send(bytes(1000)))
        websocket.wait_closed()


def test_a_peer_that_floods_after_our_close_is_dropped(link: TLS | None) -> None:
    with pair(tls=link, max_closing_size=100_000, close_timeout=None) as (websocket, peer):
        websocket.start_close()
        flood = peer_frame(Role.SERVER, Opcode.BINARY, bytes(1000))
        with pytest.raises(OSError, match=r"."):
            repeat(lambda: peer.send(flood))
        websocket.wait_closed()
        assert websocket.close_code == 1006
