"""Where a server listens: names, several addresses, paths, sockets that others made; and when the
process has no file descriptors left.

Knows real sockets; the parts are proven in the unit tests of ``listening``.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import rfc6455
from rfc6455 import Request, Response, UsageError, serve
from tests.helpers import ROOT

from .support import REQUEST, RawPeer, close, dial, echo, on_each_loop


async def is_served(address: object, family: int = socket.AF_INET) -> bool:
    """Whether a client gets in there."""
    sock = socket.socket(family)
    sock.connect(address)  # type: ignore[arg-type]
    async with await RawPeer.over(sock) as peer:
        peer.send(REQUEST)
        status, _ = await peer.head()
        peer.send(close())
        await peer.rest()
    return status == 101


@on_each_loop
async def test_several_hosts_share_a_port() -> None:
    async with serve(echo, ["127.0.0.1", "127.0.0.2"], 0) as server:
        addresses = [sock.getsockname() for sock in server.sockets]
        assert [address[0] for address in addresses] == ["127.0.0.1", "127.0.0.2"]
        assert len({address[1] for address in addresses}) == 1
        for address in addresses:
            assert await is_served(address)


@on_each_loop
async def test_a_name_stands_for_all_its_addresses() -> None:
    async with serve(echo, "localhost", 0) as server:
        assert len({sock.getsockname()[1] for sock in server.sockets}) == 1
        for sock in server.sockets:
            assert await is_served(sock.getsockname(), sock.family)


@on_each_loop
async def test_without_a_host_it_listens_everywhere() -> None:
    async with serve(echo, None, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await is_served(("127.0.0.1", port))
        assert await is_served(("127.0.0.2", port))


@on_each_loop
async def test_a_turn_of_the_loop_takes_several_connections() -> None:
    clients = [socket.socket() for _ in range(8)]
    async with serve(echo, "127.0.0.1", 0) as server:
        for client in clients:
            client.connect(server.sockets[0].getsockname())
            client.sendall(REQUEST)
        turns = 0
        while len(server.connections) < len(clients):
            turns += 1
            await asyncio.sleep(0)
        assert turns < len(clients)
        assert len(server.sockets) == 1
        for client in clients:
            client.close()


@on_each_loop
async def test_an_address_in_use_is_told_and_nothing_is_left_open() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        second = serve(echo, ["127.0.0.2", "127.0.0.1"], port)
        with pytest.raises(OSError, match=f"cannot listen on .*{port}"):
            await second
        assert second.sockets == ()
        with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
            sock.connect(("127.0.0.2", port))


@on_each_loop
async def test_several_servers_may_listen_on_one_port() -> None:
    async with serve(echo, "127.0.0.1", 0, reuse_port=True) as first:
        port = first.sockets[0].getsockname()[1]
        async with serve(echo, "127.0.0.1", port, reuse_port=True) as second:
            assert await is_served(second.sockets[0].getsockname())
        assert await is_served(first.sockets[0].getsockname())


@on_each_loop
async def test_sockets_may_be_given(tmp_path: Path) -> None:
    tcp, unix = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    address = tcp.getsockname()
    async with serve(echo, sock=[tcp, unix]) as server:
        assert len(server.sockets) == 2
        assert await is_served(address)
        assert await is_served(str(tmp_path / "socket"), socket.AF_UNIX)
    # They belong to the server from then on; the file does not, since it did not make it.
    assert tcp.fileno() == unix.fileno() == -1
    assert (tmp_path / "socket").exists()
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(address)


# Unix domain sockets


@on_each_loop
async def test_a_path_is_listened_on_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with serve(echo, path=path) as server:
        assert await is_served(str(path), socket.AF_UNIX)
        async with rfc6455.unix_connect(str(path)) as websocket:
            await websocket.send("Hello")
            assert await websocket.recv() == "Hello"
        # It is gone as soon as nobody gets in there any more.
        server.close()
        assert not path.exists()


@on_each_loop
async def test_what_a_dead_server_left_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serve(echo, path=path):
        with pytest.raises(OSError, match="cannot listen on"):
            await serve(echo, path=path)
        assert await is_served(str(path), socket.AF_UNIX)


# Sockets of systemd


SERVICE = """
import asyncio, os, signal, sys
import rfc6455

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with rfc6455.serve(echo, sock=rfc6455.systemd_sockets()) as server:
        print(len(server.sockets), flush=True)
        await stop.wait()
        print(await server.drain(), flush=True)

# What systemd does between fork and exec.
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
asyncio.run(main())
"""


@on_each_loop
async def test_a_service_that_systemd_starts_listens_on_its_socket() -> None:
    """It loses no client while it restarts: the socket outlives it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:

        async def start() -> asyncio.subprocess.Process:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                SERVICE,
                str(sock.fileno()),
                env={**os.environ, "LISTEN_FDS": "1"},
                cwd=ROOT,
                pass_fds=[sock.fileno()],
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"1\n"
            return process

        address = "ws://{}:{}/".format(*sock.getsockname())
        process = await start()
        async with rfc6455.connect(address) as websocket:
            await websocket.send("Hello")
            assert await websocket.recv() == "Hello"
            process.terminate()
            with pytest.raises(rfc6455.ConnectionClosed) as caught:
                await websocket.recv()
            assert caught.value.code == 1012
        assert (await process.communicate())[0] == b"Drained(closed=1, aborted=0)\n"
        # Who comes now waits for the next one.
        waiting = asyncio.ensure_future(_connect(address))
        process = await start()
        websocket = await waiting
        await websocket.close()
        process.terminate()
        assert (await process.communicate())[0] == b"Drained(closed=0, aborted=0)\n"


async def _connect(address: str) -> rfc6455.WebSocket:
    return await rfc6455.connect(address)


# File descriptors

EXHAUSTED = """
import asyncio, contextlib, json, logging, resource, socket, sys, time
import rfc6455

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

lines = []

class Handler(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

async def main():
    logging.getLogger().addHandler(Handler())
    async with rfc6455.serve(echo, "127.0.0.1", 0, max_connections=10_000) as server:
        address = server.sockets[0].getsockname()
        # Clients take descriptors of this process too: they are made first, and connect later.
        clients = [socket.socket() for _ in range(100)]
        spare = len(clients) + 40
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, 4096))
        for client in clients:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(address)
        cpu, start = time.process_time(), time.monotonic()
        while time.monotonic() - start < 2.2:
            await asyncio.sleep(0.1)
        cpu = time.process_time() - cpu
        accepted = len(server._incoming)
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        for client in clients[1:]:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        ours = await rfc6455.connect("ws://%s:%d/" % address)
        await ours.send("Hello")
        echoed = await ours.recv()
        await ours.close()
        clients[0].close()
    print(json.dumps([cpu, accepted, len(lines), echoed]))

factory = None
if sys.argv[1] == "uvloop":
    import uvloop
    factory = uvloop.new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_e4_without_file_descriptors_it_waits_quietly_and_recovers(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    completed = subprocess.run(
        [sys.executable, "-c", EXHAUSTED, loop],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    cpu, accepted, lines, echoed = json.loads(completed.stdout)
    # A loop that never rests takes all of the two seconds.
    assert cpu < 1
    assert 0 < accepted < 100
    assert lines <= 4
    assert echoed == "Hello"


@on_each_loop
async def test_plain_http_is_served_on_a_path_too(tmp_path: Path) -> None:
    def page(request: Request) -> Response:
        return Response.json({"address": request.client_address})

    async with (
        serve(echo, path=tmp_path / "socket", process_request=page) as server,
        await dial(server) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await peer.answer())[2] == b'{"address":""}\n'


@on_each_loop
async def test_a_port_that_does_not_exist_is_not_taken_for_another() -> None:
    with pytest.raises(UsageError, match="no such port: 70000"):
        await serve(echo, "127.0.0.1", 70000)
