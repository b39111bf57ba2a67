"""Callbacks in threads: what a `Listener` is told, in which thread, and what holds it up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rfc6455 import Close, Connection, ConnectionClosed, Limits, MemoryBudget, Role, Route, Router
from rfc6455.sync import CallbackWebSocket, Listener, connect, connect_listener
from rfc6455.sync.stream import Stream
from tests.helpers import RecordingObserver
from tests.transports.conftest import TLS
from tests.transports.support import BAD_FRAME, REQUEST, close, text

from .support import PATIENCE, Clock, Peer, Task, echo, pair, serving, sockets, until, uri

BIG = bytes(range(256)) * 8192
"""More than the buffers of a socket pair hold."""


class Recorder(Listener):
    """Notes what it is told, and echoes messages."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.threads: set[threading.Thread] = set()

    def note(self, what: Any) -> None:
        self.told.append(what)
        self.threads.add(threading.current_thread())

    def on_open(self, websocket: CallbackWebSocket) -> None:
        self.note("open")

    def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
        self.note(message)
        websocket.push(message)

    def on_close(self, websocket: CallbackWebSocket) -> None:
        self.note((websocket.close_code, websocket.close_reason))


@contextmanager
def listening(
    listener: Listener,
    *,
    tls: TLS | None = None,
    errors: list[str] | None = None,
    **limits: Any,
) -> Iterator[tuple[CallbackWebSocket, Peer, Task[None]]]:
    """An open connection, its peer, and the thread that calls the listener."""
    ours, theirs = sockets(tls)
    websocket = CallbackWebSocket(
        Connection(Role.SERVER, limits=Limits(ping_interval=None, **limits)),
        Stream(ours),
        listener,
        on_error=([] if errors is None else errors).append,
        budget=MemoryBudget(),
    )
    with Peer(theirs) as peer:
        reading = Task(websocket.run)
        try:
            yield websocket, peer, reading
        finally:
            websocket.abort()
            reading.result()


def test_what_a_listener_is_told(link: TLS | None) -> None:
    listener = Recorder()
    with listening(listener, tls=link) as (_, peer, reading):
        peer.send(text("a") + text("b"))
        assert [peer.message() for _ in range(2)] == ["a", "b"]
        peer.send(text("c") + close(4000, "bye"))
        assert peer.message() == "c"
        assert peer.close_frame() == Close(4000)
        reading.result()
    assert listener.told == ["open", "a", "b", "c", (4000, "bye")]
    # The thread that reads, and no other.
    assert listener.threads == {reading.thread}


def test_a_fault_of_the_peers_is_answered_after_the_messages_before_it() -> None:
    listener = Recorder()
    with listening(listener) as (_, peer, reading):
        peer.send(text("a") + BAD_FRAME)
        assert peer.message() == "a"
        assert peer.close_frame().code == 1002
        peer.end()
        reading.result()
    assert listener.told == ["open", "a", (1006, "")]


def test_a_default_listener_does_nothing() -> None:
    errors: list[str] = []
    with listening(Listener(), errors=errors) as (websocket, peer, reading):
        peer.send(text("a") + close())
        assert peer.close_frame() == Close(1000)
        reading.result()
        assert websocket.is_over
    assert errors == []


@pytest.mark.parametrize("callback", ["on_open", "on_message", "on_close"])
def test_an_exception_in_a_callback_closes_with_1011(callback: str) -> None:
    class Failing(Recorder):
        pass

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    setattr(Failing, callback, fail)
    listener, errors = Failing(), list[str]()
    with listening(listener, errors=errors) as (_, peer, reading):
        if callback == "on_open":
            assert peer.close_frame().code == 1011
        peer.send(text("a") + text("b"))
        if callback == "on_message":
            assert peer.close_frame().code == 1011
        peer.send(close())
        reading.result()
    assert errors == ["listener failed"]
    assert ("b" in listener.told) is (callback == "on_close")


def test_a_callback_may_close_and_sees_no_more_messages() -> None:
    class Once(Recorder):
        def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
            self.note(message)
            websocket.start_close(4001)

    listener = Once()
    with listening(listener) as (_, peer, reading):
        peer.send(text("a") + text("b"))
        assert peer.close_frame() == Close(4001)
        peer.send(text("c") + close(4001))
        reading.result()
    assert listener.told == ["open", "a", (4001, "")]


def test_a_callback_may_wait_for_the_peer() -> None:
    """It is in a thread of its own: it keeps nobody waiting, and what it waits for still comes."""
    latencies: list[float] = []

    class Asking(Listener):
        def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
            latencies.append(websocket.ping(timeout=PATIENCE))
            websocket.send(message)
            websocket.close()

    with serving(Asking) as server, connect(uri(server)) as websocket:
        websocket.send("a")
        assert websocket.recv() == "a"
        with pytest.raises(ConnectionClosed):
            websocket.recv()
    assert len(latencies) == 1


def test_a_peer_that_reads_too_slowly_is_not_read_from() -> None:
    listener = Recorder()
    limits: dict[str, Any] = {"max_queued_messages": 4, "max_unsent_size": 0, "write_timeout": None}
    with listening(listener, **limits) as (websocket, peer, _):
        websocket.push(BIG)
        for number in range(10):
            peer.send(text(str(number)))
        until(lambda: websocket._reading_paused)
        # Answers would find no room, and be the end of the connection.
        assert websocket.waiting_messages >= 4
        assert len(listener.told) <= 2
        assert peer.message() == BIG
        assert [peer.message() for _ in range(10)] == [str(number) for number in range(10)]
        assert websocket.dropped == 0


def test_a_listener_may_hold_the_peer_up() -> None:
    listener = Recorder()
    with listening(listener, max_queued_messages=4) as (websocket, peer, _):
        until(lambda: websocket._reads)
        websocket.pause_reading()
        for number in range(10):
            peer.send(text(str(number)))
        until(lambda: websocket._reading_paused)
        assert listener.told == ["open"]
        websocket.resume_reading()
        assert [peer.message() for _ in range(10)] == [str(number) for number in range(10)]


def test_a_listener_that_holds_the_peer_up_learns_of_its_end() -> None:
    class Holding(Recorder):
        def on_open(self, websocket: CallbackWebSocket) -> None:
            self.note("open")
            websocket.pause_reading()

    listener = Holding()
    with listening(listener) as (_, peer, reading):
        peer.send(text("a"))
        peer.reset()
        reading.result()
    assert listener.told == ["open", "a", (1006, "")]


def test_replies_to_one_read_leave_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    observer = RecordingObserver()
    ours, theirs = sockets()
    websocket = CallbackWebSocket(
        Connection(Role.SERVER), Stream(ours), Recorder(), on_error=pytest.fail, observer=observer
    )
    with Peer(theirs) as peer:
        peer.send(b"".join(text(str(number)) for number in range(4)) + close())
        websocket.run()
        websocket.left()
    # The Close is behind them.
    assert [seen for seen in observer.seen if seen[0] == "sent"] == [("sent", 16, 5)]


def test_over_sockets_with_a_client_of_each_kind() -> None:
    with serving(Recorder) as server:
        with connect(uri(server)) as websocket:
            websocket.send("a")
            assert websocket.recv() == "a"
        arrived = threading.Event()

        class Client(Recorder):
            def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
                self.note(message)
                arrived.set()

        listener = Client()
        with connect_listener(listener, uri(server)) as callbacks:
            callbacks.push("b")
            assert arrived.wait(PATIENCE)
        until(lambda: listener.told[-1] == (1000, ""))
        assert listener.told == ["open", "b", (1000, "")]
        (thread,) = listener.threads
        assert thread is not threading.current_thread()


def test_a_client_without_a_thread_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(echo) as server:
        start = threading.Thread.start

        def fail(thread: threading.Thread) -> None:
            if thread.name == "rfc6455-listener":
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            connect_listener(Recorder(), uri(server))
        until(lambda: not server.connections)


def test_a_route_may_have_a_listener() -> None:
    class Greeter(Listener):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_open(self, websocket: CallbackWebSocket) -> None:
            websocket.push(f"Hello, {self.name}")

    with (
        serving(Router([Route("/hello/<name>", Greeter)])) as server,
        connect(uri(server, "/hello/Ada")) as websocket,
    ):
        assert websocket.recv() == "Hello, Ada"


def test_a_listener_that_cannot_be_made_is_500(caplog: pytest.LogCaptureFixture) -> None:
    class Impossible(Listener):
        def __init__(self) -> None:
            raise OSError("no")

    with serving(Impossible) as server, Peer.dial(server) as peer:
        peer.send(REQUEST)
        assert peer.answer()[0] == 500
    assert "opening handshake failed" in caplog.text


def test_the_server_closes_listeners_when_it_ends() -> None:
    with serving(Recorder) as server:
        websocket = connect(uri(server)).open()
        websocket.send("a")
        assert websocket.recv() == "a"
        assert all(isinstance(c, CallbackWebSocket) for c in server.connections)
    with pytest.raises(ConnectionClosed):
        websocket.recv()
    assert websocket.close_code == 1001


def test_two_connections_are_called_side_by_side() -> None:
    """One callback that takes long keeps nobody else waiting."""
    both = threading.Barrier(2)

    class Meeting(Listener):
        def on_message(self, websocket: CallbackWebSocket, message: str | bytes) -> None:
            both.wait(PATIENCE)
            websocket.push(message)

    with serving(Meeting) as server, connect(uri(server)) as one, connect(uri(server)) as other:
        one.send("1")
        other.send("2")
        assert (one.recv(), other.recv()) == ("1", "2")


def test_a_websocket_and_a_callback_websocket_are_told_apart() -> None:
    with pair() as (websocket, _), listening(Listener()) as (callbacks, _, _):
        assert repr(websocket).startswith("<WebSocket open")
        assert repr(callbacks).startswith("<CallbackWebSocket open")
