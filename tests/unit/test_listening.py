"""Listening sockets: on addresses, on a path, and from systemd."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfc6455 import listening
from rfc6455.errors import UsageError
from rfc6455.listening import (
    checked_port,
    remove_unix_socket,
    systemd_sockets,
    tcp_sockets,
    unix_socket,
)
from tests.helpers import run_python


def addresses(*hosts: str, port: int = 0) -> list[Any]:
    return [
        found for host in hosts for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]


@pytest.fixture
def closing() -> Iterator[list[socket.socket]]:
    """Sockets that are put in here are closed."""
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


# TCP


def test_addresses_share_the_first_ones_port(closing: list[socket.socket]) -> None:
    closing += tcp_sockets(addresses("127.0.0.1", "127.0.0.2", "127.0.0.1"))
    first, second = [sock.getsockname() for sock in closing]
    assert (first[0], second[0]) == ("127.0.0.1", "127.0.0.2")
    assert first[1] == second[1] != 0


def test_a_port_that_is_taken_on_the_second_address_is_another_there(
    closing: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = socket.socket()
    closing.append(taken)
    taken.bind(("127.0.0.2", 0))
    taken.listen()
    port = taken.getsockname()[1]
    first = addresses("127.0.0.1", port=port)
    closing += (found := tcp_sockets(first + addresses("127.0.0.2")))
    assert found[0].getsockname()[1] == port
    assert found[1].getsockname()[1] not in (0, port)


def test_an_address_in_use_is_told(closing: list[socket.socket]) -> None:
    closing += tcp_sockets(addresses("127.0.0.1"))
    closing[0].listen()
    port = closing[0].getsockname()[1]
    with pytest.raises(OSError, match=f"cannot listen on .*{port}") as caught:
        tcp_sockets(addresses("127.0.0.2") + addresses("127.0.0.1", port=port))
    assert caught.value.errno == errno.EADDRINUSE


def test_several_may_listen_on_one_port_if_all_say_so(closing: list[socket.socket]) -> None:
    closing += tcp_sockets(addresses("127.0.0.1"), reuse_port=True)
    port = closing[0].getsockname()[1]
    closing[0].listen()
    closing += tcp_sockets(addresses("127.0.0.1", port=port), reuse_port=True)
    closing[1].listen()


def test_addresses_that_this_machine_does_not_have_are_passed_over(
    closing: list[socket.socket],
) -> None:
    foreign = addresses("192.0.2.1")
    closing += tcp_sockets(foreign + addresses("127.0.0.1"))
    assert [sock.getsockname()[0] for sock in closing] == ["127.0.0.1"]
    with pytest.raises(OSError) as caught:  # noqa: PT011
        tcp_sockets(foreign)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError, match="no address"):
        tcp_sockets([])


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6_does_not_take_ipv4_as_well(closing: list[socket.socket]) -> None:
    try:
        closing += tcp_sockets(addresses("::1"))
    except OSError:
        pytest.skip("needs IPv6")
    assert closing[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_elsewhere_than_on_posix_an_address_is_not_reused(
    closing: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    # On Windows SO_REUSEADDR would let another process take the port away.
    monkeypatch.setattr(listening, "os", type("windows", (), {"name": "nt"}))
    closing += tcp_sockets(addresses("127.0.0.1"))
    assert not closing[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


# Unix domain sockets


def test_a_path_is_bound_and_its_file_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as sock:
        assert sock.getsockname() == str(path)
        remove_unix_socket(sock, path.stat())
        assert not path.exists()
        remove_unix_socket(sock, tmp_path.stat())


def test_the_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    unix_socket(path).close()
    assert path.exists()
    with unix_socket(path) as sock:
        sock.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_the_file_of_a_living_server_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as first:
        first.listen()
        with pytest.raises(OSError, match="cannot listen on") as caught:
            unix_socket(path)
        assert caught.value.errno == errno.EADDRINUSE
        # Nor is it while its queue is full.
        first.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(str(path))
        with pytest.raises(OSError, match="cannot listen on"):
            unix_socket(path)
        for client in clients:
            client.close()


def test_any_other_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(OSError, match="cannot listen on"):
        unix_socket(path)
    assert path.read_text() == "precious"
    with pytest.raises(OSError, match="cannot listen on"):
        unix_socket(tmp_path / "missing" / "socket")


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="needs Linux")
def test_an_abstract_name_has_no_file(tmp_path: Path) -> None:
    name = f"\0{tmp_path}"
    with unix_socket(name), pytest.raises(OSError, match="cannot listen on"):
        unix_socket(name)


def test_a_file_that_took_our_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as ours:
        made = path.stat()
        path.rename(tmp_path / "kept")
        with unix_socket(path):
            remove_unix_socket(ours, made)
            assert path.exists()


# systemd

PASS = """
import os, socket
import rfc6455

def passing(kinds):
    socks = []
    for kind in kinds:
        if kind == "file":
            socks.append(open("/dev/null"))
            continue
        sock = socket.socket(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
        if kind == "listening":
            sock.listen()
        socks.append(sock)
    first = 40
    high = [os.dup2(s.fileno(), first + i) for i, s in enumerate(socks)]
    for i, s in enumerate(socks):
        s.close()
    for i, descriptor in enumerate(high):
        os.dup2(descriptor, 3 + i)
        os.close(descriptor)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(kinds))
"""


def test_sockets_of_systemd_are_found() -> None:
    printed = run_python(
        PASS
        + """
passing(["listening", "listening"])
os.environ["LISTEN_FDNAMES"] = "web:admin"
both = rfc6455.systemd_sockets()
print([s.fileno() for s in both], [s.get_inheritable() for s in both], both[0].getblocking())
[s.detach() for s in both]
print([s.fileno() for s in rfc6455.systemd_sockets("admin")])
print(rfc6455.systemd_sockets("other"))
"""
    )
    assert printed.splitlines() == ["[3, 4] [False, False] False", "[4]", "[]"]


@pytest.mark.parametrize("kinds", [["listening", "file"], ["datagram"], ["bound"]])
def test_what_is_no_listening_socket_is_told(kinds: list[str]) -> None:
    printed = run_python(
        PASS
        + f"""
passing({kinds})
try:
    rfc6455.systemd_sockets()
except rfc6455.UsageError as error:
    print(error)
"""
    )
    assert printed.startswith(f"descriptor {2 + len(kinds)} is no ")


def test_without_systemd_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_PID", raising=False)
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert systemd_sockets() == []
    # They were meant for our parent.
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    assert systemd_sockets() == []


@pytest.mark.parametrize("count", ["", "x", "-1", " 1", "١"])
def test_a_number_of_sockets_that_is_none_is_told(
    count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    with pytest.raises(UsageError, match="LISTEN_FDS"):
        systemd_sockets()


def test_descriptors_are_looked_at_from_3_on(
    closing: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process of its own shows above, here in this one."""
    listener, stream = socket.create_server(("127.0.0.1", 0)), socket.socket()
    closing += [stream]
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", "web")
    monkeypatch.setattr(listening, "FIRST_PASSED", listener.fileno())
    assert systemd_sockets("other") == []
    closing += systemd_sockets("web")
    assert closing[-1].getsockname() == listener.getsockname()
    listener.detach()
    monkeypatch.setattr(listening, "FIRST_PASSED", stream.fileno())
    with pytest.raises(UsageError, match="listens"):
        systemd_sockets()
    monkeypatch.setattr(listening, "FIRST_PASSED", 1 << 20)
    with pytest.raises(UsageError, match="no socket"):
        systemd_sockets()


@pytest.mark.parametrize(("port", "asked"), [(None, 0), (0, 0), (1, 1), (65535, 65535)])
def test_ports_are_taken_as_they_are(port: int | None, asked: int) -> None:
    assert checked_port(port) == asked


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=f"no such port: {port}"):
        checked_port(port)
