"""The threaded client `websocket-client` with our server. It knows no compression."""

from __future__ import annotations

import asyncio

import websocket

import rfc6455
from tests.helpers import async_test

from .support import CLOSE, FRAGMENTS, answer


@async_test
async def test_websocket_client_as_client() -> None:
    async with rfc6455.serve(answer, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.to_thread(converse, uri)


def converse(uri: str) -> None:
    client = websocket.create_connection(uri, timeout=20)
    for text in ("", "hé€😀", "x" * 70000):
        client.send(text)
        assert client.recv() == text
    for data in (b"", bytes(70000)):
        client.send_binary(data)
        assert client.recv() == data
    # Fragments, with a Ping between them.
    client.send_frame(websocket.ABNF.create_frame("frag", websocket.ABNF.OPCODE_TEXT, 0))
    client.ping("between")
    client.send_frame(websocket.ABNF.create_frame("ments", websocket.ABNF.OPCODE_CONT, 1))
    opcode, pong = client.recv_data(control_frame=True)
    assert (opcode, pong) == (websocket.ABNF.OPCODE_PONG, b"between")
    assert client.recv() == "fragments"
    client.send(FRAGMENTS)
    assert client.recv() == FRAGMENTS
    client.close(status=4000, reason=b"done")

    client = websocket.create_connection(uri, timeout=20)
    client.send(CLOSE)
    opcode, payload = client.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert payload == (4321).to_bytes(2, "big") + b"as you wish"
    client.shutdown()  # type: ignore[no-untyped-call]
