"""Plain HTTP on the port of a server: pages, bodies, and the answers to requests that are refused.

Knows what travels over real sockets; that the head is judged rightly, line by line, is proven on
the sans-IO handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

import rfc6455
from rfc6455 import HandshakeError, Headers, Limits, Request, Response, WebSocket

from .support import REQUEST, close, dial, echo, now, on_each_loop, serving, settle, virtual_time

Hook = Callable[[Request], Any]


def request(
    method: str = "GET", target: str = "/", *fields: str, body: bytes = b"", version: str = "1.1"
) -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


async def ask(
    data: bytes, process_request: Hook | None = None, **options: Any
) -> tuple[int, dict[str, str], bytes]:
    """Sends bytes to a new server and reads all that comes back."""
    async with (
        serving(echo, process_request=process_request, **options) as server,
        await dial(server) as peer,
    ):
        peer.send(data)
        return await peer.answer()


# Pages


@on_each_loop
async def test_process_request_may_answer_with_a_page() -> None:
    def process_request(request: Request) -> Response:
        page = f"<h1>{request.path} {request.query}</h1>"
        return Response.text(page, content_type="text/html; charset=utf-8")

    status, headers, body = await ask(request("GET", "/a/b?c=d"), process_request)
    assert (status, body) == (200, b"<h1>/a/b c=d</h1>")
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-length"] == str(len(body))
    assert headers["connection"] == "close"
    assert headers["server"].startswith("rfc6455/")
    assert "date" in headers


@on_each_loop
async def test_a_large_page_arrives_whole() -> None:
    page = bytes(range(256)) * 20_000
    _, _, body = await ask(request(), lambda request: Response(body=page))
    assert body == page


@virtual_time
async def test_process_request_may_be_a_coroutine_function() -> None:
    async def process_request(request: Request) -> Response | None:
        await asyncio.sleep(1)
        return None if request.wants_websocket else Response.text("page")

    assert (await ask(request(), process_request))[2] == b"page"
    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        await peer.upgrade()
        peer.send(close())


@virtual_time
async def test_process_request_sees_upgrade_requests_and_may_refuse_them() -> None:
    def process_request(request: Request) -> Response | None:
        assert request.wants_websocket
        if request.headers.get("Authorization") == "Bearer good":
            return None
        return Response.text("who are you?\n", 401, headers=[("WWW-Authenticate", "Bearer")])

    async with serving(echo, process_request=process_request) as server:
        async with await dial(server) as peer:
            peer.send(REQUEST)
            status, headers, body = await peer.answer()
            assert (status, body) == (401, b"who are you?\n")
            assert headers["www-authenticate"] == "Bearer"
        async with await dial(server) as peer:
            await peer.upgrade(REQUEST[:-2] + b"Authorization: Bearer good\r\n\r\n")
            peer.send(close())


@virtual_time
async def test_head_gets_the_head_of_the_page() -> None:
    status, headers, body = await ask(request("HEAD"), lambda request: Response.text("12345"))
    assert (status, body) == (200, b"")
    assert headers["content-length"] == "5"


@pytest.mark.parametrize("status", [204, 304])
@virtual_time
async def test_answers_without_content_have_no_length(status: int) -> None:
    got, headers, body = await ask(request(), lambda request: Response(status))
    assert (got, body) == (status, b"")
    assert "content-length" not in headers


@virtual_time
async def test_the_applications_fields_come_first_and_are_kept() -> None:
    def process_request(request: Request) -> Response:
        return Response(
            299, Headers([("Server", "mine"), ("Date", "today"), ("X", "1")]), b"strange"
        )

    status, headers, body = await ask(request(), process_request)
    assert (status, body) == (299, b"strange")
    assert (headers["server"], headers["date"], headers["x"]) == ("mine", "today", "1")


@virtual_time
async def test_only_one_request_is_answered_per_connection() -> None:
    seen: list[str] = []

    def process_request(request: Request) -> Response:
        seen.append(request.path)
        return Response.text("page")

    _, _, body = await ask(request("GET", "/1") + request("GET", "/2"), process_request)
    assert body == b"page"
    assert seen == ["/1"]


@virtual_time
async def test_without_a_server_header_none_is_sent() -> None:
    _, headers, _ = await ask(request(), lambda request: Response(), server_header="")
    assert "server" not in headers


# What goes wrong in process_request


def raises(error: BaseException) -> Callable[[Request], Awaitable[None]]:
    async def process_request(request: Request) -> None:
        raise error

    return process_request


@pytest.mark.parametrize(
    "process_request",
    [
        raises(RuntimeError("secret")),
        raises(asyncio.CancelledError()),
        raises(GeneratorExit()),
        lambda request: 1 / 0,
        lambda request: "not a response",
        lambda request: Response(101),
        lambda request: Response(42),
    ],
)
@virtual_time
async def test_a_failing_process_request_is_500_and_logged_once(
    process_request: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, body = await ask(REQUEST, process_request)
    assert (status, body) == (500, b"internal error\n")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rfc6455.server", logging.ERROR)
    assert record.exc_info
    assert now() < 1


@virtual_time
async def test_an_answer_that_contradicts_itself_is_500_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = Response(headers=Headers([("Content-Length", "1")]), body=b"two")
    assert (await ask(request(), lambda request: page))[0] == 500
    assert len(caplog.records) == 1


@virtual_time
async def test_process_request_may_raise_a_handshake_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = HandshakeError("too early", 425, [("Retry-After", "5")])
    status, headers, body = await ask(REQUEST, raises(error))
    assert (status, body) == (425, b"too early\n")
    assert headers["retry-after"] == "5"
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == []


# Bodies


@virtual_time
async def test_a_body_is_handed_over_whole() -> None:
    def process_request(request: Request) -> Response:
        return Response(body=request.body[::-1])

    for data in (
        request("POST", "/", "Content-Length: 5", body=b"Hello"),
        request(
            "POST", "/", "Transfer-Encoding: chunked", body=b"2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n"
        ),
    ):
        assert (await ask(data, process_request))[2] == b"olleH"


@virtual_time
async def test_a_body_may_come_byte_by_byte() -> None:
    def process_request(request: Request) -> Response:
        return Response(body=request.body)

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        for octet in request("PUT", "/", "Content-Length: 5", body=b"Hello"):
            peer.send(bytes([octet]))
            await settle()
        assert (await peer.answer())[2] == b"Hello"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(99, 200), (100, 200), (101, 413)])
@virtual_time
async def test_a_body_is_bounded(framing: str, size: int, status: int) -> None:
    if framing == "length":
        data = request("POST", "/", f"Content-Length: {size}", body=bytes(size))
    else:
        chunk = b"%x\r\n" % size + bytes(size) + b"\r\n0\r\n\r\n"
        data = request("POST", "/", "Transfer-Encoding: chunked", body=chunk)
    limits = Limits(max_body_size=100)
    assert (await ask(data, lambda request: Response(), limits=limits))[0] == status


@virtual_time
async def test_expect_100_continue_is_answered() -> None:
    def process_request(request: Request) -> Response:
        return Response(body=request.body)

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(request("POST", "/", "Content-Length: 5", "Expect: 100-continue"))
        assert (await peer.head())[0] == 100
        peer.send(b"Hello")
        assert (await peer.answer())[2] == b"Hello"


@virtual_time
async def test_a_body_that_does_not_come_is_given_up() -> None:
    status, _, _ = await ask(request("POST", "/", "Content-Length: 5", body=b"Hell"))
    assert status == 408
    assert now() == pytest.approx(10, abs=0.01)


# Refused requests


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(request(), 426, id="no upgrade"),
        pytest.param(request("GET", "/", "Upgrade: h2c", "Connection: Upgrade"), 426, id="h2c"),
        pytest.param(REQUEST.replace(b": 13", b": 8"), 426, id="version 8"),
        pytest.param(REQUEST.replace(b"GET", b"POST"), 405, id="POST"),
        pytest.param(REQUEST.replace(b"GET", b"HEAD"), 405, id="HEAD"),
        pytest.param(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), 505, id="HTTP/1.0"),
        pytest.param(REQUEST.replace(b"HTTP/1.1", b"HTTP/2.0"), 505, id="HTTP/2.0"),
        pytest.param(REQUEST.replace(b"Host:", b"Hose:"), 400, id="no Host"),
        pytest.param(REQUEST.replace(b"Key: d", b"Key: "), 400, id="bad key"),
        pytest.param(REQUEST.replace(b"Sec-WebSocket-Key", b"X"), 400, id="no key"),
        pytest.param(REQUEST.replace(b"Connection: Upgrade", b"Connection: close"), 400, id="conn"),
        pytest.param(b"nonsense\r\n\r\n", 400, id="nonsense"),
        pytest.param(request("GET", "/" + "x" * 9000), 414, id="long target"),
        pytest.param(request("GET", "/", "X: " + "x" * 9000), 431, id="long field"),
        pytest.param(request("GET", "/", *["X: y"] * 101), 431, id="many fields"),
        pytest.param(request("GET", "/", *["X: " + "y" * 8000] * 3), 431, id="large head"),
    ],
)
@virtual_time
async def test_refused_requests(data: bytes, status: int) -> None:
    got, headers, body = await ask(data)
    assert got == status
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert body or data.startswith(b"HEAD")
    assert int(headers["content-length"]) > 0
    if status == 426:
        assert headers["upgrade"] == "websocket"
    if status == 405:
        assert headers["allow"] == "GET"
    if data.find(b"Version: 8") > 0:
        assert headers["sec-websocket-version"] == "13"


@virtual_time
async def test_a_refused_request_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rfc6455")
    await ask(REQUEST[:-2] + b"Sec-WebSocket-Protocol: \xe2\x80\xae\x85\r\n\r\n")
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.exc_info is None
    assert record.getMessage().isascii()
    assert record.getMessage().isprintable()


@virtual_time
async def test_the_answer_arrives_although_more_was_sent_than_read() -> None:
    """TCP that is closed over unread bytes is reset, and the reset could overtake the answer."""
    async with serving(echo) as server, await dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        await settle()
        for _ in range(60):
            peer.send(bytes(1024))
            await settle()
        assert (await peer.answer())[0] == 400


@virtual_time
async def test_what_follows_a_refused_request_is_capped() -> None:
    async with (
        serving(echo, limits=Limits(max_discarded_size=1000)) as server,
        await dial(server) as peer,
    ):
        peer.send(b"nonsense\r\n\r\n")
        await settle()
        peer.send(bytes(1000))
        await settle()
        assert len(server._incoming) == 1
        peer.send(b"!")
        await settle()
        assert server._incoming == set()


@on_each_loop
async def test_a_websocket_may_be_opened_after_pages_were_served() -> None:
    def process_request(request: Request) -> Response | None:
        return None if request.path == "/chat" else Response.text("page")

    async def handler(websocket: WebSocket) -> None:
        assert websocket.request is not None
        await websocket.send(websocket.request.path)

    async with rfc6455.serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        async with await dial(server) as peer:
            peer.send(request())
            assert (await peer.answer())[2] == b"page"
        async with await dial(server) as peer:
            await peer.upgrade()
            assert await peer.message() == "/chat"


@pytest.mark.parametrize("options", [{"server_header": "a\r\nX: y"}, {"origins": "*"}])
def test_what_could_not_travel_is_refused_at_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(rfc6455.UsageError):
        rfc6455.serve(echo, **options)


# Answers that come over time


class Pieces:
    """A stream that is fed by hand, and knows whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.asked = 0
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            while (piece := await self.queue.get()) is not None:
                self.asked += 1
                yield piece
        finally:
            self.closed.set()

    def answer(self, request: Request) -> Response:
        return Response(200, Headers([("Content-Type", "text/event-stream")]), stream=self())


@on_each_loop
async def test_an_answer_may_come_over_time() -> None:
    pieces = Pieces()
    async with (
        serving(echo, process_request=pieces.answer) as server,
        await dial(server) as peer,
    ):
        peer.send(request())
        pieces.queue.put_nowait(b"data: one\n\n")
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"content-length" not in head.lower()
        assert b"connection: close" in head.lower()
        assert await peer.reader.readexactly(11) == b"data: one\n\n"
        pieces.queue.put_nowait(b"data: two\n\n")
        pieces.queue.put_nowait(None)
        assert await peer.reader.read() == b"data: two\n\n"
        await pieces.closed.wait()


@on_each_loop
async def test_a_client_that_goes_closes_the_stream() -> None:
    pieces = Pieces()
    async with serving(echo, process_request=pieces.answer) as server:
        async with await dial(server) as peer:
            peer.send(request())
            await peer.reader.readuntil(b"\r\n\r\n")
        await pieces.closed.wait()


@on_each_loop
async def test_the_end_of_the_server_ends_a_stream() -> None:
    pieces = Pieces()
    async with serving(echo, process_request=pieces.answer) as server:
        peer = await dial(server)
        peer.send(request())
        await peer.reader.readuntil(b"\r\n\r\n")
    assert pieces.closed.is_set()
    assert await peer.reader.read() == b""
    peer.writer.close()
    await peer.writer.wait_closed()


@on_each_loop
async def test_a_stream_goes_no_faster_than_its_reader() -> None:
    produced = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal produced
        while True:
            produced += 1
            yield bytes(64 * 1024)

    def process_request(request: Request) -> Response:
        return Response(200, stream=endless())

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(request())
        before = -1
        while produced != before:
            before = produced
            # The reader holds two of its limits, and the kernel some more; then it stands still.
            for _ in range(50):
                await asyncio.sleep(0)
        assert produced < 1000
        await peer.reader.readexactly(before * 32 * 1024)


@on_each_loop
async def test_a_stream_that_never_waits_keeps_nobody_waiting_and_ends_with_its_client() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(100_000):
                # Nothing fills a buffer that a reader would have to empty.
                yield b""
        finally:
            ended.set()

    def process_request(request: Request) -> Response:
        return Response(200, stream=endless())

    async with serving(echo, process_request=process_request) as server:
        async with await dial(server) as peer:
            peer.send(request())
            await peer.reader.readuntil(b"\r\n\r\n")
            assert not ended.is_set()
        await ended.wait()


@on_each_loop
async def test_nobody_asks_for_what_a_head_request_does_not_get() -> None:
    pieces = Pieces()
    pieces.queue.put_nowait(b"x")
    status, headers, body = await ask(request("HEAD"), pieces.answer)
    assert (status, body, pieces.asked) == (200, b"", 0)
    assert headers["content-type"] == "text/event-stream"


@on_each_loop
async def test_a_stream_that_fails_is_no_whole_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"half"
        raise ValueError("boom")

    def process_request(request: Request) -> Response:
        return Response(200, stream=failing())

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(request())
        with contextlib.suppress(ConnectionResetError):
            await peer.reader.read()
    assert "answer failed" in caplog.text


@on_each_loop
async def test_a_plain_stream_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(echo, process_request=lambda _: Response(200, stream=[b"a"])) as server,
        await dial(server) as peer,
    ):
        peer.send(request())
        assert b"a" not in (await peer.reader.read()).partition(b"\r\n\r\n")[2]
    assert "answer failed" in caplog.text


@pytest.mark.parametrize(
    "response",
    [
        Response(200, body=b"x", stream=Pieces()()),
        Response(204, stream=Pieces()()),
        Response(200, Headers([("Content-Length", "1")]), stream=Pieces()()),
    ],
)
@on_each_loop
async def test_a_stream_is_the_whole_body(
    response: Response, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, _ = await ask(request(), lambda request: response)
    assert status == 500
    assert "has no other body, and no length" in caplog.text
