"""A server on threads and its connections: how it starts, whom it lets in, and how it ends.

Knows real sockets, raw peers and our own client.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rfc6455 import (
    Close,
    ConnectionClosedError,
    ConnectionClosedOK,
    Limits,
    Request,
    Response,
    UsageError,
)
from rfc6455.frames import Frame, Opcode
from rfc6455.sync import Server, WebSocket, connect, incoming, serve
from tests.transports.conftest import TLS
from tests.transports.support import REQUEST, client_frame, close, text

from .support import Peer, Task, echo, serving, until, uri

IMPATIENT = Limits(open_timeout=0.05)
QUICK = Limits(close_timeout=0.05)


def ignore(websocket: WebSocket) -> None:
    """A handler that receives everything and says nothing."""
    for _ in websocket:
        pass


def test_a_server_and_a_client_exchange_messages() -> None:
    with serving(echo) as server:
        with connect(uri(server)) as websocket:
            for message in ("text", b"binary", "", b"", "é" * 70_000, bytes(1 << 20)):
                websocket.send(message)
                assert websocket.recv() == message
            assert len(server.connections) == 1
        assert websocket.close_code == 1000
        until(lambda: not server.connections)
    assert server.sockets == ()


def test_a_server_can_be_started_and_shut_down_by_hand() -> None:
    server = serve(echo, "127.0.0.1", 0).start()
    listeners = server.sockets
    assert server.start() is server
    assert server.sockets == listeners
    websocket = connect(uri(server)).open()
    websocket.send("x")
    assert websocket.recv() == "x"
    receiver = Task(websocket.recv)
    server.shutdown()
    with pytest.raises(ConnectionClosedOK):
        receiver.result()
    websocket.wait_closed()
    assert websocket.close_code == 1001


def test_more_messages_than_both_queues_hold_arrive_in_order() -> None:
    count = 2000
    with serving(echo) as server, connect(uri(server)) as websocket:
        numbers = [str(number) + " " * 500 for number in range(count)]

        def send_all() -> None:
            for number in numbers:
                websocket.send(number)

        sender = Task(send_all)
        assert [websocket.recv() for _ in range(count)] == numbers
        sender.result()


def test_a_handler_knows_its_request() -> None:
    seen: list[WebSocket] = []
    with serving(seen.append, subprotocols=["b", "a"]) as server, Peer.dial(server) as peer:
        request = REQUEST.replace(b"/chat", b"/chat?room=a%20b")
        headers = peer.upgrade(request[:-2] + b"Sec-WebSocket-Protocol: a, b\r\n\r\n")
        assert headers["sec-websocket-protocol"] == "b"
        assert peer.close_frame() == Close(1000)
        peer.send(close())
    (websocket,) = seen
    assert websocket.request is not None
    assert (websocket.request.path, websocket.request.query) == ("/chat", "room=a%20b")
    assert websocket.subprotocol == "b"
    assert websocket.response is None
    assert websocket.remote_address[0] == "127.0.0.1"


def test_it_listens_on_a_given_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        with serve(echo, sock=sock) as server, Peer.dial(server) as peer:
            peer.upgrade()
            peer.send(text("x"))
            assert peer.message() == "x"
            peer.send(close())


def test_it_listens_on_several_hosts() -> None:
    with serve(echo, ["127.0.0.1", "127.0.0.2"], 0) as server:
        for listener in server.sockets:
            host, port = listener.getsockname()
            with connect(f"ws://{host}:{port}/") as websocket:
                websocket.send("x")
                assert websocket.recv() == "x"


def test_an_address_in_use_is_an_error() -> None:
    with serving(echo) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            serve(echo, "127.0.0.1", port).start()


def test_over_tls(tls: TLS) -> None:
    with (
        serving(echo, ssl=tls.server) as server,
        connect(uri(server, scheme="wss"), ssl=tls.client) as websocket,
    ):
        for message in ("text", bytes(1 << 20)):
            websocket.send(message)
            assert websocket.recv() == message
    assert websocket.close_code == 1000


# Whom it lets in


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(b"https://example.com", True), (b"https://example.com.evil.example", False), (None, True)],
)
def test_only_listed_origins_may_connect(origin: bytes | None, allowed: bool) -> None:
    field = b"" if origin is None else b"Origin: " + origin + b"\r\n"
    with (
        serving(ignore, origins=["https://example.com", None]) as server,
        Peer.dial(server) as peer,
    ):
        peer.send(REQUEST[:-2] + field + b"\r\n")
        assert peer.head()[0] == (101 if allowed else 403)
        peer.send(close())


def test_process_request_may_answer_with_a_page() -> None:
    def process_request(request: Request) -> Response | None:
        return None if request.wants_websocket else Response.text(f"page {request.path}")

    with serving(ignore, process_request=process_request) as server:
        with Peer.dial(server) as peer:
            peer.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            peer.end()
            status, headers, body = peer.answer()
            assert (status, headers["connection"], body) == (200, "close", b"page /x")
        with Peer.dial(server) as peer:
            peer.upgrade()
            peer.send(close())


def test_a_request_with_a_body_may_wait_for_continue() -> None:
    def process_request(request: Request) -> Response:
        return Response(body=request.body)

    with serving(ignore, process_request=process_request) as server, Peer.dial(server) as peer:
        peer.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert peer.head()[0] == 100
        peer.send(b"body")
        assert peer.answer()[2] == b"body"


@pytest.mark.parametrize("error", [RuntimeError, OSError, TimeoutError])
def test_process_request_that_fails_is_500(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def process_request(request: Request) -> None:
        raise error("application")

    with serving(ignore, process_request=process_request) as server, Peer.dial(server) as peer:
        peer.send(REQUEST)
        assert peer.answer()[0] == 500
    assert "application" in caplog.text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (REQUEST.replace(b"GET", b"POST"), 405),
        (REQUEST.replace(b"13", b"12"), 426),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n", 414),
    ],
)
def test_what_is_no_handshake_is_refused(request_: bytes, status: int) -> None:
    with serving(ignore) as server, Peer.dial(server) as peer:
        peer.send(request_)
        assert peer.answer()[0] == status


def test_a_client_that_drips_does_not_extend_its_time() -> None:
    with serving(ignore, limits=IMPATIENT) as server, Peer.dial(server) as peer:
        peer.send(b"GET / HTTP/1.1\r\nX: ")
        while not select.select([peer.sock], [], [], 0.005)[0]:
            peer.send(b"x")
        assert peer.answer()[0] == 408


def test_a_client_that_is_silent_gets_408() -> None:
    with serving(ignore, limits=IMPATIENT) as server, Peer.dial(server) as peer:
        assert peer.answer()[0] == 408


def test_a_client_that_is_silent_in_tls_is_dropped(tls: TLS) -> None:
    with serving(ignore, ssl=tls.server, limits=IMPATIENT) as server, Peer.dial(server) as peer:
        assert peer.rest() == b""


def test_process_request_that_takes_too_long_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        """Time that has passed when the hook returns."""

        passed = 0.0

        def monotonic(self) -> float:
            return time.monotonic() + self.passed

    later = Later()
    monkeypatch.setattr(incoming, "time", later)

    def process_request(request: Request) -> None:
        later.passed = 11

    with serving(ignore, process_request=process_request) as server, Peer.dial(server) as peer:
        peer.send(REQUEST)
        peer.end()
        assert peer.answer()[0] == 503


def test_one_connection_too_many_gets_503_until_another_leaves() -> None:
    with (
        serving(ignore, max_connections=2) as server,
        Peer.dial(server) as first,
        Peer.dial(server) as second,
    ):
        first.upgrade()
        until(lambda: len(server.guests._clients) == 2)
        # One that has not sent a request yet counts as well.
        with Peer.dial(server) as third:
            third.send(REQUEST)
            assert third.answer()[0] == 503
        second.upgrade()
        second.send(close())
        second.rest()
        until(lambda: len(server.guests._clients) == 1 and not server.guests._refused)
        with Peer.dial(server) as fourth:
            fourth.upgrade()
            fourth.send(close())
            fourth.rest()
        first.send(close())


def test_a_flood_of_clients_gets_no_more_threads() -> None:
    with serving(ignore, max_connections=1) as server:
        before = threading.active_count()
        peers = [Peer.dial(server) for _ in range(60)]
        statuses = []
        for peer in peers:
            peer.end()
            statuses.append(peer.rest()[:12])
            peer.sock.close()
        assert threading.active_count() - before <= 1 + 16 + 1
        assert {b"HTTP/1.1 503", b""} >= set(statuses) - {b""}


# How a handler ends


def test_the_connection_is_closed_with_1000_when_the_handler_returns() -> None:
    with (
        serving(lambda websocket: websocket.send("bye")) as server,
        Peer.dial(server) as peer,
    ):
        peer.upgrade()
        assert peer.message() == "bye"
        assert peer.close_frame() == Close(1000)
        peer.send(close())
        assert peer.rest() == b""


def test_the_connection_is_closed_with_1011_when_the_handler_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(websocket: WebSocket) -> None:
        raise RuntimeError("application")

    with serving(handler) as server, Peer.dial(server) as peer:
        peer.upgrade()
        assert peer.close_frame() == Close(1011)
        peer.send(close(1011))
    assert "application" in caplog.text


def test_a_handler_that_lets_a_closure_pass_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(websocket: WebSocket) -> None:
        while True:
            websocket.recv()

    with serving(handler) as server, Peer.dial(server) as peer:
        peer.upgrade()
        peer.send(close(4000))
        assert peer.close_frame() == Close(4000)
        assert peer.rest() == b""
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []


@pytest.mark.parametrize("link", ["plain", "tls"], indirect=True)
def test_either_side_may_close_with_a_code_and_a_reason(link: TLS | None) -> None:
    codes: list[int | None] = []

    def handler(websocket: WebSocket) -> None:
        if websocket.recv() == "you":
            websocket.close(4001, "the server is done")
        else:
            with pytest.raises(ConnectionClosedError, match="the client is done"):
                websocket.recv()
            websocket.wait_closed()
        codes.append(websocket.close_code)

    context = link and link.client
    with serving(handler, ssl=link and link.server) as server:
        address = uri(server, scheme="wss" if link else "ws")
        websocket = connect(address, ssl=context).open()
        websocket.send("you")
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv()
        assert (caught.value.code, caught.value.reason) == (4001, "the server is done")
        websocket.close()
        websocket = connect(address, ssl=context).open()
        websocket.send("I")
        websocket.close(4002, "the client is done")
        assert websocket.close_code == 4002
        until(lambda: len(codes) == 2)
    assert sorted(codes, key=str) == [4001, 4002]


# How a server ends


def test_the_end_gives_1001_to_all_and_lets_handlers_finish() -> None:
    finished: list[str] = []

    def handler(websocket: WebSocket) -> None:
        try:
            ignore(websocket)
        finally:
            finished.append(threading.current_thread().name)

    with serving(handler) as server:
        peers = [Peer.dial(server) for _ in range(5)]
        for peer in peers:
            peer.upgrade()
        closing = Task(server.shutdown)
        for peer in peers:
            assert peer.close_frame() == Close(1001)
            peer.send(close(1001))
            assert peer.rest() == b""
            peer.sock.close()
        closing.result()
        assert len(set(finished)) == 5


def test_close_takes_a_code_and_a_reason() -> None:
    with serving(ignore) as server, Peer.dial(server) as peer:
        peer.upgrade()
        with pytest.raises(UsageError):
            server.close(1006)
        server.close(1012, "restarting")
        server.close(1000, "twice")
        assert peer.close_frame() == Close(1012, "restarting")
        peer.send(close(1012))


def test_a_peer_that_does_not_answer_does_not_hold_up_the_end() -> None:
    with serving(ignore, limits=QUICK) as server:
        peer = Peer.dial(server)
        peer.upgrade()
    assert peer.close_frame() == Close(1001)
    peer.sock.close()


def test_a_handler_that_does_not_return_is_left_to_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = threading.Event()

    def handler(websocket: WebSocket) -> None:
        go_on.wait(60)

    with serving(handler, limits=QUICK) as server:
        with Peer.dial(server) as peer:
            peer.upgrade()
            server.shutdown()
            assert peer.close_frame() == Close(1001)
        assert "1 handlers" in caplog.text
        go_on.set()
        until(lambda: not server.guests._clients)


def test_a_connection_in_its_opening_handshake_gets_503() -> None:
    with serving(ignore) as server:
        silent = Peer.dial(server)
        until(lambda: server.guests._clients)
        server.close()
        assert silent.answer()[0] == 503
        silent.sock.close()


def test_nobody_gets_in_after_the_end() -> None:
    with serving(ignore) as server:
        address = server.sockets[0].getsockname()
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(address)


def test_serve_forever_returns_when_the_server_is_closed() -> None:
    with serving(ignore) as server:
        forever = Task(server.serve_forever)
        server.close()
        forever.result()


def test_a_handler_may_end_the_server() -> None:
    servers: list[Server] = []

    def handler(websocket: WebSocket) -> None:
        for _ in websocket:
            servers[0].shutdown()

    with serving(handler) as server, Peer.dial(server) as peer:
        servers.append(server)
        peer.upgrade()
        peer.send(text("stop"))
        assert peer.close_frame() == Close(1001)
        peer.send(close(1001))
        assert peer.rest() == b""


def test_a_server_that_was_closed_does_not_start_again() -> None:
    server = serve(echo, "127.0.0.1", 0).start()
    server.shutdown()
    with pytest.raises(UsageError, match="again"):
        server.start()


def test_a_server_that_is_closed_while_it_starts_does_not_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(echo, "127.0.0.1", 0)
    bind = server._listening._bind

    def bind_and_close() -> list[socket.socket]:
        server.close()
        return bind()

    monkeypatch.setattr(server._listening, "_bind", bind_and_close)
    server.start()
    assert server.sockets == ()
    server.wait_closed()


def test_a_start_that_fails_can_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = serve(echo, "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match=r"."):
            server.start()
    with server as started:
        assert started.sockets


def test_a_server_that_never_started_can_be_closed() -> None:
    server = serve(ignore, "127.0.0.1", 0)
    assert server.sockets == ()
    server.shutdown()


# Half-closed TCP, and frames of a raw peer


def test_a_client_that_ends_its_side_behind_request_and_close_gets_all_answers() -> None:
    with serving(echo) as server, Peer.dial(server) as peer:
        peer.send(REQUEST + text("a") + text("b") + close(4000))
        peer.end()
        assert peer.head()[0] == 101
        assert [peer.message(), peer.message()] == ["a", "b"]
        assert peer.close_frame() == Close(4000)
        assert peer.rest() == b""


def test_a_peer_that_resets_tcp_is_1006() -> None:
    ended: list[Any] = []

    def handler(websocket: WebSocket) -> None:
        with pytest.raises(ConnectionClosedError):
            ignore(websocket)
        ended.append(websocket.close_code)

    with serving(handler) as server, Peer.dial(server) as peer:
        peer.upgrade()
        peer.reset()
        until(lambda: ended)
    assert ended == [1006]


def test_ping_is_answered_and_fragments_are_joined() -> None:
    with serving(echo) as server, Peer.dial(server) as peer:
        peer.upgrade()
        peer.send(client_frame(Opcode.PING, b"?"))
        assert peer.frame() == Frame(Opcode.PONG, b"?")
        peer.send(client_frame(Opcode.TEXT, b"Hel", fin=False))
        peer.send(client_frame(Opcode.CONTINUATION, b"lo"))
        assert peer.message() == "Hello"
        peer.send(close())


def test_running_out_of_descriptors_does_not_spin(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It pauses, and goes on when there are some again."""
    failures = iter([OSError(errno.EMFILE, "Too many open files")] * 2)
    accept = socket.socket.accept

    def failing(sock: socket.socket) -> Any:
        for error in failures:
            raise error
        return accept(sock)

    with serving(echo) as server:
        monkeypatch.setattr(socket.socket, "accept", failing)
        with Peer.dial(server) as peer:
            peer.upgrade()
            peer.send(close())
    assert caplog.text.count("Too many open files") == 2
