"""`async for websocket in connect(uri)`: when it connects again, and when it does not.

Knows servers that follow a list of scripts, one for each connection; time is virtual.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

import rfc6455
from rfc6455 import (
    Close,
    ConnectionClosed,
    HandshakeError,
    Limits,
    State,
    UsageError,
    backoff_delays,
    connect,
)

from .support import (
    RawPeer,
    accepting,
    close,
    now,
    scripted_server,
    settle,
    text,
    virtual_time,
)

CLIENT = rfc6455.Role.CLIENT
Script = Callable[[RawPeer, bytes], Coroutine[Any, Any, None]]

middle = functools.partial(backoff_delays, random=lambda: 0.5)
"""Delays of 2.5, 7.5, 15, 30, 45, 45 ... seconds."""


def refusing(status: int, *fields: bytes) -> Script:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(
            b"\r\n".join([b"HTTP/1.1 %d X" % status, b"Content-Length: 0", *fields, b"", b""])
        )

    return script


def saying(message: str, code: int = 1000, reason: str = "") -> Script:
    """Accepts, sends a message, and closes."""

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request) + text(message, CLIENT) + close(code, reason, CLIENT))
        await peer.close_frame()

    return script


async def waiting_for_close(peer: RawPeer, request: bytes) -> None:
    """Accepts, and answers the client's Close."""
    peer.send(accepting(request) + text("open", CLIENT))
    frame = await peer.close_frame()
    peer.send(close(frame.code, role=CLIENT))
    peer.end()
    assert await peer.rest() == b""


async def hanging_up(peer: RawPeer, request: bytes) -> None:
    pass


async def resetting(peer: RawPeer, request: bytes) -> None:
    peer.reset()


async def silent(peer: RawPeer, request: bytes) -> None:
    await peer.rest()


@contextlib.asynccontextmanager
async def playing(*scripts: Script) -> AsyncIterator[tuple[str, list[float]]]:
    """A server that gives each connection the next script. Yields its URI, and when they came."""
    times: list[float] = []
    waiting = iter(scripts)

    async def script(peer: RawPeer, request: bytes) -> None:
        times.append(now())
        await next(waiting)(peer, request)

    async with scripted_server(script) as address:
        yield address, times


async def messages(attempts: connect, count: int) -> list[str | bytes]:
    """Receives the first message of each of some connections."""
    received = []
    async for websocket in attempts:
        received.append(await websocket.recv())
        if len(received) == count:
            break
    return received


# After failures


@pytest.mark.parametrize(
    "failure",
    [refusing(500), refusing(502), refusing(503), refusing(504), hanging_up, resetting],
    ids=["500", "502", "503", "504", "EOF", "reset"],
)
@virtual_time
async def test_failures_that_pass_are_waited_out(failure: Script) -> None:
    async with playing(failure, failure, failure, saying("a")) as (address, times):
        assert await messages(connect(address, backoff=middle), 1) == ["a"]
        assert times == pytest.approx([0, 2.5, 10, 25], abs=0.01)
        await settle()


@virtual_time
async def test_timeouts_are_waited_out() -> None:
    async with playing(silent, saying("a")) as (address, times):
        attempts = connect(address, backoff=middle, limits=Limits(open_timeout=10))
        assert await messages(attempts, 1) == ["a"]
        assert times == pytest.approx([0, 12.5], abs=0.01)
        await settle()


@virtual_time
async def test_a_server_that_is_not_there() -> None:
    tried = []

    def retry(error: Exception) -> bool:
        tried.append(type(error))
        return rfc6455.is_transient(error) and len(tried) < 3

    async with playing() as (address, _):
        pass
    with pytest.raises(ConnectionRefusedError):
        await messages(connect(address, backoff=middle, retry=retry), 1)
    assert tried == [ConnectionRefusedError] * 3
    assert now() == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 426, 429, 501])
@virtual_time
async def test_failures_that_stay_are_raised(status: int) -> None:
    async with playing(refusing(status)) as (address, times):
        with pytest.raises(HandshakeError) as caught:
            await messages(connect(address, backoff=middle), 1)
        assert caught.value.status == status
        assert len(times) == 1


@virtual_time
async def test_the_caller_decides_what_is_retried() -> None:
    def retry(error: Exception) -> bool:
        return isinstance(error, HandshakeError) and error.status == 404

    async with playing(refusing(404), refusing(503)) as (address, _):
        with pytest.raises(HandshakeError, match="503"):
            await messages(connect(address, backoff=middle, retry=retry), 1)


@virtual_time
async def test_when_the_delays_run_out_the_error_is_raised() -> None:
    async with playing(*[refusing(503)] * 3) as (address, times):
        with pytest.raises(HandshakeError, match="503"):
            await messages(connect(address, backoff=lambda: [1.0, 2.0]), 1)
        assert times == pytest.approx([0, 1, 3], abs=0.01)


@pytest.mark.parametrize(("asked", "waited"), [(b"100", 100), (b"1", 2.5), (b"soon", 2.5)])
@virtual_time
async def test_retry_after_is_honoured(asked: bytes, waited: float) -> None:
    refusal = refusing(503, b"Retry-After: " + asked)
    async with playing(refusal, saying("a")) as (address, times):
        assert await messages(connect(address, backoff=middle), 1) == ["a"]
        assert times == pytest.approx([0, waited], abs=0.01)
        await settle()


# After a connection


@pytest.mark.clause("W202", "W203", party="client")
@virtual_time
async def test_a_lost_connection_comes_back_after_the_first_delay() -> None:
    scripts = [saying("a"), refusing(503), saying("b", 1012), resetting, resetting, saying("c")]
    async with playing(*scripts) as (address, times):
        assert await messages(connect(address, backoff=middle), 3) == ["a", "b", "c"]
        # Each connection starts the delays anew.
        assert times == pytest.approx([0, 2.5, 10, 12.5, 20, 35], abs=0.01)
        await settle()


@pytest.mark.parametrize(
    ("reason", "waited"),
    [
        ("new version retry-after=0.5", 0.5),
        ("retry-after=100", 100),
        ("retry-after=99999", 3600),
        ("retry-after=soon", 2.5),
    ],
)
@virtual_time
async def test_a_server_that_is_drained_may_say_when_to_come_back(
    reason: str, waited: float
) -> None:
    async with playing(saying("a", 1012, reason), refusing(503), saying("b")) as (address, times):
        assert await messages(connect(address, backoff=middle), 2) == ["a", "b"]
        assert times == pytest.approx([0, waited, waited + times[2] - times[1]], abs=0.01)
        # The delays go on from where they were.
        assert times[2] - times[1] == pytest.approx(7.5 if waited == 2.5 else 2.5, abs=0.01)
        await settle()


@virtual_time
async def test_the_usual_loop() -> None:
    received: list[str | bytes] = []
    codes: list[int] = []
    async with playing(saying("a"), saying("b", 1011), saying("c")) as (address, _):
        async for websocket in connect(address, backoff=middle):
            try:
                received.extend([message async for message in websocket])
            except ConnectionClosed as error:
                codes.append(error.code)
                continue
            if "c" in received:
                break
        await settle()
    assert received == ["a", "c"]
    assert codes == [1011]


@virtual_time
async def test_a_body_that_goes_on_closes_what_is_open() -> None:
    closed = []
    async with playing(waiting_for_close, waiting_for_close) as (address, times):
        async for websocket in connect(address, backoff=middle):
            closed.append(websocket)
            if len(closed) == 2:
                break
        await settle()
        assert times == pytest.approx([0, 2.5], abs=0.01)
    assert [websocket.close_code for websocket in closed] == [1000, 1000]


# The end


@virtual_time
async def test_break_closes_the_connection() -> None:
    closes: list[Close] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(accepting(request))
        closes.append(await peer.close_frame())
        peer.send(close(role=CLIENT))
        peer.end()
        assert await peer.rest() == b""

    async with playing(script) as (address, _):
        async for websocket in connect(address):
            kept = websocket
            break
        await kept.wait_closed()
        await settle()
    assert closes == [Close(1000)]
    assert kept.state is State.CLOSED


@virtual_time
async def test_an_error_in_the_body_closes_the_connection() -> None:
    opened = []

    async def application(address: str) -> None:
        async for websocket in connect(address):
            opened.append(websocket)
            raise RuntimeError("application")

    async with playing(waiting_for_close) as (address, _):
        with pytest.raises(RuntimeError, match="application"):
            await application(address)
        (websocket,) = opened
        await websocket.wait_closed()
        await settle()
        assert websocket.close_code == 1000


@virtual_time
async def test_aclosing_waits_for_the_end() -> None:
    async with playing(waiting_for_close) as (address, _):
        async with contextlib.aclosing(aiter(connect(address))) as websockets:
            websocket = await anext(websockets)
        assert websocket.close_code == 1000


@pytest.mark.parametrize("seconds", [0.5, 1, 5, 11, 12])
@virtual_time
async def test_cancelled_while_connecting_waiting_or_receiving(seconds: float) -> None:
    """It connects up to 1, receives up to 2, waits up to 10, and connects again."""

    async def slow(peer: RawPeer, request: bytes) -> None:
        await asyncio.sleep(1)
        peer.send(accepting(request))
        await asyncio.sleep(1)

    seen = []

    async def application(address: str) -> None:
        async for websocket in connect(address, backoff=lambda: itertools.repeat(8.0)):
            seen.append(websocket)
            with contextlib.suppress(ConnectionClosed):
                await websocket.recv()

    async with playing(slow, slow) as (address, _):
        task = asyncio.create_task(application(address))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await settle()
        await asyncio.sleep(10)
        assert [websocket.state for websocket in seen] == [State.CLOSED] * len(seen)


def test_a_program_may_end_with_break(recwarn: pytest.WarningsRecorder) -> None:
    """The loop that ends at once still leaves nothing behind."""

    async def main() -> None:
        async with rfc6455.serve(
            lambda websocket: websocket.wait_closed(), "127.0.0.1", 0
        ) as server:
            host, port = server.sockets[0].getsockname()
            async for _ in connect(f"ws://{host}:{port}/"):
                break

    asyncio.run(main(), debug=True)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_socket_that_is_given_connects_once() -> None:
    with socket.socket() as sock, pytest.raises(UsageError, match="again"):
        aiter(connect("ws://localhost/", sock=sock))


# The log


@virtual_time
async def test_the_log_tells_and_keeps_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with playing(refusing(503), saying("a", 1012), saying("b")) as (address, _):
        address = address.replace("//", "//user:secret@") + "?token=secret"
        attempts = connect(
            address, backoff=middle, additional_headers=[("Cookie", "secret"), ("X-Key", "secret")]
        )
        assert await messages(attempts, 2) == ["a", "b"]
        await settle()
    told = [r for r in caplog.records if r.name == "rfc6455.client" and r.levelno == logging.INFO]
    assert [record.getMessage().partition(" to ")[0] for record in told] == [
        "no connection",
        "connection",
    ]
    assert "status 503" in told[0].getMessage()
    assert "next in 2.5 s" in told[0].getMessage()
    assert "1012" in told[1].getMessage()
    assert "secret" not in caplog.text
    assert "dXNlcjpzZWNyZXQ=" not in caplog.text


@virtual_time
async def test_the_logger_is_the_callers(caplog: pytest.LogCaptureFixture) -> None:
    adapter = logging.LoggerAdapter(logging.getLogger("mine"), {"user": 7})
    caplog.set_level(logging.INFO, "mine")
    async with playing(refusing(503), saying("a")) as (address, _):
        assert await messages(connect(address, backoff=middle, logger=adapter), 1) == ["a"]
        await settle()
    (record,) = [record for record in caplog.records if record.name == "mine"]
    assert vars(record)["user"] == 7
