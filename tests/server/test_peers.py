"""The chat with clients of other libraries, and as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tests.helpers import ROOT, async_test

from .support import client, running


@async_test
async def test_websockets_and_aiohttp_talk_to_each_other() -> None:
    async with (
        running() as address,
        connect(f"ws://{address}/ws") as ann,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://{address}/ws") as bob,
    ):
        for send, name in ((ann.send, "Ann"), (bob.send_str, "Bob")):
            await send(json.dumps({"type": "hello", "name": name}))
            await send(json.dumps({"type": "join", "room": "lobby", "id": "in"}))
        while json.loads(await bob.receive_str()).get("id") != "in":
            pass
        # Larger than the threshold of compression, which both libraries offer.
        text = "hello " * 500
        await ann.send(json.dumps({"type": "send", "room": "lobby", "text": text}))
        while (event := json.loads(await bob.receive_str()))["type"] != "message":
            pass
        assert (event["from"], event["text"]) == ("Ann", text)
        while (event := json.loads(await ann.recv()))["type"] != "message":
            pass
        assert event["text"] == text


@async_test
async def test_pages_over_http() -> None:
    async with (
        running() as address,
        aiohttp.ClientSession(f"http://{address}", auto_decompress=False) as http,
    ):
        async with http.get("/healthz") as response:
            assert response.status == 200
            assert await response.json() == {"status": "ok"}
        async with http.get("/") as response:
            assert "Content-Security-Policy" in response.headers
            size = len(await response.read())
        async with http.head("/") as response:
            assert response.headers["Content-Length"] == str(size)
            assert await response.read() == b""
        async with http.post("/", data=b"x") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET, HEAD"
        async with http.get("/../server/app.py") as response:
            assert response.status == 404


@async_test
async def test_a_page_of_others_gets_a_safe_refusal() -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": "http://evil.example",
    }
    async with (
        running() as address,
        aiohttp.ClientSession(f"http://{address}") as http,
        http.get("/ws", headers=handshake) as response,
    ):
        assert response.status == 403
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("event_loop", ["asyncio", "uvloop"])
@async_test
async def test_the_process_tells_its_address_and_ends_gracefully(event_loop: str) -> None:
    pytest.importorskip(event_loop)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "server", "--host", "127.0.0.1", "--port", "0", "--event-loop", event_loop),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Chat at http://127.0.0.1:")
    async with client(line.rpartition("/")[2].strip(), "Ann", "lobby") as ann:
        process.send_signal(signal.SIGINT)
        async for _ in ann.websocket:
            pass
        assert ann.websocket.close_code == 1001
    assert await process.wait() == 0
