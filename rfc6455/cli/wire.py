"""What a connection looks like on the wire, and how long its steps take.

What lives here: an event loop that watches what goes through it. It takes the time of each step of
connecting, and hands the bytes of both directions to a `Wire`, which splits them into the heads of
the opening handshake and frames. This file does not know how either is shown.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from ..extensions import PermessageDeflate
from ..headers import parse_extensions
from ..tracing import FrameTracer, TracedFrame, inflaters

if sys.platform == "win32":
    from asyncio import ProactorEventLoop as _PlatformLoop
else:
    from asyncio import SelectorEventLoop as _PlatformLoop

__all__ = ["Direction", "Timing", "WatchingLoop", "Wire"]

Direction: TypeAlias = Literal["<", ">"]
MAX_HEAD: Final = 64 * 1024


@dataclass(slots=True)
class Timing:
    """How long the steps of a connection took, in seconds; None for those that were not taken."""

    started: float = field(default_factory=time.perf_counter)
    dns: float | None = None
    tcp: float | None = None
    tls: float | None = None
    handshake: float | None = None
    first_message: float | None = None
    _last: float = 0.0

    def __post_init__(self) -> None:
        self._last = self.started

    def begin(self) -> None:
        """Begins a step."""
        self._last = time.perf_counter()

    def step(self, name: str) -> None:
        """Ends a step, and begins the next."""
        now = time.perf_counter()
        setattr(self, name, (getattr(self, name) or 0.0) + now - self._last)
        self._last = now


class Wire:
    """The bytes of one connection, in both directions.

    Args:
        timing: what it notes the end of the handshake and the first message in.
        on_head: gets each head of the opening handshake.
        on_frame: gets each frame.
        keep: bytes of a payload that are to be shown.
    """

    def __init__(
        self,
        timing: Timing,
        on_head: Callable[[Direction, bytes], None] | None = None,
        on_frame: Callable[[Direction, TracedFrame], None] | None = None,
        keep: int = 128,
    ) -> None:
        self._timing = timing
        self._on_head = on_head
        self._on_frame = on_frame
        self._keep = keep
        self._heads: dict[Direction, bytes | None] = {"<": b"", ">": b""}
        self._tracers: dict[Direction, FrameTracer] = {}
        self._tunnelling = False

    def see(self, direction: Direction, data: bytes) -> None:
        """Takes what went in one direction."""
        while data and (head := self._heads[direction]) is not None:
            head += data
            if not (head[0:1].isalpha() and head[0:1].isascii()) or len(head) > MAX_HEAD:
                # No HTTP; and no frame of a WebSocket that has not been opened.
                self._heads[direction] = None
                return
            head, end, data = head.partition(b"\r\n\r\n")
            if not end:
                self._heads[direction] = head
                return
            self._take_head(direction, head)
        if data and direction in self._tracers:
            for frame in self._tracers[direction].receive_data(data):
                self._take_frame(direction, frame)

    def _take_head(self, direction: Direction, head: bytes) -> None:
        self._heads[direction] = b""
        if self._on_head is not None:
            self._on_head(direction, head)
        if direction == ">":
            self._tunnelling = head.startswith(b"CONNECT ")
            return
        status = head.split(b" ", 2)[1:2]
        if status == [b"101"]:
            self._timing.step("handshake")
            self._open(head)
        elif not self._tunnelling and status != [b"100"]:
            self._heads["<"] = None  # a refusal; its body is not shown

    def _open(self, head: bytes) -> None:
        values = [
            line.partition(b":")[2].strip(b" \t")
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-extensions:")
        ]
        try:
            deflate = any(name == PermessageDeflate.name for name, _ in parse_extensions(values))
        except ValueError:
            deflate = False
        for direction, masked in ((">", True), ("<", False)):
            mine = inflaters(deflate)
            self._tracers[direction] = FrameTracer(  # type: ignore[index]
                masked=masked, extensions=(mine, mine), keep=self._keep
            )
        self._heads = {"<": None, ">": None}

    def _take_frame(self, direction: Direction, frame: TracedFrame) -> None:
        is_message = any(isinstance(event, str | bytes) for event in frame.events)
        if is_message and direction == "<" and self._timing.first_message is None:
            self._timing.step("first_message")
        if self._on_frame is not None:
            self._on_frame(direction, frame)


class WatchingLoop(_PlatformLoop):
    """An event loop that takes the time of connecting, and shows a `Wire` what is said.

    Args:
        timing: where the times go.
        new_wire: makes what watches a new connection.
    """

    def __init__(self, timing: Timing, new_wire: Callable[[], Wire]) -> None:
        super().__init__()
        self._timing = timing
        self._new_wire = new_wire

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """Takes the time of looking up a name."""
        self._timing.begin()
        result = await super().getaddrinfo(*args, **kwargs)
        self._timing.step("dns")
        return result

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Takes the time of opening TCP."""
        await super().sock_connect(sock, address)
        self._timing.step("tcp")

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Watches a connection over TCP from its first byte on."""
        return await self._watch(super().create_connection, protocol_factory, *args, **kwargs)

    async def create_unix_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Watches a connection over a Unix domain socket from its first byte on."""
        return await self._watch(super().create_unix_connection, protocol_factory, *args, **kwargs)

    async def _watch(self, create: Any, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        tap = _Tap(self._new_wire(), self._timing if kwargs.get("ssl") else None)

        def factory() -> asyncio.Protocol:
            tap.inner = protocol_factory()
            return tap

        await create(factory, *args, **kwargs)
        return tap.transport, tap.inner

    async def start_tls(self, transport: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        """Watches what goes through TLS, once it starts in an open connection."""
        if not isinstance(transport, _TappedTransport):
            return await super().start_tls(transport, protocol, *args, **kwargs)
        tap = _Tap(self._new_wire(), None)
        tap.inner = protocol
        secure = await super().start_tls(transport.real, tap, *args, **kwargs)
        if secure is None:
            return None
        self._timing.step("tls")
        tap.transport = _TappedTransport(secure, tap)
        return tap.transport


class _Tap(asyncio.Protocol):
    """Stands between a transport and its protocol, and shows a `Wire` what passes."""

    def __init__(self, wire: Wire, timing: Timing | None) -> None:
        self.wire = wire
        self.inner: Any = None
        self.transport: _TappedTransport | None = None
        self._timing = timing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._timing is not None:
            self._timing.step("tls")
        self.transport = _TappedTransport(transport, self)
        self.inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        self.wire.see("<", data)
        if not isinstance(self.inner, asyncio.BufferedProtocol):
            self.inner.data_received(data)
            return
        while data:
            buffer = memoryview(self.inner.get_buffer(len(data)))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self.inner.buffer_updated(size)
            data = data[size:]

    def eof_received(self) -> bool | None:
        keep_open: bool | None = self.inner.eof_received()
        return keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()


class _TappedTransport:
    """A transport whose writes are seen; all else is the real one's."""

    def __init__(self, real: Any, tap: _Tap) -> None:
        self.real = real
        self._tap = tap

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def write(self, data: Any) -> None:
        self._tap.wire.see(">", bytes(data))
        self.real.write(data)

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def set_protocol(self, protocol: Any) -> None:
        self._tap.inner = protocol

    def get_protocol(self) -> Any:
        return self._tap.inner
