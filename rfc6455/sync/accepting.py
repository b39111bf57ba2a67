"""The thread that accepts the connections of a server.

What lives here: waiting for connections, and what happens when file descriptors run out. This file
does not know what becomes of a connection.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from ..logs import LoggerLike

__all__ = ["Accepting"]

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RECOVERY: Final = 0.2
"""Seconds without accepting, after file descriptors or memory have run out."""


class Accepting:
    """Accepts connections until it is stopped.

    Args:
        listeners: sockets that listen, and do not block.
        take_in: gets each connection.
        logger: is told when file descriptors have run out.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        take_in: Callable[[socket.socket], None],
        logger: LoggerLike,
    ) -> None:
        self._listeners = listeners
        self._take_in = take_in
        self._logger = logger
        self._bell, bell = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run, args=(bell,), name="rfc6455-accept", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and waits for its end."""
        self._bell.close()
        self._thread.join()

    def _run(self, bell: socket.socket) -> None:
        with bell, selectors.DefaultSelector() as selector:
            selector.register(bell, selectors.EVENT_READ)
            for sock in self._listeners:
                selector.register(sock, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if bell in ready:
                    return
                for listener in ready:
                    assert isinstance(listener, socket.socket)
                    try:
                        sock, _ = listener.accept()
                    except OSError as error:
                        if error.errno in EXHAUSTED and self._recover(bell, error):
                            return
                    else:
                        self._take_in(sock)

    def _recover(self, bell: socket.socket, error: OSError) -> bool:
        """Waits until there may be descriptors again. Tells whether it was stopped."""
        self._logger.error("cannot accept: %s", error)
        # The client waits in the kernel; to try at once would spin.
        bell.settimeout(RECOVERY)
        with suppress(TimeoutError):
            bell.recv(1)
            return True
        return False
