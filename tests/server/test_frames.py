"""The frames of one's own connection, told to who asks for them."""

from __future__ import annotations

from typing import Any

import rfc6455
from server.frames import MAX_WAITING, SHOWN
from tests.helpers import async_test

from .support import Client, client, running


async def watched(websocket: rfc6455.WebSocket, count: int) -> tuple[Client, list[dict[str, Any]]]:
    """A client that has said hello, and the frames that it was told of."""
    connected = Client(websocket)
    await connected.ask("hello", name="Ann")
    frames: list[dict[str, Any]] = []
    while len(frames) < count:
        frames += (await connected.event("frames"))["frames"]
    return connected, frames


@async_test
async def test_every_frame_is_told() -> None:
    async with (
        running(frames=True) as address,
        rfc6455.connect(f"ws://{address}/ws?frames", extensions=[]) as websocket,
    ):
        connected, frames = await watched(websocket, 3)
        assert [(frame["sent"], frame["opcode"]) for frame in frames] == [
            (True, "TEXT"),
            (False, "TEXT"),
            (True, "TEXT"),
        ]
        welcome, hello, _ = frames
        assert welcome["text"].startswith('{"type":"welcome"')
        assert "key" not in welcome
        # RFC 6455 §5.2: FIN and the opcode 1; MASK, the length, and the masking key.
        head = bytes.fromhex(hello["head"])
        assert head[:2] == bytes([0x81, 0x80 | hello["length"]])
        assert head[2:].hex() == hello["key"]
        assert hello["text"] == '{"type": "hello", "id": 1, "name": "Ann"}'
        await websocket.ping(b"p")
        ping, pong = (await connected.event("frames"))["frames"]
        assert (ping["opcode"], ping["text"], ping["sent"]) == ("PING", "p", False)
        assert (pong["opcode"], pong["text"], pong["sent"]) == ("PONG", "p", True)


@async_test
async def test_what_was_compressed_is_told_as_it_was_before() -> None:
    async with (
        running(frames=True) as address,
        rfc6455.connect(f"ws://{address}/ws?frames") as websocket,
    ):
        connected, _ = await watched(websocket, 3)
        await connected.ask("send", room="lobby", text="x" * 3000)
        frames = (await connected.event("frames"))["frames"]
        command = frames[0]
        assert command["compressed"] is True
        assert command["length"] < 200
        assert len(command["text"]) == SHOWN
        assert command["text"].startswith('{"type": "send"')


@async_test
async def test_nothing_is_told_of_telling() -> None:
    async with (
        running(frames=True) as address,
        rfc6455.connect(f"ws://{address}/ws?frames") as websocket,
    ):
        connected, _ = await watched(websocket, 3)
        # Only a message of ours begins like that; what somebody says does not hide itself.
        await connected.ask("hello", name='{"type":"frames"')
        (command, answer) = (await connected.event("frames"))["frames"]
        assert "already_hello" in answer["text"]
        assert command["sent"] is False
        assert connected.events == []


@async_test
async def test_of_several_events_the_others_are_told() -> None:
    async with (
        running(frames=True) as address,
        rfc6455.connect(f"ws://{address}/ws?frames") as websocket,
    ):
        connected = Client(websocket)
        await connected.ask("hello", name="Ann", batch=True)
        told: list[str] = []
        # Some of the answers travel together with what is told of the frames before them.
        while not any(text.startswith("[") for text in told):
            for _ in range(20):
                await connected.post("list_rooms")
            frames = (await connected.event("frames"))["frames"]
            told += [frame.get("text", "") for frame in frames]
        assert [text for text in told if '"type":"frames"' in text] == []


@async_test
async def test_frames_that_nobody_takes_are_left_out_and_counted() -> None:
    async with (
        running(frames=True) as address,
        rfc6455.connect(f"ws://{address}/ws?frames") as websocket,
    ):
        connected, _ = await watched(websocket, 3)
        for _ in range(MAX_WAITING):
            await connected.post("list_rooms")
        seen = missing = 0
        while seen + missing < 2 * MAX_WAITING:
            event = await connected.event("frames")
            seen += len(event["frames"])
            missing += event.get("missing", 0)
        assert seen + missing == 2 * MAX_WAITING


@async_test
async def test_who_does_not_ask_is_told_nothing() -> None:
    for frames, query in ((False, "?frames"), (True, ""), (True, "?framed")):
        async with (
            running(frames=frames) as address,
            rfc6455.connect(f"ws://{address}/ws{query}") as websocket,
            client(address, "Bob", "lobby") as bob,
        ):
            ann = Client(websocket)
            assert (await ann.receive())["frames"] is frames
            await ann.ask("hello", name="Ann")
            await ann.ask("join", room="lobby")
            await bob.ask("send", room="lobby", text="x")
            await ann.event("message")
            # What is told now and then, is told by now.
            await ann.event("room_count")
            assert [event["type"] for event in ann.events].count("frames") == 0
