"""A server and its connections: how it starts, whom it lets in, and how it ends.

Knows real sockets: TCP on each event loop for what an application does, Unix domain sockets and
virtual time wherever a timer matters.
"""

from __future__ import annotations

import asyncio
import socket
import weakref
from typing import Any

import pytest

import rfc6455
from rfc6455 import Close, ConnectionClosedError, ConnectionClosedOK, Limits, UsageError, WebSocket
from rfc6455.frames import Frame, Opcode

from .support import (
    REQUEST,
    RawPeer,
    client_frame,
    close,
    dial,
    echo,
    now,
    on_each_loop,
    pass_time,
    receive_all,
    serving,
    settle,
    text,
    uri,
    virtual_time,
)


async def ignore(websocket: WebSocket) -> None:
    """A handler that receives everything and says nothing."""
    async for _ in websocket:
        pass


async def never_return(websocket: WebSocket) -> None:
    await asyncio.get_running_loop().create_future()


# On each event loop


@on_each_loop
async def test_a_server_and_a_client_exchange_messages() -> None:
    async with (
        rfc6455.serve(echo, "127.0.0.1", 0) as server,
        rfc6455.connect(uri(server)) as websocket,
    ):
        for message in ("text", b"binary", "", b"", "é" * 70_000, bytes(1 << 20)):
            await websocket.send(message)
            assert await websocket.recv() == message
    assert websocket.close_code == 1000
    assert server.connections == frozenset()


@on_each_loop
async def test_a_server_can_be_awaited_and_closed_by_hand() -> None:
    server = await rfc6455.serve(echo, "127.0.0.1", 0)
    websocket = await rfc6455.connect(uri(server))
    await websocket.send("x")
    assert await websocket.recv() == "x"
    receiver = asyncio.create_task(websocket.recv())
    await asyncio.sleep(0)
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionClosedOK):
        await receiver
    await websocket.wait_closed()
    assert websocket.close_code == 1001


@on_each_loop
async def test_more_messages_than_both_queues_hold_arrive_in_order() -> None:
    count = 2000

    async def send_all(websocket: WebSocket) -> None:
        for number in range(count):
            await websocket.send(str(number) + " " * 500)

    async with serving(echo) as server, rfc6455.connect(uri(server)) as websocket:
        sender = asyncio.create_task(send_all(websocket))
        for number in range(count):
            assert await websocket.recv() == str(number) + " " * 500
        await sender


@on_each_loop
async def test_either_side_may_close_with_a_code_and_a_reason() -> None:
    codes: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        if await websocket.recv() == "you":
            await websocket.close(4001, "the server is done")
        else:
            _, error = await receive_all(websocket)
            assert error.reason == "the client is done"
            await websocket.wait_closed()
        codes.append(websocket.close_code)

    async with serving(handler) as server:
        websocket = await rfc6455.connect(uri(server))
        await websocket.send("you")
        with pytest.raises(ConnectionClosedError) as caught:
            await websocket.recv()
        assert (caught.value.code, caught.value.reason) == (4001, "the server is done")
        await websocket.wait_closed()

        websocket = await rfc6455.connect(uri(server))
        await websocket.send("I")
        await websocket.close(4002, "the client is done")
        # §5.5.1: the code comes back, the reason does not.
        assert (websocket.close_code, websocket.close_reason) == (4002, "")
    assert codes == [4001, 4002]


@on_each_loop
async def test_cancelled_receives_lose_nothing_on_a_real_socket() -> None:
    count = 300

    async def handler(websocket: WebSocket) -> None:
        for number in range(count):
            await websocket.send(str(number))
            await asyncio.sleep(0)

    async with serving(handler) as server, rfc6455.connect(uri(server)) as websocket:
        received: list[str | bytes] = []
        while len(received) < count:
            task = asyncio.create_task(websocket.recv())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                received.append(task.result())
        assert received == [str(number) for number in range(count)]


@on_each_loop
async def test_a_slow_reader_makes_send_wait() -> None:
    blocked = asyncio.Event()
    finished = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        sending: asyncio.Task[None] | None = None
        for _ in range(1000):
            sending = asyncio.create_task(websocket.send(bytes(100_000)))
            done, _ = await asyncio.wait([sending], timeout=0)
            if not done:
                break
        assert sending is not None
        assert not sending.done()
        blocked.set()
        await sending
        finished.set()

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        await blocked.wait()
        assert not finished.is_set()
        while not finished.is_set():
            await peer.frame()
        peer.send(close(1000))


@on_each_loop
async def test_a_peer_that_resets_tcp_is_1006() -> None:
    ended = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        _, error = await receive_all(websocket)
        await websocket.wait_closed()
        ended.set_result((error.code, websocket.close_code))

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.send(text("x"))
        peer.reset()
        assert await ended == (1006, 1006)


@on_each_loop
async def test_a_reset_behind_a_bad_frame_is_no_error_of_ours() -> None:
    async with serving(echo) as server:
        for _ in range(20):
            async with await dial(server) as peer:
                await peer.upgrade()
                sock = peer.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                peer.send(bytes([0x83, 0x80, 0, 0, 0, 0]))
                peer.reset()


# Attributes


@virtual_time
async def test_a_connection_knows_its_request_and_its_addresses() -> None:
    seen: list[Any] = []

    async def handler(websocket: WebSocket) -> None:
        seen.append(websocket)

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade(REQUEST.replace(b"/chat", b"/chat?room=a%20b"))
        assert await peer.close_frame() == Close(1000)
        peer.send(close())
    (websocket,) = seen
    assert websocket.request.method == "GET"
    assert (websocket.request.path, websocket.request.query) == ("/chat", "room=a%20b")
    assert websocket.request.headers["Host"] == "server.example.com"
    assert websocket.request.body == b""
    assert websocket.response is None
    assert websocket.subprotocol is None


@virtual_time
async def test_the_server_knows_its_connections() -> None:
    async with serving(ignore) as server:
        assert len(server.sockets) == 1
        assert server.connections == frozenset()
        async with await dial(server) as first, await dial(server) as second:
            await first.upgrade()
            await second.upgrade()
            assert len(server.connections) == 2
            first.send(close())
            await first.rest()
            await settle()
            assert len(server.connections) == 1
        await settle()
        assert server.connections == frozenset()
    assert server.sockets == ()


@virtual_time
async def test_the_answer_is_that_of_the_rfc() -> None:
    async with serving(ignore, server_header="test/1") as server, await dial(server) as peer:
        headers = await peer.upgrade()
        assert headers["upgrade"] == "websocket"
        assert headers["connection"] == "Upgrade"
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert headers["server"] == "test/1"
        assert "sec-websocket-protocol" not in headers
        assert "sec-websocket-extensions" not in headers
        peer.send(close())


# Who may connect


@virtual_time
async def test_the_servers_preference_chooses_the_subprotocol() -> None:
    chosen: list[str | None] = []

    async def handler(websocket: WebSocket) -> None:
        chosen.append(websocket.subprotocol)

    async with serving(handler, subprotocols=["b", "c", "a"]) as server:
        for offer, expected in (
            (b"Sec-WebSocket-Protocol: a, b\r\n", "b"),
            (b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: c\r\n", "c"),
            (b"Sec-WebSocket-Protocol: A, x\r\n", None),
            (b"", None),
        ):
            async with await dial(server) as peer:
                headers = await peer.upgrade(REQUEST[:-2] + offer + b"\r\n")
                assert headers.get("sec-websocket-protocol") == expected
                peer.send(close())
                await peer.rest()
    assert chosen == ["b", "c", None, None]


@pytest.mark.clause("W075", party="server")
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"https://example.com", True),
        (b"https://example.com:443", False),
        (b"https://EXAMPLE.com", False),
        (b"https://example.com.evil.example", False),
        (b"http://example.com", False),
        (b"null", False),
        (None, True),
    ],
)
@virtual_time
async def test_only_listed_origins_may_connect(origin: bytes | None, allowed: bool) -> None:
    field = b"" if origin is None else b"Origin: " + origin + b"\r\n"
    async with (
        serving(echo, origins=["https://example.com", None]) as server,
        await dial(server) as peer,
    ):
        peer.send(REQUEST[:-2] + field + b"\r\n")
        if allowed:
            assert (await peer.head())[0] == 101
            peer.send(close())
        else:
            assert (await peer.answer())[0] == 403


@virtual_time
async def test_without_none_among_the_origins_one_has_to_be_sent() -> None:
    async with serving(echo, origins=["https://example.com"]) as server, await dial(server) as peer:
        peer.send(REQUEST)
        assert (await peer.answer())[0] == 403


@virtual_time
async def test_one_connection_too_many_gets_503_until_another_leaves() -> None:
    async with (
        serving(ignore, max_connections=2) as server,
        await dial(server) as first,
        await dial(server) as second,
    ):
        await first.upgrade()
        # One that has not sent a request yet counts as well.
        await settle()
        async with await dial(server) as third:
            third.send(REQUEST)
            assert (await third.answer())[0] == 503
        await second.upgrade()
        assert len(server.connections) == 2
        second.send(close())
        await second.rest()
        await settle()
        async with await dial(server) as fourth:
            await fourth.upgrade()
            fourth.send(close())
            await fourth.rest()
        first.send(close())


# How a handler ends


@virtual_time
async def test_the_connection_is_closed_with_1000_when_the_handler_returns() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.send("bye")

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        assert await peer.message() == "bye"
        assert await peer.close_frame() == Close(1000)
        peer.send(close())
        assert await peer.rest() == b""


@virtual_time
async def test_a_handler_that_lets_a_closure_pass_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: WebSocket) -> None:
        while True:
            await websocket.recv()

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.send(close(4000))
        assert await peer.close_frame() == Close(4000)
        assert await peer.rest() == b""
    assert caplog.records == []


@virtual_time
async def test_a_handler_may_close_before_it_returns() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.close(4000)

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        assert await peer.close_frame() == Close(4000)
        peer.send(close(4000))
        assert await peer.rest() == b""


@virtual_time
async def test_a_handler_that_cancels_itself_drops_tcp() -> None:
    async def handler(websocket: WebSocket) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await websocket.recv()

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        assert await peer.rest() == b""
        await settle()
        assert server.connections == frozenset()


# How a server ends


@virtual_time
async def test_the_end_gives_1001_to_all_and_lets_handlers_finish() -> None:
    finished: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        _, error = await receive_all(websocket)
        await asyncio.sleep(1)
        finished.append(type(error).__name__)

    peers: list[RawPeer] = []
    async with serving(handler) as server:
        for _ in range(5):
            peers.append(await dial(server))
            await peers[-1].upgrade()
        loop = asyncio.get_running_loop()
        for peer in peers:
            loop.call_later(0.5, peer.send, close(1001))
    assert now() == pytest.approx(1.5)
    assert finished == ["ConnectionClosedOK"] * 5
    for peer in peers:
        assert await peer.close_frame() == Close(1001)
        assert await peer.rest() == b""
        await peer.__aexit__()


@virtual_time
async def test_close_takes_a_code_and_a_reason() -> None:
    async with serving(ignore) as server, await dial(server) as peer:
        await peer.upgrade()
        server.close(1012, "restarting")
        server.close(1000, "twice")
        assert await peer.close_frame() == Close(1012, "restarting")
        peer.send(close(1012))


@virtual_time
async def test_close_refuses_a_code_that_must_not_travel() -> None:
    async with serving(ignore) as server, await dial(server) as peer:
        await peer.upgrade()
        with pytest.raises(UsageError):
            server.close(1006)
        with pytest.raises(UsageError):
            server.close(1001, "x" * 124)
        peer.send(close())
        assert await peer.close_frame() == Close(1000)


@virtual_time
async def test_a_peer_that_does_not_answer_does_not_hold_up_the_end() -> None:
    async with serving(ignore, limits=Limits(close_timeout=5)) as server:
        peer = await dial(server)
        await peer.upgrade()
    assert now() == pytest.approx(5)
    assert await peer.close_frame() == Close(1001)
    await peer.__aexit__()


@virtual_time
async def test_a_handler_that_never_returns_is_cancelled() -> None:
    cancelled: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(now())

    async with serving(handler, limits=Limits(close_timeout=5)) as server:
        peer = await dial(server)
        await peer.upgrade()
        peer.send(close())
        await peer.close_frame()
        await pass_time(100)
        assert cancelled == []
    assert cancelled == [pytest.approx(105)]
    await peer.__aexit__()


@virtual_time
async def test_a_connection_in_its_opening_handshake_gets_503() -> None:
    entered = asyncio.Event()

    async def process_request(request: rfc6455.Request) -> None:
        entered.set()
        await asyncio.get_running_loop().create_future()

    async with serving(ignore, process_request=process_request) as server:
        silent, asking = await dial(server), await dial(server)
        asking.send(REQUEST)
        await entered.wait()
        await settle()
        server.close()
        assert (await asking.answer())[0] == 503
        # A browser would take it for the answer to what it asks for next.
        assert await silent.rest() == b""
        for peer in (silent, asking):
            await peer.__aexit__()
    assert now() < 1


@virtual_time
async def test_the_end_does_not_wait_for_clients_that_have_said_nothing() -> None:
    async with serving(ignore, limits=Limits(close_timeout=5)) as server:
        peers = [await dial(server) for _ in range(3)]
        await settle()
    assert now() < 1
    for peer in peers:
        assert await peer.rest() == b""
        await peer.__aexit__()


@virtual_time
async def test_the_end_waits_for_connections_that_were_refused() -> None:
    async with serving(ignore, limits=Limits(close_timeout=5)) as server:
        peer = await dial(server)
        peer.send(b"nonsense\r\n\r\n")
        assert (await peer.head())[0] == 400
    # The client never ended its side.
    assert now() == pytest.approx(5)
    await peer.__aexit__()


@virtual_time
async def test_a_client_that_comes_at_the_end_is_not_waited_for() -> None:
    # Before the first step it is in the hands of the kernel.
    for steps in range(1, 6):
        async with serving(ignore) as server:
            peer = await dial(server)
            for _ in range(steps):
                await asyncio.sleep(0)
            server.close()
            assert b"101" not in await peer.rest()
            await peer.__aexit__()
    assert now() < 1


@virtual_time
async def test_nobody_gets_in_after_the_end() -> None:
    async with serving(ignore) as server:
        listener = server.sockets[0]
        address, family = listener.getsockname(), listener.family
    with socket.socket(family) as sock, pytest.raises(OSError, match=r"refused|No such file"):
        sock.connect(address)


@virtual_time
async def test_serve_forever_returns_when_the_server_is_closed() -> None:
    async with serving(ignore) as server:
        forever = asyncio.create_task(server.serve_forever())
        await pass_time(1000)
        assert not forever.done()
        server.close()
        await forever


@virtual_time
async def test_a_handler_may_end_the_server() -> None:
    async def handler(websocket: WebSocket) -> None:
        async for _ in websocket:
            server.close()
            await server.wait_closed()

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.send(text("stop"))
        assert await peer.close_frame() == Close(1001)
        peer.send(close(1001))
        assert await peer.rest() == b""


@virtual_time
async def test_a_server_that_never_started_can_be_closed() -> None:
    server = rfc6455.serve(ignore, "127.0.0.1", 0)
    assert server.sockets == ()
    server.close()
    await server.wait_closed()


# Half-closed TCP


@virtual_time
async def test_a_client_that_ends_its_side_behind_request_and_close_gets_all_answers() -> None:
    async with serving(echo) as server, await dial(server) as peer:
        peer.send(REQUEST + text("a") + text("b") + close(4000))
        peer.end()
        assert (await peer.head())[0] == 101
        assert [await peer.message(), await peer.message()] == ["a", "b"]
        assert await peer.close_frame() == Close(4000)
        assert await peer.rest() == b""
    assert now() < 1


@virtual_time
async def test_a_client_that_ends_its_side_while_it_waits_for_an_answer_is_not_kept() -> None:
    """The end arrives before the WebSocket exists, which has to learn of it nevertheless."""

    async def process_request(request: rfc6455.Request) -> None:
        await asyncio.sleep(0.5)

    codes: list[int | None] = []

    async def handler(websocket: WebSocket) -> None:
        await receive_all(websocket)
        await websocket.wait_closed()
        codes.append(websocket.close_code)

    async with serving(handler, process_request=process_request) as server:
        for data, code in ((b"", 1006), (close(4000), 4000)):
            async with await dial(server) as peer:
                peer.send(REQUEST + data)
                peer.end()
                assert (await peer.head())[0] == 101
                await peer.rest()
                await settle()
                assert server.connections == frozenset()
                assert codes.pop() == code
    assert now() == pytest.approx(1, abs=0.1)


@virtual_time
async def test_a_client_that_ends_its_side_still_gets_a_page() -> None:
    async def process_request(request: rfc6455.Request) -> rfc6455.Response:
        await asyncio.sleep(0.5)
        return rfc6455.Response.text("page")

    async with serving(ignore, process_request=process_request) as server:
        async with await dial(server) as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            peer.end()
            assert (await peer.answer())[2] == b"page"
        await settle()
        assert server._incoming == set()
    assert now() < 1


@on_each_loop
async def test_a_client_that_leaves_while_it_waits_for_an_answer_stops_the_work() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def process_request(request: rfc6455.Request) -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    async with (
        serving(ignore, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(REQUEST)
        await begun.wait()
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.reset()
        await stopped.wait()


# Frames of a raw peer


@virtual_time
async def test_ping_is_answered_and_fragments_are_joined() -> None:
    async with serving(echo) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.send(client_frame(Opcode.PING, b"?"))
        assert await peer.frame() == Frame(Opcode.PONG, b"?")
        peer.send(client_frame(Opcode.TEXT, b"Hel", fin=False))
        peer.send(client_frame(Opcode.CONTINUATION, b"lo"))
        assert await peer.message() == "Hello"
        peer.send(close())


@virtual_time
async def test_what_the_handshake_needed_is_not_kept_while_the_connection_lasts() -> None:
    async with serving(never_return) as server, await dial(server) as peer:
        await settle()
        (client,) = server._incoming
        handshake = weakref.ref(client)
        del client
        await peer.upgrade()
        await settle()
        assert len(server.connections) == 1
        assert handshake() is None
        peer.send(close())
        await peer.close_frame()


@virtual_time
async def test_a_handler_that_leaves_the_end_unread_is_not_waited_for_by_the_peer() -> None:
    """Its messages are unread, and so is the Close behind them; it is answered nevertheless."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.recv()

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.send(text("a") + text("b") + close(4000))
        assert await peer.close_frame() == Close(4000)
        assert await peer.rest() == b""
        await settle()
        assert server.connections == frozenset()
    assert now() < 1


@on_each_loop
async def test_a_server_that_was_awaited_may_be_entered_as_well() -> None:
    server = await rfc6455.serve(echo, "127.0.0.1", 0)
    descriptors = [sock.fileno() for sock in server.sockets]
    async with server:
        assert [sock.fileno() for sock in server.sockets] == descriptors
        assert await server.start() is server
    with pytest.raises(UsageError, match="closed"):
        await server.start()


@on_each_loop
async def test_a_server_that_is_closed_while_it_starts_does_not_listen() -> None:
    server = rfc6455.serve(echo, "localhost", 0)
    starting = asyncio.ensure_future(server.start())
    await asyncio.sleep(0)
    server.close()
    await starting
    await server.wait_closed()
    assert server.sockets == ()
