"""Receiving in threads: order, timeouts, several threads, and the bounded queue.

Knows a raw peer at the other end of a socket pair, plain and over TLS.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from rfc6455 import (
    Close,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    PermessageDeflate,
    Role,
    State,
    UsageError,
)
from rfc6455.frames import Opcode
from rfc6455.sync.stream import Stream
from tests.helpers import both_roles, peer_frame
from tests.transports.conftest import TLS
from tests.transports.support import BAD_FRAME, binary, close, ping, pong, text

from .support import Clock, Task, pair, repeat, until


@both_roles
def test_text_is_str_and_binary_is_bytes(role: Role, link: TLS | None) -> None:
    with pair(role, tls=link) as (websocket, peer):
        peer.send(text("né", role) + binary(b"\x00\xff", role))
        assert websocket.recv() == "né"
        assert websocket.recv() == b"\x00\xff"


def test_recv_waits_for_a_message(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        receiver = Task(websocket.recv)
        for octet in text("Hello"):
            assert not receiver.done
            peer.send(bytes([octet]))
        assert receiver.result() == "Hello"


def test_a_message_larger_than_any_read(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        message = bytes(range(256)) * 4096
        sender = Task(peer.send, binary(message))
        assert websocket.recv() == message
        sender.result()


def test_long_reads_of_several_connections_keep_apart() -> None:
    with pair() as (first, one), pair() as (second, other):
        received: list[tuple[str | bytes, bytes]] = []
        for turn in range(6):
            for websocket, peer in ((first, one), (second, other)):
                message = bytes([turn, len(received)]) * 40_000
                sender = Task(peer.send, binary(message))
                received.append((websocket.recv(), message))
                sender.result()
        assert all(found == expected for found, expected in received)


def test_fragments_are_one_message_with_control_frames_between_them() -> None:
    with pair() as (websocket, peer):
        peer.send(peer_frame(Role.SERVER, Opcode.TEXT, b"Hel", fin=False))
        peer.send(ping(b"?"))
        peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, b"lo"))
        assert websocket.recv() == "Hello"
        frame = peer.frame()
        assert (frame.opcode, frame.payload) == (Opcode.PONG, b"?")


@pytest.mark.parametrize("code", [1000, 1001, 1005])
def test_iteration_ends_with_a_normal_closure(code: int) -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b") + close(code))
        assert list(websocket) == ["a", "b"]
        websocket.wait_closed()
        assert websocket.close_code == code


@pytest.mark.parametrize(("data", "code"), [(close(4000), 4000), (BAD_FRAME, 1006)])
def test_iteration_raises_when_it_ends_otherwise(data: bytes, code: int) -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + data)
        assert next(websocket) == "a"
        with pytest.raises(ConnectionClosedError) as caught:
            next(websocket)
        assert caught.value.code == code


def test_what_arrived_before_the_end_is_received_first() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b"))
        peer.sock.close()
        assert [websocket.recv(), websocket.recv()] == ["a", "b"]
        for _ in range(2):
            with pytest.raises(ConnectionClosedError) as caught:
                websocket.recv()
            assert (caught.value.code, caught.value.reason) == (1006, "")


def test_what_arrived_before_close_can_still_be_received_after_it() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b"))
        assert websocket.recv() == "a"
        closer = Task(websocket.close)
        assert peer.close_frame() == Close(1000)
        peer.send(text("after the Close") + close(1000))
        closer.result()
        assert websocket.recv() == "b"
        with pytest.raises(ConnectionClosedOK):
            websocket.recv()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, ConnectionClosedOK),
        (1001, ConnectionClosedOK),
        (1005, ConnectionClosedOK),
        (1002, ConnectionClosedError),
        (1011, ConnectionClosedError),
        (4999, ConnectionClosedError),
    ],
)
def test_recv_raises_the_kind_of_the_closure(code: int, kind: type[ConnectionClosed]) -> None:
    with pair() as (websocket, peer):
        receiver = Task(websocket.recv)
        reason = "" if code == 1005 else "bye"
        peer.send(close(code, reason))
        with pytest.raises(ConnectionClosed) as caught:
            receiver.result()
        assert type(caught.value) is kind
        assert (caught.value.code, caught.value.reason) == (code, reason)
        assert caught.value.sent == Close(code)


def test_recv_tells_of_the_fault_that_ended_the_connection() -> None:
    with pair() as (websocket, peer):
        peer.send(BAD_FRAME)
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv()
        assert caught.value.code == 1006
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1002
        assert "opcode" in str(caught.value.__cause__)
        assert peer.close_frame().code == 1002


def test_reads_are_as_long_as_what_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours)
        sizes = []
        for size in (150_000, 1, 1):
            theirs.sendall(bytes(size))
            while data := stream.recv():
                sizes.append(len(data))
        assert sizes == [65_536, 150_000 - 65_536, 1, 1]


# Timeouts


def test_a_recv_that_times_out_loses_nothing(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        message = text("kept")
        peer.send(message[:5])
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0.001)
        peer.send(message[5:])
        assert websocket.recv() == "kept"


def test_a_timeout_of_zero_takes_what_has_arrived(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0)
        peer.send(text("a") + text("b"))
        assert [websocket.recv(timeout=0), websocket.recv(timeout=0)] == ["a", "b"]
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0)


def test_timeouts_that_race_with_arrivals_lose_no_message() -> None:
    with pair() as (websocket, peer):
        count = 300
        sender = Task(peer.send, b"".join(text(str(number)) for number in range(count)))
        received: list[str | bytes] = []
        while len(received) < count:
            with contextlib.suppress(TimeoutError):
                received.append(websocket.recv(timeout=1e-5))
        assert received == [str(number) for number in range(count)]
        sender.result()


# Several threads


def test_a_second_recv_is_refused_and_names_the_thread_of_the_first() -> None:
    with pair() as (websocket, peer):
        first = Task(websocket.recv, name="the reader")
        until(lambda: websocket._receiver)
        with pytest.raises(UsageError, match="the reader"):
            websocket.recv()
        peer.send(text("for the first"))
        assert first.result() == "for the first"


def test_another_thread_may_receive_once_the_first_is_done() -> None:
    with pair() as (websocket, peer):
        with pytest.raises(TimeoutError):
            Task(websocket.recv, 0.001).result()
        second = Task(websocket.recv)
        peer.send(text("for the second"))
        assert second.result() == "for the second"


def test_ctrl_c_ends_a_wait_and_leaves_the_connection_as_it_was(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):

        def interrupt(waits: Callable[[], object]) -> None:
            until(waits)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        # At the socket, and behind another thread that is there.
        interrupting = Task(
            interrupt, lambda: websocket._at_the_socket and not websocket._lock.locked()
        )
        with pytest.raises(KeyboardInterrupt):
            websocket.recv()
        interrupting.result()
        pinging = Task(websocket.ping, b"?")
        until(lambda: websocket._at_the_socket)
        interrupting = Task(interrupt, lambda: websocket._waiting and not websocket._lock.locked())
        with pytest.raises(KeyboardInterrupt):
            websocket.recv()
        interrupting.result()
        assert peer.frame().payload == b"?"
        peer.send(pong(b"?") + text("a"))
        assert pinging.result() >= 0
        assert websocket.recv() == "a"
        websocket.send("b")
        assert peer.message() == "b"


# The queue


def test_reading_pauses_at_the_limit_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, max_queued_messages=3) as (websocket, peer):
        for number in range(10):
            peer.send(text(str(number)))
        # One read brings them all; the queue is over its limit at most by a read.
        assert websocket.recv() == "0"
        peer.send(text("10"))
        assert clock.visit(websocket, after=0.1) == 0
        assert clock.visit(websocket, after=0.1) == 0
        assert [websocket.recv() for _ in range(10)] == [str(n) for n in range(1, 11)]
        clock.visit(websocket, after=0.1)
        assert clock.visit(websocket, after=0.1) != 0


def test_reading_pauses_at_the_limit_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock, max_queued_messages=None, max_queued_size=1000) as (websocket, peer):
        peer.send(binary(bytes(900)))
        assert clock.visit(websocket) != 0
        clock.visit(websocket, ready=True)
        peer.send(binary(bytes(100)))
        assert clock.visit(websocket, ready=True) == 0
        assert [len(websocket.recv()) for _ in range(2)] == [900, 100]


def test_the_peer_is_held_up_while_the_application_does_not_receive(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        peer.sock.settimeout(0.3)
        # Far more than the queue, the read and the buffers of the system.
        with pytest.raises(TimeoutError):
            repeat(lambda: peer.send(binary(bytes(50_000))))
        assert websocket.state is State.OPEN


def test_compressed_messages_do_not_fill_the_queue_many_times_over() -> None:
    _, extension = PermessageDeflate(threshold=0).accept([]) or pytest.fail("not accepted")
    _, theirs = PermessageDeflate(threshold=0).accept([]) or pytest.fail("not accepted")
    with pair(extensions=(extension,), max_queued_size=1 << 20) as (websocket, peer):
        message = bytes(1 << 20)
        payload = theirs.encode(message, final=True)
        frame = peer_frame(Role.SERVER, Opcode.BINARY, payload, rsv=theirs.rsv)
        sender = Task(repeat, lambda: peer.send(frame), 20)
        for _ in range(20):
            assert websocket.recv() == message
            assert sum(len(e) for e in websocket._inbox if isinstance(e, bytes)) <= 5 << 20
        sender.result()


def test_closing_reads_on_although_the_queue_is_full() -> None:
    with pair(max_queued_messages=2) as (websocket, peer):
        peer.send(text("a") + text("b") + text("c"))
        assert websocket.recv() == "a"
        peer.send(text("d"))
        closer = Task(websocket.close)
        assert peer.close_frame() == Close(1000)
        peer.send(close(1000))
        closer.result()
        assert websocket.close_code == 1000
        assert list(websocket) == ["b", "c"]


def test_the_largest_message_can_change() -> None:
    with pair(max_message_size=5) as (websocket, peer):
        websocket.set_max_message_size(10)
        peer.send(text("x" * 10))
        assert websocket.recv() == "x" * 10


def test_repr_tells_state_and_peer() -> None:
    with pair() as (websocket, _):
        assert repr(websocket) == f"<WebSocket open {websocket.remote_address}>"
        assert (websocket.local_address, websocket.subprotocol) == ("", None)
    assert repr(websocket).startswith("<WebSocket closed")
