"""The short ways of messages: the same as the general way, only shorter.

The general way is what a connection has that is never told which messages may take the other.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rfc6455 import (
    CallbackWebSocket,
    Connection,
    ConnectionClosed,
    Limits,
    Listener,
    MemoryBudget,
    Message,
    PermessageDeflate,
    PreparedMessage,
    Role,
    UsageError,
    WebSocket,
    implementation,
)
from rfc6455.frames import Opcode
from rfc6455.testing import run
from tests.helpers import both_roles, peer_frame

from .conversation import GeneralCallbackWebSocket, GeneralWebSocket, connection, play
from .support import (
    BAD_FRAME,
    MemoryTransport,
    close,
    make_websocket,
    ping,
    settle,
    text,
    virtual_time,
)

# Both ways do the same


def deflated(message: bytes, opcode: Opcode = Opcode.TEXT, tail: int = 4) -> bytes:
    compressor = zlib.compressobj(wbits=-9)
    payload = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return peer_frame(Role.SERVER, opcode, payload[:-tail], rsv=0x40)


frames = st.one_of(
    st.text(max_size=40).map(lambda t: peer_frame(Role.SERVER, Opcode.TEXT, t.encode())),
    st.binary(max_size=40).map(lambda b: peer_frame(Role.SERVER, Opcode.BINARY, b)),
    st.sampled_from(
        [
            peer_frame(Role.SERVER, Opcode.BINARY, bytes(126)),
            peer_frame(Role.SERVER, Opcode.BINARY, bytes(70_000)),
            peer_frame(Role.SERVER, Opcode.TEXT, "aé€😀".encode() * 1_500),
            peer_frame(Role.SERVER, Opcode.TEXT, "€".encode() * 50 + b"\xe2\x82"),
            peer_frame(Role.SERVER, Opcode.TEXT, b"a" * 50 + b"\xed\xa0\x80" + b"a" * 50),
            peer_frame(Role.SERVER, Opcode.BINARY, bytes(100_001)),
            peer_frame(Role.SERVER, Opcode.TEXT, b"a", fin=False),
            peer_frame(Role.SERVER, Opcode.CONTINUATION, b"b"),
            peer_frame(Role.SERVER, Opcode.TEXT, b"\xff"),
            text("x") * 300,
            deflated(b"x" * 300),
            deflated(b"y" * 10) * 150,
            deflated(bytes(range(256)) * 100, Opcode.BINARY),
            deflated(bytes(90_000), Opcode.BINARY) * 12,
            deflated(bytes(100_001), Opcode.BINARY),
            deflated(b"\xff"),
            deflated(b"cut off" * 10, tail=9),
            ping(b"p"),
            close(),
            BAD_FRAME,
        ]
    ),
)
conversations = st.lists(st.tuples(st.lists(frames, max_size=6).map(b"".join), st.integers(0, 9)))


X, FRAGMENT = text("x"), peer_frame(Role.SERVER, Opcode.TEXT, b"a", fin=False)


@example("iterator", [(X * 700 + FRAGMENT + X, 0)], "close", True)
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["iterator", "listener"]),
    conversations,
    st.sampled_from(["send", "push", "close"]),
    st.booleans(),
)
def test_both_ways_do_the_same(
    kind: str, reads: list[tuple[bytes, int]], reply: str, compresses: bool
) -> None:
    found, expected = (
        run(play(kind, general, reads, reply, compresses=compresses)) for general in (False, True)
    )
    assert found == expected


@pytest.mark.parametrize("kind", [CallbackWebSocket, GeneralCallbackWebSocket])
@pytest.mark.parametrize(
    ("message", "times", "at_once"), [(b"x" * 5, 5000, 64), (bytes(99_000), 200, 12)]
)
@virtual_time
async def test_others_have_their_turn_in_a_flood_of_deflated_messages(
    kind: type[CallbackWebSocket], message: bytes, times: int, at_once: int
) -> None:
    class Counting(Listener):
        got = 0

        def on_message(self, websocket: CallbackWebSocket, _: Message) -> None:
            self.got += 1

    listener, transport, loop = Counting(), MemoryTransport(), asyncio.get_running_loop()
    websocket = kind(connection(), transport, loop, listener, on_error=print)
    transport.set_protocol(websocket)
    transport.feed(deflated(message, Opcode.BINARY) * times)
    before = 0
    while listener.got < times:
        assert before < listener.got <= before + at_once
        before = listener.got
        await asyncio.sleep(0)
    websocket.abort()


@pytest.mark.parametrize("make", [WebSocket, GeneralWebSocket])
@virtual_time
async def test_one_that_cannot_write_does_not_keep_the_others(make: type[WebSocket]) -> None:
    class Broken(MemoryTransport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    errors: list[Any] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    transports = [Broken(), MemoryTransport()]
    websockets = [make(connection(), transport, loop) for transport in transports]
    for websocket, transport in zip(websockets, transports, strict=True):
        transport.set_protocol(websocket)
        websocket.push("a")
    await settle()
    assert transports[1].messages == ["a"]
    assert [type(error) for error in errors] == [ZeroDivisionError]
    for websocket in websockets:
        websocket.abort()


# Messages that come in several reads


TEXTS = ["aé€😀" * 3, "a" * 200, "€" * 700, "😀" * 20_000]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 126, 4096])
@both_roles
@virtual_time
async def test_a_message_cut_into_pieces(role: Role, step: int) -> None:
    websocket, transport = make_websocket(role)
    messages: list[str | bytes] = [*TEXTS[: 2 if step == 1 else 4], b"", bytes(range(256)) * 10]
    for message in messages:
        payload = message if isinstance(message, bytes) else message.encode()
        opcode = Opcode.BINARY if isinstance(message, bytes) else Opcode.TEXT
        frame = peer_frame(role, opcode, payload)
        for start in range(0, len(frame), step):
            transport.feed(frame[start : start + step])
        assert await websocket.recv() == message
    websocket.abort()


@pytest.mark.parametrize(
    "end", [b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xe2\x82a", b"\xf5", b"a\x80"]
)
@both_roles
@virtual_time
async def test_text_fails_at_the_first_impossible_octet(role: Role, end: bytes) -> None:
    websocket, transport = make_websocket(role)
    transport.feed(text("before", role))
    frame = peer_frame(role, Opcode.TEXT, b"a" * 50 + end + bytes(500))
    header = len(frame) - 500 - len(end) - 50
    transport.feed(frame[: header + 30])
    transport.feed(frame[header + 30 : header + 50 + len(end) - 1])
    await settle()
    assert transport.closes == []
    transport.feed(frame[header + 50 + len(end) - 1 : header + 50 + len(end)])
    assert await websocket.recv() == "before"
    with pytest.raises(ConnectionClosed):
        await websocket.recv()
    assert [c.code for c in transport.closes] == [1007]
    websocket.abort()


@virtual_time
async def test_a_text_that_ends_within_a_character() -> None:
    websocket, transport = make_websocket()
    frame = peer_frame(Role.SERVER, Opcode.TEXT, b"a" * 50 + b"\xe2\x82")
    transport.feed(frame[:30])
    transport.feed(frame[30:])
    with pytest.raises(ConnectionClosed):
        await websocket.recv()
    assert [c.code for c in transport.closes] == [1007]
    websocket.abort()


@virtual_time
async def test_pieces_are_asked_for_in_the_middle_of_a_message() -> None:
    websocket, transport = make_websocket()
    payload = "aé€😀" * 30
    frame = text(payload)
    transport.feed(frame[:101])
    pieces = websocket.recv_streaming()
    received = await anext(aiter(pieces))
    transport.feed(frame[101:] + text("next"))
    async for piece in pieces:
        received += piece  # type: ignore[operator]
    assert received == payload
    assert await websocket.recv() == "next"
    websocket.abort()


@virtual_time
async def test_a_close_of_ours_in_the_middle_of_a_message() -> None:
    websocket, transport = make_websocket()
    frame = text("a" * 200)
    transport.feed(frame[:101])
    closing = asyncio.create_task(websocket.close())
    await settle()
    transport.feed(frame[101:] + close())
    await closing
    assert websocket.close_code == 1000
    with pytest.raises(ConnectionClosed):
        await websocket.recv()


@virtual_time
async def test_what_has_come_of_a_message_is_charged() -> None:
    budget = MemoryBudget()
    transport = MemoryTransport()
    websocket = WebSocket(
        connection(compresses=False), transport, asyncio.get_running_loop(), budget=budget
    )
    transport.set_protocol(websocket)
    frame = text("a" * 200)
    used = []
    for start in range(0, len(frame), 52):
        transport.feed(frame[start : start + 52])
        used.append(budget.used)
    assert used == [44, 96, 148, 0]
    transport.feed(frame[:108])
    assert budget.used == 100
    websocket.abort()
    await websocket.wait_closed()
    assert budget.used == 0


@virtual_time
async def test_a_message_in_many_reads_counts_whole() -> None:
    websocket, transport = make_websocket(max_queued_size=1000)
    frame = text("a" * 1000)
    for start in range(0, len(frame), 52):
        assert transport.is_reading()
        transport.feed(frame[start : start + 52])
    assert not transport.is_reading()
    await websocket.recv()
    assert transport.is_reading()
    websocket.abort()


@virtual_time
async def test_a_promise_of_much_takes_little() -> None:
    websocket, transport = make_websocket(max_message_size=None)
    header = peer_frame(Role.SERVER, Opcode.TEXT, bytes(70_000))[:14]
    promise = header[:2] + (1 << 60).to_bytes(8, "big") + header[10:]
    transport.feed(promise)
    transport.feed(b"a" * 5)
    websocket.abort()


@virtual_time
async def test_short_and_general_messages_leave_in_order() -> None:
    websocket, transport = make_websocket()
    messages: list[Any] = ["a", b"b", "c" * 70_000, bytearray(b"d"), "é", PreparedMessage("f"), ""]
    for message in messages:
        await websocket.send(message)
        websocket.push(message)
    await websocket.send(["g", "h"])
    expected = [getattr(m, "message", m) for m in messages for _ in range(2)]
    assert transport.messages[:-1] == [bytes(m) if type(m) is bytearray else m for m in expected]
    websocket.abort()


@both_roles
@virtual_time
async def test_small_messages_are_not_compressed_and_large_ones_are(role: Role) -> None:
    transport = MemoryTransport()
    websocket = WebSocket(connection(role), transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)
    for size in (199, 200):
        await websocket.send("x" * size)
        websocket.push("x" * size)
    await websocket.send("x", compress=True)
    assert [frame.rsv for frame in transport.frames] == [0, 0, 0x40, 0x40, 0x40]
    websocket.abort()


@pytest.mark.skipif(implementation == "python", reason="the general way writes at once")
@pytest.mark.parametrize(
    ("count", "size", "turns"), [(1, 200, 1), (2, 200, 2), (2, 199, 1), (64, 200, 2), (65, 200, 1)]
)
@virtual_time
async def test_what_a_few_have_compressed_waits_for_what_the_next_turn_compresses(
    count: int, size: int, turns: int
) -> None:
    loop, transports = asyncio.get_running_loop(), [MemoryTransport() for _ in range(count)]
    websockets = [WebSocket(connection(), transport, loop) for transport in transports]
    for websocket, transport in zip(websockets, transports, strict=True):
        transport.set_protocol(websocket)
        websocket.push("x" * size)
    for _ in range(turns):
        assert [transport.writes for transport in transports] == [[]] * count
        await asyncio.sleep(0)
    assert [len(transport.writes) for transport in transports] == [1] * count
    for websocket in websockets:
        websocket.abort()


@virtual_time
async def test_limits_beyond_what_memory_can_hold() -> None:
    extension = PermessageDeflate(threshold=1 << 70).accept([])
    assert extension is not None
    core = Connection(
        Role.SERVER,
        limits=Limits(ping_interval=None, max_message_size=1 << 70),
        extensions=[extension[1]],
    )
    transport = MemoryTransport()
    websocket = WebSocket(core, transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)
    transport.feed(text("a"))
    await websocket.send(await websocket.recv())
    assert transport.messages == ["a"]
    websocket.abort()


# The coroutine that `send` returns


@pytest.mark.parametrize("message", ["a", b"a"])
@virtual_time
async def test_nothing_is_sent_before_it_is_awaited(message: str | bytes) -> None:
    websocket, transport = make_websocket()
    sending = websocket.send(message)
    assert transport.writes == []
    task = asyncio.create_task(sending)
    assert transport.writes == []
    await task
    assert transport.messages == [message]
    with pytest.raises(RuntimeError, match="already awaited"):
        await sending
    websocket.abort()


@virtual_time
async def test_a_send_that_is_never_awaited_warns() -> None:
    websocket, transport = make_websocket()
    forgotten = [websocket.send("a")]
    with pytest.warns(RuntimeWarning, match="never awaited"):
        forgotten.clear()
    websocket.send("b").close()
    assert transport.writes == []
    websocket.abort()


@virtual_time
async def test_cancelled_before_it_begins() -> None:
    websocket, transport = make_websocket()
    task = asyncio.create_task(websocket.send("a"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.writes == []
    websocket.abort()


@virtual_time
async def test_cancelled_while_it_waits() -> None:
    websocket, transport = make_websocket(write_timeout=None)
    transport.congested = True
    await websocket.send(bytes(70_000))
    tasks = [asyncio.create_task(websocket.send(name)) for name in "abc"]
    await settle()
    tasks[1].cancel()
    given_up = websocket.send("d")
    given_up.send(None)
    given_up.close()
    with pytest.raises(ZeroDivisionError):
        websocket.send("e").throw(ZeroDivisionError())
    transport.flow()
    await asyncio.wait(tasks)
    assert transport.messages == [bytes(70_000), "a", "c"]
    websocket.abort()


@virtual_time
async def test_errors_come_where_it_is_awaited() -> None:
    websocket, transport = make_websocket()
    wrong: Any = 1
    for message, error in (("\ud800", UsageError), (wrong, TypeError)):
        sending = websocket.send(message)
        with pytest.raises(error):
            await sending
    transport.lose()
    await settle()
    sending = websocket.send("a")
    with pytest.raises(ConnectionClosed):
        await sending


@virtual_time
async def test_sends_of_gathered_coroutines_leave_in_order() -> None:
    websocket, transport = make_websocket()
    await asyncio.gather(*(websocket.send(str(number)) for number in range(5)))
    assert transport.messages == list("01234")
    websocket.abort()


# What is kept


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


@pytest.mark.parametrize("make", [WebSocket, GeneralWebSocket])
@virtual_time
async def test_a_connection_that_is_over_keeps_nothing_alive(make: Callable[..., Any]) -> None:
    transport = MemoryTransport()
    websocket = make(connection(), transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)

    task = asyncio.create_task(echo(websocket))
    await settle()
    transport.feed(text("a") + close())
    await settle()
    await task
    kept = weakref.ref(websocket)
    transport._protocol = None
    del websocket, task
    gc.disable()
    try:
        for _ in itertools.repeat(None, 3):
            await settle()
        assert kept() is None
    finally:
        gc.enable()
