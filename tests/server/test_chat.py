"""The chat over real sockets, with our own client."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack

import pytest

import rfc6455
from tests.helpers import async_test

from .support import Client, client, running, stats


@async_test
async def test_the_welcome_tells_the_limits() -> None:
    async with running() as address, rfc6455.connect(f"ws://{address}/ws") as websocket:
        welcome = json.loads(await websocket.recv())
        assert welcome["limits"] == {
            "max_message": 65536,
            "max_text": 4000,
            "max_name": 64,
            "max_room": 64,
        }


@async_test
async def test_hello_comes_first_and_once() -> None:
    async with running() as address, client(address) as ann:
        assert (await ann.ask("list_rooms"))["code"] == "hello_first"
        answer = await ann.ask("hello", name="Ann")
        assert answer["user"].startswith("guest-")
        assert answer["secret"].startswith(answer["user"])
        assert answer["inbox"].pop("epoch")
        assert answer["notifications"].pop("epoch")
        empty = {"offset": 0, "head": 0, "recovered": False, "more": False, "history": []}
        assert answer == {
            "type": "ack",
            "id": 2,
            "name": "Ann",
            "role": "guest",
            "user": answer["user"],
            "secret": answer["secret"],
            "rooms": [{"room": "lobby", "members": 0}],
            "memberships": [],
            "patterns": [],
            "feeds": [],
            "inbox": empty,
            "inbox_read": 0,
            "private": [],
            "notifications": empty,
            "notifications_read": 0,
        }
        assert (await ann.ask("hello", name="Bob"))["code"] == "already_hello"


@async_test
async def test_a_name_is_unique_whatever_its_case_and_free_again_afterwards() -> None:
    async with running() as address, client(address) as other:
        async with client(address, "Straße"):
            answer = await other.ask("hello", name="STRASSE")
            assert (answer["type"], answer["code"]) == ("error", "name_taken")
            assert "taken" in answer["message"]
            assert (await other.ask("hello", name="a\u202eb"))["code"] == "invalid_name"
            assert (await other.ask("hello", name="x" * 65))["code"] == "too_long"
            assert (await other.ask("hello", name="Watcher"))["type"] == "ack"
            assert (await other.ask("join", room="lobby"))["members"] == ["Watcher"]
            async with client(address, "Guest", "lobby"):
                await other.event("joined")
            assert (await other.event("left"))["user"] == "Guest"
        async with client(address, "Guest"):
            pass


@async_test
async def test_rooms_are_created_listed_joined_left_and_removed() -> None:
    async with running() as address, client(address, "Ann") as ann, client(address, "Bob") as bob:
        assert (await ann.ask("create_room", room="tea"))["room"] == "tea"
        assert await bob.event("room_created") == {
            "type": "room_created",
            "room": "tea",
            "members": 0,
        }
        assert (await bob.ask("create_room", room="tea"))["code"] == "room_exists"
        assert (await bob.ask("create_room", room="t e a"))["code"] == "invalid_room"
        assert (await ann.ask("join", room="tea"))["members"] == ["Ann"]
        assert (await bob.event("room_count"))["members"] == 1
        assert (await bob.ask("join", room="tea"))["members"] == ["Ann", "Bob"]
        assert await ann.event("joined") == {
            "type": "joined",
            "room": "tea",
            "user": "Bob",
            "count": 2,
        }
        assert (await ann.ask("join", room="tea"))["code"] == "already_in_room"
        assert await ann.members("tea") == {"Ann": True, "Bob": True}
        rooms = (await ann.ask("list_rooms"))["rooms"]
        assert {"room": "tea", "members": 2} in rooms
        assert (await ann.ask("leave", room="tea"))["type"] == "ack"
        assert (await bob.event("left"))["count"] == 1
        assert (await ann.ask("leave", room="tea"))["code"] == "not_in_room"
        assert (await bob.ask("leave", room="tea"))["type"] == "ack"
        assert (await ann.event("room_removed"))["room"] == "tea"
        for command in ("join", "leave", "members"):
            assert (await ann.ask(command, room="tea"))["code"] == "no_such_room"


@async_test
async def test_messages_reach_the_whole_room_in_order() -> None:
    async with (
        running() as address,
        client(address, "Ann", "lobby") as ann,
        client(address, "Bob", "lobby") as bob,
        client(address, "Cat") as cat,
    ):
        for number in range(50):
            answer = await ann.ask("send", room="lobby", text=str(number))
            assert answer["offset"] == number + 1
        for member in (ann, bob):
            heard = [await member.event("message") for _ in range(50)]
            assert [(m["offset"], m["text"], m["from"]) for m in heard] == [
                (number + 1, str(number), "Ann") for number in range(50)
            ]
        assert (await cat.ask("send", room="lobby", text="hi"))["code"] == "not_in_room"
        history = (await cat.ask("join", room="lobby"))["history"]
        assert [message["text"] for message in history] == [str(number) for number in range(50)]
        assert not [event for event in cat.events if event["type"] == "message"]


@async_test
async def test_private_messages_reach_two() -> None:
    async with (
        running() as address,
        client(address, "Ann") as ann,
        client(address, "Bob") as bob,
        client(address, "Cat") as cat,
    ):
        assert (await ann.ask("private", to="bob", text="psst"))["to"] == "Bob"
        for user in (ann, bob):
            event = await user.event("private")
            assert (event["from"], event["to"], event["text"]) == ("Ann", "Bob", "psst")
        assert (await ann.ask("private", to="Dan", text="psst"))["code"] == "no_such_user"
        await cat.ask("list_rooms")
        assert cat.events == []


@async_test
async def test_typing_is_shown_to_the_others() -> None:
    async with (
        running() as address,
        client(address, "Ann", "lobby") as ann,
        client(address, "Bob", "lobby") as bob,
    ):
        for active in (True, False):
            assert (await ann.ask("typing", room="lobby", active=active))["type"] == "ack"
            event = await bob.event("typing")
            assert (event["user"], event["active"]) == ("Ann", active)
        assert not [event for event in ann.events if event["type"] == "typing"]


@pytest.mark.parametrize(
    ("message", "code", "request_id"),
    [
        ("{", "bad_json", None),
        ("[]", "bad_fields", None),
        (b"\x00", "binary", None),
        ('{"type": "dance", "id": 9}', "bad_type", 9),
        ('{"type": "send", "id": 9}', "bad_fields", 9),
        ('{"type": "send", "id": 9, "room": "lobby", "text": ""}', "bad_fields", 9),
        ('{"type": "send", "id": 9, "room": "lobby", "text": "%s"}' % ("x" * 4001), "too_long", 9),
        ('{"type": "send", "id": 9, "room": "*", "text": "x"}', "invalid_room", 9),
        ('{"a":' * 10_000, "bad_json", None),
    ],
    ids=lambda value: str(value)[:30],
)
@async_test
async def test_after_a_bad_command_the_connection_lives(
    message: str | bytes, code: str, request_id: int | None
) -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        await ann.websocket.send(message)
        answer = await ann.answer(request_id)
        assert (answer["type"], answer["code"]) == ("error", code)
        assert (await ann.ask("list_rooms"))["type"] == "ack"


@async_test
async def test_a_guest_who_vanishes_stays_a_member() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        async with client(address, "Bob", "lobby") as bob:
            await bob.ask("create_room", room="tea")
            await bob.ask("join", room="tea")
            bob.websocket.abort()
        left = await ann.event("left")
        assert left == {"type": "left", "room": "lobby", "user": "Bob", "count": 1, "away": True}
        assert await ann.members("lobby") == {"Ann": True, "Bob": False}
        assert await ann.members("tea") == {"Bob": False}


@async_test
async def test_a_guest_who_says_goodbye_leaves_all_rooms() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        async with client(address, "Bob", "lobby") as bob:
            await bob.ask("create_room", room="tea")
            await bob.ask("join", room="tea")
        left = await ann.event("left")
        assert left == {"type": "left", "room": "lobby", "user": "Bob", "count": 1}
        assert (await ann.event("room_removed"))["room"] == "tea"
        assert await ann.members("lobby") == {"Ann": True}
        assert (await ann.ask("private", to="Bob", text="psst"))["code"] == "no_such_user"


@async_test
async def test_a_slow_client_is_closed_and_nobody_waits_for_it() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        slow, core = await _enter_without_reading_on(address)
        with slow:
            sent = 0
            # Every message reaches Ann while the slow client takes none, until it is shut out.
            while not any(event["type"] == "left" for event in ann.events):
                assert (await ann.ask("send", room="lobby", text="x" * 4000))["type"] == "ack"
                sent += 1
                assert sent < 10_000
            offsets = [event["offset"] for event in ann.events if event["type"] == "message"]
            assert offsets == list(range(1, sent + 1))
            (left,) = (event for event in ann.events if event["type"] == "left")
            assert left["user"] == "Slow"
            assert await ann.members("lobby") == {"Ann": True, "Slow": False}
            # It is told, should it read again.
            loop = asyncio.get_running_loop()
            while core.close_received is None:
                core.receive_data(await loop.sock_recv(slow, 65536))
            assert core.close_received == rfc6455.Close(4408, "too slow")


async def _enter_without_reading_on(address: str) -> tuple[socket.socket, rfc6455.Connection]:
    """Enters the lobby with a socket that nobody reads from afterwards."""
    host, port = address.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, (host, int(port)))
    request = (
        f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    core = rfc6455.Connection(rfc6455.Role.CLIENT)
    core.send_text('{"type": "hello", "name": "Slow"}')
    core.send_text('{"type": "join", "room": "lobby", "id": "joined"}')
    await loop.sock_sendall(raw, request.encode() + core.data_to_send())
    received = b""
    while b'"id":"joined"' not in received:
        received += await loop.sock_recv(raw, 4096)
    core.receive_data(received.partition(b"\r\n\r\n")[2])
    return raw, core


@async_test
async def test_a_burst_of_commands_is_answered_whole_and_in_order() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        for number in range(1000):
            await ann.post("send", id=number, room="lobby", text="x")
        for number in range(1000):
            assert (await ann.answer(number))["offset"] == number + 1


@async_test
async def test_many_may_come_and_go_at_once() -> None:
    names = [f"Guest {number}" for number in range(200)]
    async with running() as address, client(address, "Ann", "lobby") as ann:
        async with AsyncExitStack() as stack:
            guests = [await stack.enter_async_context(client(address, name)) for name in names]
            for guest in guests:
                await guest.post("join", room="lobby")
            assert {(await ann.event("joined"))["user"] for _ in names} == set(names)
            for guest in guests:
                guest.websocket.abort()
        assert {(await ann.event("left"))["user"] for _ in names} == set(names)
        assert (await ann.ask("members", room="lobby"))["online"] == 1


@async_test
async def test_no_history_is_too_long_to_be_sent() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        # What takes the most space in JSON.
        for _ in range(100):
            await ann.ask("send", room="lobby", text="\x01" * 4000)
        async with client(address, "Bob") as bob:
            answer = await bob.ask("join", room="lobby")
            assert answer["history"][-1]["offset"] == 100
            assert len(json.dumps(answer)) < 1024 * 1024


@async_test
async def test_a_room_that_nobody_joined_goes_with_its_creator() -> None:
    async with running(max_rooms=3) as address, client(address, "Ann") as ann:
        async with client(address, "Bob") as bob:
            for room in ("tea", "milk"):
                assert (await bob.ask("create_room", room=room))["type"] == "ack"
            assert (await ann.ask("create_room", room="cake"))["code"] == "too_many_rooms"
            await ann.ask("join", room="tea")
        removed = await ann.event("room_removed")
        assert removed == {"type": "room_removed", "room": "milk", "members": 0}
        assert await ann.members("tea") == {"Ann": True}
        assert (await ann.ask("create_room", room="cake"))["type"] == "ack"


@async_test
async def test_one_user_keeps_so_many_rooms_and_no_more() -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        for number in range(1, 100):
            assert (await ann.ask("create_room", room=str(number)))["type"] == "ack"
        assert (await ann.ask("create_room", room="100"))["code"] == "too_many_rooms"
        async with client(address, "Bob") as bob:
            await bob.ask("create_room", room="bob")
            assert (await ann.ask("join", room="bob"))["code"] == "too_many_rooms"
        # One's own is counted already.
        assert (await ann.ask("join", room="99"))["type"] == "ack"
        assert (await ann.ask("leave", room="99"))["type"] == "ack"
        assert (await ann.ask("create_room", room="100"))["type"] == "ack"


@async_test
async def test_stats_count_connections_users_and_rooms() -> None:
    async with running() as address, client(address), client(address, "Ann", "lobby"):
        found = await stats(address)
        assert found.pop("uptime") >= 0
        rooms = [{"room": "lobby", "members": 1}]
        assert found == {"connections": 2, "users": 1, "rooms": rooms, "draining": False}


@async_test
async def test_the_server_goes_away_with_1001() -> None:
    async with AsyncExitStack() as stack:
        connected: Client
        async with running() as address:
            connected = await stack.enter_async_context(client(address, "Ann", "lobby"))
        async for _ in connected.websocket:
            pass
        assert connected.websocket.close_code == 1001


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://{}", True),
        ("https://{}", True),
        ("https://friend.example", True),
        ("null", False),
        ("http://{}.evil.example", False),
        ("http://evil.example", False),
        ("https://friend.example.evil.example", False),
        ("HTTPS://FRIEND.EXAMPLE", False),
        ("https://friend.example:444", False),
    ],
)
@async_test
async def test_only_pages_of_our_own_or_of_friends_may_connect(
    origin: str | None, allowed: bool
) -> None:
    async with running(allowed_origins=("https://friend.example",)) as address:
        uri = f"ws://{address}/ws"
        header = origin and origin.format(address)
        if allowed:
            async with rfc6455.connect(uri, origin=header):
                return
        with pytest.raises(rfc6455.HandshakeError) as caught:
            await rfc6455.connect(uri, origin=header)
        assert caught.value.status == 403


@async_test
async def test_a_websocket_elsewhere_is_not_found() -> None:
    async with running() as address:
        with pytest.raises(rfc6455.HandshakeError) as caught:
            await rfc6455.connect(f"ws://{address}/nowhere")
        assert caught.value.status == 404


@pytest.mark.parametrize("excess", [0, 1])
@async_test
async def test_a_message_has_a_largest_size(excess: int) -> None:
    async with running() as address, client(address, "Ann", "lobby") as ann:
        command = '{"type": "send", "room": "lobby", "text": "%s"}'
        text = "x" * (65536 + excess - len(command % ""))
        await ann.websocket.send(command % text)
        if excess == 0:
            assert (await ann.answer(None))["code"] == "too_long"
            return
        with pytest.raises(rfc6455.ConnectionClosedError) as caught:
            await ann.answer(None)
        assert caught.value.code == 1009


@async_test
async def test_there_are_no_more_connections_than_allowed() -> None:
    async with running(max_connections=2) as address, client(address), client(address):
        with pytest.raises(rfc6455.HandshakeError) as caught:
            await rfc6455.connect(f"ws://{address}/ws")
        assert caught.value.status == 503
