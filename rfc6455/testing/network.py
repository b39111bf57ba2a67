"""A network in memory, and everything that can go wrong on one.

What lives here: two transports that are connected to each other, what happens to bytes between
them, and the chance that decides, which a seed makes repeatable. This file does not know what the
bytes mean.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..asyncio.reads import StreamProtocol, feed

__all__ = ["Faults", "Link", "MemoryTransport", "Network"]

CLIENT_ADDRESS: Final = ("192.0.2.1", 50000)
SERVER_ADDRESS: Final = ("192.0.2.2", 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What a network does to the bytes that travel in one direction. By default nothing.

    Order and contents stay as they are: that is what TCP promises.

    Attributes:
        split: each read brings at most this many bytes, and by chance fewer; None lets a read bring
            all that has arrived.
        delay: how long bytes are under way, in seconds: a number, or a smallest and a largest one.
        drop_after: after this many bytes nothing arrives any more, and nobody is told, as when a
            cable is cut.
        end_after: after this many bytes the receiver sees the end (a half-close), and what comes
            later is lost.
        reset_after: after this many bytes both sides see `ConnectionResetError`.
        capacity: how many bytes the network holds for a receiver that does not read, before they
            count as waiting to be written.
    """

    split: int | None = None
    delay: float | tuple[float, float] = 0.0
    drop_after: int | None = None
    end_after: int | None = None
    reset_after: int | None = None
    capacity: int = 64 * 1024


FAULTLESS: Final = Faults()


class Network:
    """Makes links, all with the same faults, each with chances of its own.

    Args:
        to_server: what happens to the bytes of clients.
        to_client: what happens to the bytes of the server.
        seed: decides all that is left to chance; the same seed gives the same run.

    Attributes:
        links: those that were made, in order.
    """

    def __init__(
        self,
        *,
        to_server: Faults = FAULTLESS,
        to_client: Faults = FAULTLESS,
        seed: int | str = 0,
    ) -> None:
        self._faults = to_server, to_client
        self._seed = seed
        self.links: list[Link] = []

    def link(self) -> Link:
        """Makes a connection between two transports that nobody uses yet."""
        # A string as the seed gives the same numbers in every process; a tuple would not.
        link = Link(*self._faults, random.Random(f"{self._seed}/{len(self.links)}"))
        self.links.append(link)
        return link


class Link:
    """A connection: two transports, and what is between them.

    Attributes:
        client: the transport of the client's side.
        server: that of the server's side.
    """

    def __init__(self, to_server: Faults, to_client: Faults, chance: random.Random) -> None:
        self.client = MemoryTransport(self, CLIENT_ADDRESS, SERVER_ADDRESS)
        self.server = MemoryTransport(self, SERVER_ADDRESS, CLIENT_ADDRESS)
        self._lines = (
            _Line(self.client, self.server, to_server, chance),
            _Line(self.server, self.client, to_client, chance),
        )

    def start(self, client: StreamProtocol, server: StreamProtocol) -> None:
        """Connects two protocols; the server's is told first, as when it has accepted."""
        for transport, protocol in ((self.server, server), (self.client, client)):
            transport.set_protocol(protocol)
            protocol.connection_made(transport)

    def stall(self) -> None:
        """Holds all bytes up, in both directions, until `flow`."""
        for line in self._lines:
            line.stalled = True

    def flow(self) -> None:
        """Ends a `stall`: what was held up arrives."""
        for line in self._lines:
            line.stalled = False
            line.schedule()

    def reset(self) -> None:
        """Ends the connection, as a reset does: both sides see `ConnectionResetError`."""
        for transport in (self.client, self.server):
            transport.lose(ConnectionResetError("connection reset by the network"))


class _Line:
    """One direction of a link: what is under way from one transport to the other."""

    def __init__(
        self,
        source: MemoryTransport,
        target: MemoryTransport,
        faults: Faults,
        chance: random.Random,
    ) -> None:
        self._source = source
        self._target = target
        self._faults = faults
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        # Empty bytes are the end of this side, None is a reset.
        self._under_way: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.Handle | None = None
        self._last_due = 0.0
        self._delivered = 0
        self._cut = False
        self.size = 0
        self.stalled = False
        source.outgoing = target.incoming = self

    @property
    def waiting(self) -> int:
        """Bytes that the network does not hold."""
        return max(0, self.size - self._faults.capacity)

    def send(self, data: bytes) -> None:
        """Takes bytes; none are the end."""
        now = self._loop.time()
        for piece in self._pieces(data):
            # What was sent later does not arrive earlier.
            self._last_due = max(self._last_due, now + self._delay())
            self._under_way.append((self._last_due, piece))
            self.size += len(piece)
        self.schedule()

    def send_reset(self) -> None:
        """Loses what the network does not hold, and tells the target that the source is gone."""
        while self.waiting:
            _, data = self._under_way.pop()
            self.size -= len(data or b"")
        self._last_due = max(self._last_due, self._loop.time() + self._delay())
        self._under_way.append((self._last_due, None))
        self.schedule()

    def clear(self) -> None:
        """Loses what is under way."""
        self._under_way.clear()
        self.size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def schedule(self) -> None:
        """Sees to it that what is under way arrives in time, where it may."""
        if not self._under_way or self.stalled or self._cut or self._timer is not None:
            return
        if self._target.takes or self._under_way[0][1] is None:
            # Never within the call that sent it: no socket does that either.
            self._timer = self._loop.call_at(self._under_way[0][0], self._deliver)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        split = self._faults.split
        if split is None or not data:
            yield data
            return
        start = 0
        while start < len(data):
            stop = start + self._chance.randint(1, split)
            yield data[start:stop]
            start = stop

    def _delay(self) -> float:
        delay = self._faults.delay
        return self._chance.uniform(*delay) if isinstance(delay, tuple) else delay

    def _deliver(self) -> None:
        self._timer = None
        if self.stalled or not (self._target.takes or self._under_way[0][1] is None):
            return
        data = self._under_way.popleft()[1]
        if data is None:
            self._target.lose(ConnectionResetError("connection reset by peer"))
        elif not data:
            self._target.receive_eof()
        else:
            data += self._more()
            self.size -= len(data)
            self._arrive(data)
        self._source.check_flow()
        self.schedule()

    def _more(self) -> bytes:
        """What else has arrived: a read brings all that is there, as with a socket."""
        now = self._loop.time()
        more = b""
        while self._faults.split is None and self._under_way:
            due, data = self._under_way[0]
            if due > now or not data:
                break
            more += data
            self._under_way.popleft()
        return more

    def _arrive(self, data: bytes) -> None:
        faults = self._faults
        start, self._delivered = self._delivered, self._delivered + len(data)
        limits = [faults.drop_after, faults.end_after, faults.reset_after]
        fault = min((limit for limit in limits if limit is not None), default=None)
        if fault is None or self._delivered < fault:
            self._target.receive(data)
            return
        if start < fault:
            self._target.receive(data[: fault - start])
        self.clear()
        self._cut = True
        if fault == faults.reset_after:
            self._source.link.reset()
        elif fault == faults.end_after:
            self._target.receive_eof()


class MemoryTransport(asyncio.Transport):
    """One end of a `Link`: TCP as a protocol sees it."""

    outgoing: _Line
    incoming: _Line

    def __init__(self, link: Link, ours: tuple[str, int], theirs: tuple[str, int]) -> None:
        super().__init__({"sockname": ours, "peername": theirs})
        self.link = link
        self._loop = asyncio.get_running_loop()
        self._protocol: StreamProtocol | None = None
        self._reading = True
        self._high, self._low = 64 * 1024, 16 * 1024
        self._paused = False
        self._eof_written = False
        self._closing = False
        self._lost = False

    # What the network does

    def receive(self, data: bytes) -> None:
        """Brings bytes."""
        if not self._closing:
            feed(self._used_protocol(), data)

    def receive_eof(self) -> None:
        """Brings the end of the peer's side."""
        if not self._closing and not self._used_protocol().eof_received():
            self.close()

    def check_flow(self) -> None:
        """Tells the protocol when the network is full, or is so no more; ends after a `close`."""
        waiting = self.outgoing.waiting
        if not self._paused and waiting > self._high:
            self._paused = True
            self._used_protocol().pause_writing()
        elif self._paused and waiting <= self._low and not self._lost:
            self._paused = False
            self._used_protocol().resume_writing()
        if self._closing and not waiting:
            self._end(None)

    def lose(self, error: Exception | None) -> None:
        """Ends the connection at once."""
        self._closing = True
        self.outgoing.clear()
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._used_protocol().connection_lost, error)

    # What a protocol calls; `asyncio.Transport` has the descriptions

    def _used_protocol(self) -> StreamProtocol:
        assert self._protocol is not None, "the link was not started"
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Gives what arrives to this protocol."""
        assert isinstance(protocol, StreamProtocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Returns what gets what arrives."""
        return self._used_protocol()

    def is_reading(self) -> bool:
        """Tells whether what arrives is given to the protocol."""
        return self._reading and not self._closing

    @property
    def takes(self) -> bool:
        """Whether the network may bring something: the protocol gets it, or nobody does."""
        return self._reading or self._closing

    def pause_reading(self) -> None:
        """Leaves what arrives to the network."""
        self._reading = False

    def resume_reading(self) -> None:
        """Takes what arrives again."""
        self._reading = True
        self.incoming.schedule()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Sets how many bytes may wait before the protocol is told."""
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Returns how many bytes wait to be written."""
        return self.outgoing.waiting

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Returns when writing is resumed, and when it is paused."""
        return self._low, self._high

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Sends bytes."""
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if data and not self._closing:
            self.outgoing.send(bytes(data))
            self.check_flow()

    def can_write_eof(self) -> bool:
        """Tells that one side can end alone."""
        return True

    def write_eof(self) -> None:
        """Ends our side."""
        if not self._eof_written and not self._closing:
            self._eof_written = True
            self.outgoing.send(b"")

    def is_closing(self) -> bool:
        """Tells whether the end has begun."""
        return self._closing

    def close(self) -> None:
        """Ends the connection, when what waits has been sent."""
        if self._closing:
            return
        if not self._eof_written:
            self._eof_written = True
            self.outgoing.send(b"")
        self._closing = True
        self.check_flow()
        # What the peer sends now is read by nobody.
        self.incoming.schedule()

    def abort(self) -> None:
        """Drops the connection: behind what is under way, the peer sees `ConnectionResetError`."""
        if not self._lost:
            self._closing = True
            self.outgoing.send_reset()
            self._end(None)
            self.incoming.schedule()
