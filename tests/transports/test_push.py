"""`push`, `broadcast` and the write timeout: peers that read too slowly."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from rfc6455 import (
    ConnectionClosed,
    Overflow,
    PreparedMessage,
    Role,
    State,
    UsageError,
    WebSocket,
    broadcast,
)
from tests.helpers import both_roles

from .support import MemoryTransport, close, make_websocket, settle, text, virtual_time


def congested(**limits: Any) -> tuple[WebSocket, MemoryTransport]:
    """A connection whose peer does not read; nothing but pushed messages can follow."""
    limits.setdefault("write_timeout", None)
    websocket, transport = make_websocket(ping_interval=None, **limits)
    transport.congested = True
    assert websocket.push(bytes(70_000))
    transport.writes.clear()
    return websocket, transport


@both_roles
@virtual_time
async def test_pushed_messages_leave_at_the_end_of_the_turn(role: Role) -> None:
    websocket, transport = make_websocket(role)
    assert websocket.push("a")
    assert websocket.push(b"b")
    assert websocket.push(PreparedMessage("c"))
    assert (transport.writes, websocket.unsent_size) == ([], 3)
    await asyncio.sleep(0)
    assert transport.messages == ["a", b"b", "c"]
    assert (len(transport.writes), websocket.unsent_size) == (1, 0)
    websocket.abort()


@both_roles
@virtual_time
async def test_what_is_sent_or_closed_behind_pushed_messages_takes_them_along(role: Role) -> None:
    websocket, transport = make_websocket(role)
    websocket.push("a")
    await websocket.send("b")
    assert transport.messages == ["a", "b"]
    websocket.push("c")
    websocket.start_close()
    assert transport.messages == ["a", "b", "c"]
    assert [c.code for c in transport.closes] == [1000]
    websocket.abort()


@virtual_time
async def test_many_pushed_messages_do_not_collect_without_end() -> None:
    websocket, transport = make_websocket()
    for _ in range(100):
        websocket.push(bytes(1000))
    assert [len(data) for data in transport.writes] == [66 * 1004]
    websocket.abort()


@virtual_time
async def test_pushed_messages_wait_in_order_and_before_later_ones() -> None:
    websocket, transport = congested()
    assert websocket.push("a")
    sending = asyncio.create_task(websocket.send("c"))
    await settle()
    assert websocket.push("b", compress=False)
    assert transport.writes == []
    transport.flow()
    await sending
    assert websocket.push("d")
    await settle()
    assert transport.messages == ["a", "b", "c", "d"]
    websocket.abort()


@virtual_time
async def test_what_waits_goes_out_as_the_peer_takes_it() -> None:
    websocket, transport = congested()
    for number in range(3):
        websocket.push(bytes([number]) * 70_000)
    for number in range(3):
        transport.congested = True
        transport._buffered = 0
        transport._protocol_paused = False
        websocket.resume_writing()
        assert [m[0] for m in transport.messages] == list(range(number + 1))
    websocket.abort()


@virtual_time
async def test_a_full_queue_disconnects() -> None:
    websocket, transport = congested(max_unsent_size=10)
    assert websocket.push(bytes(10))
    assert not websocket.push(b"a")
    assert websocket.state is State.CLOSE_SENT
    # What was pushed before is sent before.
    assert transport.messages == [bytes(10)]
    assert [c.code for c in transport.closes] == [1008]
    with pytest.raises(ConnectionClosed):
        websocket.push("b")
    websocket.abort()


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [(Overflow.DROP_OLDEST, ["cc", "dd"]), (Overflow.DROP_NEWEST, ["aa", "bb"])],
)
@virtual_time
async def test_a_full_queue_drops(overflow: Overflow, kept: list[str]) -> None:
    websocket, transport = congested(max_unsent_size=5)
    sent = [websocket.push(message, overflow=overflow) for message in ("aa", "bb", "cc", "dd")]
    assert sent == [True, True, *[overflow is Overflow.DROP_OLDEST] * 2]
    assert websocket.dropped == 2
    transport.flow()
    assert transport.messages == kept
    assert websocket.state is State.OPEN
    websocket.abort()


@virtual_time
async def test_a_message_that_never_fits_is_dropped_alone() -> None:
    websocket, transport = congested(max_unsent_size=5)
    assert websocket.push("aa", overflow=Overflow.DROP_OLDEST)
    assert not websocket.push("bbbbbb", overflow=Overflow.DROP_OLDEST)
    assert websocket.dropped == 1
    transport.flow()
    assert transport.messages == ["aa"]
    websocket.abort()


@virtual_time
async def test_the_latest_of_a_key_takes_the_place_of_the_one_before() -> None:
    websocket, transport = congested(max_unsent_size=10)
    for message, key in (("a1", "a"), ("b1", "b"), ("x", None), ("a2", "a"), ("a3", "a")):
        assert websocket.push(message, key=key)
    transport.flow()
    assert transport.messages == ["a3", "b1", "x"]
    assert websocket.dropped == 0
    websocket.abort()


@virtual_time
async def test_a_larger_one_of_the_same_key_may_drop_others() -> None:
    websocket, transport = congested(max_unsent_size=6)
    for message, key in (("aa", "a"), ("bb", "b"), ("cc", "c")):
        assert websocket.push(message, key=key)
    assert websocket.push("bbbb", key="b", overflow=Overflow.DROP_OLDEST)
    assert websocket.push("aaaa", key="a", overflow=Overflow.DROP_OLDEST)
    transport.flow()
    assert transport.messages[-1] == "aaaa"
    assert sum(map(len, transport.messages)) <= 6
    websocket.abort()


@virtual_time
async def test_what_was_pushed_before_a_close_is_sent_before_it() -> None:
    websocket, transport = congested()
    websocket.push("a")
    websocket.start_close(4000, "enough")
    assert transport.messages == ["a"]
    assert [c.code for c in transport.closes] == [4000]
    transport.feed(close())
    await websocket.wait_closed()


@virtual_time
async def test_what_a_close_sends_before_it_is_not_copied() -> None:
    websocket, transport = congested()
    messages = [PreparedMessage(bytes(20_000)) for _ in range(3)]
    assert broadcast([websocket], messages[0]) == []
    for message in messages[1:]:
        websocket.push(message)
    websocket.start_close()
    # `bytes` of bytes are the same object, so that the transport has what all receivers share.
    assert all(w is m.frame for w, m in zip(transport.writes, messages, strict=False))
    assert [c.code for c in transport.closes] == [1000]
    websocket.abort()


@virtual_time
async def test_not_any_number_of_messages_without_content_waits() -> None:
    websocket, transport = congested(max_unsent_messages=10)
    sent = [websocket.push("", overflow=Overflow.DROP_NEWEST) for _ in range(11)]
    assert sent == [True] * 10 + [False]
    transport.flow()
    assert transport.messages == [""] * 10
    websocket.abort()


@pytest.mark.parametrize("message", [1, None, ["a"]], ids=str)
@virtual_time
async def test_what_cannot_be_pushed_is_refused_at_once(message: Any) -> None:
    for websocket, _ in (make_websocket(), congested()):
        with pytest.raises(TypeError):
            websocket.push(message)
        with pytest.raises(UsageError):
            websocket.push("\ud800")
        websocket.abort()


@virtual_time
async def test_replies_that_are_pushed_leave_in_one_write() -> None:
    websocket, transport = make_websocket()

    async def answer() -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in websocket:
                websocket.push(message)

    task = asyncio.create_task(answer())
    await settle()
    asyncio.get_running_loop().call_soon(transport.feed, text("a") + text("b") + text("c"))
    await settle()
    assert transport.messages == ["a", "b", "c"]
    assert len(transport.writes) == 1
    websocket.abort()
    await asyncio.wait([task])


# Broadcast


@virtual_time
async def test_broadcast_reaches_all_that_can_be_reached() -> None:
    plain = [make_websocket() for _ in range(3)]
    client = make_websocket(Role.CLIENT)
    slow = congested(max_unsent_size=3)
    closing = make_websocket()
    closing[0].start_close()
    gone = make_websocket()
    gone[1].lose()
    await settle()
    receivers = [pair[0] for pair in (*plain, client, slow, closing, gone)]
    assert broadcast(receivers, "abc") == [closing[0], gone[0]]
    await settle()
    assert broadcast(receivers, "def") == [slow[0], closing[0], gone[0]]
    await settle()
    for _, transport in (*plain, client):
        assert transport.messages == ["abc", "def"]
    first, second, third = (transport.writes[0] for _, transport in plain)
    assert first is second is third or first == second == third
    slow[1].flow()
    assert slow[1].messages == ["abc"]
    assert slow[0].state is State.OPEN
    for websocket in receivers:
        websocket.abort()


@virtual_time
async def test_broadcast_by_key_keeps_the_latest_for_the_slow() -> None:
    fast, slow = make_websocket(), congested()
    for price in ("1", "2", "3"):
        assert broadcast([fast[0], slow[0]], price, key="price") == []
    slow[1].flow()
    await settle()
    assert fast[1].messages == ["1", "2", "3"]
    assert slow[1].messages == ["3"]
    fast[0].abort()
    slow[0].abort()


@virtual_time
async def test_broadcast_refuses_before_it_sends() -> None:
    websocket, transport = make_websocket()
    with pytest.raises(TypeError):
        broadcast([websocket], ["a"])  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        broadcast([websocket], "\ud800")
    assert transport.writes == []
    websocket.abort()


# The write timeout


@virtual_time
async def test_a_peer_that_takes_nothing_is_dropped() -> None:
    websocket, transport = congested(write_timeout=20)
    waiting = asyncio.create_task(websocket.send("waits"))
    await asyncio.sleep(19.9)
    assert not transport.aborted
    await asyncio.sleep(0.2)
    assert transport.aborted
    with pytest.raises(ConnectionClosed):
        await waiting
    assert websocket.close_code == 1006


@virtual_time
async def test_a_peer_that_takes_a_little_is_waited_for() -> None:
    _, transport = congested(write_timeout=20)
    for _ in range(5):
        await asyncio.sleep(19)
        transport._buffered -= 1
    await asyncio.sleep(30)
    assert transport.aborted


@virtual_time
async def test_a_peer_that_has_caught_up_has_time_again() -> None:
    websocket, transport = congested(write_timeout=20)
    await asyncio.sleep(15)
    transport.flow()
    await asyncio.sleep(100)
    assert not transport.aborted
    transport.congested = True
    websocket.push(bytes(70_000))
    await asyncio.sleep(19)
    assert not transport.aborted
    await asyncio.sleep(2)
    assert transport.aborted
