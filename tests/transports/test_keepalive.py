"""Keepalive of a `WebSocket`: a ping when it is idle, 1011 when the peer is dead, and never else.

Knows the transport as memory; all time is virtual.
"""

from __future__ import annotations

import asyncio

import pytest

from rfc6455 import ConnectionClosedError, Role, State
from rfc6455.frames import Frame, Opcode
from tests.helpers import both_roles

from .support import (
    VirtualTimeLoop,
    close,
    make_websocket,
    now,
    pass_time,
    pong,
    settle,
    text,
    virtual_time,
)

PING = Frame(Opcode.PING, b"")


@both_roles
@virtual_time
async def test_an_idle_connection_is_pinged(role: Role) -> None:
    websocket, transport = make_websocket(role, ping_interval=20, ping_timeout=20)
    await pass_time(19.9)
    assert transport.frames == []
    await pass_time(0.2)
    assert transport.frames == [PING]
    websocket.abort()


@both_roles
@virtual_time
async def test_a_pong_ends_the_wait_and_starts_the_interval_anew(role: Role) -> None:
    websocket, transport = make_websocket(role, ping_interval=20, ping_timeout=20)
    for round in range(1, 6):
        await pass_time(25)
        assert transport.frames == [PING] * round
        transport.feed(pong(role=role))
    assert websocket.state is State.OPEN
    websocket.abort()


@virtual_time
async def test_traffic_makes_pings_unnecessary() -> None:
    websocket, transport = make_websocket(ping_interval=20)
    for _ in range(20):
        await pass_time(15)
        transport.feed(text("busy"))
        await websocket.recv()
    assert transport.frames == []
    websocket.abort()


@pytest.mark.parametrize("life", [b"\x81", pong(b"another"), text("message")])
@virtual_time
async def test_any_byte_counts_as_life(life: bytes) -> None:
    websocket, transport = make_websocket(ping_interval=20, ping_timeout=20)
    await pass_time(39)
    transport.feed(life)
    await pass_time(5)
    assert websocket.state is State.OPEN
    websocket.abort()


@both_roles
@virtual_time
async def test_a_dead_peer_is_given_up_with_1011(role: Role) -> None:
    websocket, transport = make_websocket(
        role, ping_interval=20, ping_timeout=20, close_timeout=5, close_grace=1
    )
    with pytest.raises(ConnectionClosedError) as caught:
        await websocket.recv()
    assert now() == pytest.approx(40)
    assert "keepalive ping timeout" in str(caught.value.__cause__)
    assert caught.value.code == 1006
    assert [c.code for c in transport.closes] == [1011]
    await websocket.wait_closed()
    # TCP and its descriptor are given up as well.
    assert now() == pytest.approx(45)
    assert transport.aborted
    assert websocket.close_code == 1006


@virtual_time
async def test_a_dead_peer_is_noticed_with_a_send_waiting() -> None:
    websocket, transport = make_websocket(
        ping_interval=20, ping_timeout=20, close_timeout=5, write_timeout=None
    )
    transport.congested = True
    await websocket.send(bytes(100_000))
    with pytest.raises(ConnectionClosedError):
        await websocket.send("waits for ever")
    assert now() == pytest.approx(45)
    assert transport.aborted


@virtual_time
async def test_a_dead_peer_is_noticed_by_an_application_that_only_sends() -> None:
    websocket, transport = make_websocket(ping_interval=20, ping_timeout=20, close_timeout=5)

    async def tick() -> None:
        while True:
            await websocket.send("tick")
            await asyncio.sleep(1)

    with pytest.raises(ConnectionClosedError):
        await tick()
    assert now() == pytest.approx(40)
    await websocket.wait_closed()
    assert transport.aborted


@virtual_time
async def test_no_false_1011_while_reading_is_paused() -> None:
    """The handler is slower than the keepalive, and the peer's pong waits behind its messages."""
    websocket, transport = make_websocket(ping_interval=20, ping_timeout=20, max_queued_messages=2)
    await pass_time(25)
    assert transport.frames == [PING]
    transport.feed(text("a") + text("b"))
    transport.feed(pong() + text("c") + text("d"))
    assert not transport.is_reading()
    for message in ("a", "b", "c"):
        assert await websocket.recv() == message
        await pass_time(1000)
        assert websocket.state is State.OPEN
    assert await websocket.recv() == "d"
    assert transport.closes == []
    websocket.abort()


@virtual_time
async def test_a_ping_under_way_when_reading_pauses_is_no_reason_for_1011() -> None:
    websocket, transport = make_websocket(ping_interval=20, ping_timeout=20, max_queued_messages=1)
    loop = asyncio.get_running_loop()
    # The message comes first; a ping of ours is then never under way while we do not read.
    loop.call_at(19, transport.feed, text("a"))
    loop.call_at(30, transport.feed, pong())
    await pass_time(100)
    assert await websocket.recv() == "a"
    await pass_time(19)
    assert websocket.state is State.OPEN
    websocket.abort()


@virtual_time
async def test_the_time_to_show_life_starts_anew_when_reading_resumes() -> None:
    websocket, transport = make_websocket(
        ping_interval=20, ping_timeout=20, max_queued_messages=1, close_timeout=5
    )
    transport.feed(text("a"))
    await pass_time(500)
    assert transport.frames == []
    await websocket.recv()
    await pass_time(19.9)
    assert transport.frames == []
    await pass_time(0.2)
    assert transport.frames == [PING]
    with pytest.raises(ConnectionClosedError):
        await websocket.recv()
    assert now() == pytest.approx(540, abs=0.01)
    await websocket.wait_closed()


@virtual_time
async def test_a_dead_peer_is_noticed_while_the_queue_holds_less_than_its_limit() -> None:
    websocket, transport = make_websocket(
        ping_interval=20, ping_timeout=20, close_timeout=5, close_grace=1
    )
    transport.feed(text("a"))
    await websocket.wait_closed()
    assert now() == pytest.approx(46)
    assert [c.code for c in transport.closes] == [1011]
    assert await websocket.recv() == "a"


@virtual_time
async def test_pongs_that_wait_in_the_socket_are_read_before_a_stopped_process_judges() -> None:
    websocket, transport = make_websocket(ping_interval=20, ping_timeout=20)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await pass_time(21)
    assert transport.frames == [PING]
    # The process is stopped for an hour; when it goes on, bytes and timer are both due.
    loop.advance(3600)
    loop.call_soon(transport.feed, pong())
    await settle()
    assert websocket.state is State.OPEN
    assert transport.closes == []
    websocket.abort()


@virtual_time
async def test_keepalive_can_be_switched_off() -> None:
    websocket, transport = make_websocket(ping_interval=None)
    await pass_time(100_000)
    assert transport.frames == []
    assert websocket.state is State.OPEN
    websocket.abort()


@virtual_time
async def test_pings_without_a_timeout_only_keep_the_path_open() -> None:
    websocket, transport = make_websocket(ping_interval=20, ping_timeout=None)
    await pass_time(1000)
    assert transport.frames == [PING]
    assert websocket.state is State.OPEN
    websocket.abort()


@virtual_time
async def test_no_timer_is_left_behind() -> None:
    loop = asyncio.get_running_loop()
    websocket, transport = make_websocket(ping_interval=20)
    transport.feed(close())
    await websocket.wait_closed()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []  # type: ignore[attr-defined]
