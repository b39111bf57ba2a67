"""What a connection looks like on the wire, and how long its steps take.

What lives here: an event loop that takes the time of each step of connecting, and sees the heads of
the opening handshake; and an observer that sees frames. This file does not know how they are shown.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from ..asyncio.reads import feed
from ..connection import Connection
from ..events import Event
from ..observer import Observer
from ..tracing import FrameTracer, TracedFrame, inflaters

if sys.platform == "win32":
    from asyncio import ProactorEventLoop as _PlatformLoop
else:
    from asyncio import SelectorEventLoop as _PlatformLoop

__all__ = ["Direction", "Frames", "Heads", "Timing", "WatchingLoop"]

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


class Heads:
    """The heads of the opening handshake on one transport, and of a proxy's before it.

    Args:
        timing: what notes the end of the handshake.
        on_head: gets each head.
    """

    def __init__(self, timing: Timing, on_head: Callable[[Direction, bytes], None]) -> None:
        self._timing = timing
        self._on_head = on_head
        self._partial: dict[Direction, bytes] = {"<": b"", ">": b""}
        self._over = False
        self._tunnelling = False

    def see(self, direction: Direction, data: bytes) -> None:
        """Takes what went in one direction."""
        while data and not self._over:
            head, end, data = (self._partial[direction] + data).partition(b"\r\n\r\n")
            if not end:
                # More than any head, or no HTTP at all, as with a SOCKS proxy.
                self._over = len(head) > MAX_HEAD
                self._partial[direction] = head
                return
            self._partial[direction] = b""
            self._on_head(direction, head)
            if direction == ">":
                self._tunnelling = head.startswith(b"CONNECT ")
            else:
                self._take_answer(head.split(b" ", 2)[1:2])

    def _take_answer(self, status: list[bytes]) -> None:
        if status == [b"101"]:
            self._timing.step("handshake")
        # Behind the answer come frames, or a body; behind that of a proxy, another handshake.
        self._over = not self._tunnelling and status != [b"100"]


class Frames(Observer):
    """The frames of a connection.

    Args:
        timing: what notes the first message.
        on_frame: gets each frame.
    """

    def __init__(self, timing: Timing, on_frame: Callable[[Direction, TracedFrame], None]) -> None:
        self._timing = timing
        self._on_frame = on_frame
        self._tracers: dict[Direction, FrameTracer] = {}

    def opened(self, connection: Any, core: Connection) -> None:
        """Begins."""
        deflate = bool(core.extensions)
        self._tracers = {
            ">": FrameTracer(masked=True, extensions=((), inflaters(deflate))),
            "<": FrameTracer(masked=False, extensions=(inflaters(deflate), ())),
        }

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        """Shows what came."""
        is_message = any(isinstance(event, str | bytes) for event in events)
        if is_message and self._timing.first_message is None:
            self._timing.step("first_message")
        self._show("<", data)

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        """Shows what went."""
        self._show(">", data)

    def _show(self, direction: Direction, data: bytes) -> None:
        for frame in self._tracers[direction].receive_data(data):
            self._on_frame(direction, frame)


class WatchingLoop(_PlatformLoop):
    """An event loop that takes the time of connecting, and shows what is said before frames.

    Args:
        timing: where the times go.
        on_head: gets each head of the opening handshake.
    """

    def __init__(self, timing: Timing, on_head: Callable[[Direction, bytes], None]) -> None:
        super().__init__()
        self._timing = timing
        self._on_head = on_head

    def _new_heads(self) -> Heads:
        return Heads(self._timing, self._on_head)

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """Takes the time of looking up a name."""
        self._timing.begin()
        result = await super().getaddrinfo(*args, **kwargs)
        self._timing.step("dns")
        return result

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Takes the time of opening TCP."""
        self._timing.begin()
        await super().sock_connect(sock, address)
        self._timing.step("tcp")

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Watches a connection over TCP from its first byte on."""
        return await self._watch(super().create_connection, protocol_factory, *args, **kwargs)

    async def create_unix_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Watches a connection over a Unix domain socket from its first byte on."""
        return await self._watch(super().create_unix_connection, protocol_factory, *args, **kwargs)

    async def _watch(self, create: Any, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        tap = _Tap(self._new_heads(), self._timing if kwargs.get("ssl") else None)

        def factory() -> asyncio.Protocol:
            tap.inner = protocol_factory()
            return tap

        await create(factory, *args, **kwargs)
        return tap.transport, tap.inner

    async def start_tls(self, transport: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        """Watches what goes through TLS, once it starts in an open connection."""
        if not isinstance(transport, _TappedTransport):
            return await super().start_tls(transport, protocol, *args, **kwargs)
        tap = _Tap(self._new_heads(), None)
        tap.inner = protocol
        secure = await super().start_tls(transport.real, tap, *args, **kwargs)
        if secure is None:
            return None
        self._timing.step("tls")
        tap.transport = _TappedTransport(secure, tap)
        return tap.transport


class _Tap(asyncio.Protocol):
    """Stands between a transport and its protocol, and shows what passes."""

    def __init__(self, heads: Heads, timing: Timing | None) -> None:
        self.heads = heads
        self.inner: Any = None
        self.transport: _TappedTransport | None = None
        self._timing = timing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._timing is not None:
            self._timing.step("tls")
        self.transport = _TappedTransport(transport, self)
        self.inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        self.heads.see("<", data)
        feed(self.inner, data)

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
        self._tap.heads.see(">", bytes(data))
        self.real.write(data)

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def set_protocol(self, protocol: Any) -> None:
        self._tap.inner = protocol

    def get_protocol(self) -> Any:
        return self._tap.inner
