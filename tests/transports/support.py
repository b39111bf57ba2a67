"""What the tests of the transports share: a clock that jumps, a TCP in memory, a raw peer.

What must live here: whatever stands between a test and the network. Time is virtual wherever a
timer matters: `VirtualTimeLoop` goes to the next timer as soon as nothing else can happen, so that
a test of a timeout takes no time and cannot be early or late. This file does not know what any test
proves.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar, cast

import pytest

from rfc6455 import (
    Close,
    Connection,
    ConnectionClosed,
    Limits,
    Role,
    Router,
    Server,
    WebSocket,
    serve,
)
from rfc6455.asyncio.reads import StreamProtocol, feed
from rfc6455.frames import Frame, Opcode, decode, encode
from rfc6455.handshake import accept_key
from rfc6455.testing import VirtualTimeLoop as VirtualTimeLoop
from rfc6455.testing import run
from rfc6455.testing import settle as settle
from rfc6455.testing import virtual_time as virtual_time
from tests.helpers import KEY, frames_in, peer_frame

try:
    import uvloop
except ImportError:  # pragma: no cover
    uvloop = None  # type: ignore[assignment, unused-ignore]

P = ParamSpec("P")
T = TypeVar("T")

REQUEST = (
    b"GET /chat HTTP/1.1\r\n"
    b"Host: server.example.com\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"\r\n"
)
"""The opening handshake of RFC 6455 §1.2, without its optional fields."""

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What answers the key of `REQUEST`, from §1.3."""


# Event loops


async def pass_time(seconds: float) -> None:
    """Lets virtual time pass, and everything happen that is due in it."""
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
    await asyncio.sleep(seconds)


def now() -> float:
    return asyncio.get_running_loop().time()


def real_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs a coroutine function as a test, on asyncio's own loop."""

    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs), asyncio.SelectorEventLoop)

    return run_test


def on_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a coroutine function as a test, on asyncio's own loop and on uvloop."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @functools.wraps(test)
    def run_test(*args: Any, loop: str, **kwargs: Any) -> None:
        if loop == "asyncio":
            run(test(*args, **kwargs), asyncio.SelectorEventLoop)
        elif uvloop is None:
            pytest.skip("needs uvloop")
        else:
            run(test(*args, **kwargs), uvloop.new_event_loop)

    signature = inspect.signature(test)
    extra = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*signature.parameters.values(), extra]
    vars(run_test)["__signature__"] = signature.replace(parameters=parameters)
    return cast("Callable[..., None]", run_test)


# TCP in memory


class MemoryTransport(asyncio.Transport):
    """TCP as a protocol sees it; the test is the network and the peer.

    Attributes:
        writes: what each call of `write` was given.
        congested: while it is set, what is written waits in a buffer.
        eof_written: whether our side has ended.
        aborted: whether it was dropped.
    """

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__(
            {
                "peername": ("192.0.2.1", 50000),
                "sockname": ("192.0.2.2", 80),
                **({"sslcontext": object()} if tls else {}),
            }
        )
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._protocol: StreamProtocol | None = None
        self._incoming: list[bytes] = []
        self._incoming_eof = False
        self._reading = True
        self._buffered = 0
        self._high = 64 * 1024
        self._protocol_paused = False
        self._closing = False
        self._lost = False
        self.writes: list[bytes] = []
        self.congested = False
        self.eof_written = False
        self.aborted = False

    # What the peer and the network do

    def feed(self, data: bytes) -> None:
        """Brings bytes; while reading is paused they wait."""
        self._incoming.append(data)
        self._deliver()

    def feed_eof(self) -> None:
        """Ends the peer's side."""
        self._incoming_eof = True
        self._deliver()

    def lose(self, error: Exception | None = None) -> None:
        """Ends the connection, as a reset does."""
        self._closing = True
        self._end(error)

    def flow(self) -> None:
        """Ends the congestion: what waits is sent."""
        self.congested = False
        self._buffered = 0
        if self._protocol_paused:
            self._protocol_paused = False
            self.protocol.resume_writing()
        if self._closing:
            self._end()

    @property
    def frames(self) -> list[Frame]:
        """The frames that were written."""
        return frames_in(b"".join(self.writes))

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that were written, each in one frame."""
        return [
            frame.payload.decode() if frame.opcode is Opcode.TEXT else frame.payload
            for frame in self.frames
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY)
        ]

    @property
    def closes(self) -> list[Close]:
        """The Close frames that were written."""
        return [Close.parse(f.payload) for f in self.frames if f.opcode is Opcode.CLOSE]

    @property
    def lost(self) -> bool:
        """Whether the protocol knows of the end."""
        return self._lost

    def _deliver(self) -> None:
        while self._reading and self._incoming and not self._closing:
            feed(self.protocol, self._incoming.pop(0))
        if self._reading and self._incoming_eof and not self._incoming and not self._closing:
            self._incoming_eof = False
            if not self.protocol.eof_received() or self._tls:
                self.close()

    def _end(self, error: Exception | None = None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self.protocol.connection_lost, error)

    # What a protocol calls

    @property
    def protocol(self) -> StreamProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, StreamProtocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        assert low is None
        self._high = high

    def get_write_buffer_size(self) -> int:
        return self._buffered

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        assert not self._closing, "written to a transport that is closing"
        self.writes.append(bytes(data))
        if self.congested:
            self._buffered += len(data)
            if self._buffered > self._high and not self._protocol_paused:
                self._protocol_paused = True
                self.protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return not self._tls

    def write_eof(self) -> None:
        assert not self._tls
        self.eof_written = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        if not self._buffered:
            self._end()

    def abort(self) -> None:
        self.aborted = True
        self._closing = True
        self._buffered = 0
        self._end()


def make_websocket(
    role: Role = Role.SERVER, *, tls: bool = False, **limits: Any
) -> tuple[WebSocket, MemoryTransport]:
    """An open connection and its network; ``limits`` are those of `Limits`."""
    loop = asyncio.get_running_loop()
    transport = MemoryTransport(tls=tls)
    core = Connection(role, limits=Limits(**limits), now=loop.time())
    websocket = WebSocket(core, transport, loop)
    transport.set_protocol(websocket)
    return websocket, transport


# What a peer sends


def text(message: str, role: Role = Role.SERVER) -> bytes:
    """A text message, as the peer of ``role`` sends it."""
    return peer_frame(role, Opcode.TEXT, message.encode())


def binary(message: bytes, role: Role = Role.SERVER) -> bytes:
    return peer_frame(role, Opcode.BINARY, message)


def ping(payload: bytes = b"", role: Role = Role.SERVER) -> bytes:
    return peer_frame(role, Opcode.PING, payload)


def pong(payload: bytes = b"", role: Role = Role.SERVER) -> bytes:
    return peer_frame(role, Opcode.PONG, payload)


def close(code: int = 1000, reason: str = "", role: Role = Role.SERVER) -> bytes:
    return peer_frame(role, Opcode.CLOSE, Close(code, reason).payload())


BAD_FRAME = bytes([0x83, 0x80, 0, 0, 0, 0])
"""A frame with an opcode that does not exist: 1002."""


# Sockets


class RawPeer:
    """The other end of a real socket, which sends and reads bytes as the test wants them.

    It reads only when it is told to.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.buffer = b""

    @classmethod
    async def over(cls, sock: socket.socket) -> RawPeer:
        """Takes a connected socket."""
        sock.setblocking(False)
        return cls(*await asyncio.open_connection(sock=sock))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def end(self) -> None:
        """Ends our side of TCP."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Drops TCP."""
        self.writer.transport.abort()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Reads the head of an HTTP answer: its status, and its fields with lower-case names."""
        data = await self.reader.readuntil(b"\r\n\r\n")
        status_line, *lines = data[:-4].decode("latin-1").split("\r\n")
        version, status, *_ = status_line.split(" ")
        assert version == "HTTP/1.1"
        fields = [line.split(": ", 1) for line in lines]
        names = [name.lower() for name, _ in fields]
        assert len(set(names)) == len(names), f"repeated field in {names}"
        return int(status), {name.lower(): value for name, value in fields}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Reads an HTTP answer and the end of the connection: all that the server says."""
        status, headers = await self.head()
        body = await self.reader.read()
        assert headers["connection"].endswith("close")
        return status, headers, body

    async def upgrade(self, request: bytes = REQUEST) -> dict[str, str]:
        """Opens a WebSocket."""
        self.send(request)
        status, headers = await self.head()
        assert status == 101, status
        return headers

    async def frame(self) -> Frame:
        """Reads a frame."""
        while (found := decode(self.buffer, allowed_rsv=0x70)) is None:
            data = await self.reader.read(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        frame, size = found
        self.buffer = self.buffer[size:]
        return frame

    async def message(self) -> str | bytes:
        """Reads a message in one frame."""
        frame = await self.frame()
        assert frame.fin
        assert frame.opcode in (Opcode.TEXT, Opcode.BINARY), frame
        return frame.payload.decode() if frame.opcode is Opcode.TEXT else frame.payload

    async def close_frame(self) -> Close:
        """Reads a Close frame."""
        frame = await self.frame()
        assert frame.opcode is Opcode.CLOSE, frame
        return Close.parse(frame.payload)

    async def rest(self) -> bytes:
        """Reads up to the end of TCP; a reset counts as one."""
        data, self.buffer = self.buffer, b""
        with contextlib.suppress(ConnectionResetError):
            data += await self.reader.read()
        return data


@contextlib.contextmanager
def unix_listener() -> Iterator[socket.socket]:
    """A Unix domain socket to listen on: what is sent over it has arrived when `send` returns."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock,
    ):
        sock.bind(str(Path(folder) / "socket"))
        yield sock


async def dial(server: Server) -> RawPeer:
    """Connects to a server, wherever it listens."""
    listener = server.sockets[0]
    sock = socket.socket(listener.family, socket.SOCK_STREAM)
    # A loopback or Unix domain connection is made at once, by the kernel alone.
    sock.connect(listener.getsockname())
    return await RawPeer.over(sock)


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[WebSocket], Coroutine[Any, Any, None]] | Router, **options: Any
) -> AsyncIterator[Server]:
    """A server: on a Unix domain socket where time is virtual, else on TCP, on a free port."""
    if isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        with unix_listener() as sock:
            async with serve(handler, sock=sock, **options) as server:
                yield server
    else:
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            yield server


def uri(server: Server, path: str = "/", scheme: str = "ws") -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"{scheme}://{host}:{port}{path}"


async def receive_all(websocket: WebSocket) -> tuple[list[str | bytes], ConnectionClosed]:
    """Receives up to the end; returns what came, and how it ended."""
    messages = []
    while True:
        try:
            messages.append(await websocket.recv())
        except ConnectionClosed as error:
            return messages, error


async def echo_all(websocket: WebSocket) -> ConnectionClosed:
    """Sends everything back; returns how it ended."""
    while True:
        try:
            await websocket.send(await websocket.recv())
        except ConnectionClosed as error:
            return error


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


def client_frame(opcode: Opcode, payload: bytes = b"", **options: Any) -> bytes:
    return encode(opcode, payload, masking_key=KEY, **options)


@contextlib.asynccontextmanager
async def scripted_server(
    script: Callable[[RawPeer, bytes], Coroutine[Any, Any, None]],
) -> AsyncIterator[str]:
    """A server on TCP that does what a test wants, once it has read the head of a request.

    Args:
        script: gets the peer and the head; when it returns, the connection is closed.

    Yields:
        Its URI.
    """

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with RawPeer(reader, writer) as peer:
            # A client that gives up is not what these tests are about.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(peer, await reader.readuntil(b"\r\n\r\n"))

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve_one(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def accepting(request: bytes, *fields: bytes) -> bytes:
    """The answer that accepts a client's request, with further fields."""
    key = next(
        line.split(b": ")[1]
        for line in request.split(b"\r\n")
        if line.startswith(b"Sec-WebSocket-Key")
    )
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_key(key).encode(),
        *fields,
    ]
    return b"\r\n".join([*lines, b"", b""])
