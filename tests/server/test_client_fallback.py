"""The Python client where WebSocket does not get through, or ceases to, or gets through again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import rfc6455
from server import eventsocket, requests
from server.client import ChatError
from server.eventsocket import EventSocket
from tests.helpers import async_test

from .certificates import make_certificate
from .support import client, running, stats
from .test_client import Restarting, chatting, take

CHATTY = 200
"""Messages of each in a conversation."""


class Way:
    """The way to a server, on which something may stand that lets only some requests through.

    Attributes:
        blocked: what has to be in the head of a request for it not to get through.
        answer: what is said to that; None to end the connection.
        lets_through_after: how many are blocked until all get through; None for ever.
        heads: the heads of all requests.
    """

    def __init__(self, address: str) -> None:
        self._host, port = address.split(":")
        self._port = int(port)
        self.blocked = b"upgrade: websocket"
        self.answer: bytes | None = None
        self.lets_through_after: int | None = None
        self.heads: list[bytes] = []
        self.address = ""
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Ends all connections."""
        for writer in self._open:
            writer.transport.abort()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self.blocked and self.blocked in head.lower():
                writer.write(self.answer or b"")
                if self.lets_through_after is not None:
                    self.lets_through_after -= 1
                    self.blocked = self.blocked if self.lets_through_after else b""
                return
            if head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                head = b""
            there, back = await asyncio.open_connection(self._host, self._port)
            self._open.add(back)
            back.write(head.replace(b"http://" + self.address.encode(), b""))
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def way_to(address: str) -> AsyncIterator[Way]:
    way = Way(address)
    async with await asyncio.start_server(way.relay, "127.0.0.1", 0) as server:
        way.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield way
        way.cut()


@pytest.mark.parametrize(
    "answer",
    [None, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n"],
    ids=["dropped", "forbidden", "bad gateway"],
)
@async_test
async def test_where_websocket_is_blocked_events_do_for_it(answer: bytes | None) -> None:
    async with running() as address, way_to(address) as way:
        way.answer = answer
        async with (
            chatting(way.address, "Ann", "lobby") as ann,
            chatting(address, "Bob", "lobby") as bob,
        ):
            assert ann.is_fallback
            assert not bob.is_fallback
            attempts = [head for head in way.heads if b"/ws" in head]
            assert len(attempts) == (1 if answer and b"403" in answer else 2)
            deliveries = [ann.send("lobby", str(number)) for number in range(CHATTY)]
            assert [await delivery for delivery in deliveries] == list(range(1, CHATTY + 1))
            heard = [event["text"] for event in await take(bob, CHATTY)]
            assert heard == [str(number) for number in range(CHATTY)]
            await bob.send("lobby", "back")
            assert (await take(ann, CHATTY + 1))[-1]["text"] == "back"


@async_test
async def test_nothing_is_lost_when_the_kind_of_connection_changes() -> None:
    async with running() as address, way_to(address) as way:
        way.blocked = b""
        async with (
            chatting(way.address, "Ann", "lobby") as ann,
            chatting(address, "Bob", "lobby") as bob,
        ):
            sent = 0
            kinds = []
            texts: list[tuple[str, str]] = []
            for blocked in (b"", b"upgrade: websocket", b"/events", b"upgrade: websocket", b""):
                way.blocked = blocked
                deliveries = []
                for number in range(20):
                    # While messages are under way in both directions.
                    deliveries += [
                        ann.send("lobby", f"ann {sent + number}"),
                        bob.send("lobby", f"bob {sent + number}"),
                    ]
                    if number == 10:
                        way.cut()
                sent += 20
                for delivery in deliveries:
                    await delivery
                kinds.append(ann.is_fallback)
            assert kinds[1:4] == [True, False, True]
            for chat in (ann, bob):
                events = await take(chat, 2 * sent)
                assert [event["offset"] for event in events] == list(range(1, 2 * sent + 1))
                texts = [tuple(event["text"].split()) for event in events]
                for name in ("ann", "bob"):
                    numbers = [int(number) for who, number in texts if who == name]
                    assert numbers == list(range(sent))


@async_test
async def test_private_messages_are_not_lost_either() -> None:
    async with (
        running() as address,
        way_to(address) as way,
        chatting(address, "Bob") as bob,
        chatting(way.address, "Ann") as ann,
    ):
        assert ann.is_fallback
        await bob.send_private("Ann", "1")
        way.blocked = b"/events"
        way.cut()
        await bob.send_private("Ann", "2")
        texts = [event["text"] for event in await take(ann, 2, "private")]
        assert texts == ["1", "2"]
        await ann.send_private("Bob", "3")
        assert not ann.is_fallback


@async_test
async def test_what_worked_is_tried_first_after_a_restart(tmp_path: Path) -> None:
    async with (
        Restarting(database=str(tmp_path / "db")) as server,
        way_to(server.address) as way,
        chatting(way.address, "Ann", "lobby") as ann,
    ):
        assert ann.is_fallback
        way.blocked = b""
        tries = len(way.heads)
        await server.stop()
        await server.start()
        assert await ann.send("lobby", "back") == 1
        assert b"/events" in way.heads[tries]


@async_test
async def test_a_server_that_refuses_both_kinds_ends_the_attempt() -> None:
    async with running() as address, way_to(address) as way:
        way.blocked = b"get "
        way.answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(ChatError) as caught:
            async with chatting(way.address, "Ann"):
                pass
        assert caught.value.code == "closed"
        assert [head.split()[1] for head in way.heads] == [b"/ws", b"/events"]


@async_test
async def test_who_wants_no_fallback_has_none() -> None:
    async with running() as address, way_to(address) as way:
        way.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(ChatError):
            async with chatting(way.address, "Ann", has_fallback=False):
                pass


@pytest.mark.parametrize("is_fallback", [False, True])
@async_test
async def test_a_guest_may_say_that_it_comes_back(is_fallback: bool) -> None:
    async with (
        running(away_after=60.0) as address,
        way_to(address) as way,
        client(address, "Bob", "lobby") as bob,
    ):
        way.blocked = b"upgrade: websocket" if is_fallback else b""
        async with chatting(way.address, "Ann", "lobby", is_coming_back=True) as ann:
            assert ann.is_fallback is is_fallback
            user, secret = ann.user, ann.secret
        while (await stats(address))["connections"] > 1:
            pass
        async with chatting(way.address, "Ann", secret=secret) as ann:
            assert ann.user == user
            assert await bob.members("lobby") == {"Ann": True, "Bob": True}
        assert (await bob.event("left")).get("away", False) is False


# The connection by itself


@async_test
async def test_a_request_whose_answer_is_lost_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventsocket, "PAUSE", 0.0)
    async with (
        running() as address,
        way_to(address) as way,
        EventSocket(f"ws://{way.address}/ws") as socket,
    ):
        way.blocked = b"post "
        way.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        way.lets_through_after = 2
        await socket.send('{"type": "hello", "id": 1, "name": "Ann"}')
        messages = aiter(socket)
        assert '"welcome"' in await anext(messages)
        assert '"secret"' in await anext(messages)
        assert sum(head.startswith(b"POST") for head in way.heads) == 3


@pytest.mark.parametrize("status", [503, 404], ids=["for long", "for good"])
@async_test
async def test_what_cannot_be_sent_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(eventsocket, "PAUSE", 0.0)
    async with running() as address, way_to(address) as way:
        async with EventSocket(f"ws://{way.address}/ws") as socket:
            way.blocked = b"post "
            way.answer = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
            await socket.send("{}")
            assert '"welcome"' in await socket.recv()
            with pytest.raises(rfc6455.ConnectionClosedError) as caught:
                await socket.recv()
            assert caught.value.code == 1006
            with pytest.raises(rfc6455.ConnectionClosedError):
                await socket.send("{}")
        tries = sum(head.startswith(b"POST") for head in way.heads)
        assert tries == (eventsocket.TRIES if status == 503 else 1)


@async_test
async def test_silence_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as address, EventSocket(f"ws://{address}/ws") as socket:
        assert '"welcome"' in await socket.recv()
        monkeypatch.setattr(eventsocket, "SILENCE", 0.0)
        with pytest.raises(rfc6455.ConnectionClosedError):
            await socket.recv()


@async_test
async def test_an_event_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as address, EventSocket(f"ws://{address}/ws") as socket:
        assert '"welcome"' in await socket.recv()
        monkeypatch.setattr(eventsocket, "MAX_EVENT", 100)
        socket._rest = b"data: " + b"x" * 100
        await socket.send('{"type": "list_rooms"}')
        with pytest.raises(rfc6455.ConnectionClosedError):
            await socket.recv()


@async_test
async def test_the_servers_reason_to_close_is_told() -> None:
    async with (
        running(auth="token", jwt_secret="a secret of more than thirty-two bytes") as address,
        EventSocket(f"ws://{address}/ws") as socket,
    ):
        await socket.send('{"type": "hello"}')
        with pytest.raises(rfc6455.ConnectionClosedError) as caught:
            _ = [message async for message in socket]
        assert caught.value.code == 4401


@async_test
async def test_what_is_no_chat_is_refused() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: hello\n\n")
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(rfc6455.HandshakeError):
            async with EventSocket(f"ws://127.0.0.1:{port}/ws"):
                pass


@pytest.mark.parametrize("credentials", ["", "me:secret@"])
@async_test
async def test_a_proxy_leads_there(credentials: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as address, way_to(address) as way:
        way.blocked = b""
        # The relay takes the first part of an absolute URI away, as a proxy does.
        uri = f"ws://{way.address}/ws"
        monkeypatch.setenv("http_proxy", f"http://{credentials}{way.address}")
        monkeypatch.delenv("no_proxy", raising=False)
        async with EventSocket(uri) as socket:
            assert '"welcome"' in await socket.recv()
        assert way.heads[0].startswith(b"GET http://" + way.address.encode() + b"/events ")
        assert (b"proxy-authorization: basic" in way.heads[0].lower()) is bool(credentials)


@async_test
async def test_a_proxy_leads_there_over_tls(tmp_path: Path) -> None:
    settings = make_certificate(tmp_path, 1)
    trusting = ssl.create_default_context(cafile=settings["tls_certificate"])
    async with running(**settings) as address, way_to(address) as way:
        way.blocked = b""
        uri = f"wss://localhost:{address.split(':')[1]}/ws"
        options: dict[str, Any] = {"ssl": trusting, "proxy": f"http://{way.address}"}
        async with EventSocket(uri, **options) as socket:
            assert '"welcome"' in await socket.recv()
        assert way.heads[0].startswith(b"CONNECT localhost:")
        way.blocked = b"connect "
        way.answer = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(rfc6455.ProxyError):
            async with EventSocket(uri, **options):
                pass


@async_test
async def test_other_proxies_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="HTTP proxies"):
        async with EventSocket("ws://chat.example/ws", proxy="socks5://127.0.0.1:1"):
            pass
    asked = requests.Requests("ws://chat.example/ws", "/events", proxy=None)
    assert asked._proxy is None
