"""Where transports put what they read.

What lives here: what is known of the transports of event loops, and the memory that they read into
for the native twin, which takes messages out of it at once. A transport reads into one piece of
memory for all connections of its loop: bytes are copied once on their way into a message, and a
connection that waits has no memory for reads. This file does not know what is read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from ..codec import NativeChannel
from .shared import Shared, shared_in

__all__ = ["BytesProtocol", "StreamProtocol", "feed", "memory_for", "writes_to_socket"]

StreamProtocol: TypeAlias = asyncio.Protocol | asyncio.BufferedProtocol

READ_SIZE: Final = 64 * 1024
"""Bytes that are read at a time, where the memory is not shared."""

TRANSPORTS: Final = {
    ("asyncio.selector_events", "_SelectorSocketTransport"): True,
    ("asyncio.sslproto", "_SSLProtocolTransport"): False,
    ("uvloop.loop", "TCPTransport"): True,
    ("uvloop.loop", "UnixTransport"): True,
    ("uvloop.loop", "_SSLProtocolTransport"): False,
}
"""Transports that ask for memory only to fill it and to tell of it at once; and whether what they
are given goes into their socket as it is."""

_known: Final[dict[type[asyncio.BaseTransport], bool | None]] = {}


def writes_to_socket(transport: asyncio.BaseTransport) -> bool | None:
    """Tells what `TRANSPORTS` says of a transport; None where it says nothing."""
    kind = type(transport)
    if kind not in _known:
        _known[kind] = TRANSPORTS.get((kind.__module__, kind.__name__))
    return _known[kind]


def memory_for(transport: asyncio.BaseTransport, shared: Shared) -> memoryview | None:
    """Returns the memory to read into; None where each read is to have its own."""
    return None if writes_to_socket(transport) is None else shared.memory


def feed(protocol: StreamProtocol, data: bytes) -> None:
    """Gives a protocol what a read brought, as a transport of an event loop does."""
    if isinstance(protocol, asyncio.Protocol):
        protocol.data_received(data)
        return
    while data:
        memory = memoryview(protocol.get_buffer(len(data)))
        size = min(len(memory), len(data))
        memory[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


if TYPE_CHECKING or NativeChannel is None:
    BytesProtocol = asyncio.Protocol
else:

    class BytesProtocol(asyncio.BufferedProtocol):
        """A protocol that takes bytes, and leaves its transport to one that takes messages.

        uvloop goes on asking for memory, or never asks, whatever protocol it is given later.
        """

        __slots__ = ("_memory",)

        _transport: asyncio.Transport
        _loop: asyncio.AbstractEventLoop

        def get_buffer(self, sizehint: int) -> memoryview:
            """Returns the memory that the next read is to go into."""
            memory = memory_for(self._transport, shared_in(self._loop))
            self._memory = memoryview(bytearray(READ_SIZE)) if memory is None else memory
            return self._memory

        def buffer_updated(self, nbytes: int) -> None:
            """Takes what a read has put there."""
            data = bytes(self._memory[:nbytes])
            del self._memory
            self.data_received(data)

        def data_received(self, data: bytes) -> None:
            """Takes what a read brought."""
            raise NotImplementedError
