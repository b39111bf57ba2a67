"""What becomes of a handler when its connection ends, whatever it was doing.

Knows virtual time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from rfc6455 import (
    Close,
    CloseCode,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    Limits,
    Route,
    Router,
    WebSocket,
)

from .support import (
    RawPeer,
    close,
    dial,
    now,
    pass_time,
    serving,
    settle,
    text,
    virtual_time,
)


def leave(peer: RawPeer) -> None:
    peer.send(close(4000))


def vanish(peer: RawPeer) -> None:
    peer.reset()


def end(peer: RawPeer) -> None:
    peer.end()


@pytest.mark.parametrize("go", [leave, vanish, end])
@virtual_time
async def test_a_handler_that_only_sends_learns_of_the_end(go: Callable[[RawPeer], None]) -> None:
    """Its `send` raises, a bounded time after the peer has gone."""
    errors: list[ConnectionClosed] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.send("tick")
                await asyncio.sleep(0.1)
        except ConnectionClosed as error:
            errors.append(error)
            raise

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        await pass_time(1)
        go(peer)
        await pass_time(1.5)
        assert server.connections == frozenset()
        await peer.rest()
    (error,) = errors
    assert error.code == (4000 if go is leave else 1006)
    assert now() < 3


@virtual_time
async def test_a_handler_that_only_sends_learns_of_a_peer_that_falls_silent() -> None:
    errors: list[ConnectionClosed] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.send("tick")
                await asyncio.sleep(1)
        except ConnectionClosed as error:
            errors.append(error)

    limits = Limits(ping_interval=20, ping_timeout=20, close_timeout=5)
    async with serving(handler, limits=limits) as server, await dial(server) as peer:
        await peer.upgrade()
        await pass_time(46)
        assert server.connections == frozenset()
    (error,) = errors
    assert isinstance(error, ConnectionClosedError)
    assert error.sent is not None
    assert error.sent.code == CloseCode.INTERNAL_ERROR


@pytest.mark.parametrize("go", [leave, vanish, end])
@pytest.mark.parametrize("where", ["serve", "route"])
@virtual_time
async def test_a_handler_may_be_cancelled_at_the_end(
    where: str, go: Callable[[RawPeer], None], caplog: pytest.LogCaptureFixture
) -> None:
    cancelled: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(now())
            raise

    serving_it = (
        serving(handler, cancel_on_disconnect=True)
        if where == "serve"
        else serving(Router([Route("/chat", handler, cancel_on_disconnect=True)]))
    )
    async with serving_it as server, await dial(server) as peer:
        await peer.upgrade()
        await pass_time(1)
        assert cancelled == []
        go(peer)
        await pass_time(1.5)
        assert len(cancelled) == 1
        await peer.rest()
        assert server._tasks == set()
        assert server._handlers == {}
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@virtual_time
async def test_a_handler_that_has_returned_is_not_cancelled() -> None:
    ended: list[BaseException | None] = []

    async def handler(websocket: WebSocket) -> None:
        async for message in websocket:
            await websocket.send(message)
        ended.append(None)

    async with (
        serving(handler, cancel_on_disconnect=True) as server,
        await dial(server) as peer,
    ):
        await peer.upgrade()
        peer.send(text("a"))
        assert await peer.message() == "a"
        peer.send(close())
        assert await peer.close_frame() == Close(1000)
        await peer.rest()
        await settle()
        assert server.connections == frozenset()
        assert server._tasks == set()
        assert server._handlers == {}
    assert ended == [None]


@virtual_time
async def test_without_it_a_handler_goes_on_and_may_tidy_up() -> None:
    finished: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await asyncio.sleep(10)
        with pytest.raises(ConnectionClosedOK):
            await websocket.recv()
        finished.append("tidied up")

    async with serving(handler) as server, await dial(server) as peer:
        await peer.upgrade()
        peer.send(close())
        await pass_time(5)
        assert server.connections == frozenset()
        assert finished == []
        await pass_time(6)
        assert finished == ["tidied up"]
