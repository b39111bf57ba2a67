"""A listening socket that asyncio can run out of file descriptors with.

What lives here: a way around how asyncio takes EMFILE. This file does not know who listens.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Any, Final, Self

__all__ = ["PatientSocket"]

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE: Final = 0.5
"""Seconds; asyncio tries again after one."""


class PatientSocket(socket.socket):
    """A listening socket that says once that descriptors have run out.

    asyncio then stops to listen for a second, but goes on to accept as many connections as the
    backlog has, and logs an error with a traceback for each (CPython 3.11). Here the second
    attempt finds nobody there.
    """

    _exhausted_until = 0.0

    @classmethod
    def like(cls, sock: socket.socket) -> Self:
        """Returns another descriptor of a socket."""
        twin = cls(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
        twin.setblocking(False)
        return twin

    def accept(self) -> tuple[socket.socket, Any]:
        """Accepts a connection.

        Raises:
            BlockingIOError: there is none, or descriptors had run out a moment ago.
            OSError: descriptors have run out.
        """
        if self._exhausted_until and time.monotonic() < self._exhausted_until:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            return super().accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._exhausted_until = time.monotonic() + PAUSE
            raise
