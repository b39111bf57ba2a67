"""Sending on a `WebSocket`: types, back-pressure, and how many writes it takes.

Knows the transport as memory, so that each write can be counted and held up.
"""

from __future__ import annotations

import array
import asyncio
from typing import Any

import pytest

from rfc6455 import ConnectionClosed, ConnectionClosedError, Role, State, UsageError, WebSocket
from rfc6455.frames import Frame, Opcode
from tests.helpers import both_roles, frames_in

from .support import (
    BAD_FRAME,
    MemoryTransport,
    close,
    make_websocket,
    now,
    pass_time,
    ping,
    pong,
    settle,
    text,
    virtual_time,
)

# Types


@both_roles
@virtual_time
async def test_str_is_text_and_bytes_like_is_binary(role: Role) -> None:
    websocket, transport = make_websocket(role)
    await websocket.send("né")
    await websocket.send(b"\x00\xff")
    await websocket.send(bytearray(b"array"))
    await websocket.send(memoryview(b"a view")[2:])
    await websocket.send("")
    await websocket.send(b"")
    assert transport.frames == [
        Frame(Opcode.TEXT, "né".encode()),
        Frame(Opcode.BINARY, b"\x00\xff"),
        Frame(Opcode.BINARY, b"array"),
        Frame(Opcode.BINARY, b"view"),
        Frame(Opcode.TEXT, b""),
        Frame(Opcode.BINARY, b""),
    ]
    websocket.abort()


@virtual_time
async def test_a_view_of_any_format_is_sent_as_its_bytes() -> None:
    websocket, transport = make_websocket()
    numbers = array.array("I", [1, 2, 3])
    await websocket.send(memoryview(numbers))
    await websocket.send(memoryview(b"abcdef")[::2])
    assert transport.messages == [numbers.tobytes(), b"ace"]
    websocket.abort()


@pytest.mark.parametrize("message", [None, 5, 1.5, {"a": 1}, object()], ids=type)
@virtual_time
async def test_other_types_are_refused(message: Any) -> None:
    websocket, transport = make_websocket()
    with pytest.raises(TypeError, match=type(message).__name__):
        await websocket.send(message)
    assert transport.writes == []
    await websocket.send("it lives")
    assert transport.messages == ["it lives"]
    websocket.abort()


@virtual_time
async def test_text_that_is_not_unicode_is_refused() -> None:
    websocket, transport = make_websocket()
    with pytest.raises(UsageError, match="surrogates"):
        await websocket.send("\ud800")
    assert transport.writes == []
    websocket.abort()


@virtual_time
async def test_a_buffer_may_be_changed_after_send_returned() -> None:
    websocket, transport = make_websocket()
    transport.congested = True
    data = bytearray(b"original")
    await websocket.send(data)
    data[:] = b"changed!"
    transport.flow()
    assert transport.messages == [b"original"]
    websocket.abort()


# One write for many replies


@virtual_time
async def test_a_single_reply_is_written_at_once() -> None:
    websocket, transport = make_websocket()
    await websocket.send("unasked")
    assert len(transport.writes) == 1
    transport.feed(text("a"))
    await websocket.send(await websocket.recv())
    assert len(transport.writes) == 2
    websocket.abort()


@virtual_time
async def test_the_replies_to_a_batch_leave_in_one_write() -> None:
    websocket, transport = make_websocket()
    transport.feed(b"".join(text(str(number)) for number in range(16)))
    for _ in range(16):
        assert transport.writes == []
        await websocket.send(await websocket.recv())
    assert len(transport.writes) == 1
    assert transport.messages == [str(number) for number in range(16)]
    websocket.abort()


@virtual_time
async def test_replies_wait_no_longer_than_the_turn_of_the_loop() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + text("b"))
    await websocket.send(await websocket.recv())
    assert transport.writes == []
    await asyncio.sleep(0)
    assert transport.messages == ["a"]
    websocket.abort()


@virtual_time
async def test_a_large_batch_of_replies_is_written_in_pieces() -> None:
    websocket, transport = make_websocket()
    transport.feed(b"".join(text(str(number)) for number in range(16)))
    for _ in range(16):
        await websocket.recv()
        await websocket.send(bytes(20_000))
    assert len(transport.messages) == 16
    assert max(map(len, transport.writes)) < 100_000
    websocket.abort()


@virtual_time
async def test_pongs_and_replies_keep_their_order_in_one_write() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + ping(b"1") + text("b") + ping(b"2"))
    await settle()
    assert [(f.opcode, f.payload) for f in transport.frames] == [
        (Opcode.PONG, b"1"),
        (Opcode.PONG, b"2"),
    ]
    assert len(transport.writes) == 1
    websocket.abort()


@virtual_time
async def test_replies_are_written_before_the_next_read_is_answered() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + text("b"))
    await websocket.send(await websocket.recv())
    # Writing is not held up: each Ping has its Pong.
    transport.feed(ping(b"1") + ping(b"2"))
    await settle()
    assert [f.opcode for f in transport.frames] == [Opcode.TEXT, Opcode.PONG, Opcode.PONG]
    websocket.abort()


# Back-pressure


async def congest(websocket: WebSocket, transport: MemoryTransport) -> None:
    """Fills the write buffer, so that the next send has to wait."""
    transport.congested = True
    await websocket.send(bytes(70_000))
    transport.writes.clear()


@virtual_time
async def test_send_waits_above_the_high_water_mark() -> None:
    websocket, transport = make_websocket(write_high_water=1000)
    transport.congested = True
    await websocket.send(bytes(900))
    await websocket.send(bytes(900))
    waiting = asyncio.create_task(websocket.send("third"))
    await settle()
    assert not waiting.done()
    assert len(transport.writes) == 2
    transport.flow()
    await waiting
    assert transport.messages[2:] == ["third"]
    websocket.abort()


@virtual_time
async def test_a_hundred_waiting_sends_are_released_in_order() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    finished: list[int] = []

    async def send(number: int) -> None:
        await websocket.send(str(number))
        finished.append(number)

    tasks = [asyncio.create_task(send(number)) for number in range(100)]
    await settle()
    assert finished == []
    transport.flow()
    await asyncio.wait(tasks)
    assert finished == list(range(100))
    assert transport.messages == [str(number) for number in range(100)]
    websocket.abort()


@virtual_time
async def test_waiting_sends_are_released_no_faster_than_the_network() -> None:
    websocket, transport = make_websocket(write_high_water=1000)
    await congest(websocket, transport)
    tasks = [asyncio.create_task(websocket.send(bytes(600))) for _ in range(10)]
    await settle()
    for done in (2, 4, 6, 8, 10):
        transport.flow()
        transport.congested = True
        await settle()
        assert sum(task.done() for task in tasks) == done
    websocket.abort()


@virtual_time
async def test_a_later_send_does_not_overtake_those_that_wait() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    first = asyncio.create_task(websocket.send("first"))
    await settle()
    transport.flow()
    # Its turn has come, but it has not run yet.
    await asyncio.gather(websocket.send("second"), first)
    assert transport.messages == ["first", "second"]
    websocket.abort()


@virtual_time
async def test_a_cancelled_send_has_sent_nothing() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    tasks = [asyncio.create_task(websocket.send(str(number))) for number in range(3)]
    await settle()
    tasks[1].cancel()
    await settle()
    assert tasks[1].cancelled()
    transport.flow()
    await asyncio.wait(tasks)
    assert transport.messages == ["0", "2"]
    websocket.abort()


@virtual_time
async def test_a_send_cancelled_when_its_turn_had_come_passes_the_turn_on() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    tasks = [asyncio.create_task(websocket.send(str(number))) for number in range(3)]
    await settle()
    transport.flow()
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert tasks[0].cancelled()
    assert transport.messages == ["1", "2"]
    websocket.abort()


@pytest.mark.parametrize(("message", "error"), [(5, TypeError), ("\ud800", UsageError)])
@virtual_time
async def test_a_refused_message_passes_the_turn_on(message: Any, error: type[Exception]) -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    refused = asyncio.create_task(websocket.send(message))
    good = asyncio.create_task(websocket.send("good"))
    await settle()
    transport.flow()
    with pytest.raises(error):
        await refused
    await good
    assert transport.messages == ["good"]
    websocket.abort()


@virtual_time
async def test_waiting_sends_fail_when_the_connection_is_lost() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    tasks = [asyncio.create_task(websocket.send(str(number))) for number in range(3)]
    await settle()
    transport.lose()
    for task in tasks:
        with pytest.raises(ConnectionClosedError) as caught:
            await task
        assert caught.value.code == 1006
    assert transport.messages == []


@virtual_time
async def test_waiting_sends_fail_when_we_close() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    waiting = asyncio.create_task(websocket.send("too late"))
    await settle()
    closing = asyncio.create_task(websocket.close(4000))
    await settle()
    transport.flow()
    with pytest.raises(ConnectionClosed):
        await waiting
    transport.feed(close(4000))
    await closing
    assert [f.opcode for f in transport.frames] == [Opcode.CLOSE]


@virtual_time
async def test_a_waiting_send_does_not_outlive_a_close_that_gets_no_answer() -> None:
    websocket, transport = make_websocket(close_timeout=5)
    await congest(websocket, transport)
    waiting = asyncio.create_task(websocket.send("never"))
    await settle()
    closing = asyncio.create_task(websocket.close())
    await pass_time(5)
    with pytest.raises(ConnectionClosedError):
        await waiting
    await closing
    assert transport.aborted


# Control frames under congestion


@virtual_time
async def test_only_the_latest_ping_is_answered_while_writing_is_held_up() -> None:
    websocket, transport = make_websocket()
    await congest(websocket, transport)
    for number in range(1000):
        transport.feed(ping(str(number).encode()))
    assert transport.writes == []
    transport.flow()
    assert len(transport.frames) <= 2
    assert transport.frames[-1] == Frame(Opcode.PONG, b"999")
    websocket.abort()


# Ping


@virtual_time
async def test_ping_returns_the_latency() -> None:
    websocket, transport = make_websocket()
    latency = asyncio.create_task(websocket.ping(b"payload"))
    await pass_time(0.25)
    assert transport.frames == [Frame(Opcode.PING, b"payload")]
    transport.feed(pong(b"payload"))
    assert await latency == pytest.approx(0.25)
    websocket.abort()


@virtual_time
async def test_pings_without_payload_differ() -> None:
    websocket, transport = make_websocket()
    tasks = [asyncio.create_task(websocket.ping()) for _ in range(3)]
    await settle()
    payloads = [frame.payload for frame in transport.frames]
    assert len(set(payloads)) == 3
    transport.feed(pong(payloads[0]))
    await tasks[0]
    assert not tasks[1].done()
    websocket.abort()
    for task in tasks[1:]:
        with pytest.raises(ConnectionClosedError):
            await task


@virtual_time
async def test_a_pong_answers_earlier_pings_too() -> None:
    websocket, transport = make_websocket()
    tasks = [asyncio.create_task(websocket.ping(bytes([n]))) for n in range(3)]
    await settle()
    transport.feed(pong(b"\x01"))
    await asyncio.gather(*tasks[:2])
    assert not tasks[2].done()
    transport.feed(pong(b"\x02"))
    await tasks[2]
    websocket.abort()


@virtual_time
async def test_pongs_that_nobody_asked_for_are_ignored() -> None:
    websocket, transport = make_websocket()
    transport.feed(pong(b"unasked"))
    waiting = asyncio.create_task(websocket.ping(b"asked"))
    await settle()
    transport.feed(pong(b"unasked") + pong())
    await settle()
    assert not waiting.done()
    transport.feed(pong(b"asked"))
    await waiting
    websocket.abort()


@virtual_time
async def test_a_ping_payload_may_be_used_again_but_not_at_once() -> None:
    websocket, transport = make_websocket()
    first = asyncio.create_task(websocket.ping(b"x"))
    await settle()
    with pytest.raises(UsageError, match="under way"):
        await websocket.ping(b"x")
    # The pong is here, but the first task has not run yet.
    transport.feed(pong(b"x"))
    asyncio.get_running_loop().call_later(1, transport.feed, pong(b"x"))
    assert await websocket.ping(b"x") == pytest.approx(1)
    await first
    websocket.abort()


@virtual_time
async def test_a_ping_over_125_bytes_is_refused() -> None:
    websocket, transport = make_websocket()
    with pytest.raises(UsageError, match="125"):
        await websocket.ping(bytes(126))
    assert transport.writes == []
    websocket.abort()


@virtual_time
async def test_a_cancelled_ping_is_forgotten() -> None:
    websocket, transport = make_websocket()
    task = asyncio.create_task(websocket.ping(b"x"))
    await settle()
    task.cancel()
    await asyncio.wait([task])
    transport.feed(pong(b"x"))
    again = asyncio.create_task(websocket.ping(b"x"))
    await settle()
    transport.feed(pong(b"x"))
    await again
    websocket.abort()


@pytest.mark.parametrize("end", [close(), BAD_FRAME], ids=["close", "fault"])
@virtual_time
async def test_a_ping_under_way_fails_when_no_pong_can_come_any_more(end: bytes) -> None:
    websocket, transport = make_websocket()
    transport.feed(text("keeps the application busy"))
    await websocket.recv()
    pinging = asyncio.create_task(websocket.ping())
    await settle()
    transport.feed(end)
    with pytest.raises(ConnectionClosed):
        await pinging
    assert now() < 0.1
    assert websocket.state is State.CLOSE_RECEIVED
    websocket.abort()


# After the end


@virtual_time
async def test_sending_after_the_end_raises_how_it_ended() -> None:
    websocket, transport = make_websocket()
    transport.feed(close(4321, "enough"))
    await websocket.wait_closed()
    writes = list(transport.writes)
    for attempt in (websocket.send("x"), websocket.ping()):
        with pytest.raises(ConnectionClosedError) as caught:
            await attempt
        assert (caught.value.code, caught.value.reason) == (4321, "enough")
    assert transport.writes == writes


@virtual_time
async def test_sending_while_we_close_raises() -> None:
    websocket, transport = make_websocket()
    closing = asyncio.create_task(websocket.close())
    await settle()
    with pytest.raises(ConnectionClosed):
        await websocket.send("x")
    with pytest.raises(ConnectionClosed):
        await websocket.ping()
    transport.feed(close())
    await closing
    assert frames_in(b"".join(transport.writes))[-1].opcode is Opcode.CLOSE


@virtual_time
async def test_nothing_is_written_to_a_transport_that_is_closing() -> None:
    websocket, transport = make_websocket()
    # asyncio has noticed a failed write, but has not told the protocol yet.
    transport.lose(BrokenPipeError())
    await websocket.send("lost")
    assert transport.writes == []
    await websocket.wait_closed()
    assert websocket.state is State.CLOSED
