"""What the tests of threads share: both ends of a connection, and threads that must end.

What must live here: a raw peer that sends and reads bytes as the test wants them, over a socket
pair, with TLS or without; and a clock that only moves when it is told to. This file does not know
what any test proves.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from rfc6455 import Close, Connection, Limits, MemoryBudget, Observer, Role, Router
from rfc6455.extensions import Extension
from rfc6455.frames import Frame, Opcode, decode
from rfc6455.sync import Server, WebSocket, closing, connection, endpoint, link, outgoing, serve
from rfc6455.sync.server import Handler
from rfc6455.sync.stream import Stream
from tests.transports.conftest import TLS
from tests.transports.support import REQUEST, accepting

if TYPE_CHECKING:
    import pytest

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a test has failed that should have taken none."""


class Task(Generic[T]):
    """A call in a thread of its own, whose result or error the test asks for."""

    def __init__(self, call: Callable[..., T], *args: Any, name: str | None = None) -> None:
        self._outcome: list[T] = []
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._outcome.append(call(*args))
            except BaseException as error:
                self._error = error

        self.thread = threading.Thread(target=run, name=name, daemon=True)
        self.thread.start()

    @property
    def done(self) -> bool:
        return not self.thread.is_alive()

    def result(self) -> T:
        self.thread.join(PATIENCE)
        assert self.done, "a thread does not come back"
        if self._error is not None:
            raise self._error
        return self._outcome[0]


def until(condition: Callable[[], Any]) -> None:
    """Waits for something that no event tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.001)


class Peer:
    """The other end of a socket. It reads only when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self.sock = sock
        self.buffer = b""

    @classmethod
    def dial(cls, server: Server, context: ssl.SSLContext | None = None) -> Self:
        listener = server.sockets[0]
        sock = socket.socket(listener.family, socket.SOCK_STREAM)
        sock.connect(listener.getsockname())
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname="localhost")
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def end(self) -> None:
        """Ends our side of TCP."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Drops TCP."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            return False
        self.buffer += data
        return bool(data)

    def head(self) -> tuple[int, dict[str, str]]:
        """Reads the head of an HTTP message: the status, and fields with lower-case names."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(self.buffer)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        line, *lines = head.decode("latin-1").split("\r\n")
        fields = [field.split(": ", 1) for field in lines]
        return int(line.split(" ")[1]), {name.lower(): value for name, value in fields}

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Reads an HTTP answer and the end of the connection."""
        status, headers = self.head()
        return status, headers, self.rest()

    def upgrade(self, request: bytes = REQUEST) -> dict[str, str]:
        """Opens a WebSocket."""
        self.send(request)
        status, headers = self.head()
        assert status == 101, status
        return headers

    def accept(self, *fields: bytes) -> bytes:
        """Accepts a client's WebSocket. Returns its request."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(self.buffer)
        request, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.send(accepting(request, *fields))
        return request

    def frame(self) -> Frame:
        while (found := decode(self.buffer, allowed_rsv=0x70)) is None:
            if not self._more():
                raise EOFError(self.buffer)
        frame, size = found
        self.buffer = self.buffer[size:]
        return frame

    def message(self) -> str | bytes:
        """Reads a message in one frame."""
        frame = self.frame()
        assert frame.fin
        assert frame.opcode in (Opcode.TEXT, Opcode.BINARY), frame
        return frame.payload.decode() if frame.opcode is Opcode.TEXT else frame.payload

    def close_frame(self) -> Close:
        frame = self.frame()
        assert frame.opcode is Opcode.CLOSE, frame
        return Close.parse(frame.payload)

    def rest(self) -> bytes:
        """Reads up to the end of TCP; a reset counts as one."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data


def sockets(tls: TLS | None = None) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets; over TLS the first is the server's."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        # Small, so that a test of back-pressure has not to send much.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    if tls is None:
        return ours, theirs
    server = Task(lambda: tls.server.wrap_socket(ours, server_side=True))
    client = tls.client.wrap_socket(theirs, server_hostname="localhost")
    return server.result(), client


@contextlib.contextmanager
def pair(
    role: Role = Role.SERVER,
    *,
    tls: TLS | None = None,
    extensions: tuple[Extension, ...] = (),
    clock: Clock | None = None,
    observer: Observer | None = None,
    budget: MemoryBudget | None = None,
    **limits: Any,
) -> Iterator[tuple[WebSocket, Peer]]:
    """An open connection and its peer; ``limits`` are those of `Limits`."""
    ours, theirs = sockets(tls)
    now = time.monotonic() if clock is None else clock.now
    core = Connection(role, limits=Limits(**limits), extensions=extensions, now=now)
    websocket = WebSocket(core, Stream(ours), observer=observer, budget=budget or MemoryBudget())
    with Peer(theirs) as peer:
        try:
            yield websocket, peer
        finally:
            websocket.abort()
            if clock is not None:
                clock.visit(websocket)


class Clock:
    """Time that stands still, and an attendant that never comes: the test does its visits.

    Threads that wait for a socket still wait in real time, so it is for tests of one thread.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.asked: list[float] = []
        for module in (connection, endpoint, outgoing, closing, link):
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(link, "attendant", self)

    def monotonic(self) -> float:
        return self.now

    def schedule(self, member: object, when: float) -> None:
        self.asked.append(when)

    def visit(self, websocket: WebSocket, *, after: float = 0.0, ready: bool = False) -> int:
        """Lets time pass, and the attendant look in. Returns what it would wait for."""
        self.now += after
        visit = websocket.visit(self.now, ready=ready)
        if visit is None:
            websocket.left()
            return 0
        return visit.mask


@contextlib.contextmanager
def serving(handler: Handler | Router, **options: Any) -> Iterator[Server]:
    with serve(handler, "127.0.0.1", 0, **options) as server:
        yield server


def repeat(call: Callable[[], Any], times: int = 1000) -> None:
    """Calls until it fails."""
    for _ in range(times):
        call()


def uri(server: Server, path: str = "/", scheme: str = "ws") -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"{scheme}://{host}:{port}{path}"


def echo(websocket: WebSocket) -> None:
    for message in websocket:
        websocket.send(message)


@contextlib.contextmanager
def in_asyncio(context: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Runs an asynchronous context in the event loop of another thread: a peer on asyncio."""
    loop = asyncio.new_event_loop()
    thread = Task(loop.run_forever)

    def call(step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, loop).result(PATIENCE)

    try:
        value = call(context.__aenter__())
        try:
            yield value
        finally:
            call(context.__aexit__(None, None, None))  # type: ignore[arg-type]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.result()
        loop.close()
