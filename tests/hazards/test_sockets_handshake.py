"""Attacks on the opening handshake, over real sockets: slow, smuggled, confused, early and endless.

Each test is a bug that some implementation had; exact bytes go in, and one answer comes out. Timers
run on virtual time. What the sans-IO handshake alone can prove is in ``test_handshake.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

import rfc6455
from rfc6455 import Close, HandshakeError, Limits, Request, Response, WebSocket
from rfc6455.asyncio.incoming import MAX_EARLY_DATA
from rfc6455.frames import Opcode
from tests.transports.support import (
    REQUEST,
    RawPeer,
    client_frame,
    close,
    dial,
    echo,
    now,
    on_each_loop,
    scripted_server,
    serving,
    settle,
    text,
    virtual_time,
)

READ_SIZE = 256 * 1024
"""What asyncio reads at most at a time, in bytes."""


def descriptors() -> int:
    """How many file descriptors the process has open."""
    return len(os.listdir("/dev/fd"))


# Slow handshakes (slowloris): one time limit for all of it, however a client spends it


async def send_nothing(peer: RawPeer) -> None:
    pass


async def send_a_byte_every_five_seconds(peer: RawPeer) -> None:
    for octet in REQUEST:
        peer.send(bytes([octet]))
        await asyncio.sleep(5)


async def stop_in_the_head(peer: RawPeer) -> None:
    peer.send(REQUEST[:-2])


async def stop_in_the_body(peer: RawPeer) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123456789")


async def drip_chunks(peer: RawPeer) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.send(b"1\r\nx\r\n")
        await asyncio.sleep(1)


@pytest.mark.parametrize(
    "behave",
    [
        send_nothing,
        send_a_byte_every_five_seconds,
        stop_in_the_head,
        stop_in_the_body,
        drip_chunks,
    ],
)
@virtual_time
async def test_a_slow_handshake_ends_in_time(behave: object) -> None:
    assert callable(behave)
    async with serving(echo, limits=Limits(open_timeout=10)) as server:
        before = descriptors()
        peers = [await dial(server) for _ in range(20)]
        tasks = [asyncio.create_task(behave(peer)) for peer in peers]
        for peer in peers:
            status, _, _ = await peer.answer()
            assert status == 408
        assert now() == pytest.approx(10, abs=0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for peer in peers:
            await peer.__aexit__()
        await settle()
        assert server._incoming == set()
        assert descriptors() == before


@virtual_time
async def test_an_application_that_never_decides_is_given_up_in_time() -> None:
    stopped: list[bool] = []

    async def process_request(request: Request) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.append(True)

    async with (
        serving(echo, process_request=process_request, limits=Limits(open_timeout=10)) as server,
        await dial(server) as peer,
    ):
        before = descriptors()
        peer.send(REQUEST)
        assert (await peer.answer())[0] == 503
        assert now() == pytest.approx(10, abs=0.01)
        assert stopped == [True]
        await peer.__aexit__()
        await settle()
        assert descriptors() == before - 2


@virtual_time
async def test_clients_that_never_read_nor_end_after_a_refusal_are_dropped() -> None:
    limits = Limits(open_timeout=10, close_timeout=5)
    async with serving(echo, limits=limits) as server:
        peers = [await dial(server) for _ in range(20)]
        await asyncio.sleep(15.001)
        await settle()
        assert server._incoming == set()
        for peer in peers:
            await peer.__aexit__()


@virtual_time
async def test_empty_lines_before_the_request_do_not_extend_the_time() -> None:
    async with serving(echo, limits=Limits(open_timeout=10)) as server:
        peer = await dial(server)
        for _ in range(100):
            peer.send(b"\r\n" * 1000)
            await asyncio.sleep(0.099)
        assert (await peer.answer())[0] == 408
        assert now() == pytest.approx(10, abs=0.01)
        await peer.__aexit__()


# Smuggling (CVE-2026-69243 and its kin): one request, one answer, nothing behind it is looked at

SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def all_answers(data: bytes, *, bytewise: bool = False) -> tuple[list[int], list[str]]:
    """Sends bytes to a new server.

    Returns:
        The status of each answer that comes back before the end, and the paths that the application
        was asked for.
    """
    paths: list[str] = []

    def process_request(request: Request) -> Response | None:
        paths.append(request.path)
        return None if request.wants_websocket else Response.text("page")

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        if bytewise:
            for octet in data:
                peer.send(bytes([octet]))
                await settle()
        else:
            peer.send(data)
        received = await peer.rest()
    assert b"HTTP/1.1 " not in received[9:].split(b"\r\n\r\n", 1)[0]
    statuses = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
    return statuses, paths


def with_fields(*fields: bytes) -> bytes:
    return REQUEST[:-2] + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("data", "asked"),
    [
        pytest.param(
            with_fields(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED, [], id="length"
        ),
        pytest.param(
            with_fields(b"Transfer-Encoding: chunked")
            + b"%x\r\n" % len(SMUGGLED)
            + SMUGGLED
            + b"\r\n0\r\n\r\n",
            [],
            id="chunked",
        ),
        pytest.param(
            REQUEST.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"x") + SMUGGLED, ["/chat"], id="bad key"
        ),
        pytest.param(REQUEST.replace(b": 13", b": 99") + SMUGGLED, ["/chat"], id="bad version"),
    ],
)
@virtual_time
async def test_nothing_is_smuggled_behind_an_upgrade(
    data: bytes, asked: list[str], bytewise: bool
) -> None:
    statuses, paths = await all_answers(data, bytewise=bytewise)
    assert statuses == ([426] if b": 99" in data else [400])
    assert paths == asked


@virtual_time
async def test_http_behind_an_accepted_upgrade_is_a_bad_frame() -> None:
    async with serving(echo) as server, await dial(server) as peer:
        await peer.upgrade(REQUEST + SMUGGLED)
        assert (await peer.close_frame()).code == 1002
        assert await peer.rest() == b""


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], b"0\r\n\r\n"),
        ([b"Content-Length: 5", b"Content-Length: 5"], b"Hello"),
        ([b"Content-Length: 5", b"Content-Length: 6"], b"Hello"),
        ([b"Content-Length: 5, 6"], b"Hello"),
        ([b"Content-Length: +5"], b"Hello"),
        ([b"Content-Length: -5"], b"Hello"),
        ([b"Content-Length: 5_0"], b"Hello"),
        ([b"Content-Length: 0x5"], b"Hello"),
        ([b"Content-Length: 5 5"], b"Hello"),
        ([b"Content-Length: "], b"Hello"),
        ([b"Content-Length : 5"], b"Hello"),
        ([b"Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding: identity"], b""),
        ([b"Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"5\r\nHelloXX0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"5\nHello\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"0x5\r\nHello\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"-5\r\nHello\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"fffffffffffffffffffff\r\nHello\r\n0\r\n\r\n"),
    ],
)
@virtual_time
async def test_a_body_with_malformed_or_ambiguous_framing_is_refused(
    fields: list[bytes], body: bytes, bytewise: bool
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    data = head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body
    statuses, paths = await all_answers(data + SMUGGLED, bytewise=bytewise)
    assert len(statuses) == 1
    assert statuses[0] in (400, 501)
    assert paths == []


@virtual_time
async def test_a_plain_requests_body_is_bounded_and_no_second_request() -> None:
    data = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
    assert await all_answers(data) == ([200], ["/a"])
    assert await all_answers(data + SMUGGLED) == ([200], ["/a"])
    large = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n" + SMUGGLED * 1700
    assert await all_answers(large) == ([413], [])


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"5;" + b"x" * 100_000, id="chunk extension"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * 20_000, id="trailers"),
        pytest.param(b"0" * 100_000, id="chunk size"),
    ],
)
@virtual_time
async def test_what_surrounds_chunks_is_bounded(endless: bytes) -> None:
    async with serving(echo) as server, await dial(server) as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + endless)
        status, _, _ = await peer.answer()
        assert status in (400, 413, 431)
        assert now() < 1


# Other protocols on our port


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), 505, id="HTTP/1.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2 preface"),
        pytest.param(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(9) + b"\n", 400, id="TLS"
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400, id="SSH"),
        pytest.param(b"EHLO example.com\r\n\r\n", 400, id="SMTP"),
        pytest.param(b"GET /\r\n\r\n", 400, id="HTTP/0.9"),
        pytest.param(REQUEST.replace(b"GET", b"POST"), 405, id="POST"),
        pytest.param(REQUEST.replace(b"GET", b"get"), 405, id="lower case"),
        pytest.param(REQUEST.replace(b"/chat", b"*"), 400, id="asterisk"),
        pytest.param(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400, id="CONNECT"),
        pytest.param(b"\x00" * 20000, 414, id="zeroes"),
        pytest.param(b"<policy-file-request/>\x00" + b"\r\n\r\n", 400, id="Flash"),
    ],
)
@virtual_time
async def test_other_protocols_get_one_answer_and_no_traceback(
    data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rfc6455")
    async with serving(echo) as server, await dial(server) as peer:
        peer.send(data)
        got, headers, _ = await peer.answer()
        assert got == status
        assert headers["connection"].endswith("close")
        assert now() < 1
    assert [record for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@virtual_time
async def test_the_absolute_form_is_accepted() -> None:
    async with serving(echo) as server, await dial(server) as peer:
        await peer.upgrade(REQUEST.replace(b"/chat", b"http://server.example.com/chat?x"))
        peer.send(text("a"))
        assert await peer.message() == "a"
        peer.send(close())


# Early data


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@virtual_time
async def test_frames_behind_the_request_are_delivered_once_and_in_order(bytewise: bool) -> None:
    data = REQUEST + text("Hello") + text("again") + close(4000)
    async with serving(echo) as server, await dial(server) as peer:
        for chunk in [bytes([octet]) for octet in data] if bytewise else [data]:
            peer.send(chunk)
            await settle()
        assert (await peer.head())[0] == 101
        assert [await peer.message(), await peer.message()] == ["Hello", "again"]
        assert await peer.close_frame() == Close(4000)
        assert await peer.rest() == b""


@virtual_time
async def test_early_data_is_bounded_while_the_application_decides() -> None:
    decided = asyncio.Event()

    async def process_request(request: Request) -> None:
        await decided.wait()

    messages = [bytes([number]) * 16_000 for number in range(64)]

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(REQUEST + b"".join(client_frame(Opcode.BINARY, m) for m in messages))
        await settle()
        (opening,) = server._incoming
        kept = len(opening._handshake.trailing_data)
        assert MAX_EARLY_DATA < kept <= MAX_EARLY_DATA + READ_SIZE
        assert not opening._transport.is_reading()
        decided.set()
        assert (await peer.head())[0] == 101
        assert [await peer.message() for _ in messages] == messages
        peer.send(close())


@on_each_loop
async def test_a_megabyte_of_early_data_arrives_once_it_is_accepted() -> None:
    async def process_request(request: Request) -> None:
        # The client has sent more than is read.
        while next(iter(server._incoming))._transport.is_reading():  # noqa: ASYNC110
            await asyncio.sleep(0)

    message = bytes(range(256)) * 4096
    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(REQUEST + client_frame(Opcode.BINARY, message) + text("next"))
        assert (await peer.head())[0] == 101
        assert [await peer.message(), await peer.message()] == [message, "next"]
        peer.send(close())


@virtual_time
async def test_early_data_behind_a_refused_request_is_neither_kept_nor_answered() -> None:
    decided = asyncio.Event()

    async def process_request(request: Request) -> Response:
        await decided.wait()
        return Response.text("no\n", 403)

    async with (
        serving(echo, process_request=process_request) as server,
        await dial(server) as peer,
    ):
        peer.send(REQUEST + bytes(100_000))
        await settle()
        decided.set()
        assert (await peer.answer())[0] == 403
        # Reading goes on, so that the end is seen when it comes.
        peer.end()
        await settle()
        assert server._incoming == set()


@virtual_time
async def test_a_bad_frame_behind_the_request_is_answered_after_the_upgrade() -> None:
    handled: list[WebSocket] = []

    async def handler(websocket: WebSocket) -> None:
        handled.append(websocket)
        await echo(websocket)

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade(REQUEST + bytes([0x83, 0x80, 0, 0, 0, 0]))
        assert (await peer.close_frame()).code == 1002
        assert await peer.rest() == b""
    assert [websocket.close_code for websocket in handled] == [1006]


# Servers that never end, as a client meets them


async def connect_to(answer: bytes, repeat: bytes) -> BaseException:
    """Connects to a server that answers, and repeats something for ever; returns what is raised."""

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(answer)
        while True:
            peer.send(repeat * (1 + 65536 // len(repeat)))
            await peer.writer.drain()

    async with scripted_server(script) as address:
        try:
            await rfc6455.connect(address, limits=Limits(open_timeout=10))
        except (HandshakeError, TimeoutError) as error:
            assert now() < 1
            return error
    raise AssertionError("connected")


@pytest.mark.parametrize(
    ("answer", "repeat", "status"),
    [
        pytest.param(b"HTTP/1.1 401 X\r\n\r\n", b"x" * 1000, 401, id="body"),
        pytest.param(
            b"HTTP/1.1 401 X\r\nContent-Length: 999999999\r\n\r\n", b"x" * 1000, 401, id="length"
        ),
        pytest.param(
            b"HTTP/1.1 401 X\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3e8\r\n" + b"x" * 1000 + b"\r\n",
            401,
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.1 401 X\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 1000, 0, id="chunk"
        ),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0, id="interim"),
        pytest.param(b"HTTP/1.1 101 X\r\n", b"X: y\r\n", 0, id="fields"),
        pytest.param(b"HTTP/1.1 101 X\r\nX: ", b"x" * 1000, 0, id="one field"),
        pytest.param(b"HTTP/1.1 101 ", b"x" * 1000, 0, id="reason"),
    ],
)
@virtual_time
async def test_an_endless_answer_is_given_up(answer: bytes, repeat: bytes, status: int) -> None:
    error = await connect_to(answer, repeat)
    assert isinstance(error, HandshakeError)
    assert status == 0 or error.status == status
