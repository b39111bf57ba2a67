"""What an observer sees, the log of frames, metrics, and the memory that connections share."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from rfc6455 import (
    Connection,
    Limits,
    MemoryBudget,
    Observer,
    Overflow,
    PermessageDeflate,
    Ping,
    Pong,
    Role,
    WebSocket,
    connect,
    serve,
)
from rfc6455.framelog import FrameLog
from rfc6455.frames import Opcode
from rfc6455.integrations.prometheus import PrometheusObserver
from tests.helpers import RecordingObserver, peer_frame

from .support import (
    BAD_FRAME,
    MemoryTransport,
    close,
    ping,
    pong,
    real_time,
    settle,
    text,
    virtual_time,
)


def observed(
    observer: Observer, role: Role = Role.SERVER, **options: Any
) -> tuple[WebSocket, MemoryTransport]:
    loop = asyncio.get_running_loop()
    transport = MemoryTransport()
    budget = options.pop("budget", MemoryBudget())
    extensions = options.pop("extensions", ())
    core = Connection(role, limits=Limits(**options), extensions=extensions, now=loop.time())
    websocket = WebSocket(core, transport, loop, observer=observer, budget=budget)
    transport.set_protocol(websocket)
    websocket.opened()
    return websocket, transport


@virtual_time
async def test_what_an_observer_sees() -> None:
    recorder = RecordingObserver()
    websocket, transport = observed(recorder)
    transport.feed(text("hello") + ping(b"p"))
    await settle()
    await websocket.send("hi")
    pinging = asyncio.create_task(websocket.ping(b"q"))
    await asyncio.sleep(2)
    transport.feed(pong(b"q"))
    await pinging
    transport.feed(BAD_FRAME)
    transport.lose()
    await settle()
    assert recorder.seen == [
        ("opened", Role.SERVER),
        ("received", 18, ["hello", Ping(b"p")], 2),
        ("sent", 3, 1),
        ("sent", 4, 1),
        ("sent", 3, 1),
        ("received", 7, [Pong(b"q")], 1),
        ("latency", pytest.approx(2)),
        ("received", 6, recorder.seen[7][2], 0),
        ("fault", 1002),
        ("closed", 1006),
    ]


@virtual_time
async def test_frames_are_counted_read_by_read() -> None:
    recorder = RecordingObserver()
    websocket, transport = observed(recorder, extensions=[PermessageDeflate().confirm([])])
    begun = text("a") + peer_frame(Role.SERVER, Opcode.TEXT, b"b", fin=False)
    ended = ping() + peer_frame(Role.SERVER, Opcode.CONTINUATION, b"c")
    for data in begun, ended[:-1], ended[-1:]:
        transport.feed(data)
    assert [await websocket.recv() for _ in range(2)] == ["a", "bc"]
    # So long a read is taken in pieces.
    transport.feed(peer_frame(Role.SERVER, Opcode.TEXT, b"\x00", rsv=0x40) * 900)
    assert [await websocket.recv() for _ in range(900)] == [""] * 900
    counts = [seen[3] for seen in recorder.seen if seen[0] == "received"]
    assert counts[:3] == [2, 2, 0]
    assert sum(counts[3:]) == 900
    websocket.abort()


@virtual_time
async def test_dropped_messages_are_seen() -> None:
    recorder = RecordingObserver()
    websocket, transport = observed(recorder, max_unsent_size=3, write_timeout=None)
    transport.congested = True
    websocket.push(bytes(70_000))
    websocket.push("ab")
    assert websocket.unsent_size == 70_012
    websocket.push("cd", overflow=Overflow.DROP_OLDEST)
    websocket.push("ef", overflow=Overflow.DROP_NEWEST)
    assert recorder.seen[-2:] == [("dropped", 1), ("dropped", 1)]
    websocket.abort()


def test_an_observer_that_overrides_nothing_sees_in_silence() -> None:
    observer = Observer()
    observer.opened(None, None)
    observer.received(None, b"", [], 0)
    observer.sent(None, b"", 0)
    observer.latency(None, 1.0)
    observer.dropped(None, 1)
    observer.answered(503)
    observer.closed(None, 1000)


# The log of frames


@pytest.mark.clause("W194", party="server")
@virtual_time
async def test_frames_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "test")
    recorder = RecordingObserver()
    websocket, transport = observed(FrameLog(logging.getLogger("test"), recorder))
    transport.feed(text("hello\x1b[2J") + peer_frame(Role.SERVER, Opcode.TEXT, b"a", fin=False))
    await websocket.send(bytes(100))
    pinging = asyncio.create_task(websocket.ping(b"q"))
    await settle()
    transport.feed(pong(b"q"))
    await pinging
    transport.feed(BAD_FRAME)
    transport.lose()
    await settle()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:4] == [
        "< TEXT 'hello\\x1b[2J' [9 bytes]",
        "< TEXT b'a' [1 bytes, more to come]",
        f"> BINARY {bytes(40)!r} [100 bytes]",
        "> PING b'q' [1 bytes]",
    ]
    assert lines[4] == "< PONG b'q' [1 bytes]"
    assert lines[5].startswith("% latency")
    assert lines[6].startswith("< malformed 83")
    assert lines[7].startswith("! unknown opcode")
    assert lines[8] == "= closed with 1006"
    assert len(recorder.seen) == 9


@real_time
async def test_the_log_of_frames_is_there_when_the_logger_wants_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "rfc6455")

    async def echo(websocket: WebSocket) -> None:
        async for message in websocket:
            await websocket.send(message)

    deflate = [PermessageDeflate(threshold=0)]
    async with serve(echo, "127.0.0.1", 0, extensions=deflate) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/?token=secret") as websocket:
            await websocket.send("x" * 2000)
            await websocket.recv()
    lines = [(record.name, record.getMessage()) for record in caplog.records]
    sent = [line for line in lines if line[1].startswith("> TEXT 'xxxx")]
    assert [name for name, _ in sent] == ["rfc6455.client", "rfc6455.server"]
    assert all("compressed" in line for _, line in sent)
    assert not any("secret" in line for _, line in lines)


@virtual_time
async def test_dropped_messages_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "test")
    websocket, transport = observed(
        FrameLog(logging.getLogger("test")), Role.CLIENT, max_unsent_size=0, write_timeout=None
    )
    transport.congested = True
    websocket.push(bytes(70_000))
    websocket.push("a", overflow=Overflow.DROP_NEWEST)
    assert caplog.records[-1].getMessage() == "! 1 pushed messages dropped"
    websocket.abort()


# Metrics


@virtual_time
async def test_metrics() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry=registry)
    websocket, transport = observed(observer)
    _, second = observed(observer)
    transport.feed(text("hello") + peer_frame(Role.SERVER, Opcode.BINARY, b"x"))
    transport.feed(ping(b"p"))
    assert registry.get_sample_value("rfc6455_waiting_messages") == 2
    await websocket.send("hi")
    pinging = asyncio.create_task(websocket.ping(b"q"))
    await asyncio.sleep(2)
    transport.feed(pong(b"q"))
    await pinging
    assert registry.get_sample_value("rfc6455_connections") == 2
    second.feed(BAD_FRAME)
    second.lose()
    transport.feed(close(4321))
    await websocket.recv()
    await websocket.recv()
    with pytest.raises(Exception, match="4321"):
        await websocket.recv()
    await settle()
    expected = {
        ("rfc6455_opened_total",): 2,
        ("rfc6455_connections",): 0,
        ("rfc6455_received_total", "kind", "text"): 1,
        ("rfc6455_received_total", "kind", "binary"): 1,
        ("rfc6455_received_total", "kind", "ping"): 1,
        ("rfc6455_received_total", "kind", "pong"): 1,
        ("rfc6455_received_frames_total",): 5,
        ("rfc6455_sent_frames_total",): 5,
        ("rfc6455_faults_total", "code", "1002"): 1,
        ("rfc6455_closed_total", "code", "1006"): 1,
        ("rfc6455_closed_total", "code", "other"): 1,
        ("rfc6455_ping_seconds_sum",): 2,
        ("rfc6455_message_bytes_count",): 2,
        ("rfc6455_unsent_bytes",): 0,
    }
    for (name, *label), value in expected.items():
        labels = dict([label]) if label else {}
        assert registry.get_sample_value(name, labels) == pytest.approx(value), name
    assert b"4321" not in generate_latest(registry)


@virtual_time
async def test_metrics_of_what_slow_peers_miss() -> None:
    registry = CollectorRegistry()
    websocket, transport = observed(
        PrometheusObserver("ws", registry), max_unsent_size=0, write_timeout=None
    )
    transport.congested = True
    websocket.push(bytes(70_000))
    websocket.push("a", overflow=Overflow.DROP_NEWEST)
    assert registry.get_sample_value("ws_dropped_total") == 1
    assert registry.get_sample_value("ws_unsent_bytes") == 70_010
    websocket.abort()


@real_time
async def test_answers_that_open_nothing_are_seen() -> None:
    registry = CollectorRegistry()

    async def ignore(websocket: WebSocket) -> None:
        """Nobody gets here."""

    async with serve(
        ignore,
        "127.0.0.1",
        0,
        observer=PrometheusObserver(registry=registry),
        limits=Limits(max_head_size=1000),
    ) as server:
        port = server.sockets[0].getsockname()[1]
        for request, status in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
            (b"GET / HTTP/1.1\r\nX: " + bytes(2000), 431),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            assert (await reader.read()).startswith(b"HTTP/1.1 %d" % status)
            writer.close()
            await writer.wait_closed()
            found = registry.get_sample_value("rfc6455_answered_total", {"status": str(status)})
            assert found == 1


# The budget


@virtual_time
async def test_the_connection_that_keeps_most_gives_way() -> None:
    budget = MemoryBudget(100_000)
    recorder = RecordingObserver()
    pairs = [observed(recorder, budget=budget) for _ in range(3)]
    half = peer_frame(Role.SERVER, Opcode.BINARY, bytes(40_000), fin=False)
    for (_, transport), fragments in zip(pairs, (1, 1, 1), strict=True):
        for _ in range(fragments):
            transport.feed(half)
    await settle()
    assert [t.closes for _, t in pairs].count([]) == 2
    assert budget.used == 80_000
    (victim,) = [w for w, t in pairs if t.closes]
    assert [c.code for _, t in pairs for c in t.closes] == [1013]
    assert ("fault", 1013) in recorder.seen
    for websocket, transport in pairs:
        if websocket is not victim:
            transport.feed(peer_frame(Role.SERVER, Opcode.CONTINUATION, b""))
            assert len(await websocket.recv()) == 40_000
    assert budget.used == 0
    for websocket, _ in pairs:
        websocket.abort()


@virtual_time
async def test_a_lost_connection_gives_back_what_it_kept() -> None:
    budget = MemoryBudget()
    _, transport = observed(RecordingObserver(), budget=budget)
    transport.feed(peer_frame(Role.SERVER, Opcode.BINARY, bytes(40_000), fin=False))
    assert budget.used == 40_000
    transport.lose()
    await settle()
    assert budget.used == 0
