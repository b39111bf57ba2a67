"""Listening sockets: on addresses, on a path, and those that systemd hands over.

What lives here: sockets up to the point where somebody accepts. This file does not know who does.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from .errors import UsageError

__all__ = ["checked_port", "remove_unix_socket", "systemd_sockets", "tcp_sockets", "unix_socket"]

FIRST_PASSED: Final = 3
"""The first file descriptor that systemd passes (sd_listen_fds(3))."""


def checked_port(port: int | None) -> int:
    """Returns the port to listen on; 0, which None stands for, is any.

    Raises:
        UsageError: there is no such port. `socket.getaddrinfo` would take another one for it.
    """
    if port is not None and not 0 <= port <= 0xFFFF:
        raise UsageError(f"no such port: {port}")
    return port or 0


def tcp_sockets(addresses: Iterable[Any], *, reuse_port: bool = False) -> list[socket.socket]:
    """Returns a bound socket for each address that this machine has.

    Where the port is 0, the one that the first socket gets is used for the others too, if it is
    free there.

    Args:
        addresses: as `socket.getaddrinfo` returns them.
        reuse_port: whether other processes may listen on the same address (SO_REUSEPORT).

    Raises:
        OSError: an address is in use, or none of them is this machine's.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            try:
                sockets.append(_bound(family, kind, protocol, address, sockets, reuse_port))
            except OSError as error:
                # A machine without IPv6 may nevertheless have ::1 for its "localhost".
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise OSError(
                        error.errno, f"cannot listen on {address}: {error.strerror}"
                    ) from error
                missing = error
        if not sockets:
            raise missing or OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bound(
    family: int,
    kind: int,
    protocol: int,
    address: tuple[Any, ...],
    others: list[socket.socket],
    reuse_port: bool,
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if address[1] == 0 and others:
            with suppress(OSError):
                sock.bind((address[0], others[0].getsockname()[1], *address[2:]))
                return sock
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def unix_socket(path: str | os.PathLike[str]) -> socket.socket:
    """Returns a Unix domain socket that is bound to a path.

    A socket file that a process left behind is replaced; one on which somebody listens is not, nor
    is any other file.

    Raises:
        OSError: the path is in use, or cannot be made.
    """
    name = os.fspath(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(name):
                raise OSError(
                    error.errno, f"cannot listen on {name!r}: {error.strerror}"
                ) from error
            os.unlink(name)
            sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_stale(path: str) -> bool:
    if path.startswith("\0") or not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def remove_unix_socket(sock: socket.socket, made: os.stat_result) -> None:
    """Removes the file of a Unix domain socket, unless another one has taken its place.

    Args:
        sock: the socket, which is still open.
        made: what `os.stat` said of the file when it was made.
    """
    name = sock.getsockname()
    with suppress(FileNotFoundError):
        now = os.stat(name)
        if (now.st_ino, now.st_dev) == (made.st_ino, made.st_dev):
            os.unlink(name)


def systemd_sockets(name: str | None = None) -> list[socket.socket]:
    """Returns the listening sockets that systemd has passed to this process (sd_listen_fds(3)).

    Give them to ``serve(sock=...)``. A service that is started by its sockets loses no connection
    while it restarts: they wait in the kernel. Without systemd the list is empty.

    Args:
        name: only those with this ``FileDescriptorName=``; by default all.

    Raises:
        UsageError: what the environment says makes no sense, or a descriptor is no stream socket
            that listens.
    """
    environ = os.environ
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdecimal()):
        raise UsageError(f"LISTEN_FDS is not a number: {count!r}")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for index in range(int(count)):
        if name is not None and (index >= len(names) or names[index] != name):
            continue
        found.append(_passed(FIRST_PASSED + index))
    return found


def _passed(descriptor: int) -> socket.socket:
    # Children of this process have no use for it.
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise UsageError(f"descriptor {descriptor} is no socket: {error.strerror}") from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        sock.detach()
        raise UsageError(f"descriptor {descriptor} is no stream socket that listens")
    sock.setblocking(False)
    return sock
