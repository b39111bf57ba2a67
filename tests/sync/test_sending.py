"""Sending in threads: whole messages, fragments, back-pressure, timeouts, Pings and Pongs.

Knows a raw peer at the other end of a socket pair, plain and over TLS.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rfc6455 import (
    Close,
    ConnectionClosed,
    ConnectionClosedError,
    PermessageDeflate,
    PreparedMessage,
    Role,
    State,
    UsageError,
)
from rfc6455.frames import Frame, Opcode
from tests.helpers import both_roles
from tests.transports.conftest import TLS
from tests.transports.support import close, ping, pong, text

from .support import Clock, Task, pair, repeat, until

BIG = bytes(range(256)) * 8192
"""More than the buffers of a socket pair hold."""


@both_roles
@pytest.mark.parametrize(
    ("message", "opcode", "payload"),
    [
        ("né", Opcode.TEXT, "né".encode()),
        (b"\xff", Opcode.BINARY, b"\xff"),
        (bytearray(b"ab"), Opcode.BINARY, b"ab"),
        (memoryview(b"abcd")[::2], Opcode.BINARY, b"ac"),
        ("", Opcode.TEXT, b""),
    ],
)
def test_a_message_is_one_frame(role: Role, message: Any, opcode: Opcode, payload: bytes) -> None:
    with pair(role) as (websocket, peer):
        websocket.send(message)
        assert peer.frame() == Frame(opcode, payload)


def test_a_large_message_leaves_whole_while_the_peer_reads_slowly(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        sender = Task(websocket.send, BIG)
        assert peer.message() == BIG
        sender.result()


@pytest.mark.parametrize("message", [None, 1, object(), {"a": 1}, [1], ["a", 1]])
def test_what_is_no_message_is_refused(message: Any) -> None:
    with pair() as (websocket, peer):
        with pytest.raises(TypeError):
            websocket.send(message)
        if message == ["a", 1]:
            # It had begun.
            assert peer.frame() == Frame(Opcode.TEXT, b"a", fin=False)
            assert peer.close_frame() == Close(1011)
        else:
            websocket.send("it lives")
            assert peer.message() == "it lives"


def test_text_that_is_no_unicode_is_refused() -> None:
    with pair() as (websocket, peer):
        with pytest.raises(UsageError, match="surrogates"):
            websocket.send("\ud800")
        websocket.send("it lives")
        assert peer.message() == "it lives"


def test_compression_can_be_chosen_for_each_message() -> None:
    _, extension = PermessageDeflate(threshold=100).accept([]) or pytest.fail("not accepted")
    with pair(extensions=(extension,)) as (websocket, peer):
        websocket.send("x" * 200)
        websocket.send("x" * 200, compress=False)
        websocket.send("x", compress=True)
        assert [peer.frame().rsv for _ in range(3)] == [extension.rsv, 0, extension.rsv]


# Fragments


def test_fragments_leave_as_they_are_made(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):

        def fragments() -> Iterator[str]:
            for fragment in ("Hel", "", "lo"):
                yield fragment
                # It has left before the next one is asked for.
                assert peer.frame() in (
                    Frame(Opcode.TEXT, fragment.encode(), fin=False),
                    Frame(Opcode.CONTINUATION, fragment.encode(), fin=False),
                )

        websocket.send(fragments())
        assert peer.frame() == Frame(Opcode.CONTINUATION, b"")


def test_an_iterable_of_bytes_is_a_binary_message() -> None:
    with pair() as (websocket, peer):
        websocket.send([b"a", bytearray(b"b")])
        assert [peer.frame().opcode for _ in range(3)] == [
            Opcode.BINARY,
            Opcode.CONTINUATION,
            Opcode.CONTINUATION,
        ]


def test_an_iterable_that_is_empty_sends_nothing() -> None:
    with pair() as (websocket, peer):
        websocket.send([])
        websocket.send("next")
        assert peer.message() == "next"


def test_an_iterable_that_fails_at_once_sends_nothing() -> None:
    with pair() as (websocket, peer):

        def fragments() -> Iterator[str]:
            raise RuntimeError("application")
            yield ""

        with pytest.raises(RuntimeError, match="application"):
            websocket.send(fragments())
        websocket.send("it lives")
        assert peer.message() == "it lives"


def test_an_iterable_that_fails_in_the_middle_closes_with_1011() -> None:
    with pair() as (websocket, peer):

        def fragments() -> Iterator[str]:
            yield "a"
            raise RuntimeError("application")

        with pytest.raises(RuntimeError, match="application"):
            websocket.send(fragments())
        assert peer.frame() == Frame(Opcode.TEXT, b"a", fin=False)
        assert peer.close_frame() == Close(1011)
        with pytest.raises(ConnectionClosed):
            websocket.send("x")


def test_nothing_comes_between_fragments_but_control_frames() -> None:
    with pair() as (websocket, peer):
        begun, go_on = threading.Event(), threading.Event()

        def fragments() -> Iterator[str]:
            yield "a"
            begun.set()
            go_on.wait(60)
            yield "b"

        first = Task(websocket.send, fragments())
        begun.wait(60)
        others = [Task(websocket.send, str(number)) for number in range(3)]
        until(lambda: len(websocket._turns) == 3)
        with pytest.raises(TimeoutError):
            websocket.send("too late", timeout=0.01)
        pinging = Task(websocket.ping, b"?")
        assert peer.frame() == Frame(Opcode.TEXT, b"a", fin=False)
        assert peer.frame() == Frame(Opcode.PING, b"?")
        peer.send(pong(b"?"))
        pinging.result()
        go_on.set()
        first.result()
        for other in others:
            other.result()
        assert [peer.frame().payload for _ in range(2)] == [b"b", b""]
        assert sorted(str(peer.message()) for _ in range(3)) == ["0", "1", "2"]


def test_a_message_inside_a_message_of_the_same_thread_is_refused() -> None:
    with pair() as (websocket, peer):

        def fragments() -> Iterator[str]:
            yield "a"
            with pytest.raises(UsageError):
                websocket.send("inside")
            yield "b"

        websocket.send(fragments())
        assert [peer.frame().payload for _ in range(3)] == [b"a", b"b", b""]


# Back-pressure


def blocked(websocket: Any, message: Any = BIG) -> Task[None]:
    """Sends more than the peer takes."""
    sender = Task(websocket.send, message)
    until(lambda: websocket._unsent is not None and websocket._writes)
    return sender


def test_send_waits_for_a_slow_peer(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        sender = blocked(websocket)
        others = [Task(websocket.send, str(number)) for number in range(5)]
        until(lambda: len(websocket._turns) == 5)
        assert not sender.done
        assert peer.message() == BIG
        sender.result()
        for other in others:
            other.result()
        assert sorted(str(peer.message()) for _ in range(5)) == list("01234")


def test_a_send_whose_turn_does_not_come_in_time_sends_nothing(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        sender = blocked(websocket)
        with pytest.raises(TimeoutError):
            websocket.send("too late", timeout=0.01)
        reader = Task(peer.message)
        websocket.send("next")
        assert reader.result() == BIG
        sender.result()
        assert peer.message() == "next"


def test_a_send_that_has_begun_is_finished_after_its_time(link: TLS | None) -> None:
    """By whoever comes, or by the attendant: here by that alone."""
    with pair(tls=link) as (websocket, peer):
        websocket.send(BIG, timeout=0.01)
        assert peer.message() == BIG


def test_fragments_that_cannot_be_written_in_time_close_with_1011() -> None:
    with pair() as (websocket, peer):
        with pytest.raises(TimeoutError):
            websocket.send([BIG, "never"], timeout=0.01)
        assert peer.frame() == Frame(Opcode.BINARY, BIG, fin=False)
        assert peer.close_frame() == Close(1011)


def test_messages_are_received_while_send_waits(link: TLS | None) -> None:
    """Two peers that both send without receiving do not wait for each other for ever."""
    with pair(tls=link) as (websocket, peer):
        sender = blocked(websocket)
        receiver = Task(lambda: [websocket.recv() for _ in range(200)])
        for number in range(200):
            peer.send(text(str(number) + " " * 500))
        assert receiver.result()[-1] == "199" + " " * 500
        assert not sender.done
        assert peer.message() == BIG
        sender.result()


def test_pings_cost_no_memory_while_writing_is_held_up() -> None:
    with pair() as (websocket, peer):
        sender = blocked(websocket)
        peer.send(ping(b"0"))
        until(lambda: websocket._core._outbox)
        for number in range(1, 1000):
            peer.send(ping(b"%d" % number))
        until(lambda: websocket._core._pending_pong == b"999")
        assert peer.message() == BIG
        sender.result()
        assert peer.frame().payload == b"0"
        assert peer.frame().payload == b"999"


def test_the_end_of_the_connection_ends_the_wait() -> None:
    with pair() as (websocket, _):
        sender = blocked(websocket)
        others = [Task(websocket.send, str(number)) for number in range(3)]
        until(lambda: len(websocket._turns) == 3)
        websocket.abort()
        for task in (sender, *others):
            with pytest.raises(ConnectionClosedError):
                task.result()


def test_a_peer_that_resets_ends_the_wait() -> None:
    with pair() as (websocket, peer):
        sender = blocked(websocket)
        peer.reset()
        with pytest.raises(ConnectionClosedError):
            sender.result()
        assert websocket.close_code == 1006


# Batches


def test_replies_to_one_read_leave_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with pair() as (websocket, peer):
        writes: list[int] = []
        write = websocket._write

        def counting(data: bytes | memoryview) -> None:
            writes.append(len(data))
            write(data)

        monkeypatch.setattr(websocket, "_write", counting)
        peer.send(text("a") + text("b") + text("c"))
        for _ in range(3):
            websocket.send(websocket.recv())
        assert [peer.message() for _ in range(3)] == ["a", "b", "c"]
        # One of them may have been written because the application took a millisecond.
        assert len(writes) <= 2


def test_a_reply_does_not_wait_for_the_next_one_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pair(clock=clock) as (websocket, peer):
        peer.send(text("a") + text("b"))
        websocket.send(websocket.recv())
        assert websocket._collected
        clock.visit(websocket, after=0.001)
        assert peer.message() == "a"


def test_another_threads_message_takes_collected_replies_along() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b"))
        websocket.send(websocket.recv())
        Task(websocket.send, "other").result()
        assert [peer.message() for _ in range(2)] == ["a", "other"]


def test_waiting_for_the_next_message_writes_what_was_collected() -> None:
    with pair() as (websocket, peer):
        peer.send(text("a") + text("b"))
        websocket.send(websocket.recv())
        assert websocket.recv() == "b"
        receiver = Task(websocket.recv)
        assert peer.message() == "a"
        peer.send(text("c"))
        assert receiver.result() == "c"


# Ping and Pong


def test_ping_returns_the_time_that_the_pong_took(link: TLS | None) -> None:
    with pair(tls=link) as (websocket, peer):
        pinging = Task(websocket.ping)
        frame = peer.frame()
        assert frame.opcode is Opcode.PING
        assert len(frame.payload) == 4
        peer.send(pong(frame.payload))
        assert pinging.result() >= 0


def test_a_pong_answers_the_pings_before_it() -> None:
    with pair() as (websocket, peer):
        tasks = []
        for payload in (b"a", b"b", b"c"):
            tasks.append(Task(websocket.ping, payload))
            assert peer.frame().payload == payload
        with pytest.raises(UsageError, match="under way"):
            websocket.ping(b"a")
        peer.send(pong(b"unasked") + pong(b"b"))
        tasks[0].result()
        tasks[1].result()
        assert not tasks[2].done
        peer.send(pong(b"c"))
        tasks[2].result()


def test_a_pong_reaches_its_ping_while_another_thread_receives() -> None:
    with pair() as (websocket, peer):
        receiver = Task(websocket.recv)
        until(lambda: websocket._reads)
        pinging = Task(websocket.ping, b"?")
        assert peer.frame().payload == b"?"
        peer.send(pong(b"?"))
        pinging.result()
        peer.send(text("a"))
        assert receiver.result() == "a"


def test_who_reads_for_others_hands_over() -> None:
    """The thread that waits for a Pong reads; when it leaves, the one that receives goes on."""
    with pair() as (websocket, peer):
        pinging = Task(websocket.ping, b"?")
        until(lambda: websocket._reads)
        receiver = Task(websocket.recv)
        until(lambda: websocket._waiting)
        peer.send(pong(b"?"))
        pinging.result()
        peer.send(text("a"))
        assert receiver.result() == "a"


def test_a_ping_without_a_pong_times_out() -> None:
    with pair() as (websocket, peer):
        with pytest.raises(TimeoutError):
            websocket.ping(b"?", timeout=0.01)
        again = Task(websocket.ping, b"?")
        assert [peer.frame().payload for _ in range(2)] == [b"?", b"?"]
        peer.send(pong(b"?"))
        again.result()


def test_a_ping_that_waits_at_the_end_raises() -> None:
    with pair() as (websocket, peer):
        pinging = Task(websocket.ping)
        peer.frame()
        peer.send(close(4321, "enough"))
        peer.sock.close()
        with pytest.raises(ConnectionClosedError) as caught:
            pinging.result()
        assert caught.value.code == 4321


@pytest.mark.parametrize("payload", [b"x" * 126])
def test_a_ping_that_is_too_long_is_refused(payload: bytes) -> None:
    with pair() as (websocket, peer):
        with pytest.raises(UsageError):
            websocket.ping(payload)
        websocket.send("it lives")
        assert peer.message() == "it lives"


# Sending after the end


def test_sending_after_the_end_raises_how_it_ended() -> None:
    with pair() as (websocket, peer):
        peer.send(close(4321, "enough"))
        websocket.wait_closed()
        for attempt in (lambda: websocket.send("x"), websocket.ping, lambda: websocket.send(["x"])):
            with pytest.raises(ConnectionClosedError) as caught:
                attempt()
            assert (caught.value.code, caught.value.reason) == (4321, "enough")
        assert websocket.state is State.CLOSED


def test_a_send_to_a_peer_that_has_gone_tells_why_it_went() -> None:
    """Its Close is still there to read although nothing can be written."""
    with pair() as (websocket, peer):
        peer.send(close(4321, "enough"))
        peer.sock.close()
        with pytest.raises(ConnectionClosedError) as caught:
            repeat(lambda: websocket.send("x"), 10)
        assert caught.value.code == 4321


def test_a_peer_that_takes_nothing_is_dropped() -> None:
    """Although it answers Pings, as far as anybody can tell: none can be written."""
    with pair(write_timeout=0.01, ping_interval=None) as (websocket, _):
        with pytest.raises(ConnectionClosedError):
            websocket.send(BIG)
        assert websocket.close_code == 1006


def test_a_prepared_message_is_sent_to_many() -> None:
    message = PreparedMessage("to all")
    with pair() as (first, one), pair(Role.CLIENT) as (second, two):
        first.send(message)
        second.send(message)
        assert (one.message(), two.message()) == ("to all", "to all")
