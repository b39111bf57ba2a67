"""What an observer sees of connections of threads, the log of frames, metrics, and the budget."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import rfc6455
from rfc6455 import (
    ConnectionClosedError,
    HandshakeError,
    MemoryBudget,
    Observer,
    Overflow,
    PermessageDeflate,
    Ping,
    Pong,
    Role,
    State,
    UsageError,
)
from rfc6455.frames import Opcode
from rfc6455.integrations.prometheus import PrometheusObserver
from rfc6455.sync import connect
from tests.helpers import RecordingObserver, peer_frame
from tests.transports.support import BAD_FRAME, close, ping, pong, text

from .support import PATIENCE, Clock, Peer, Task, echo, in_asyncio, pair, serving, until, uri

BEGUN = peer_frame(Role.SERVER, Opcode.BINARY, bytes(40_000), fin=False)
"""The first fragment of a message."""


def test_what_an_observer_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    observer = RecordingObserver()
    with pair(clock=clock, observer=observer) as (websocket, peer):
        peer.send(text("hello") + ping(b"p"))
        assert websocket.recv() == "hello"
        websocket.send("hi")
        peer.send(pong(b"q"))
        websocket.ping(b"q")
        peer.send(BAD_FRAME)
        with pytest.raises(ConnectionClosedError):
            websocket.recv()
        websocket.abort()
    assert observer.seen == [
        ("opened", Role.SERVER),
        ("received", 18, ["hello", Ping(b"p")], 2),
        ("sent", 3, 1),
        ("sent", 4, 1),
        ("sent", 3, 1),
        ("received", 7, [Pong(b"q")], 1),
        ("latency", 0.0),
        ("received", 6, observer.seen[7][2], 0),
        ("fault", 1002),
        ("sent", observer.seen[9][1], 1),
        ("closed", 1006),
    ]


def test_frames_are_counted_read_by_read() -> None:
    observer = RecordingObserver()
    extensions = (PermessageDeflate().confirm([]),)
    with pair(observer=observer, extensions=extensions) as (websocket, peer):
        peer.send(text("a") + peer_frame(Role.SERVER, Opcode.TEXT, b"b", fin=False))
        assert websocket.recv() == "a"
        peer.send(ping() + peer_frame(Role.SERVER, Opcode.CONTINUATION, b"c"))
        assert websocket.recv() == "bc"
        # So long a read is taken in pieces.
        peer.send(peer_frame(Role.SERVER, Opcode.TEXT, b"\x00", rsv=0x40) * 900)
        assert [websocket.recv() for _ in range(900)] == [""] * 900
        assert sum(seen[3] for seen in observer.seen if seen[0] == "received") == 904


def test_dropped_messages_are_seen() -> None:
    observer = RecordingObserver()
    with pair(observer=observer, max_unsent_size=3, write_timeout=None) as (websocket, _):
        websocket.push(bytes(2**20))
        websocket.push("ab")
        websocket.push("cd", overflow=Overflow.DROP_OLDEST)
        websocket.push("ef", overflow=Overflow.DROP_NEWEST)
        assert observer.seen[-2:] == [("dropped", 1), ("dropped", 1)]


def test_an_observer_may_look_at_the_connection() -> None:
    """It is called while nobody else can use the connection, and must not wait for that to end."""
    seen: list[tuple[object, ...]] = []

    class Looking(Observer):
        def sent(self, connection: Any, data: bytes, frames: int) -> None:
            self.look(connection)

        def closed(self, connection: Any, code: int) -> None:
            self.look(connection)

        def look(self, connection: Any) -> None:
            numbers = connection.unsent_size, connection.waiting_messages, connection.dropped
            seen.append((connection.state, connection.close_code, connection.close_reason, numbers))

    with pair(observer=Looking()) as (websocket, peer):
        peer.send(close(4000, "bye"))
        with pytest.raises(ConnectionClosedError):
            Task(websocket.recv).result()
    assert [look[1:3] for look in seen] == [(4000, "bye")] * 2
    assert seen[-1][0] is State.CLOSED


def test_an_observer_that_calls_a_method_of_the_connection_is_told() -> None:
    """It would wait for itself, for ever."""

    class Meddling(Observer):
        def sent(self, connection: Any, data: bytes, frames: int) -> None:
            connection.push("more")

    with pair(observer=Meddling()) as (websocket, peer):
        with pytest.raises(UsageError, match="an observer must not call a method"):
            Task(lambda: websocket.send("a")).result()
        # Nobody holds the lock, so what the peer sends is received still.
        peer.send(text("b"))
        assert Task(websocket.recv).result() == "b"


def test_an_observer_that_fails_ends_its_connection_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody is there to be told but the attendant, which has others to attend to."""
    budget = MemoryBudget()

    class Failing(Observer):
        def received(self, *_: object) -> None:
            raise ZeroDivisionError

        def closed(self, connection: Any, code: int) -> None:
            raise KeyError(code)

    with (
        pair(observer=Failing(), budget=budget) as (websocket, peer),
        pair() as (other, others_peer),
    ):
        budget.charge(websocket, 1)
        peer.send(text("a"))
        assert peer.rest() == b""
        websocket.wait_closed(PATIENCE)
        assert budget.used == 0
        with pytest.raises(ConnectionClosedError):
            websocket.recv()
        others_peer.send(ping(b"p"))
        assert others_peer.frame().payload == b"p"
        other.abort()
    failures = [r.exc_info[0] for r in caplog.records if r.exc_info]
    assert failures == [ZeroDivisionError, KeyError]


def test_what_came_with_the_handshake_is_seen_after_the_opening() -> None:
    observer = RecordingObserver()
    with serving(echo, observer=observer) as server, Peer.dial(server) as peer:
        peer.upgrade(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"\r\n" + text("early")
        )
        assert peer.message() == "early"
    assert [what for what, *_ in observer.seen[:2]] == ["opened", "received"]


def test_answers_that_open_nothing_are_seen() -> None:
    observer = RecordingObserver()
    with (
        serving(echo, observer=observer, max_connections_per_address=1) as server,
        connect(uri(server)),
        pytest.raises(HandshakeError, match="429"),
    ):
        connect(uri(server)).open()
    assert ("answered", 429) in observer.seen


# The log of frames


def test_the_log_of_frames_is_there_when_the_logger_wants_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "rfc6455")
    deflate = [PermessageDeflate(threshold=0)]
    with (
        serving(echo, extensions=deflate) as server,
        connect(uri(server, "/?token=secret")) as websocket,
    ):
        websocket.send("x" * 2000)
        websocket.recv()
        websocket.ping(b"q")
    lines = [(record.name, record.getMessage()) for record in caplog.records]
    for name in ("rfc6455.client", "rfc6455.server"):
        mine = [line for logger, line in lines if logger == name]
        assert any(line.startswith("> TEXT 'xxxx") and "compressed" in line for line in mine)
        assert any(line.startswith("< CLOSE") for line in mine)
        assert mine[-1] == "= closed with 1000"
    assert any(line.startswith("% latency") for _, line in lines)
    assert not any("secret" in line for _, line in lines)


# Metrics


def test_metrics() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry=registry)
    with (
        serving(echo, observer=observer) as server,
        connect(uri(server), observer=observer) as websocket,
    ):
        websocket.send("hello")
        assert websocket.recv() == "hello"
        websocket.ping()
        assert registry.get_sample_value("rfc6455_connections") == 2
    expected = {
        ("rfc6455_opened_total",): 2,
        ("rfc6455_connections",): 0,
        ("rfc6455_received_total", "kind", "text"): 2,
        ("rfc6455_received_total", "kind", "ping"): 1,
        ("rfc6455_received_total", "kind", "pong"): 1,
        ("rfc6455_received_frames_total",): 6,
        ("rfc6455_closed_total", "code", "1000"): 2,
        ("rfc6455_ping_seconds_count",): 1,
        ("rfc6455_waiting_messages",): 0,
        ("rfc6455_unsent_bytes",): 0,
    }
    for (name, *label), value in expected.items():
        labels = dict([label]) if label else {}
        assert registry.get_sample_value(name, labels) == value, name


def test_metrics_can_be_read_while_connections_of_many_threads_come_and_go() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry=registry)
    over = threading.Event()

    def come_and_go() -> None:
        for _ in range(200):
            with pair(observer=observer) as (websocket, _):
                websocket.send("a")

    def look() -> int:
        times = 0
        while not over.is_set():
            generate_latest(registry)
            times += 1
        return times

    looking = Task(look)
    try:
        for task in [Task(come_and_go) for _ in range(4)]:
            task.result()
    finally:
        over.set()
    assert looking.result() > 0
    assert registry.get_sample_value("rfc6455_opened_total") == 800
    until(lambda: registry.get_sample_value("rfc6455_connections") == 0)


# The budget


def test_the_connection_that_keeps_most_gives_way() -> None:
    budget = MemoryBudget(100_000)
    observer = RecordingObserver()
    with ExitStack() as stack:
        pairs = [stack.enter_context(pair(budget=budget, observer=observer)) for _ in range(3)]
        for _, peer in pairs:
            peer.send(BEGUN)
        # The attendant reads it, and sends one of them away.
        until(lambda: ("fault", 1013) in observer.seen)
        until(lambda: budget.used == 80_000)
        (victim,) = [w for w, _ in pairs if w.state is not State.OPEN]
        for websocket, peer in pairs:
            if websocket is victim:
                assert peer.close_frame().code == 1013
            else:
                peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, b""))
                assert len(websocket.recv()) == 40_000
        assert budget.used == 0


def test_a_lost_connection_gives_back_what_it_kept() -> None:
    budget = MemoryBudget()
    with pair(budget=budget) as (websocket, peer):
        peer.send(BEGUN)
        until(lambda: budget.used == 40_000)
        websocket.abort()
        assert budget.used == 0


def test_threads_and_event_loops_share_a_budget() -> None:
    """Each may be the one that sends the other away."""

    async def sink(websocket: rfc6455.WebSocket) -> None:
        async for _ in websocket:
            pass

    def begun(size: int) -> bytes:
        return peer_frame(Role.SERVER, Opcode.BINARY, bytes(size), fin=False)

    budget = MemoryBudget(100_000)
    server: Any = rfc6455.serve(sink, "127.0.0.1", 0, memory_budget=budget)
    with in_asyncio(server) as asyncio_server:
        for ours, theirs in ((60_000, 70_000), (70_000, 60_000)):
            with pair(budget=budget) as (websocket, peer), Peer.dial(asyncio_server) as other:
                other.upgrade()
                peer.send(begun(ours))
                until(lambda: budget.used == ours)  # noqa: B023
                other.send(begun(theirs))
                gives_way = other if theirs > ours else peer
                assert gives_way.close_frame().code == 1013
                assert budget.used == 60_000
                assert (websocket.state is State.OPEN) is (gives_way is other)
                other.reset()
                websocket.abort()
                until(lambda: budget.used == 0)


def test_a_loop_that_was_closed_does_not_keep_others_from_going_on() -> None:
    budget = MemoryBudget(100)
    loop = asyncio.new_event_loop()

    async def open_one() -> rfc6455.WebSocket:
        transport: Any = _Silent()
        return rfc6455.WebSocket(rfc6455.Connection(Role.SERVER), transport, loop, budget=budget)

    abandoned = loop.run_until_complete(open_one())
    budget.charge(abandoned, 60)
    loop.close()
    with pair(budget=budget) as (websocket, peer):
        peer.send(peer_frame(Role.SERVER, Opcode.BINARY, bytes(50), fin=False))
        peer.send(peer_frame(Role.SERVER, Opcode.CONTINUATION, b""))
        assert websocket.recv(timeout=PATIENCE) == bytes(50)


class _Silent:
    """A transport that takes everything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def test_connections_that_send_each_other_away_do_not_wait_for_each_other() -> None:
    """Each is charged while its lock is held, and tells another one to go."""
    budget = MemoryBudget(60_000)
    with ExitStack() as stack:
        pairs = [stack.enter_context(pair(budget=budget)) for _ in range(8)]

        def flood(peer: Peer) -> int:
            peer.send(BEGUN[:30_000])
            for start in range(30_000, len(BEGUN), 100):
                try:
                    peer.send(BEGUN[start : start + 100])
                except OSError:
                    break
            code = peer.close_frame().code
            peer.end()
            return code

        def receive(websocket: Any) -> None:
            with pytest.raises(ConnectionClosedError):
                websocket.recv()

        tasks = [Task(receive, websocket) for websocket, _ in pairs]
        floods = [Task(flood, peer) for _, peer in pairs]
        until(lambda: sum(task.done for task in tasks) >= 7)
        assert {task.result() for task in floods if task.done} <= {1013}
        assert budget.used <= 60_000
        for websocket, _ in pairs:
            websocket.abort()
        for task in tasks:
            task.result()
    until(lambda: budget.used == 0)
