"""How a `WebSocket` ends: the closing handshake, faults at their place, and a truthful close code.

Knows the transport as memory; timers run on virtual time.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Any

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
from tests.helpers import both_roles, peer_frame

from .support import (
    BAD_FRAME,
    MemoryTransport,
    binary,
    close,
    echo_all,
    make_websocket,
    now,
    on_each_loop,
    pass_time,
    ping,
    receive_all,
    settle,
    text,
    virtual_time,
)

# We close


@virtual_time
async def test_there_is_no_close_code_before_the_end() -> None:
    websocket, transport = make_websocket()
    assert (websocket.close_code, websocket.close_reason) == (None, "")
    closing = asyncio.create_task(websocket.close(4000, "ours"))
    await settle()
    assert (websocket.close_code, websocket.close_reason) == (None, "")
    transport.lose()
    await closing


@both_roles
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "moving"), (1011, "x" * 123), (3000, ""), (4999, "é")]
)
@virtual_time
async def test_close_runs_the_closing_handshake(role: Role, code: int, reason: str) -> None:
    websocket, transport = make_websocket(role)
    assert websocket.close_reason == ""
    closing = asyncio.create_task(websocket.close(code, reason))
    await settle()
    assert transport.closes == [Close(code, reason)]
    assert not closing.done()
    transport.feed(close(code, reason, role))
    await settle()
    # §7.1.1: the server ends TCP first; the client waits for that.
    assert closing.done() is (role is Role.SERVER)
    if role is Role.CLIENT:
        assert not transport.is_closing()
        transport.feed_eof()
    await closing
    assert websocket.state is State.CLOSED
    assert (websocket.close_code, websocket.close_reason) == (code, reason)
    assert not transport.aborted


@virtual_time
async def test_close_without_a_code_is_1005() -> None:
    websocket, transport = make_websocket()
    closing = asyncio.create_task(websocket.close(1005))
    await settle()
    assert transport.frames[0].payload == b""
    transport.feed(close(1005))
    await closing
    assert websocket.close_code == 1005


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, "") for code in (-1, 0, 999, 1004, 1006, 1015, 1016, 1100, 2000, 2999)),
        *((code, "") for code in (5000, 65535, 65536, 1 << 40)),
        (1000, "x" * 124),
        (1000, "é" * 62),
        (1000, "\ud800"),
        (1005, "a reason needs a code"),
    ],
)
@virtual_time
async def test_codes_and_reasons_that_must_not_travel_are_refused(code: int, reason: str) -> None:
    websocket, transport = make_websocket()
    with pytest.raises(UsageError):
        await websocket.close(code, reason)
    assert transport.writes == []
    assert websocket.state is State.OPEN
    await websocket.send("it lives")
    websocket.abort()


@virtual_time
async def test_the_close_code_is_the_peers_not_ours() -> None:
    websocket, transport = make_websocket()
    closing = asyncio.create_task(websocket.close(4000, "ours"))
    await settle()
    transport.feed(close(4001, "theirs"))
    await closing
    assert (websocket.close_code, websocket.close_reason) == (4001, "theirs")


@virtual_time
async def test_close_twice_sends_one_close_frame() -> None:
    websocket, transport = make_websocket()
    tasks = [asyncio.create_task(websocket.close(code)) for code in (4000, 4001, 4002)]
    await settle()
    assert transport.closes == [Close(4000)]
    transport.feed(close(4000))
    await asyncio.gather(*tasks)
    await websocket.close()
    assert transport.closes == [Close(4000)]


@virtual_time
async def test_close_drops_tcp_when_the_peer_does_not_answer() -> None:
    websocket, transport = make_websocket(close_timeout=5)
    await websocket.close()
    assert now() == pytest.approx(5)
    assert transport.aborted
    assert websocket.close_code == 1006
    with pytest.raises(ConnectionClosedError):
        await websocket.recv()


@virtual_time
async def test_a_client_drops_tcp_when_the_server_does_not_end_it() -> None:
    websocket, transport = make_websocket(Role.CLIENT, close_timeout=5)
    closing = asyncio.create_task(websocket.close())
    await pass_time(1)
    transport.feed(close(role=Role.CLIENT))
    await closing
    assert now() == pytest.approx(6)
    assert transport.aborted
    # The closing handshake itself was complete.
    assert websocket.close_code == 1000


@virtual_time
async def test_a_cancelled_close_still_ends_the_connection() -> None:
    websocket, transport = make_websocket(close_timeout=5)
    closing = asyncio.create_task(websocket.close())
    await settle()
    closing.cancel()
    await asyncio.wait([closing])
    assert not transport.is_closing()
    await websocket.wait_closed()
    assert now() == pytest.approx(5)
    assert transport.aborted


@virtual_time
async def test_cancelling_wait_closed_disturbs_no_other_waiter() -> None:
    websocket, transport = make_websocket()
    waiters = [asyncio.create_task(websocket.wait_closed()) for _ in range(3)]
    await settle()
    waiters[0].cancel()
    await settle()
    assert [task.done() for task in waiters] == [True, False, False]
    transport.lose()
    await asyncio.gather(*waiters[1:])
    await websocket.wait_closed()


@virtual_time
async def test_abort_is_1006() -> None:
    websocket, transport = make_websocket()
    websocket.abort()
    await websocket.wait_closed()
    assert transport.aborted
    assert transport.writes == []
    assert websocket.close_code == 1006
    websocket.abort()


@virtual_time
async def test_as_a_context_manager_it_closes() -> None:
    websocket, transport = make_websocket()
    asyncio.get_running_loop().call_later(1, transport.feed, close())
    async with websocket as entered:
        assert entered is websocket
    assert transport.closes == [Close(1000)]


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
@virtual_time
async def test_as_a_context_manager_it_says_1011_on_errors(error: type[BaseException]) -> None:
    websocket, transport = make_websocket()
    asyncio.get_running_loop().call_later(1, transport.feed, close(1011))
    with pytest.raises(error):
        async with websocket:
            raise error
    assert transport.closes == [Close(1011)]


@virtual_time
async def test_as_a_context_manager_it_passes_a_closure_on() -> None:
    websocket, transport = make_websocket()
    transport.feed(close(4000))
    with pytest.raises(ConnectionClosedError):
        async with websocket:
            await websocket.recv()
    assert websocket.close_code == 4000


# The peer closes


@both_roles
@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1005, 1007, 1011, 1014, 3000, 4999])
@virtual_time
async def test_the_peers_close_is_echoed_at_once(role: Role, code: int) -> None:
    websocket, transport = make_websocket(role)
    transport.feed(close(code, role=role))
    assert transport.closes == [Close(code)]
    assert transport.is_closing() is (role is Role.SERVER)
    transport.feed_eof()
    await websocket.wait_closed()
    assert websocket.close_code == code
    assert not transport.aborted


@virtual_time
async def test_replies_to_messages_before_the_peers_close_leave_before_the_echo() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + text("b") + close(4000, "done"))
    assert type(await echo_all(websocket)) is ConnectionClosedError
    assert [f.opcode for f in transport.frames] == [Opcode.TEXT, Opcode.TEXT, Opcode.CLOSE]
    assert transport.messages == ["a", "b"]
    assert transport.closes == [Close(4000)]
    await websocket.wait_closed()
    assert (websocket.close_code, websocket.close_reason) == (4000, "done")


@virtual_time
async def test_the_echo_waits_for_the_handler_no_longer_than_the_grace() -> None:
    websocket, transport = make_websocket(close_grace=1)
    transport.feed(text("a") + close())
    assert await websocket.recv() == "a"
    await pass_time(0.5)
    assert transport.closes == []
    await websocket.send("in time")
    await pass_time(0.5)
    assert transport.closes == [Close(1000)]
    with pytest.raises(ConnectionClosedOK):
        await websocket.send("too late")
    assert transport.messages == ["in time"]
    await websocket.wait_closed()


@virtual_time
async def test_the_echo_waits_while_the_handler_is_at_work_on_an_earlier_message() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a"))
    message = await websocket.recv()
    transport.feed(close())
    await settle()
    assert transport.closes == []
    await websocket.send(message)
    with pytest.raises(ConnectionClosedOK):
        await websocket.recv()
    assert [f.opcode for f in transport.frames] == [Opcode.TEXT, Opcode.CLOSE]
    await websocket.wait_closed()


@virtual_time
async def test_close_answers_the_peers_close_with_its_code() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + close(4001))
    await websocket.recv()
    await websocket.close(1000)
    assert transport.closes == [Close(4001)]


@both_roles
@virtual_time
async def test_the_echo_is_written_although_writing_is_held_up(role: Role) -> None:
    websocket, transport = make_websocket(role)
    transport.congested = True
    await websocket.send(bytes(70_000))
    transport.feed(close(4000, role=role))
    assert transport.closes == [Close(4000)]
    transport.flow()
    transport.feed_eof()
    await websocket.wait_closed()
    assert not transport.aborted


@virtual_time
async def test_pings_behind_our_close_cost_no_memory_while_writing_is_held_up() -> None:
    websocket, transport = make_websocket()
    transport.congested = True
    await websocket.send(bytes(70_000))
    closing = asyncio.create_task(websocket.close())
    await settle()
    for number in range(1000):
        transport.feed(ping(b"%d" % number))
    assert [frame.opcode for frame in transport.frames] == [Opcode.BINARY, Opcode.CLOSE]
    transport.flow()
    assert [frame.payload for frame in transport.frames[2:]] == [b"0", b"999"]
    transport.feed(close())
    transport.feed_eof()
    await closing


@virtual_time
async def test_replies_that_wait_for_the_network_leave_before_the_echo() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + text("b") + text("c") + close(1000))
    transport.congested = True
    await websocket.recv()
    await websocket.send(bytes(70_000))
    # Written already; what follows waits for the congestion to end.
    replies = [asyncio.create_task(websocket.send(str(n))) for n in range(2)]
    await settle()
    transport.flow()
    await asyncio.gather(*replies)
    assert [message async for message in websocket] == ["b", "c"]
    assert transport.messages[1:] == ["0", "1"]
    assert transport.closes == [Close(1000)]
    await websocket.wait_closed()


# Simultaneous, and half-closed


@both_roles
@virtual_time
async def test_closes_that_cross(role: Role) -> None:
    websocket, transport = make_websocket(role)
    closing = asyncio.create_task(websocket.close(4000))
    await settle()
    transport.feed(close(4001, "crossed", role))
    if role is Role.CLIENT:
        transport.feed_eof()
    await closing
    assert transport.closes == [Close(4000)]
    assert (websocket.close_code, websocket.close_reason) == (4001, "crossed")


@virtual_time
async def test_the_peers_end_of_tcp_without_a_close_is_1006() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a"))
    transport.feed_eof()
    await websocket.wait_closed()
    assert websocket.close_code == 1006
    assert transport.closes == []
    assert await websocket.recv() == "a"


@both_roles
@virtual_time
async def test_a_peer_that_ends_its_side_behind_its_close_gets_replies_and_echo(role: Role) -> None:
    websocket, transport = make_websocket(role)
    transport.feed(text("a", role) + close(1000, role=role))
    transport.feed_eof()
    await settle()
    assert not transport.is_closing()
    async for message in websocket:
        await websocket.send(message)
    assert transport.messages == ["a"]
    assert transport.closes == [Close(1000)]
    # Nothing is left to wait for, on either side.
    assert transport.is_closing()
    await settle()
    assert websocket.state is State.CLOSED
    assert websocket.close_code == 1000


@virtual_time
async def test_over_tls_the_peers_end_is_the_end() -> None:
    websocket, transport = make_websocket(tls=True)
    transport.feed(text("a") + close(1000))
    transport.feed_eof()
    await websocket.wait_closed()
    assert [message async for message in websocket] == ["a"]
    assert websocket.close_code == 1000


@virtual_time
async def test_the_end_of_tcp_while_we_close_is_1006() -> None:
    websocket, transport = make_websocket()
    closing = asyncio.create_task(websocket.close())
    await settle()
    transport.feed_eof()
    await closing
    assert websocket.close_code == 1006


# Faults

FAULTS = [
    pytest.param(BAD_FRAME, 1002, id="1002"),
    pytest.param(peer_frame(Role.SERVER, Opcode.TEXT, b"\xff"), 1007, id="1007"),
    pytest.param(binary(bytes(1001)), 1009, id="1009"),
]


def opcodes(transport: MemoryTransport) -> list[Opcode]:
    return [frame.opcode for frame in transport.frames]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
@virtual_time
async def test_a_fault_is_answered_at_once_when_nothing_waits(fault: bytes, code: int) -> None:
    websocket, transport = make_websocket(max_message_size=1000)
    transport.feed(fault)
    assert [c.code for c in transport.closes] == [code]
    # §7.1.7, and RFC 1122: our side of TCP ends; what the peer still sends is read and discarded.
    assert transport.eof_written
    assert not transport.is_closing()
    transport.feed_eof()
    await websocket.wait_closed()
    assert websocket.close_code == 1006
    assert not transport.aborted


@pytest.mark.parametrize(("fault", "code"), FAULTS)
@virtual_time
async def test_replies_to_messages_before_a_fault_leave_before_our_close(
    fault: bytes, code: int
) -> None:
    websocket, transport = make_websocket(max_message_size=1000)
    transport.feed(text("a") + text("b") + fault)
    await echo_all(websocket)
    assert opcodes(transport) == [Opcode.TEXT, Opcode.TEXT, Opcode.CLOSE]
    assert transport.closes[0].code == code
    assert transport.eof_written
    transport.feed_eof()
    await websocket.wait_closed()


@pytest.mark.parametrize(("fault", "code"), FAULTS)
@virtual_time
async def test_a_fault_waits_for_the_handler_no_longer_than_the_grace(
    fault: bytes, code: int
) -> None:
    websocket, transport = make_websocket(max_message_size=1000, close_grace=1)
    transport.feed(text("a") + fault)
    await websocket.recv()
    await pass_time(0.99)
    assert transport.writes == []
    await pass_time(0.02)
    assert [c.code for c in transport.closes] == [code]
    assert transport.eof_written
    transport.feed_eof()
    await websocket.wait_closed()


@virtual_time
async def test_a_waiting_recv_learns_of_a_fault_at_once() -> None:
    websocket, transport = make_websocket()
    receiver = asyncio.create_task(websocket.recv())
    await settle()
    transport.feed(BAD_FRAME)
    with pytest.raises(ConnectionClosedError):
        await receiver
    websocket.abort()


@virtual_time
async def test_a_fault_is_answered_although_writing_is_held_up() -> None:
    websocket, transport = make_websocket()
    transport.congested = True
    await websocket.send(bytes(70_000))
    transport.feed(BAD_FRAME)
    assert [c.code for c in transport.closes] == [1002]
    assert transport.eof_written
    # What waited must not be written behind the end.
    transport.flow()
    transport.feed_eof()
    await websocket.wait_closed()


@virtual_time
async def test_over_tls_a_fault_ends_the_connection() -> None:
    websocket, transport = make_websocket(tls=True)
    transport.feed(BAD_FRAME)
    assert [c.code for c in transport.closes] == [1002]
    assert transport.is_closing()
    await websocket.wait_closed()


@virtual_time
async def test_a_fault_while_we_close_ends_the_wait() -> None:
    websocket, transport = make_websocket()
    closing = asyncio.create_task(websocket.close())
    await settle()
    transport.feed(BAD_FRAME)
    assert transport.eof_written
    assert transport.closes == [Close(1000)]
    transport.feed_eof()
    await closing
    assert websocket.close_code == 1006


# Data behind the end


@pytest.mark.parametrize("end", [close(1000), BAD_FRAME], ids=["close", "fault"])
@virtual_time
async def test_data_behind_the_end_is_neither_kept_nor_answered(end: bytes) -> None:
    websocket, transport = make_websocket(Role.SERVER)
    transport.feed(text("a") + end + text("ignored") + ping(b"ignored"))
    transport.feed(text("ignored") + ping(b"ignored"))
    messages, _ = await receive_all(websocket)
    assert messages == ["a"]
    assert opcodes(transport) == [Opcode.CLOSE]
    websocket.abort()


@virtual_time
async def test_data_behind_a_fault_is_capped() -> None:
    websocket, transport = make_websocket(max_discarded_size=64 * 1024)
    transport.feed(BAD_FRAME)
    for _ in range(64):
        transport.feed(bytes(1024))
        assert not transport.aborted
    transport.feed(b"\x00")
    assert transport.aborted
    await websocket.wait_closed()


@virtual_time
async def test_a_flood_behind_our_close_is_capped() -> None:
    websocket, transport = make_websocket(max_closing_size=64 * 1024, close_timeout=None)
    websocket.start_close()
    flood = peer_frame(Role.SERVER, Opcode.BINARY, bytes(1024 - 8))
    for _ in range(64):
        transport.feed(flood)
        assert not transport.aborted
    transport.feed(flood)
    assert transport.aborted
    await websocket.wait_closed()
    assert websocket.close_code == 1006


@virtual_time
async def test_data_behind_our_close_is_read_and_thrown_away() -> None:
    websocket, transport = make_websocket(max_queued_messages=4, max_queued_size=1000)
    closing = asyncio.create_task(websocket.close())
    await settle()
    for _ in range(1000):
        transport.feed(binary(bytes(1000)))
    assert transport.is_reading()
    assert len(websocket._inbox) == 0
    transport.feed(close())
    await closing
    assert websocket.close_code == 1000


@virtual_time
async def test_a_peer_that_sends_for_ever_after_our_close_is_dropped_in_time() -> None:
    websocket, transport = make_websocket(close_timeout=5)
    loop = asyncio.get_running_loop()

    def send_more() -> None:
        if not transport.is_closing():
            transport.feed(text("more"))

    for tenth in range(100):
        loop.call_at(tenth / 10, send_more)
    await websocket.close()
    assert now() == pytest.approx(5)
    assert transport.aborted


@virtual_time
async def test_a_peer_that_never_ends_tcp_after_a_fault_is_dropped_in_time() -> None:
    websocket, transport = make_websocket(close_timeout=5)
    transport.feed(BAD_FRAME)
    await websocket.wait_closed()
    assert now() == pytest.approx(5)
    assert transport.aborted


@virtual_time
async def test_without_a_close_timeout_nothing_is_dropped() -> None:
    websocket, transport = make_websocket(close_timeout=None)
    closing = asyncio.create_task(websocket.close())
    await pass_time(1000)
    assert not closing.done()
    transport.feed(close())
    await closing


# A truthful close code


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        (close(1000, "x"), (1000, "x")),
        (close(1001), (1001, "")),
        (close(1005), (1005, "")),
        (close(4000, "y"), (4000, "y")),
        (BAD_FRAME, (1006, "")),
        (None, (1006, "")),
    ],
)
@virtual_time
async def test_close_code_and_reason(arrival: bytes | None, expected: tuple[Any, ...]) -> None:
    websocket, transport = make_websocket()
    if arrival is None:
        transport.lose()
    else:
        transport.feed(arrival)
        transport.feed_eof()
    await websocket.wait_closed()
    assert (websocket.close_code, websocket.close_reason) == expected


@virtual_time
async def test_a_peer_that_has_just_reset_tcp_does_not_disturb_our_close() -> None:
    """Sockets refuse to end their side of what the peer has reset."""
    websocket, transport = make_websocket()

    def write_eof() -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    transport.write_eof = write_eof  # type: ignore[method-assign]
    transport.feed(BAD_FRAME)
    await websocket.wait_closed()
    assert transport.aborted
    assert transport.closes[0].code == 1002


@on_each_loop
async def test_what_comes_when_the_time_to_close_is_over_already() -> None:
    websocket, transport = make_websocket(close_timeout=0)
    websocket.start_close()
    transport.feed(text("late"))
    await websocket.wait_closed()
    assert transport.aborted
