"""WebSockets in memory: the real ones, over a network that does what a test asks for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from rfc6455 import (
    ConnectionClosedError,
    ConnectionClosedOK,
    HandshakeError,
    Limits,
    PermessageDeflate,
    Request,
    Response,
    Route,
    Router,
    UsageError,
    WebSocket,
)
from rfc6455.testing import (
    Faults,
    Network,
    client,
    pair,
    run,
    serving,
    settle,
    virtual_time,
)

MESSAGES: list[str | bytes] = ["Grüße", b"\x00\xff", "", b"", "x" * 3000, bytes(70_000)]


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


# A pair


@virtual_time
async def test_each_side_receives_what_the_other_sends() -> None:
    async with pair() as (client, server):
        for message in MESSAGES:
            await client.send(message)
            assert await server.recv() == message
            await server.send(message)
            assert await client.recv() == message
        assert await client.ping() == 0
        assert client.remote_address == server.local_address
        await client.close(4000, "done")
        assert (server.close_code, server.close_reason) == (4000, "done")


@virtual_time
async def test_a_pair_keeps_limits_subprotocol_and_extensions() -> None:
    async with pair(
        limits=Limits(max_message_size=10),
        server_limits=Limits(max_message_size=20),
        extensions=[PermessageDeflate(threshold=0)],
        subprotocol="chat",
    ) as (client, server):
        assert client.subprotocol == server.subprotocol == "chat"
        await client.send("x" * 20)
        assert await server.recv() == "x" * 20
        await server.send("x" * 11)
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1009


@virtual_time
async def test_a_pair_that_is_left_open_is_dropped() -> None:
    async with pair() as (client, server):
        pass
    assert client.close_code == server.close_code == 1006


@virtual_time
async def test_back_pressure_is_that_of_a_network() -> None:
    async with pair() as (client, server):

        async def send_all() -> None:
            for number in range(500):
                await client.send(bytes([number % 256]) * 1000)

        sending = asyncio.create_task(send_all())
        await settle()
        assert not sending.done()
        for number in range(500):
            assert await server.recv() == bytes([number % 256]) * 1000
        await sending


def test_a_pair_works_on_other_event_loops() -> None:
    async def talk() -> None:
        async with pair(Network(to_server=Faults(split=3))) as (client, server):
            await client.send("Hello")
            assert await server.recv() == "Hello"

    asyncio.run(talk())
    run(talk(), asyncio.SelectorEventLoop)


# Faults


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("split", [1, 3, 100])
@virtual_time
async def test_bytes_that_are_split_and_late_make_the_same_messages(split: int, seed: int) -> None:
    faults = Faults(split=split, delay=(0.0, 0.01))
    async with client(echo, network=Network(to_server=faults, to_client=faults, seed=seed)) as ws:
        for message in MESSAGES[:5]:
            await ws.send(message)
        assert [await ws.recv() for _ in MESSAGES[:5]] == MESSAGES[:5]


@virtual_time
async def test_delay_is_time_under_way() -> None:
    network = Network(to_server=Faults(delay=2.0), to_client=Faults(delay=3.0))
    async with pair(network, limits=Limits(ping_interval=None)) as (client, _server):
        assert await client.ping() == pytest.approx(5)


@virtual_time
async def test_the_same_seed_gives_the_same_run() -> None:
    loop = asyncio.get_running_loop()

    async def times(seed: int) -> list[float]:
        start = loop.time()
        network = Network(to_client=Faults(delay=(0.0, 1.0)), seed=seed)
        async with pair(network) as (client, _server):
            return [await client.ping() for _ in range(5)] + [loop.time() - start]

    assert await times(1) == pytest.approx(await times(1))
    assert await times(1) != pytest.approx(await times(2))


@virtual_time
async def test_a_connection_that_drops_everything_is_noticed_by_keepalive() -> None:
    limits = Limits(ping_interval=20, ping_timeout=10, close_timeout=5)
    async with pair(Network(to_client=Faults(drop_after=0)), limits=limits) as (client, server):
        await server.send("lost")
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1011
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        await client.wait_closed()
        assert client.close_code == 1006


@virtual_time
async def test_the_end_of_one_side_comes_after_so_many_bytes() -> None:
    async with pair(Network(to_client=Faults(end_after=4))) as (client, server):
        await server.send("ab")
        assert await client.recv() == "ab"
        await server.send("cd")
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        await client.wait_closed()
        assert client.close_code == 1006


@virtual_time
async def test_a_reset_comes_after_so_many_bytes() -> None:
    async with pair(Network(to_server=Faults(reset_after=8))) as (client, server):
        await client.send("ab")
        assert await server.recv() == "ab"
        await client.send("cd")
        for websocket in (client, server):
            with pytest.raises(ConnectionClosedError):
                await websocket.recv()
            await websocket.wait_closed()


@virtual_time
async def test_a_link_is_stalled_and_reset_by_hand() -> None:
    network = Network()
    async with pair(network) as (client, server):
        (link,) = network.links
        link.stall()
        await client.send("held up")
        receiving = asyncio.create_task(server.recv())
        await settle()
        assert not receiving.done()
        link.flow()
        assert await receiving == "held up"
        link.reset()
        await client.wait_closed()
        await server.wait_closed()
        assert client.close_code == server.close_code == 1006


@virtual_time
async def test_an_abort_is_a_reset_for_the_peer_behind_what_is_under_way() -> None:
    async with pair(Network(to_server=Faults(delay=1.0))) as (client, server):
        await client.send("last words")
        client.abort()
        assert await server.recv() == "last words"
        with pytest.raises(ConnectionClosedError):
            await server.recv()
        assert asyncio.get_running_loop().time() == pytest.approx(1)


# A server


@virtual_time
async def test_a_client_opens_with_the_whole_handshake() -> None:
    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        await websocket.send(f"{websocket.request.path} {websocket.subprotocol}")

    async with (
        serving(handler, subprotocols=["b"]) as server,
        server.connect("/chat?x=1", subprotocols=["a", "b"]) as ws,
    ):
        assert await ws.recv() == "/chat b"
        assert ws.response is not None
        assert ws.response.status == 101
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()


@virtual_time
async def test_a_server_refuses_as_over_sockets() -> None:
    def refuse(request: Request) -> Response:
        return Response.text("no\n", 403)

    async with serving(echo, process_request=refuse) as server:
        with pytest.raises(HandshakeError) as refused:
            await server.connect()
        assert refused.value.status == 403


@virtual_time
async def test_a_router_and_any_host() -> None:
    async def room(websocket: WebSocket, name: str) -> None:
        await websocket.send(name)

    router = Router([Route("/rooms/<name>", room)])
    async with client(router, "ws://any.example:1234/rooms/one") as ws:
        assert await ws.recv() == "one"


@virtual_time
async def test_a_client_reconnects() -> None:
    greeted = itertools.count(1)

    async def handler(websocket: WebSocket) -> None:
        await websocket.send(str(next(greeted)))
        websocket.abort()

    async with serving(handler) as server:
        seen = []
        async with contextlib.aclosing(aiter(server.connect())) as connections:
            async for ws in connections:
                seen.append(await ws.recv())
                if len(seen) == 3:
                    break
    assert seen == ["1", "2", "3"]
    assert len(server.network.links) == 3


@virtual_time
async def test_a_server_in_memory_closes_its_clients() -> None:
    async with serving(echo) as server:
        ws = await server.connect()
    with pytest.raises(ConnectionClosedOK) as closed:
        await ws.recv()
    assert closed.value.code == 1001


@virtual_time
async def test_tls_is_refused() -> None:
    async with serving(echo) as server:
        with pytest.raises(UsageError, match="no TLS in memory"):
            await server.connect("wss://localhost/")


@virtual_time
async def test_an_open_timeout_needs_no_waiting() -> None:
    network = Network(to_client=Faults(drop_after=0))
    async with serving(echo, network) as server:
        with pytest.raises(TimeoutError):
            await server.connect(limits=Limits(open_timeout=3600))
        assert asyncio.get_running_loop().time() == pytest.approx(3600)


@pytest.mark.parametrize("end", ["client", "server"])
@virtual_time
async def test_many_clients_come_and_go_under_faults(end: str) -> None:
    faults = Faults(split=7, delay=(0.0, 0.1))
    async with serving(echo, Network(to_server=faults, to_client=faults)) as server:

        async def one(number: int) -> None:
            async with server.connect() as ws:
                for turn in range(5):
                    await ws.send(f"{number}.{turn}")
                    assert await ws.recv() == f"{number}.{turn}"
                if end == "server":
                    (theirs,) = server.server.connections
                    await theirs.close()

        if end == "client":
            await asyncio.gather(*map(one, range(50)))
        else:
            for number in range(5):
                await one(number)
        await settle()
        assert server.server.connections == frozenset()
