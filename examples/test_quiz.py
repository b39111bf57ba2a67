"""A small application, and its tests: no port is opened, and no second is waited for."""

import asyncio

import pytest

from rfc6455 import ConnectionClosedOK, WebSocket
from rfc6455.testing import Faults, Network, client, virtual_time


async def quiz(websocket: WebSocket) -> None:
    """Asks a question; there are thirty seconds to answer."""
    await websocket.send("What is 6 x 7?")
    try:
        async with asyncio.timeout(30):
            answer = await websocket.recv()
    except TimeoutError:
        await websocket.close(4000, "too late")
    else:
        await websocket.send("right" if answer == "42" else "wrong")


@pytest.mark.parametrize(("answer", "verdict"), [("42", "right"), ("41", "wrong")])
@virtual_time
async def test_an_answer_is_judged(answer: str, verdict: str) -> None:
    """The server, its client and all between them are real, but for the network."""
    async with client(quiz) as websocket:
        assert await websocket.recv() == "What is 6 x 7?"
        await websocket.send(answer)
        assert await websocket.recv() == verdict
        with pytest.raises(ConnectionClosedOK):
            await websocket.recv()


@virtual_time
async def test_silence_is_too_late() -> None:
    """Thirty seconds pass at once."""
    async with client(quiz) as websocket:
        await websocket.recv()
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4000, "too late")
        assert asyncio.get_running_loop().time() >= 30


@pytest.mark.parametrize("seed", range(10))
@virtual_time
async def test_a_bad_network_changes_nothing(seed: int) -> None:
    """Bytes come one by one, up to a second late, differently with each seed."""
    bad = Faults(split=1, delay=(0.0, 1.0))
    async with client(quiz, network=Network(to_server=bad, to_client=bad, seed=seed)) as websocket:
        await websocket.recv()
        await websocket.send("42")
        assert await websocket.recv() == "right"
