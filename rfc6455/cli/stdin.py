"""Standard input as lines, without holding up the event loop.

What lives here: a thread that reads, since files, pipes and terminals cannot all be waited for in
the same way. It reads no further than a little ahead of what is taken.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from typing import Final

__all__ = ["read_lines"]

READ_AT_ONCE: Final = 64 * 1024
READS_AHEAD: Final = 4


async def read_lines(separator: bytes = b"\n", descriptor: int = 0) -> AsyncIterator[bytes]:
    """Gives the lines of a file descriptor, without their separators.

    Raises:
        OSError: it cannot be read.
    """
    loop = asyncio.get_running_loop()
    reads: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    ahead = threading.Semaphore(READS_AHEAD)

    def read() -> None:
        data: bytes | OSError = b"-"
        while data and isinstance(data, bytes):
            ahead.acquire()
            try:
                # Not sys.stdin: its lock would be held at the end of the interpreter.
                data = os.read(descriptor, READ_AT_ONCE)
            except OSError as error:
                data = error
            try:
                loop.call_soon_threadsafe(reads.put_nowait, data)
            except RuntimeError:  # the loop is closed: nobody asks any more
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    pieces: list[bytes] = []
    while data := await reads.get():
        if isinstance(data, OSError):
            raise data
        ahead.release()
        first, *more = data.split(separator)
        pieces.append(first)
        for piece in more:
            yield b"".join(pieces)
            pieces = [piece]
    if rest := b"".join(pieces):
        yield rest
