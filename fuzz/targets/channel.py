"""The short way of messages, in the native twin or in Python, beside the general way in Python.

For every stream from a client, however reads cut it, whether a coroutine or a `Listener` takes the
messages, and whether it answers with `send`, with `push`, or closes in the middle:

- The application gets the same messages, in the same order, and the same end.
- The same octets are written.
"""

from __future__ import annotations

import asyncio
import atexit
from functools import cache

from rfc6455.testing import VirtualTimeLoop
from tests.transports.conversation import play

from ..oracles import digest, pieces, require
from ..seeds import CLIENT_STREAMS

KINDS = ("iterator", "listener")
REPLIES = ("send", "push", "close")
LONG = 12_000
HELLO = bytes.fromhex("f248cdc9c90700")
LOOKS_BACK = b"\xc1\x85\0\0\0\0" + bytes.fromhex("f200110000")


def seeds() -> dict[str, bytes]:
    """Returns what clients send, and more of it."""
    inner = b"\x81\x80\0\0\0\0"
    return {
        **CLIENT_STREAMS,
        "all": b"".join(CLIENT_STREAMS.values()),
        "hello-thirty-times": b"\x81\x85\0\0\0\0hello" * 30,
        "deflated-hello-seventy-times": b"\xc1\x87\0\0\0\0" + HELLO + LOOKS_BACK * 70,
        # What comes in the middle of a frame is no frame.
        **{
            f"frames-within-a-frame-{count}": b"\x82\xfe%b\0\0\0\0" % (6 * count).to_bytes(2, "big")
            + inner * (count + 1)
            for count in range(40, 48)
        },
    }


def check(data: bytes) -> None:
    """Plays the same conversation on both ways."""
    number = digest(data)
    # Long reads have rules of their own, and take three times as long.
    if number >> 16 & 0b11111 == 0:
        data *= LONG // (len(data) + 1)
    kind, reply = KINDS[number & 1], REPLIES[(number >> 1) % 3]
    reads = [(bytes(piece), (number >> 4 * turn) % 11) for turn, piece in enumerate(pieces(data))]
    # With an extension long reads go the general way: what they are cut into is another matter.
    compresses = not number >> 19 & 1
    loop = _loop()
    found, expected = (
        loop.run_until_complete(play(kind, general, reads, reply, compresses=compresses))
        for general in (False, True)
    )
    require(found == expected, "the ways differ", found, expected)
    require(not asyncio.all_tasks(loop), "a task is left", data)


@cache
def _loop() -> VirtualTimeLoop:
    # One for all inputs: to make and to close one costs as much as a conversation does.
    loop = VirtualTimeLoop()
    atexit.register(loop.close)
    return loop
