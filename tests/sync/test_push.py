"""`push` and `broadcast` in threads: peers that read too slowly keep nobody waiting.

Knows a raw peer at the other end of a socket pair, which reads only when it is told to. No thread
of the application is there while it does: what waits leaves by itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from rfc6455 import Close, ConnectionClosed, Overflow, PreparedMessage, Role, State, UsageError
from rfc6455.sync import WebSocket, broadcast
from tests.helpers import RecordingObserver, both_roles
from tests.transports.conftest import TLS
from tests.transports.support import close, text

from .support import Clock, Peer, Task, pair, until

BIG = bytes(range(256)) * 8192
"""More than the buffers of a socket pair hold."""


@contextmanager
def congested(**options: Any) -> Iterator[tuple[WebSocket, Peer]]:
    """A connection whose peer does not read; nothing but pushed messages can follow."""
    # However long a busy machine takes to read all of it.
    with pair(write_timeout=None, close_timeout=None, **options) as (websocket, peer):
        assert websocket.push(BIG)
        assert websocket.unsent_size > websocket._high_water
        yield websocket, peer


@both_roles
def test_pushed_messages_leave_at_once(role: Role) -> None:
    with pair(role) as (websocket, peer):
        assert websocket.push("a")
        assert websocket.push(b"b")
        assert websocket.push(PreparedMessage("c"))
        assert [peer.message() for _ in range(3)] == ["a", b"b", "c"]
        assert websocket.unsent_size == 0


def test_pushed_messages_wait_in_order_and_before_later_ones(link: TLS | None) -> None:
    with congested(tls=link) as (websocket, peer):
        assert websocket.push("a")
        sender = Task(websocket.send, "c")
        until(lambda: websocket._turns)
        assert websocket.push("b", compress=False)
        assert [peer.message() for _ in range(4)] == [BIG, "a", "b", "c"]
        sender.result()
        assert websocket.push("d")
        assert peer.message() == "d"


def test_what_waits_goes_out_as_the_peer_takes_it(link: TLS | None) -> None:
    messages = [bytes([number]) * 70_000 for number in range(10)]
    with congested(tls=link) as (websocket, peer):
        for message in messages:
            assert websocket.push(message)
        assert peer.message() == BIG
        for message in messages:
            assert peer.message() == message
        until(lambda: websocket.unsent_size == 0)


def test_what_waits_goes_out_while_a_thread_receives() -> None:
    with congested() as (websocket, peer):
        receiver = Task(websocket.recv)
        until(lambda: websocket._reads)
        websocket.push("a")
        assert [peer.message() for _ in range(2)] == [BIG, "a"]
        peer.send(text("b"))
        assert receiver.result() == "b"


def test_a_full_queue_disconnects() -> None:
    with congested(max_unsent_size=10) as (websocket, peer):
        assert websocket.push(bytes(10))
        assert not websocket.push(b"a")
        assert websocket.state is State.CLOSE_SENT
        with pytest.raises(ConnectionClosed):
            websocket.push("b")
        # What was pushed before is sent before.
        assert [peer.message() for _ in range(2)] == [BIG, bytes(10)]
        assert peer.close_frame() == Close(1008, "reads too slowly")


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [(Overflow.DROP_OLDEST, ["cc", "dd"]), (Overflow.DROP_NEWEST, ["aa", "bb"])],
)
def test_a_full_queue_drops(overflow: Overflow, kept: list[str]) -> None:
    with congested(max_unsent_size=5) as (websocket, peer):
        sent = [websocket.push(message, overflow=overflow) for message in ("aa", "bb", "cc", "dd")]
        assert sent == [True, True, *[overflow is Overflow.DROP_OLDEST] * 2]
        assert websocket.dropped == 2
        assert [peer.message() for _ in range(3)] == [BIG, *kept]
        assert websocket.state is State.OPEN


def test_the_latest_of_a_key_takes_the_place_of_the_one_before() -> None:
    with congested(max_unsent_size=10) as (websocket, peer):
        for message, key in (("a1", "a"), ("b1", "b"), ("x", None), ("a2", "a"), ("a3", "a")):
            assert websocket.push(message, key=key)
        assert [peer.message() for _ in range(4)] == [BIG, "a3", "b1", "x"]
        assert websocket.dropped == 0


def test_what_was_pushed_before_a_close_is_sent_before_it() -> None:
    with congested() as (websocket, peer):
        websocket.push("a")
        websocket.start_close(4000, "enough")
        assert [peer.message() for _ in range(2)] == [BIG, "a"]
        assert peer.close_frame() == Close(4000, "enough")
        peer.send(close())
        websocket.wait_closed()


def test_what_waits_when_the_peer_has_closed_is_given_up() -> None:
    with congested() as (websocket, peer):
        websocket.push("a")
        peer.send(close())
        with pytest.raises(ConnectionClosed):
            websocket.recv()
        assert websocket.state is State.CLOSE_EXCHANGED
        assert peer.message() == BIG
        assert peer.close_frame() == Close(1000)


def test_what_waits_when_tcp_ends_is_forgotten() -> None:
    with congested() as (websocket, _):
        websocket.push("a")
        websocket.abort()
        assert websocket.unsent_size == 0
        with pytest.raises(ConnectionClosed):
            websocket.push("b")


def test_not_any_number_of_messages_without_content_waits() -> None:
    with pair(max_unsent_messages=10, write_timeout=None) as (websocket, _):
        # Less waits than `send` would wait for.
        while not websocket.unsent_size:
            websocket.push(bytes(5_000))
        pushed = 0
        while websocket.push("", overflow=Overflow.DROP_NEWEST):
            pushed += 1
        assert pushed < 10_000
        assert websocket.dropped == 1


@pytest.mark.parametrize("message", [1, None, ["a"]], ids=str)
def test_what_cannot_be_pushed_is_refused_at_once(message: Any) -> None:
    for connection in (pair(), congested()):
        with connection as (websocket, _):
            with pytest.raises(TypeError):
                websocket.push(message)
            with pytest.raises(UsageError):
                websocket.push("\ud800")


def test_pushed_messages_wait_for_the_end_of_one_in_fragments() -> None:
    with pair() as (websocket, peer):
        begun, go_on = threading.Event(), threading.Event()

        def fragments() -> Iterator[str]:
            yield "a"
            begun.set()
            assert go_on.wait(60)
            yield "b"

        sender = Task(websocket.send, fragments())
        assert begun.wait(60)
        assert websocket.push("c")
        # A thread may push in the middle of its own message, too.
        assert websocket.unsent_size == 1
        go_on.set()
        assert [peer.frame().payload for _ in range(4)] == [b"a", b"b", b"", b"c"]
        sender.result()


def test_replies_that_are_pushed_leave_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    observer = RecordingObserver()
    with pair(clock=clock, observer=observer) as (websocket, peer):
        peer.send(text("a") + text("b") + text("c"))
        for _ in range(3):
            websocket.push(websocket.recv())
        assert [peer.message() for _ in range(3)] == ["a", "b", "c"]
        assert [seen for seen in observer.seen if seen[0] == "sent"] == [("sent", 9, 3)]


def test_who_leaves_the_writing_to_nobody_asks_for_the_attendant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with congested(clock=clock) as (websocket, peer):
        assert clock.asked[-1] == clock.now
        clock.visit(websocket)
        clock.asked.clear()
        with pytest.raises(TimeoutError):
            websocket.send("in vain", timeout=0)
        assert clock.asked == [clock.now]
        while websocket.unsent_size:
            peer.sock.recv(65536)
            clock.visit(websocket, ready=True)


def test_threads_that_push_and_send_keep_their_order() -> None:
    """Every message arrives once, whole, and those of one thread in their order."""
    threads, count = 6, 150
    sys.setswitchinterval(1e-5)
    try:
        with pair(max_unsent_size=2**30) as (websocket, peer):

            def send_all(sender: int) -> None:
                for number in range(count):
                    message = f"{sender} {number} " + "x" * (7_000 * (number % 3))
                    if (sender + number) % 2:
                        websocket.push(message)
                    else:
                        websocket.send(message)

            senders = [Task(send_all, sender) for sender in range(threads)]
            arrived: dict[int, list[int]] = {sender: [] for sender in range(threads)}
            for _ in range(threads * count):
                sender, number, rest = str(peer.message()).split(" ")
                assert len(rest) == 7_000 * (int(number) % 3)
                arrived[int(sender)].append(int(number))
            for sender_ in senders:
                sender_.result()
    finally:
        sys.setswitchinterval(0.005)
    assert arrived == {sender: list(range(count)) for sender in range(threads)}


# Broadcast


def test_broadcast_reaches_all_that_can_be_reached() -> None:
    with ExitStack() as stack:
        plain = [stack.enter_context(pair()) for _ in range(3)]
        client = stack.enter_context(pair(Role.CLIENT))
        slow = stack.enter_context(congested(max_unsent_size=3))
        closing, gone = (stack.enter_context(pair()) for _ in range(2))
        closing[0].start_close()
        gone[0].abort()
        receivers = [websocket for websocket, _ in (*plain, client, slow, closing, gone)]
        assert broadcast(receivers, "abc") == [closing[0], gone[0]]
        assert broadcast(receivers, "def") == [slow[0], closing[0], gone[0]]
        for _, peer in (*plain, client):
            assert [peer.message() for _ in range(2)] == ["abc", "def"]
        assert [slow[1].message() for _ in range(2)] == [BIG, "abc"]
        assert slow[0].state is State.OPEN


def test_broadcast_by_key_keeps_the_latest_for_the_slow() -> None:
    with pair() as (fast, peer), congested() as (slow, slow_peer):
        for price in ("1", "2", "3"):
            assert broadcast([fast, slow], price, key="price") == []
        assert [peer.message() for _ in range(3)] == ["1", "2", "3"]
        assert [slow_peer.message() for _ in range(2)] == [BIG, "3"]


def test_broadcast_refuses_before_it_sends() -> None:
    with pair() as (websocket, peer):
        with pytest.raises(TypeError):
            broadcast([websocket], ["a"])  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            broadcast([websocket], "\ud800")
        websocket.send("it lives")
        assert peer.message() == "it lives"
