"""Attacks on memory, time and descriptors of an open connection, over real sockets.

Floods, peers that do not read, peers that vanish, peers that do not let go. What a connection may
keep is measured where it is kept: in the write buffer, the queue and the core; timers run on
virtual time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tracemalloc
import zlib

import pytest

import rfc6455
from rfc6455 import Close, ConnectionClosed, Limits, State, WebSocket
from rfc6455.frames import Frame, Opcode, decode
from tests.helpers import frames_in
from tests.transports.support import (
    BAD_FRAME,
    REQUEST,
    RawPeer,
    VirtualTimeLoop,
    binary,
    client_frame,
    close,
    dial,
    echo,
    make_websocket,
    now,
    on_each_loop,
    pass_time,
    ping,
    receive_all,
    serving,
    settle,
    text,
    virtual_time,
)

READ_SIZE = 256 * 1024
"""What asyncio reads at most at a time, in bytes."""
HIGH_WATER = 64 * 1024


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def written(websocket: WebSocket) -> int:
    """Bytes that wait to be written, in the transport and before it."""
    waiting = sum(map(len, websocket._core._outbox))
    return websocket._transport.get_write_buffer_size() + waiting


def kept(websocket: WebSocket) -> int:
    """Size of the messages that wait to be received."""
    return sum(len(event) for event in websocket._inbox.peek())


def shrink(websocket: WebSocket) -> None:
    """Makes the kernel's buffer small, so that the transport's fills soon."""
    sock = websocket._transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


# Floods


@virtual_time
async def test_a_flood_of_pings_by_a_peer_that_does_not_read_costs_little() -> None:
    opened = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        shrink(websocket)
        opened.set_result(websocket)
        await receive_all(websocket)

    flood = ping(bytes(125)) * 1000
    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        websocket = await opened
        for _ in range(30):
            peer.send(flood)
            await settle()
            # Pongs to one read when the way was free, and to one more before that is known.
            assert written(websocket) <= HIGH_WATER + 2 * READ_SIZE
        peer.send(client_frame(Opcode.PING, b"the last"))
        peer.send(close())
        pongs = []
        while (frame := await peer.frame()).opcode is Opcode.PONG:
            pongs.append(frame.payload)
        assert len(pongs) < 6000
        assert pongs[-1] == b"the last"
        assert frame.opcode is Opcode.CLOSE


@virtual_time
async def test_a_flood_of_pongs_costs_nothing() -> None:
    websocket, transport = make_websocket()
    pongs = client_frame(Opcode.PONG, bytes(125)) * 1000
    transport.feed(pongs)
    tracemalloc.start()
    for _ in range(5):
        transport.feed(pongs)
    in_use, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert in_use < 16 * 1024
    assert transport.writes == []
    websocket.abort()


@virtual_time
async def test_a_flood_of_messages_to_a_handler_that_does_not_receive_is_held_in_the_kernel() -> (
    None
):
    opened = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()
    received: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        opened.set_result(websocket)
        await go_on.wait()
        async for message in websocket:
            received.append(len(message))  # noqa: PERF401 - it is an asynchronous loop

    limits = Limits(max_queued_messages=16, max_queued_size=1 << 20)
    async with serving(handler, limits=limits) as server, await dial(server) as peer:
        await peer.upgrade()
        websocket = await opened
        count = 400
        peer.send(binary(bytes(10_000)) * count)
        await settle()
        assert kept(websocket) <= 2 * READ_SIZE
        assert not websocket._transport.is_reading()
        assert peer.writer.transport.get_write_buffer_size() > 0
        go_on.set()
        peer.send(close())
        assert await peer.close_frame() == Close(1000)
    assert received == [10_000] * count


OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n"


def bomb(size: int) -> bytes:
    """A message of zeroes, compressed a thousandfold."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    data = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return client_frame(Opcode.BINARY, data[:-4], rsv=0x40)


@virtual_time
async def test_a_read_full_of_bombs_is_inflated_no_further_than_the_queue_goes() -> None:
    """250 messages of 1 MiB fit into one read."""
    opened = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()
    received: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        opened.set_result(websocket)
        await go_on.wait()
        async for message in websocket:
            received.append(len(message))
            assert kept(websocket) <= 8 << 20

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade(REQUEST[:-2] + OFFER + b"\r\n")
        websocket = await opened
        peer.send(bomb(1 << 20) * 40 + ping(b"in between") + bomb(100) + close())
        await settle()
        assert kept(websocket) <= 8 << 20
        go_on.set()
        assert await peer.frame() == Frame(Opcode.PONG, b"in between")
        assert await peer.close_frame() == Close(1000)
    assert received == [1 << 20] * 40 + [100]


@virtual_time
async def test_closing_goes_on_behind_bombs_that_nobody_receives() -> None:
    async def handler(websocket: WebSocket) -> None:
        await settle()
        assert not websocket._transport.is_reading()
        await websocket.close()
        assert websocket.close_code == 4000

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade(REQUEST[:-2] + OFFER + b"\r\n")
        peer.send(bomb(1 << 20) * 20 + close(4000))
        assert await peer.close_frame() == Close(1000)
        assert await peer.rest() == b""
    assert now() < 1


@virtual_time
async def test_what_is_held_of_a_read_is_kept_to_its_order() -> None:
    """Small compressed messages, more than the queue takes at a time."""
    messages = [str(number) * 200 for number in range(300)]
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    data = b""
    for message in messages:
        payload = compressor.compress(message.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
        data += client_frame(Opcode.TEXT, payload[:-4], rsv=0x40)
    async with serving(echo, limits=Limits(max_queued_messages=2)) as server:
        peer = await dial(server)
        await peer.upgrade(REQUEST[:-2] + OFFER + b"\r\n")
        peer.send(data + close())
        inflater = zlib.decompressobj(-15)
        for message in messages:
            frame = await peer.frame()
            payload = frame.payload
            if frame.rsv:
                payload = inflater.decompress(payload + b"\x00\x00\xff\xff")
            assert payload == message.encode()
        assert await peer.close_frame() == Close(1000)
        await peer.__aexit__()


# Peers that do not read


@on_each_loop
async def test_a_slow_reader_neither_costs_memory_nor_delays_others() -> None:
    ready = asyncio.Event()
    blocked = asyncio.Event()
    most = 0
    message = bytes(20_000)
    rounds = 300

    async def handler(websocket: WebSocket) -> None:
        nonlocal most
        if len(server.connections) == 3:
            ready.set()
        await ready.wait()
        for _ in range(rounds):
            sending = asyncio.ensure_future(websocket.send(message))
            await asyncio.sleep(0)
            most = max(most, written(websocket))
            if not sending.done():
                assert websocket.request is not None
                if websocket.request.path == "/slow":
                    blocked.set()
            try:
                await sending
            except ConnectionClosed:
                return

    async def read_all(peer: RawPeer) -> int:
        count = 0
        while (await peer.frame()).opcode is Opcode.BINARY:
            count += 1
        peer.send(close())
        return count

    async with serving(handler) as server:
        slow = await dial(server)
        await slow.upgrade(REQUEST.replace(b"/chat", b"/slow"))
        fast = [await dial(server) for _ in range(2)]
        for peer in fast:
            await peer.upgrade()
        assert await asyncio.gather(*map(read_all, fast)) == [rounds, rounds]
        # The kernel takes some megabytes on TCP; then the slow one's handler waits.
        await blocked.wait()
        slow.reset()
        for peer in [*fast, slow]:
            await peer.__aexit__()
    assert most <= HIGH_WATER + len(message) + 10


@virtual_time
async def test_many_sends_under_back_pressure_leave_in_order() -> None:
    async def handler(websocket: WebSocket) -> None:
        shrink(websocket)
        await asyncio.gather(*[websocket.send(f"{n} " + "x" * 20_000) for n in range(100)])

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        await settle()
        for number in range(100):
            message = await peer.message()
            assert isinstance(message, str)
            assert message.startswith(f"{number} ")
        peer.send(close())


# Peers that vanish: no FIN, no RST, no answer


@pytest.mark.parametrize("pending_send", [False, True], ids=["idle", "pending send"])
@virtual_time
async def test_a_vanished_peer_is_noticed_and_its_descriptor_freed(pending_send: bool) -> None:
    ended: list[tuple[float, int]] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            if pending_send:
                shrink(websocket)
                while True:
                    await websocket.send(bytes(100_000))
            await websocket.recv()
        except ConnectionClosed as error:
            ended.append((now(), error.code))
            raise

    limits = Limits(ping_interval=20, ping_timeout=20, close_timeout=5, close_grace=1)
    async with serving(handler, limits=limits) as server:
        before = descriptors()
        peer = await dial(server)
        await peer.upgrade()
        await pass_time(46.1)
        assert server.connections == frozenset()
        assert descriptors() == before + 1
        await peer.__aexit__()
    ((when, code),) = ended
    assert when <= 46.1
    assert code == 1006


@virtual_time
async def test_a_peer_that_vanishes_while_we_close_is_given_up() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.close()
        assert websocket.close_code == 1006

    async with serving(handler, limits=Limits(close_timeout=5)) as server:
        peer = await dial(server)
        await peer.upgrade()
        await pass_time(4.9)
        assert len(server.connections) == 1
        await pass_time(0.2)
        assert server.connections == frozenset()
        await peer.__aexit__()


@virtual_time
async def test_a_peer_that_vanishes_in_its_handshake_is_given_up() -> None:
    async with serving(echo, limits=Limits(open_timeout=10, close_timeout=5)) as server:
        before = descriptors()
        peer = await dial(server)
        peer.send(REQUEST[:50])
        await pass_time(15.1)
        assert server._incoming == set()
        assert descriptors() == before + 1
        await peer.__aexit__()


# Peers that do not let go


@virtual_time
async def test_a_client_that_ignores_our_close_is_dropped() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.close(4000)

    async with (
        serving(handler, limits=Limits(close_timeout=5)) as server,
        await dial(server) as peer,
    ):
        await peer.upgrade()
        assert await peer.close_frame() == Close(4000)
        for _ in range(100):
            peer.send(text("still talking") + ping())
            await pass_time(0.04)
        # Pings are answered to the end (§5.5.2); nothing else is said.
        assert {frame.opcode for frame in frames_in(await peer.rest())} == {Opcode.PONG}
        assert now() == pytest.approx(5, abs=0.01)


@virtual_time
async def test_a_client_that_sends_for_ever_after_a_fault_is_dropped_at_the_cap() -> None:
    opened = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        opened.set_result(websocket)
        await receive_all(websocket)

    async with serving(handler, limits=Limits(max_discarded_size=64 * 1024)) as server:
        peer = await dial(server)
        await peer.upgrade()
        websocket = await opened
        peer.send(BAD_FRAME)
        await settle()
        tracemalloc.start()
        sent = 0
        # 32 MiB, were it not dropped.
        while not peer.writer.is_closing() and sent < 32 * 1024 * 1024:
            peer.send(bytes(16 * 1024))
            sent += 16 * 1024
            await settle()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sent <= 64 * 1024 + READ_SIZE
        assert peak < 512 * 1024
        assert websocket.state is State.CLOSED
        assert now() < 1
        await peer.__aexit__()


@virtual_time
async def test_a_client_that_keeps_tcp_open_after_a_fault_is_dropped_in_time() -> None:
    async with serving(echo, limits=Limits(close_timeout=5)) as server:
        peer = await dial(server)
        await peer.upgrade()
        peer.send(BAD_FRAME)
        assert (await peer.close_frame()).code == 1002
        assert await peer.rest() == b""
        assert len(server.connections) == 1
        await pass_time(5.1)
        assert server.connections == frozenset()
        await peer.__aexit__()


@virtual_time
async def test_a_half_closed_client_still_reads_what_was_sent_to_it() -> None:
    async def handler(websocket: WebSocket) -> None:
        _, error = await receive_all(websocket)
        assert error.code == 1006

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.end()
        assert await peer.rest() == b""
        await settle()
        assert server.connections == frozenset()


# Large and small pieces


@virtual_time
async def test_a_frame_that_is_declared_too_large_fails_at_its_header() -> None:
    limits = Limits(max_message_size=1 << 20)
    async with serving(echo, limits=limits) as server:
        for header in (
            bytes.fromhex("82ff 0000000000100001 00000000"),
            bytes.fromhex("82ff 7fffffffffffffff 00000000"),
            # The sum over fragments counts, with the declared length of the last.
            client_frame(Opcode.BINARY, bytes(1 << 19), fin=False)
            + bytes.fromhex("00ff 0000000000080001 00000000"),
        ):
            async with await dial(server) as peer:
                await peer.upgrade()
                peer.send(header)
                assert (await peer.close_frame()).code == 1009
                assert await peer.rest() == b""


@virtual_time
async def test_a_frame_in_reads_of_one_byte_is_kept_once() -> None:
    size = 32 * 1024
    websocket, _ = make_websocket()
    frame = binary(bytes(size))
    octets = [frame[i : i + 1] for i in range(len(frame))]
    tracemalloc.start()
    for octet in octets:
        websocket.data_received(octet)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * size
    assert await websocket.recv() == bytes(size)
    websocket.abort()


@virtual_time
async def test_a_message_in_segments_of_one_byte_arrives() -> None:
    async with serving(echo) as server, await dial(server) as peer:
        await peer.upgrade()
        for octet in text("x" * 2000):
            peer.send(bytes([octet]))
            await settle()
        assert await peer.message() == "x" * 2000
        peer.send(close())


@virtual_time
async def test_clients_that_stop_anywhere_hold_up_nobody() -> None:
    """Every prefix of a handshake and a frame, then silence."""
    data = REQUEST + text("Hello") + client_frame(Opcode.PING, b"x" * 10)
    async with serving(echo) as server:
        peers = []
        for end in range(0, len(data), 3):
            peers.append(await dial(server))
            peers[-1].send(data[:end])
        async with await dial(server) as peer:
            await peer.upgrade()
            peer.send(text("a"))
            assert await peer.message() == "a"
            peer.send(close())
            await peer.rest()
        assert now() < 0.1
        for peer in peers:
            await peer.__aexit__()


@virtual_time
async def test_every_frame_start_comes_to_an_end_and_says_the_same_at_once_or_bytewise() -> None:
    for first in range(256):
        for second in (0x00, 0x80, 0xFE, 0xFF):
            data = bytes([first, second])
            answers = []
            for chunks in ([data], [data[:1], data[1:]]):
                websocket, transport = make_websocket()
                for chunk in chunks:
                    transport.feed(chunk)
                answers.append(([c.code for c in transport.closes], transport.eof_written))
                websocket.abort()
            assert answers[0] == answers[1]
    await settle()


# Logs


@virtual_time
async def test_bad_clients_log_one_line_each_at_most_and_none_is_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    bad = [
        b"",
        b"\x00",
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        REQUEST.replace(b"13", b"12"),
        REQUEST.replace(b"dGh", b""),
        REQUEST + BAD_FRAME,
        REQUEST + text("x")[:-1],
        REQUEST + client_frame(Opcode.TEXT, b"\xff"),
        REQUEST + close(4000) + bytes(1000),
    ]
    count = 0
    async with serving(echo) as server:
        for number in range(300):
            peer = await dial(server)
            peer.send(bad[number % len(bad)])
            if number % 3 == 0:
                peer.end()
                await settle()
            elif number % 3 == 1:
                await settle()
            peer.reset()
            await peer.__aexit__()
            count += 1
        await settle()
    ours = [record for record in caplog.records if record.name.startswith("rfc6455")]
    assert len(ours) <= count
    assert [record for record in caplog.records if record.exc_info] == []
    assert [record for record in ours if record.levelno > logging.INFO] == []
    assert all(record.getMessage().isprintable() for record in ours)


# Masking keys over sockets


@virtual_time
async def test_every_frame_of_a_client_has_a_key_of_its_own() -> None:
    websocket, transport = make_websocket(rfc6455.Role.CLIENT)
    for _ in range(1000):
        await websocket.send(b"same")
    frames = b"".join(transport.writes)
    keys = {frames[start + 2 : start + 6] for start in range(0, len(frames), 10)}
    assert len(keys) >= 999
    found = decode(frames)
    assert found is not None
    assert found[0] == Frame(Opcode.BINARY, b"same")
    websocket.abort()


def test_the_loop_of_these_tests_never_waits() -> None:
    """What all tests of timeouts lean on: a day passes at once, in order."""
    loop = VirtualTimeLoop()
    order: list[int] = []
    for hours in (24, 1, 12):
        loop.call_later(hours * 3600, order.append, hours)
    loop.run_until_complete(asyncio.sleep(86400))
    loop.close()
    assert order == [1, 12, 24]
