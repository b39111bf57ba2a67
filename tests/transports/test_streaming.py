"""`recv_streaming`, and `send` of iterators: messages in fragments, and what interrupts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rfc6455 import ConnectionClosed, ConnectionClosedError, UsageError
from rfc6455.frames import Opcode
from tests.helpers import SERVER, peer_frame

from .support import (
    close,
    make_websocket,
    settle,
    text,
    virtual_time,
)

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION


def begin(data: bytes, opcode: Opcode = TEXT) -> bytes:
    return peer_frame(SERVER, opcode, data, fin=False)


def go_on(data: bytes, *, fin: bool = False) -> bytes:
    return peer_frame(SERVER, CONTINUATION, data, fin=fin)


def end(data: bytes) -> bytes:
    return go_on(data, fin=True)


# Receiving


@virtual_time
async def test_pieces_come_before_the_message_is_complete() -> None:
    websocket, transport = make_websocket()
    pieces = websocket.recv_streaming()
    transport.feed(begin(b"a") + go_on(b"b"))
    assert await anext(pieces) == "ab"
    transport.feed(end(b"c") + text("d"))
    assert [piece async for piece in pieces] == ["c"]
    assert [piece async for piece in pieces] == []
    assert await websocket.recv() == "d"
    websocket.abort()


@virtual_time
async def test_a_waiting_reader_gets_each_piece_as_it_comes() -> None:
    websocket, transport = make_websocket()
    got: list[Any] = []

    async def read() -> None:
        got.extend([piece async for piece in websocket.recv_streaming()])
        got.append(await websocket.recv())

    reader = asyncio.create_task(read())
    await settle()
    for data in (begin(b"\x00", BINARY), go_on(b"\x01\x02"), end(b"\x03"), text("next")):
        transport.feed(data)
        await settle()
    await reader
    assert got == [b"\x00", b"\x01\x02", b"\x03", "next"]
    websocket.abort()


@virtual_time
async def test_a_message_that_is_here_is_one_piece() -> None:
    websocket, transport = make_websocket()
    transport.feed(text("a") + text("b"))
    assert [piece async for piece in websocket.recv_streaming()] == ["a"]
    assert [piece async for piece in websocket.recv_streaming()] == ["b"]
    websocket.abort()


@virtual_time
async def test_a_huge_message_in_pieces_takes_little_memory() -> None:
    websocket, transport = make_websocket(max_message_size=None, max_queued_size=100_000)
    size = 0

    async def read() -> None:
        nonlocal size
        async for piece in websocket.recv_streaming():
            size += len(piece)

    reader = asyncio.create_task(read())
    await settle()
    whole = peer_frame(SERVER, BINARY, bytes(5_000_000))
    for start in range(0, len(whole), 50_000):
        transport.feed(whole[start : start + 50_000])
        assert websocket._core.incomplete_size == 0
        await settle()
    await reader
    assert size == 5_000_000
    websocket.abort()


@virtual_time
async def test_the_rest_of_a_message_that_is_given_up_is_thrown_away() -> None:
    websocket, transport = make_websocket()
    transport.feed(begin(b"a"))
    async for piece in websocket.recv_streaming():
        assert piece == "a"
        break
    transport.feed(go_on(b"b") + end(b"c") + text("d") + begin(b"e") + end(b"f"))
    assert await websocket.recv() == "d"
    assert await anext(websocket.recv_streaming()) == "ef"
    websocket.abort()


@virtual_time
async def test_giving_up_twice() -> None:
    websocket, transport = make_websocket()
    for _ in range(2):
        transport.feed(begin(b"a"))
        first = websocket.recv_streaming()
        assert await anext(first) == "a"
        transport.feed(end(b"b"))
    pieces = websocket.recv_streaming()
    transport.feed(text("c"))
    assert await anext(pieces) == "c"
    websocket.abort()


@virtual_time
async def test_pieces_that_nobody_took_make_a_whole_message() -> None:
    websocket, transport = make_websocket()
    waiting = asyncio.ensure_future(anext(websocket.recv_streaming()))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    transport.feed(begin(b"a"))
    receiving = asyncio.create_task(websocket.recv())
    await settle()
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    transport.feed(end(b"b") + text("c"))
    assert await anext(aiter(websocket)) == "ab"
    assert await websocket.recv() == "c"
    websocket.abort()


@virtual_time
async def test_pieces_after_a_cancelled_recv_lose_nothing() -> None:
    websocket, transport = make_websocket()
    waiting = asyncio.ensure_future(anext(websocket.recv_streaming()))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    receiving = asyncio.create_task(websocket.recv())
    await settle()
    transport.feed(begin(b"a"))
    await settle()
    receiving.cancel()
    await asyncio.wait([receiving])
    transport.feed(end(b"b"))
    assert [piece async for piece in websocket.recv_streaming()] == ["a", "b"]
    websocket.abort()


@virtual_time
async def test_iteration_ends_with_the_connection_in_pieces_too() -> None:
    websocket, transport = make_websocket()
    pieces = websocket.recv_streaming()
    waiting = asyncio.ensure_future(anext(pieces))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    transport.feed(begin(b"a") + end(b"b") + close())
    assert [message async for message in websocket] == ["ab"]
    transport.lose()
    await websocket.wait_closed()


@virtual_time
async def test_a_connection_that_ends_in_the_middle_says_so() -> None:
    websocket, transport = make_websocket()
    transport.feed(begin(b"a"))
    pieces = websocket.recv_streaming()
    assert await anext(pieces) == "a"
    transport.lose()
    with pytest.raises(ConnectionClosedError):
        await anext(pieces)


@virtual_time
async def test_a_second_reader_of_pieces_is_refused() -> None:
    websocket, transport = make_websocket()
    first = asyncio.ensure_future(anext(websocket.recv_streaming()))
    await settle()
    for receive in (websocket.recv(), anext(websocket.recv_streaming())):
        with pytest.raises(UsageError, match="receiving already"):
            await receive
    transport.feed(text("a"))
    assert await first == "a"
    websocket.abort()


# Sending


async def slowly(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(1)
        yield item


@virtual_time
async def test_the_items_of_an_iterator_are_fragments() -> None:
    websocket, transport = make_websocket()
    for source in (["a", "", "b"], iter(["a", "", "b"]), slowly("a", "", "b")):
        transport.writes.clear()
        await websocket.send(source)
        assert [(f.opcode, f.payload, f.fin) for f in transport.frames] == [
            (TEXT, b"a", False),
            (CONTINUATION, b"", False),
            (CONTINUATION, b"b", False),
            (CONTINUATION, b"", True),
        ]
    transport.writes.clear()
    await websocket.send([bytearray(b"a"), memoryview(b"b")])
    assert [f.opcode for f in transport.frames] == [BINARY, CONTINUATION, CONTINUATION]
    websocket.abort()


@virtual_time
async def test_an_empty_iterator_sends_nothing() -> None:
    websocket, transport = make_websocket()
    await websocket.send([])
    await websocket.send(slowly())
    assert transport.writes == []
    websocket.abort()


@virtual_time
async def test_each_fragment_leaves_as_it_comes_and_others_wait() -> None:
    websocket, transport = make_websocket()
    sending = asyncio.create_task(websocket.send(slowly("a", "b")))
    await asyncio.sleep(1.5)
    assert [f.payload for f in transport.frames] == [b"a"]
    others = [asyncio.create_task(websocket.send(name)) for name in ("c", "d")]
    assert websocket.push("pushed")
    await settle()
    pinging = asyncio.create_task(websocket.ping(b"p"))
    await sending
    await asyncio.gather(*others)
    assert [(f.opcode, f.payload) for f in transport.frames] == [
        (TEXT, b"a"),
        (Opcode.PING, b"p"),
        (CONTINUATION, b"b"),
        (CONTINUATION, b""),
        (TEXT, b"pushed"),
        (TEXT, b"c"),
        (TEXT, b"d"),
    ]
    pinging.cancel()
    websocket.abort()


@virtual_time
async def test_fragments_wait_while_the_peer_reads_slowly() -> None:
    websocket, transport = make_websocket(write_timeout=None, ping_interval=None)
    taken = []

    def source() -> Iterator[bytes]:
        for number in range(4):
            taken.append(number)
            yield bytes(70_000)

    transport.congested = True
    sending = asyncio.create_task(websocket.send(source()))
    await settle()
    assert taken == [0]
    transport.flow()
    await sending
    assert taken == [0, 1, 2, 3]
    websocket.abort()


@pytest.mark.parametrize("wrong", [["a", b"b"], ["a", 1], ["a", "\ud800"]], ids=str)
@virtual_time
async def test_a_message_that_cannot_be_completed_ends_the_connection(wrong: list[Any]) -> None:
    websocket, transport = make_websocket()
    with pytest.raises((UsageError, TypeError)):
        await websocket.send(wrong)
    assert [c.code for c in transport.closes] == [1011]
    with pytest.raises(ConnectionClosed):
        await websocket.send("more")
    websocket.abort()


@pytest.mark.parametrize("wrong", [[1], ["\ud800"], 1, {"a": "b"}], ids=str)
@virtual_time
async def test_a_message_that_has_not_begun_harms_nobody(wrong: Any) -> None:
    websocket, transport = make_websocket()
    with pytest.raises((UsageError, TypeError)):
        await websocket.send(wrong)
    await websocket.send("a")
    assert transport.messages == ["a"]
    websocket.abort()


@virtual_time
async def test_cancelled_or_failing_in_the_middle() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise ZeroDivisionError

    for source in (slowly("a", "b"), failing()):
        websocket, transport = make_websocket()
        sending = asyncio.create_task(websocket.send(source))
        waiting = asyncio.create_task(websocket.send("waits"))
        await asyncio.sleep(1.5)
        sending.cancel()
        with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
            await sending
        assert [c.code for c in transport.closes] == [1011]
        with pytest.raises(ConnectionClosed):
            await waiting
        websocket.abort()
        await websocket.wait_closed()


@virtual_time
async def test_cancelled_before_the_first_fragment() -> None:
    websocket, transport = make_websocket()
    sending = asyncio.create_task(websocket.send(slowly("a")))
    await settle()
    sending.cancel()
    await asyncio.wait([sending])
    await websocket.send("b")
    assert transport.messages == ["b"]
    websocket.abort()


@virtual_time
async def test_the_peer_closes_in_the_middle() -> None:
    websocket, transport = make_websocket(write_timeout=None)
    transport.congested = True
    sending = asyncio.create_task(websocket.send([bytes(70_000), b"b", b"c"]))
    await settle()
    transport.lose()
    with pytest.raises(ConnectionClosedError):
        await sending
    with pytest.raises(ConnectionClosedError):
        await websocket.send(["a"])
