"""TLS with a server inside TLS with a proxy, which `ssl.SSLSocket` cannot do.

What lives here: an object that looks like an `ssl.SSLSocket` as far as `Stream` needs one. This
file does not know about HTTP.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

__all__ = ["NestedTLS"]


class NestedTLS:
    """A TLS connection whose bytes travel inside another one.

    Args:
        outer: TLS with the proxy; its handshake is done.
        context: for TLS with the server.
        server_hostname: the name that the server's certificate must have.

    Attributes:
        outer: as given.
        family: that of the socket.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, server_hostname: str) -> None:
        self.outer = outer
        self.family = outer.family
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        self._encrypted = b""
        self._encrypts = 0
        self._more = False

    def do_handshake(self) -> None:
        """Runs the handshake; it waits as long as `settimeout` of the outer socket allows."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fetch()
            else:
                break
            finally:
                self._flush()

    def recv(self, size: int) -> bytes:
        """Reads what is there; raises `ssl.SSLWantReadError` when that is nothing."""
        chunks: list[bytes] = []
        left = size
        ended = False
        while left and not ended:
            try:
                chunk = self._tls.read(left)
                chunks.append(chunk)
                left -= len(chunk)
                ended = not chunk
            except ssl.SSLWantReadError:
                try:
                    self._fetch()
                except ssl.SSLWantReadError:
                    if not chunks:
                        raise
                    break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                ended = True
        # What stays is in memory, where no socket tells of it.
        self._more = bool(chunks) and (ended or not left)
        return b"".join(chunks)

    def send(self, data: bytes | memoryview) -> int:
        """Writes some of it; raises `ssl.SSLWantWriteError` when nothing goes."""
        if not self._encrypts:
            self._encrypts = self._tls.write(memoryview(data)[: 16 * 1024])
        # Once encrypted it has to leave before it counts as sent: the caller comes again with it.
        self._flush()
        sent, self._encrypts = self._encrypts, 0
        return sent

    def _fetch(self) -> None:
        data = self.outer.recv(64 * 1024)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        self._encrypted += self._outgoing.read()
        while self._encrypted:
            self._encrypted = self._encrypted[self.outer.send(self._encrypted) :]

    def pending(self) -> int:
        """Whether there is more to read although the socket may have nothing."""
        return self._more or self._tls.pending() or self.outer.pending()

    def unwrap(self) -> None:
        """Tells the peer that nothing was cut off, as far as that goes without waiting."""
        try:
            self._tls.unwrap()
        finally:
            self._flush()
            self.outer.unwrap()

    def shutdown(self, how: int) -> None:
        """Ends TCP, without a word in TLS."""
        socket.socket.shutdown(self.outer, how)

    def setblocking(self, flag: bool) -> None:
        """As a socket does it."""
        self.outer.setblocking(flag)

    def setsockopt(self, *option: Any) -> None:
        """As a socket does it."""
        self.outer.setsockopt(*option)

    def getsockname(self) -> Any:
        """As a socket does it."""
        return self.outer.getsockname()

    def getpeername(self) -> Any:
        """As a socket does it."""
        return self.outer.getpeername()

    def fileno(self) -> int:
        """As a socket does it."""
        return self.outer.fileno()

    def close(self) -> None:
        """As a socket does it."""
        self.outer.close()
