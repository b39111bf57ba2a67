"""What `serve` takes beside a handler: routes, hooks, limits of clients, paths, and how it drains.

Knows raw peers. What routes, origins and proxies mean is proven where they live; here it is proven
that threads ask them.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rfc6455 import Close, Headers, Limits, Request, Response, Route, Router, UsageError, basic_auth
from rfc6455.sync import Server, WebSocket, connect, serve, unix_connect
from tests.transports.conftest import TLS
from tests.transports.support import REQUEST, close

from .support import PATIENCE, Peer, Task, echo, serving, until, uri


def ignore(websocket: WebSocket) -> None:
    for _ in websocket:
        pass


def get(server: Server, path: str, *fields: str) -> tuple[int, dict[str, str], bytes]:
    """Makes a plain request."""
    with Peer.dial(server) as peer:
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
        peer.send("\r\n".join(lines).encode())
        peer.end()
        return peer.answer()


# Routes and hooks


def test_a_router_chooses_the_handler() -> None:
    router = Router()

    @router.websocket("/rooms/<int:room>", subprotocols=["chat"])
    def enter(websocket: WebSocket, room: int) -> None:
        websocket.send(f"room {room}, {websocket.subprotocol}")

    @router.http("/health")
    def health(request: Request) -> Response:
        return Response.json({"path": request.path})

    router.add(Route("/closed", echo, process_request=lambda _: Response.text("closed", 410)))
    with serving(router) as server:
        with connect(uri(server, "/rooms/7"), subprotocols=["chat"]) as websocket:
            assert list(websocket) == ["room 7, chat"]
        assert get(server, "/health")[2] == b'{"path":"/health"}\n'
        assert get(server, "/elsewhere")[0] == 404
        assert get(server, "/rooms/7")[0] == 426
        assert get(server, "/closed", "Upgrade: websocket", "Connection: Upgrade")[0] == 410


def test_process_response_sees_every_answer() -> None:
    statuses: list[int] = []

    def process_response(request: Request, response: Response) -> Response | None:
        statuses.append(response.status)
        if request.path == "/teapot":
            return Response.text("tea", 418)
        response.headers.add("X-Seen", "yes")
        return response

    with serving(ignore, process_response=process_response) as server:
        with Peer.dial(server) as peer:
            assert peer.upgrade()["x-seen"] == "yes"
            peer.send(close())
        assert get(server, "/")[1]["x-seen"] == "yes"
        with Peer.dial(server) as peer:
            peer.send(REQUEST.replace(b"/chat", b"/teapot"))
            assert peer.answer()[0] == 418
    assert statuses == [101, 426, 101]


def test_basic_auth_leaves_the_name_for_the_handler() -> None:
    def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        websocket.send(websocket.request.context["user"])

    with serving(handler, process_request=basic_auth("here", {"ann": "secret"})) as server:
        with connect(uri(server).replace("//", "//ann:secret@")) as websocket:
            assert list(websocket) == ["ann"]
        assert get(server, "/")[0] == 401


def test_a_subprotocol_may_be_chosen_by_a_function() -> None:
    with (
        serving(ignore, select_subprotocol=lambda request, offered: offered[-1]) as server,
        connect(uri(server), subprotocols=["a", "b"]) as websocket,
    ):
        assert websocket.subprotocol == "b"


@pytest.mark.parametrize("hook", ["process_request", "process_response"])
def test_hooks_that_are_coroutine_functions_are_refused(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def coroutine_function(*_: object) -> None:
        """What a server on asyncio would take."""

    options: dict[str, Any] = {hook: coroutine_function}
    with serving(ignore, **options) as server:
        assert get(server, "/")[0] == 500
    assert "coroutine function" in caplog.text


def test_an_answer_that_cannot_be_one_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with (
        serving(ignore, process_request=lambda _: Response(status=101)) as server,
        Peer.dial(server) as peer,
    ):
        peer.send(REQUEST)
        assert peer.rest() == b""
    assert "final answer" in caplog.text


# Answers that come over time


class Pieces:
    """A body that is fed by hand, and knows whether it was closed."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.closed = threading.Event()

    def __call__(self) -> Iterator[bytes]:
        try:
            while (piece := self.queue.get(timeout=PATIENCE)) is not None:
                yield piece
        finally:
            self.closed.set()

    def answer(self, request: Request) -> Response:
        return Response(200, Headers([("Content-Type", "text/event-stream")]), stream=self())


def test_an_answer_may_come_over_time(link: TLS | None) -> None:
    pieces = Pieces()
    with (
        serving(ignore, process_request=pieces.answer, ssl=link and link.server) as server,
        Peer.dial(server, link and link.client) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, headers = peer.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "content-length" not in headers
        pieces.queue.put(b"data: one\n\n")
        while peer.buffer != b"data: one\n\n":
            assert peer._more()
        pieces.queue.put(b"data: two\n\n")
        pieces.queue.put(None)
        assert peer.rest() == b"data: one\n\ndata: two\n\n"
        assert pieces.closed.wait(PATIENCE)


def test_a_client_that_goes_closes_the_stream_at_the_next_piece() -> None:
    pieces = Pieces()
    with serving(ignore, process_request=pieces.answer) as server:
        with Peer.dial(server) as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.head()[0] == 200
            peer.reset()
        for _ in range(100):
            pieces.queue.put(bytes(100_000))
        assert pieces.closed.wait(PATIENCE)


def test_a_client_that_reads_nothing_is_given_up() -> None:
    pieces = Pieces()
    limits = Limits(write_timeout=0.05)
    with (
        serving(ignore, process_request=pieces.answer, limits=limits) as server,
        Peer.dial(server) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(10):
            pieces.queue.put(bytes(10_000_000))
        assert pieces.closed.wait(PATIENCE)


def test_the_end_of_the_server_ends_a_stream() -> None:
    pieces = Pieces()
    with serving(ignore, process_request=pieces.answer) as server:
        peer = Peer.dial(server)
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.head()[0] == 200
        ending = Task(server.shutdown)
        until(lambda: server.is_closing)
        pieces.queue.put(b"too late")
        ending.result()
        assert pieces.closed.is_set()
    assert peer.rest() == b""
    peer.sock.close()


def test_a_stream_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Iterator[bytes]:
        yield b"half"
        # No error of the connection's.
        raise OSError("boom")

    def process_request(request: Request) -> Response:
        return Response(200, stream=failing())

    with serving(ignore, process_request=process_request) as server:
        assert get(server, "/")[2] == b"half"
    assert "answer failed" in caplog.text


def test_nobody_asks_for_what_a_head_request_does_not_get() -> None:
    def never() -> Iterator[bytes]:
        pytest.fail("asked")
        yield b""

    with (
        serving(ignore, process_request=lambda _: Response(200, stream=never())) as server,
        Peer.dial(server) as peer,
    ):
        peer.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        peer.end()
        assert peer.answer()[2] == b""


def test_an_asynchronous_stream_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    with (
        serving(ignore, process_request=lambda _: Response(200, stream=pieces())) as server,
        Peer.dial(server) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.rest() == b""
    assert "asynchronous answers are for servers on asyncio" in caplog.text


# Who is counted


def test_too_many_of_one_address_get_429() -> None:
    with serving(ignore, max_connections_per_address=1) as server:
        with Peer.dial(server) as first:
            first.upgrade()
            assert get(server, "/")[0] == 429
            first.send(close())
            first.rest()
        until(lambda: not server.guests._groups)
        with Peer.dial(server) as second:
            second.upgrade()
            second.send(close())


def test_behind_a_trusted_proxy_the_clients_address_counts() -> None:
    seen: list[str] = []

    def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        seen.append(websocket.request.client_address)
        ignore(websocket)

    with serving(handler, max_connections_per_address=1, trusted_proxies=["127.0.0.0/8"]) as server:
        peers = []
        for number in (1, 2, 2):
            peer = Peer.dial(server)
            field = b"X-Forwarded-For: 192.0.2.%d\r\n" % number
            peer.send(REQUEST[:-2] + field + b"\r\n")
            peers.append(peer)
            assert peer.head()[0] == (101 if len(peers) < 3 else 429)
        for peer in peers:
            peer.send(close())
            peer.sock.close()
    # Each in a thread of its own.
    assert sorted(seen) == ["192.0.2.1", "192.0.2.2"]


# Where it listens


def test_it_listens_on_a_path_and_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serve(echo, path=path), unix_connect(path) as websocket:
        websocket.send("x")
        assert websocket.recv() == "x"
    assert not path.exists()


def test_it_listens_on_sockets_that_are_given() -> None:
    sockets = []
    for _ in range(2):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sockets.append(sock)
    with serve(echo, sock=sockets) as server:
        for sock in server.sockets:
            with connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/") as websocket:
                websocket.send("x")
                assert websocket.recv() == "x"


def test_two_servers_may_share_a_port() -> None:
    with serve(echo, "127.0.0.1", 0, reuse_port=True) as first:
        port = first.sockets[0].getsockname()[1]
        with serve(echo, "127.0.0.1", port, reuse_port=True):
            pass


def test_certificates_are_reloaded(tls: TLS, certificate: Path) -> None:
    with serving(echo, ssl=tls.server) as server:
        with pytest.raises(OSError, match=r"."):
            server.reload_certificate(os.devnull)
        server.reload_certificate(certificate)
        with connect(uri(server, scheme="wss"), ssl=tls.client) as websocket:
            websocket.send("x")
            assert websocket.recv() == "x"
    with serving(echo) as server, pytest.raises(UsageError, match="TLS"):
        server.reload_certificate(certificate)


# How it drains


def upgraded(server: Server, count: int) -> list[Peer]:
    peers = [Peer.dial(server) for _ in range(count)]
    for peer in peers:
        peer.upgrade()
    until(lambda: len(server.connections) == count)
    return peers


def test_draining_closes_one_after_the_other_with_a_hint() -> None:
    with serving(ignore) as server:
        peers = upgraded(server, 4)
        draining = Task(
            lambda: server.drain(0.04, reason="update", reconnect_hint=(2, 3), order="oldest")
        )
        for peer in peers:
            farewell = peer.close_frame()
            assert farewell.code == 1012
            assert farewell.retry_after is not None
            assert 2 <= farewell.retry_after <= 3
            assert farewell.reason.startswith("update ")
            peer.send(close(1012))
            peer.sock.close()
        drained = draining.result()
        assert (drained.closed, drained.aborted) == (4, 0)
        assert server.sockets == ()
        server.serve_forever()


def test_close_hurries_those_who_drain() -> None:
    with serving(ignore) as server:
        peers = upgraded(server, 3)
        draining = Task(server.drain, 1000.0)
        until(lambda: server.is_closing)
        server.close()
        for peer in peers:
            assert peer.close_frame() == Close(1012)
            peer.send(close(1012))
            peer.sock.close()
        assert draining.result().closed == 3


def test_what_does_not_end_while_draining_is_dropped() -> None:
    with serving(ignore, limits=Limits(close_timeout=20)) as server:
        (peer,) = upgraded(server, 1)
        assert server.drain(abort_after=0.01).aborted == 1
        assert peer.close_frame() == Close(1012)
        peer.sock.close()


@pytest.mark.parametrize(
    "arguments", [{"over": -1}, {"abort_after": -1}, {"code": 1006}, {"reconnect_hint": -1}]
)
def test_draining_in_ways_that_make_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with serving(ignore) as server:
        with pytest.raises(UsageError):
            server.drain(**arguments)
        assert not server.is_closing


def test_failed_handshakes_are_logged_as_information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rfc6455.server")
    with serving(ignore) as server, Peer.dial(server) as peer:
        peer.send(REQUEST.replace(b"13", b"12"))
        assert peer.answer()[0] == 426
        get(server, "/")
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "DEBUG"]
