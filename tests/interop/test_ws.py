"""Node's `ws` as client and as server, plain and compressed with each window size."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import rfc6455
from tests.helpers import ROOT, async_test

from .support import CLOSE, FRAGMENTS, answer, send_in_fragments

pytestmark = pytest.mark.node

PEER = Path(__file__).with_name("ws_peer.mjs")
ENVIRONMENT = {**os.environ, "NODE_MODULES": str(ROOT / ".node" / "node_modules")}

# What the peer's messages look like when they come back: binary, length in bytes, and the start.
ECHOED = [
    [False, 0, ""],
    [False, 10, "hé€😀"],
    [False, 70000, "x" * 20],
    [True, 0, None],
    [True, 70000, 7],
    [False, len("fragment by fragment"), "fragment by fragment"],
    [False, len(FRAGMENTS), FRAGMENTS],
]


@asynccontextmanager
async def ws_server(*arguments: str, ends: Sequence[Sequence[object]]) -> AsyncIterator[str]:
    """A server, and how it has to see its connections end."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(PEER), "server", *arguments),
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{int(await process.stdout.readline())}"
        for end in ends:
            assert json.loads(await process.stdout.readline()) == end
    finally:
        process.kill()
        await process.wait()


async def run_client(
    extension: rfc6455.PermessageDeflate, closer: str, *arguments: str
) -> dict[str, object]:
    closed: asyncio.Future[tuple[int | None, str]] = asyncio.get_running_loop().create_future()

    async def handler(websocket: rfc6455.WebSocket) -> None:
        try:
            await answer(websocket)
        finally:
            closed.set_result((websocket.close_code, websocket.close_reason))

    async with rfc6455.serve(handler, "127.0.0.1", 0, extensions=[extension]) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *("node", str(PEER), "client", f"ws://127.0.0.1:{port}", closer, *arguments),
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        result: dict[str, object] = json.loads(output)
        if closer == "client":
            assert await closed == (4000, "done")
            assert result["close"] == [4000, ""]
        else:
            assert (await closed)[0] == 4321
            assert result["close"] == [4321, "as you wish"]
    assert result["echoed"] == ECHOED
    assert result["pong"] == "are you there"
    return result


@pytest.mark.parametrize("closer", ["client", "server"])
@async_test
async def test_ws_as_client(closer: str) -> None:
    result = await run_client(rfc6455.PermessageDeflate(threshold=0), closer)
    assert result["extensions"] == ""


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize(("takeover", "closer"), [(True, "client"), (False, "server")])
@async_test
async def test_ws_as_client_with_compression(bits: int, takeover: bool, closer: str) -> None:
    result = await run_client(
        rfc6455.PermessageDeflate(
            threshold=0,
            window_bits=bits,
            peer_window_bits=bits,
            context_takeover=takeover,
            peer_context_takeover=takeover,
        ),
        closer,
        "{}",
    )
    extensions = str(result["extensions"])
    assert extensions.startswith("permessage-deflate")
    if bits < 15:
        assert f"server_max_window_bits={bits}" in extensions
        assert f"client_max_window_bits={bits}" in extensions
    assert ("server_no_context_takeover" in extensions) is not takeover


async def converse(uri: str, extension: rfc6455.PermessageDeflate | None, closer: str) -> str:
    extensions = [extension] if extension is not None else []
    async with rfc6455.connect(uri, extensions=extensions) as websocket:
        for message in ("", "hé€😀", "x" * 70000, b"", bytes(70000)):
            await websocket.send(message)
            assert await websocket.recv() == message
        await websocket.send(FRAGMENTS)
        assert await websocket.recv() == FRAGMENTS
        await send_in_fragments(websocket, "frag", "", "ments")
        assert await websocket.recv() == "fragments"
        if closer == "client":
            await websocket.close(4000, "done")
            assert (websocket.close_code, websocket.close_reason) == (4000, "done")
        else:
            await websocket.send(CLOSE)
            with pytest.raises(rfc6455.ConnectionClosedError):
                await websocket.recv()
            assert (websocket.close_code, websocket.close_reason) == (4321, "as you wish")
    assert websocket.response is not None
    return websocket.response.headers.get("Sec-WebSocket-Extensions", "") or ""


WE_CLOSE = [4000, "done"]
THEY_CLOSE = [4321, ""]


@async_test
async def test_ws_as_server() -> None:
    async with ws_server(ends=[WE_CLOSE, THEY_CLOSE]) as uri:
        assert await converse(uri, rfc6455.PermessageDeflate(threshold=0), "client") == ""
        assert await converse(uri, None, "server") == ""


@pytest.mark.parametrize("bits", range(9, 16))
@async_test
async def test_ws_as_server_with_compression(bits: int) -> None:
    # `ws` compresses with zlib as it is, which cannot make a window of 8 bits.
    options = json.dumps({"serverMaxWindowBits": bits, "clientMaxWindowBits": bits})
    async with ws_server(options, ends=[WE_CLOSE, THEY_CLOSE]) as uri:
        extension = rfc6455.PermessageDeflate(threshold=0, window_bits=15, peer_window_bits=15)
        for closer in ("client", "server"):
            agreed = await converse(uri, extension, closer)
            assert f"server_max_window_bits={bits}" in agreed
            assert f"client_max_window_bits={bits}" in agreed


@async_test
async def test_ws_as_server_without_context_takeover() -> None:
    options = json.dumps({"serverNoContextTakeover": True, "clientNoContextTakeover": True})
    async with ws_server(options, ends=[WE_CLOSE]) as uri:
        agreed = await converse(uri, rfc6455.PermessageDeflate(threshold=0), "client")
        assert "server_no_context_takeover" in agreed
        assert "client_no_context_takeover" in agreed
