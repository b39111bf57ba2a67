"""Receiving on a `WebSocket`: order, cancellation, and the bounded queue that pauses reading.

Knows the transport as memory; what real sockets add is in ``test_server.py``.
"""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from rfc6455 import (
    Close,
    CloseCode,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    Role,
    State,
    UsageError,
    WebSocket,
)
from rfc6455.asyncio.channel import BATCH, LARGE_READ
from rfc6455.frames import Opcode
from tests.helpers import both_roles, peer_frame

from .support import (
    BAD_FRAME,
    binary,
    close,
    make_websocket,
    pass_time,
    ping,
    receive_all,
    settle,
    text,
    virtual_time,
)


@both_roles
@virtual_time
async def test_text_is_str_and_binary_is_bytes(role: Role) -> None:
    websocket, transport = make_websocket(role)
    transport.feed(text("né", role) + binary(b"\x00\xff", role))
    assert await websocket.recv() == "né"
    assert await websocket.recv() == b"\x00\xff"
    websocket.abort()


@virtual_time
async def test_recv_waits_for_a_message() -> None:
    websocket, transport = make_websocket()
    receiver = asyncio.create_task(websocket.recv())
    await settle()
    assert not receiver.done()
    transport.feed(text("late"))
    assert await receiver == "late"
    websocket.abort()


@virtual_time
async def test_a_message_split_over_reads_arrives_once_it_is_whole() -> None:
    websocket, transport = make_websocket()
    receiver = asyncio.create_task(websocket.recv())
    for octet in text("Hello"):
        await settle()
        assert not receiver.done()
        transport.feed(bytes([octet]))
    assert await receiver == "Hello"
    websocket.abort()


@virtual_time
async def test_fragments_are_one_message_with_control_frames_between_them() -> None:
    websocket, transport = make_websocket()
    transport.feed(peer_frame(Role.SERVER, Opcode.TEXT, b"Hel", fin=False))
    transport.feed(peer_frame(Role.SERVER, Opcode.PING, b"?"))
    transport.feed(peer_frame(Role.SERVER, Opcode.CONTINUATION, b"lo"))
    assert await websocket.recv() == "Hello"
    assert [(f.opcode, f.payload) for f in transport.frames] == [(Opcode.PONG, b"?")]
    websocket.abort()


@virtual_time
async def test_iteration_ends_with_a_normal_closure() -> None:
    for payload in (close(1000), close(1001), close(1005)):
        websocket, transport = make_websocket()
        transport.feed(text("a") + text("b") + payload)
        assert [message async for message in websocket] == ["a", "b"]
        await websocket.wait_closed()


@virtual_time
async def test_iteration_raises_when_it_ends_otherwise() -> None:
    for data, code in ((close(4000), 4000), (BAD_FRAME, 1006)):
        websocket, transport = make_websocket()
        transport.feed(text("a") + data)
        assert await anext(websocket) == "a"
        with pytest.raises(ConnectionClosedError) as caught:
            await anext(websocket)
        assert caught.value.code == code
        transport.feed_eof()
        await websocket.wait_closed()


@virtual_time
async def test_what_arrived_before_the_end_is_received_first() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + text("b"))
    transport.lose(ConnectionResetError())
    await websocket.wait_closed()
    assert await websocket.recv() == "a"
    assert await websocket.recv() == "b"
    for _ in range(2):
        with pytest.raises(ConnectionClosedError) as caught:
            await websocket.recv()
        assert (caught.value.code, caught.value.reason) == (1006, "")


@virtual_time
async def test_what_arrived_before_close_can_still_be_received_after_it() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a"))
    closer = asyncio.create_task(websocket.close())
    await settle()
    transport.feed(text("after our Close") + close(1000))
    await closer
    assert await websocket.recv() == "a"
    with pytest.raises(ConnectionClosedOK):
        await websocket.recv()


@virtual_time
async def test_recv_raises_the_kind_of_the_closure() -> None:
    for code, kind in (
        (1000, ConnectionClosedOK),
        (1001, ConnectionClosedOK),
        (1005, ConnectionClosedOK),
        (1002, ConnectionClosedError),
        (1011, ConnectionClosedError),
        (3000, ConnectionClosedError),
        (4999, ConnectionClosedError),
    ):
        websocket, transport = make_websocket()
        receiver = asyncio.create_task(websocket.recv())
        await settle()
        reason = "" if code == 1005 else "bye"
        transport.feed(close(code, reason))
        with pytest.raises(ConnectionClosed) as caught:
            await receiver
        assert type(caught.value) is kind
        assert (caught.value.code, caught.value.reason) == (code, reason)
        assert caught.value.received == Close(code, reason)
        assert caught.value.sent == Close(code)
        await websocket.wait_closed()


@virtual_time
async def test_recv_tells_of_the_fault_that_ended_the_connection() -> None:
    websocket, transport = make_websocket()
    transport.feed(BAD_FRAME)
    with pytest.raises(ConnectionClosedError) as caught:
        await websocket.recv()
    assert caught.value.code == CloseCode.ABNORMAL_CLOSURE
    assert caught.value.sent is not None
    assert caught.value.sent.code == CloseCode.PROTOCOL_ERROR
    assert "opcode" in str(caught.value.__cause__)
    transport.feed_eof()
    await websocket.wait_closed()


# Several tasks


@virtual_time
async def test_a_second_recv_is_refused_and_names_the_first() -> None:
    websocket, transport = make_websocket()
    first = asyncio.create_task(websocket.recv(), name="the reader")
    await settle()
    with pytest.raises(UsageError, match="the reader"):
        await websocket.recv()
    transport.feed(text("for the first"))
    assert await first == "for the first"
    websocket.abort()


@virtual_time
async def test_a_second_recv_is_refused_while_the_first_has_a_message_coming() -> None:
    websocket, transport = make_websocket()
    first = asyncio.create_task(websocket.recv(), name="the reader")
    await settle()
    # The first task has been woken, but has not run yet.
    transport.feed(text("for the first"))
    with pytest.raises(UsageError, match="the reader"):
        await websocket.recv()
    assert await first == "for the first"
    websocket.abort()


@virtual_time
async def test_another_task_may_receive_once_the_first_is_done() -> None:
    websocket, transport = make_websocket()
    first = asyncio.create_task(websocket.recv())
    await settle()
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(websocket.recv())
    await settle()
    transport.feed(text("for the second"))
    assert await second == "for the second"
    websocket.abort()


# Cancellation


@virtual_time
async def test_a_cancelled_recv_loses_no_message() -> None:
    websocket, transport = make_websocket()
    receiver = asyncio.create_task(websocket.recv())
    await settle()
    # Both in one turn of the loop: the message is there, and the task is cancelled.
    transport.feed(text("kept"))
    receiver.cancel()
    await asyncio.wait([receiver])
    assert receiver.cancelled()
    assert await websocket.recv() == "kept"
    websocket.abort()


@virtual_time
async def test_a_recv_cancelled_first_loses_no_message() -> None:
    websocket, transport = make_websocket()
    receiver = asyncio.create_task(websocket.recv())
    await settle()
    receiver.cancel()
    transport.feed(text("kept"))
    await asyncio.wait([receiver])
    assert await websocket.recv() == "kept"
    websocket.abort()


@virtual_time
async def test_timeouts_that_race_with_arrivals_lose_no_message() -> None:
    websocket, transport = make_websocket()
    loop = asyncio.get_running_loop()
    count = 200
    # Every message comes at the very time at which a `wait_for` gives up, before or after it.
    for number in range(count):
        loop.call_at(number * 0.25, transport.feed, text(str(number)))
    received: list[str | bytes] = []
    timeouts = 0
    while len(received) < count:
        try:
            received.append(await asyncio.wait_for(websocket.recv(), 0.125))
        except TimeoutError:
            timeouts += 1
    assert received == [str(number) for number in range(count)]
    assert timeouts
    websocket.abort()


@virtual_time
async def test_asyncio_timeout_around_recv_loses_no_message() -> None:
    websocket, transport = make_websocket()
    loop = asyncio.get_running_loop()
    for number in range(50):
        loop.call_at((number + 1) * 0.5, transport.feed, text(str(number)))
    received: list[str | bytes] = []
    while len(received) < 50:
        try:
            async with asyncio.timeout(0.5):
                received.append(await websocket.recv())
        except TimeoutError:
            pass
    assert received == [str(number) for number in range(50)]
    websocket.abort()


# The queue


@virtual_time
async def test_reading_pauses_at_the_limit_of_messages_and_resumes_when_they_are_taken() -> None:
    websocket, transport = make_websocket(max_queued_messages=3)
    for number in range(10):
        transport.feed(text(str(number)))
        assert transport.is_reading() is (number < 2)
    assert [await websocket.recv() for _ in range(2)] == ["0", "1"]
    assert not transport.is_reading()
    assert await websocket.recv() == "2"
    assert transport.is_reading()
    await settle()
    assert not transport.is_reading()
    assert [await websocket.recv() for _ in range(7)] == [str(n) for n in range(3, 10)]
    websocket.abort()


@virtual_time
async def test_reading_pauses_at_the_limit_of_bytes() -> None:
    websocket, transport = make_websocket(max_queued_messages=None, max_queued_size=1000)
    transport.feed(binary(bytes(900)))
    assert transport.is_reading()
    transport.feed(binary(bytes(100)))
    assert not transport.is_reading()
    assert len(await websocket.recv()) == 900
    assert not transport.is_reading()
    assert len(await websocket.recv()) == 100
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_only_what_waits_counts_towards_the_limit_of_bytes() -> None:
    websocket, transport = make_websocket(max_queued_messages=None, max_queued_size=1000)
    for _ in range(5):
        transport.feed(binary(bytes(200)) * 2)
        assert transport.is_reading()
        transport.feed(binary(bytes(200)))
        assert transport.is_reading()
        assert [len(await websocket.recv()) for _ in range(3)] == [200] * 3
    websocket.abort()


@pytest.mark.parametrize("beside", [b"", ping()], ids=["alone", "beside a Ping"])
@virtual_time
async def test_what_the_reader_takes_at_once_does_not_count(beside: bytes) -> None:
    loop = asyncio.get_running_loop()
    websocket, transport = make_websocket(max_queued_messages=None, max_queued_size=1000)
    taken: list[int] = []

    async def take() -> None:
        while True:
            taken.append(len(await websocket.recv()))

    reader = asyncio.create_task(take())
    await settle()
    for count in range(1, 6):
        # From the loop, as transports do: within a task no other one can run.
        loop.call_soon(transport.feed, binary(bytes(600)) + beside + binary(bytes(600)))
        await settle()
        assert taken == [600] * 2 * count
        assert transport.is_reading()
    reader.cancel()
    websocket.abort()


@virtual_time
async def test_reading_goes_on_behind_a_large_read_that_was_not_taken_at_once() -> None:
    websocket, transport = make_websocket()
    transport.feed(binary(bytes(LARGE_READ)))
    assert not transport.is_reading()
    await settle()
    assert len(await websocket.recv()) == LARGE_READ
    await settle()
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_reading_goes_on_behind_a_flood_that_was_not_taken_at_once() -> None:
    websocket, transport = make_websocket(max_queued_messages=None)
    transport.feed(text("tiny") * 3 * BATCH)
    assert not transport.is_reading()
    await settle()
    for _ in range(3 * BATCH):
        assert await websocket.recv() == "tiny"
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_an_unfinished_message_does_not_pause_reading() -> None:
    websocket, transport = make_websocket(max_queued_messages=1, max_queued_size=1)
    message = binary(bytes(100_000))
    for start in range(0, len(message), 10_000):
        assert transport.is_reading()
        transport.feed(message[start : start + 10_000])
    assert not transport.is_reading()
    assert len(await websocket.recv()) == 100_000
    websocket.abort()


@virtual_time
async def test_no_limit_never_pauses_reading() -> None:
    websocket, transport = make_websocket(max_queued_messages=None, max_queued_size=None)
    for _ in range(1000):
        transport.feed(binary(bytes(10_000)))
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_closing_reads_on_although_the_queue_is_full() -> None:
    websocket, transport = make_websocket(max_queued_messages=2)
    transport.feed(text("a") + text("b"))
    transport.feed(text("c"))
    assert not transport.is_reading()
    closer = asyncio.create_task(websocket.close())
    await settle()
    transport.feed(text("d"))
    await settle()
    assert transport.is_reading()
    transport.feed(close(1000))
    await closer
    assert websocket.close_code == 1000
    assert [message async for message in websocket] == ["a", "b"]


@both_roles
@virtual_time
async def test_the_end_of_tcp_is_seen_although_the_queue_was_full(role: Role) -> None:
    websocket, transport = make_websocket(role, max_queued_messages=2)
    transport.feed(text("a", role) + text("b", role) + close(1000, role=role))
    assert [message async for message in websocket] == ["a", "b"]
    transport.feed_eof()
    await settle()
    assert websocket.state is State.CLOSED
    assert websocket.close_code == 1000


@virtual_time
async def test_a_fault_behind_a_full_queue_waits_for_nothing_but_the_peers_end() -> None:
    websocket, transport = make_websocket(max_queued_messages=2)
    transport.feed(text("a") + text("b") + BAD_FRAME)
    await receive_all(websocket)
    assert transport.eof_written
    transport.feed_eof()
    await settle()
    assert websocket.state is State.CLOSED


@virtual_time
async def test_the_end_of_tcp_waits_behind_unread_messages() -> None:
    websocket, transport = make_websocket(max_queued_messages=1)
    transport.feed(text("a"))
    transport.feed(text("b"))
    transport.feed_eof()
    await pass_time(5)
    assert websocket.state is State.OPEN
    assert await websocket.recv() == "a"
    assert await websocket.recv() == "b"
    with pytest.raises(ConnectionClosedError):
        await websocket.recv()


# Memory


@virtual_time
async def test_a_connection_that_ended_is_freed_at_once() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + close(1000))
    assert [message async for message in websocket] == ["a"]
    await websocket.wait_closed()
    gone = weakref.ref(websocket)
    gc.disable()
    try:
        transport.set_protocol(asyncio.Protocol())
        del websocket
        await settle()
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("iterating", [True, False])
@virtual_time
async def test_a_connection_that_broke_is_freed_at_once(iterating: bool) -> None:
    """What was raised has frames; if one of them has what was raised, that is a cycle."""
    websocket, transport = make_websocket()
    transport.feed_eof()
    await settle()
    gone = weakref.ref(websocket)
    gc.disable()
    try:
        try:
            if iterating:
                async for _ in websocket:
                    raise AssertionError
            else:
                await websocket.recv()
        except ConnectionClosedError:
            pass
        transport.set_protocol(asyncio.Protocol())
        del websocket
        await settle()
        assert gone() is None
    finally:
        gc.enable()


@virtual_time
async def test_repr_tells_state_and_peer() -> None:
    websocket, transport = make_websocket()
    assert repr(websocket) == "<WebSocket open ('192.0.2.1', 50000)>"
    assert websocket.remote_address == ("192.0.2.1", 50000)
    assert websocket.local_address == ("192.0.2.2", 80)
    transport.lose()
    await websocket.wait_closed()
    assert isinstance(websocket, WebSocket)
    assert websocket.state is State.CLOSED


@both_roles
@virtual_time
async def test_a_flood_of_pings_waits_for_its_turn(role: Role) -> None:
    _, one = make_websocket(role)
    _, other = make_websocket(role)
    for transport in (one, other):
        transport.feed(ping(b"", role) * 300)
        # No more is read in this turn of the loop.
        assert not transport.is_reading()
    await asyncio.sleep(0)
    # All of the read is answered.
    assert len(one.frames) == len(other.frames) == 300
    # A turn of the loop has one of them.
    assert (one.is_reading(), other.is_reading()) == (True, False)
    await asyncio.sleep(0)
    assert (one.is_reading(), other.is_reading()) == (True, True)


def test_a_loop_that_was_closed_in_a_flood_is_forgotten() -> None:
    async def be_flooded() -> None:
        _, transport = make_websocket()
        transport.feed(ping() * 300)
        assert not transport.is_reading()

    loop = asyncio.new_event_loop()
    forgotten = weakref.ref(loop)
    loop.run_until_complete(be_flooded())
    loop.close()
    asyncio.run(be_flooded())
    del loop
    gc.collect()
    assert forgotten() is None
