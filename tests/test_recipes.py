"""The recipes of ``docs/howto/recipes.md`` do what their page says.

Each is run as its user runs it, and talked to by clients; where time matters, its handler runs in
memory on a clock that need not be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
import websockets.asyncio.client

import rfc6455
import rfc6455.sync
from rfc6455 import ConnectionClosed, HandshakeError, WebSocket
from rfc6455.testing import serving, settle, virtual_time
from tests.helpers import async_test
from tests.programs import background, free_port
from tests.test_examples import EXAMPLES, ask, copied
from tests.transports.support import receive_all

PAGE = EXAMPLES.parent / "docs" / "howto" / "recipes.md"
SECRET = "a secret of thirty-two characters or more"


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[int]:
    """Runs a recipe, and gives its port."""
    port = free_port()
    for page in EXAMPLES.glob("*.html"):
        (folder / page.name).write_text(page.read_text("utf-8"), "utf-8")
    with background(copied(name, folder, port)) as first_line:
        assert str(port) in first_line
        yield port


def load(name: str) -> ModuleType:
    """A recipe as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def receive(websocket: WebSocket) -> Any:
    return json.loads(await websocket.recv())


async def say(websocket: WebSocket, **command: Any) -> None:
    await websocket.send(json.dumps(command))


# Everybody hears everybody


@pytest.mark.parametrize("program", ["talk_server.py", "threads_talk.py"])
def test_talk(program: str, tmp_path: Path) -> None:
    @async_test
    async def talk(port: int) -> None:
        uri = f"ws://localhost:{port}"
        async with rfc6455.connect(uri) as one:
            assert (await receive(one))["message"] == "Welcome!"
            # A client of another library, and of nobody's class.
            async with websockets.asyncio.client.connect(uri, proxy=None) as two:
                await two.recv()
                joined = await receive(one)
                assert (joined["type"], joined["count"]) == ("user_joined", 2)
                await two.send('{"message": "Hello"}')
                assert json.loads(await two.recv())["message"] == "Hello"
                assert (await receive(one))["message"] == "Hello"
            left = await receive(one)
            assert (left["type"], left["count"]) == ("user_left", 1)
            for nonsense in ("nonsense", "[1]", "{}", '{"message": 1}', "[" * 100_000, b"\xff"):
                await one.send(nonsense)
                assert (await receive(one))["type"] == "error"

    with running(program, tmp_path) as port:
        talk(port)


def test_the_client_of_talk(tmp_path: Path) -> None:
    with running("talk_server.py", tmp_path) as port:
        process = subprocess.Popen(
            [sys.executable, copied("talk_client.py", tmp_path, port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "* Welcome!\n"
            for line in ("Hello\n", "Grüße\n"):
                process.stdin.write(line)
                process.stdin.flush()
                assert process.stdout.readline() == f"> {line}"
            process.stdin.close()
            assert process.stdout.read() == process.stderr.read() == ""
        assert process.returncode == 0


# Tokens


def token(lifetime: float = 60, secret: str = SECRET, **claims: Any) -> str:
    claims = {"sub": "ann", "exp": time.time() + lifetime, **claims}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, "HS256")


@pytest.mark.parametrize("program", ["token_auth.py", "threads_tokens.py"])
def test_tokens(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", SECRET)

    @async_test
    async def talk(port: int) -> None:
        uri = f"ws://localhost:{port}"
        header = {"Authorization": f"Bearer {token()}"}
        async with (
            rfc6455.connect(uri, additional_headers=header) as program,
            rfc6455.connect(uri, subprotocols=["talk", f"bearer.{token(sub='bob')}"]) as browser,
        ):
            assert browser.subprotocol == "talk"
            assert await receive(program) == {"connected": "ann"}
            assert await receive(browser) == {"connected": "bob"}
            await program.send("Hello")
            assert await receive(browser) == {"user": "ann", "message": "Hello"}
        for bad in (
            token(-60),
            token(secret=SECRET[::-1]),
            token(exp=None),
            token(sub=None),
            token() + "x",
            jwt.encode({"sub": "ann", "exp": time.time() + 60}, "", "none"),
        ):
            with pytest.raises(HandshakeError) as refused:
                await rfc6455.connect(uri, subprotocols=["talk", f"bearer.{bad}"])
            assert refused.value.status == 401
        for offered in ([], [f"bearer.{token()}", f"bearer.{token(61)}"]):
            with pytest.raises(HandshakeError) as refused:
                await rfc6455.connect(uri, subprotocols=offered)
            assert refused.value.status == 401

    with running(program, tmp_path) as port:
        talk(port)


@virtual_time
async def test_a_token_that_expires_ends_the_connection() -> None:
    recipe = load("token_auth")
    offered = ["talk", f"bearer.{recipe.create_token('ann', 3600)}"]
    async with (
        serving(recipe.talk, select_subprotocol=recipe.admit) as server,
        server.connect(subprotocols=offered) as websocket,
    ):
        assert await receive(websocket) == {"connected": "ann"}
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == recipe.EXPIRED
        assert 3590 < asyncio.get_running_loop().time() <= 3600


def test_a_token_that_expires_ends_the_connection_of_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = load("threads_tokens")
    offered = ["talk", f"bearer.{recipe.create_token('ann', 3600)}"]

    class NearlyThen:
        def time(self) -> float:
            return time.time() + 3599.9

    monkeypatch.setattr(recipe, "time", NearlyThen())
    with (
        rfc6455.sync.serve(recipe.talk, "localhost", 0, select_subprotocol=recipe.admit) as server,
        rfc6455.sync.connect(
            f"ws://localhost:{server.sockets[0].getsockname()[1]}", subprotocols=offered
        ) as websocket,
    ):
        assert json.loads(websocket.recv()) == {"connected": "ann"}
        with pytest.raises(ConnectionClosed):
            websocket.recv()
        assert websocket.close_code == recipe.EXPIRED


# Rates


@pytest.mark.parametrize("program", ["rate_limit.py", "threads_rates.py"])
def test_rates(program: str, tmp_path: Path) -> None:
    @async_test
    async def talk(port: int) -> None:
        uri = f"ws://localhost:{port}"
        refused = 0
        # Reconnecting does not help. A machine that takes a second for this gains a message.
        while not refused:
            async with rfc6455.connect(uri) as websocket:
                for number in range(10):
                    await websocket.send(str(number))
                    if await websocket.recv() != str(number):
                        refused += 1

    with running(program, tmp_path) as port:
        talk(port)


@pytest.mark.parametrize("program", ["rate_limit", "threads_rates"])
def test_buckets_empty_and_fill(program: str) -> None:
    limiter = load(program).RateLimiter(burst=3, per_second=0.5)
    assert [limiter.wait_for("ann", 0.0) for _ in range(4)] == [0, 0, 0, 2]
    assert limiter.wait_for("bob", 0.0) == 0
    assert limiter.wait_for("ann", 1.0) == 1
    assert limiter.wait_for("ann", 2.0) == 0
    assert limiter.wait_for("ann", 2.0) == 2
    for number in range(1000):
        assert limiter.wait_for(f"client {number}", 100.0 + number) == 0
    assert len(limiter._spent) <= 3


@virtual_time
async def test_who_does_not_stop_is_disconnected() -> None:
    recipe = load("rate_limit")
    async with serving(recipe.echo) as server, server.connect() as websocket:
        for number in range(1000):
            with contextlib.suppress(ConnectionClosed):
                await websocket.send(str(number))
        answers, error = await receive_all(websocket)
    assert error.code == 1008
    echoed = [answer for answer in answers if "retry_after" not in str(answer)]
    assert echoed[:10] == [*map(str, range(10))]
    assert len(answers) - len(echoed) == recipe.PATIENCE


# Notifications


@pytest.mark.parametrize("program", ["notifications.py", "threads_notifications.py"])
def test_notifications(program: str, tmp_path: Path) -> None:
    def publish(port: int, topic: str, body: bytes, kind: str = "application/json") -> Any:
        connection = http.client.HTTPConnection("localhost", port)
        connection.request("POST", f"/topics/{topic}", body, {"Content-Type": kind})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    @async_test
    async def talk(port: int) -> None:
        uri = f"ws://localhost:{port}"
        async with rfc6455.connect(uri) as one, rfc6455.connect(uri) as two:
            # The thread that watches the disk has said something, or is about to.
            await say(one, subscribe="disk")
            assert await receive(one) == {"subscribed": "disk"}
            assert 0 <= (await receive(one))["notification"]["percent"] <= 100
            for websocket in (one, two):
                await say(websocket, subscribe="orders")
                assert await receive(websocket) == {"subscribed": "orders"}
            order = {"title": "New order", "number": 7}
            body = json.dumps(order).encode()
            assert await asyncio.to_thread(publish, port, "orders", body) == {"subscribers": 2}
            for websocket in (one, two):
                assert await receive(websocket) == {"topic": "orders", "notification": order}
            await say(two, unsubscribe="orders")
            assert await receive(two) == {"unsubscribed": "orders"}
            assert await asyncio.to_thread(publish, port, "orders", body) == {"subscribers": 1}
            await say(two, subscribe="nothing")
            assert "error" in await receive(two)
            await two.send("nonsense")
            assert "error" in await receive(two)
        for topic, body, kind in (
            ("nothing", b"1", "application/json"),
            ("orders", b"nonsense", "application/json"),
            ("orders", b"1", "text/plain"),
        ):
            assert "error" in await asyncio.to_thread(publish, port, topic, body, kind)

    with running(program, tmp_path) as port:
        talk(port)
        assert b"<title>Notifications</title>" in ask(port, "GET", "/")[1]


# Prices


@pytest.mark.parametrize("program", ["ticker.py", "threads_ticker.py"])
def test_ticker(program: str, tmp_path: Path) -> None:
    @async_test
    async def talk(port: int) -> None:
        async with rfc6455.connect(f"ws://localhost:{port}/stocks") as websocket:
            told = [await receive(websocket) for _ in range(6)]
        assert {quote["symbol"] for quote in told} == {"AAPL", "AMZN", "GOOGL", "MSFT", "TSLA"}

    with running(program, tmp_path) as port:
        talk(port)
        assert b"<title>Prices</title>" in ask(port, "GET", "/")[1]


@virtual_time
async def test_who_watches_slowly_sees_the_latest_prices() -> None:
    recipe = load("ticker")
    limits = rfc6455.Limits(write_high_water=1000, write_timeout=None, ping_interval=None)
    trading = asyncio.create_task(recipe.trade())
    uri = "ws://localhost/stocks"
    async with (
        serving(recipe.router, limits=limits) as server,
        server.connect(uri, limits=rfc6455.Limits(max_queued_messages=1)) as slow,
        server.connect(uri) as quick,
    ):
        seen: list[str | bytes] = []

        async def watch() -> None:
            while True:
                seen.append(await quick.recv())

        watching = asyncio.create_task(watch())
        await asyncio.sleep(3600)
        trading.cancel()
        await settle()
        assert len(seen) > 3600 / recipe.INTERVAL - 10
        caught_up: dict[str, float] = {}
        count = 0
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(10):
                    quote = await receive(slow)
                caught_up[quote["symbol"]] = quote["price"]
                count += 1
        assert caught_up == {symbol: round(price, 2) for symbol, price in recipe.prices.items()}
        assert count < len(seen)
        watching.cancel()


# Rooms


@pytest.mark.parametrize("program", ["rooms.py", "threads_rooms.py"])
def test_rooms(program: str, tmp_path: Path) -> None:
    @async_test
    async def talk(port: int) -> None:
        uri = f"ws://localhost:{port}"
        async with rfc6455.connect(f"{uri}/ann") as ann:
            await say(ann, join="tea")
            assert await receive(ann) == {"room": "tea", "users": ["ann"]}
            assert await receive(ann) == {"rooms": ["tea"]}
            async with rfc6455.connect(f"{uri}/bob") as bob:
                await say(bob, join="tea")
                assert await receive(ann) == {"room": "tea", "users": ["ann", "bob"]}
                assert await receive(bob) == {"room": "tea", "users": ["ann", "bob"]}
                assert await receive(bob) == {"rooms": ["tea"]}
                await say(bob, say="Hello", room="tea")
                hello = {"room": "tea", "from": "bob", "text": "Hello"}
                assert await receive(ann) == await receive(bob) == hello
                await say(bob, join="coffee")
                assert await receive(bob) == {"room": "coffee", "users": ["bob"]}
                assert await receive(bob) == {"rooms": ["coffee", "tea"]}
                await say(bob, leave="coffee")
                assert await receive(bob) == {"rooms": ["tea"]}
                await say(bob, rooms=None)
                assert await receive(bob) == {"rooms": ["tea"]}
            # Who is gone is in no room.
            assert await receive(ann) == {"room": "tea", "users": ["ann"]}
            nonsense: Any
            for nonsense in (
                {"say": "x", "room": "coffee"},
                {"leave": "coffee"},
                {"join": "a b"},
                {"join": 1},
                [],
            ):
                await ann.send(json.dumps(nonsense))
                assert "error" in await receive(ann)
            await ann.send("nonsense")
            assert "error" in await receive(ann)

    with running(program, tmp_path) as port:
        talk(port)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="needs SO_REUSEPORT")
def test_workers_say_what_one_of_them_hears(tmp_path: Path) -> None:
    @async_test
    async def talk(port: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            people: dict[str | bytes, WebSocket] = {}
            # The kernel chooses a process by the client's port.
            while len(people) < 2:
                someone = await stack.enter_async_context(rfc6455.connect(f"ws://localhost:{port}"))
                people[await someone.recv()] = someone
            for speaker in people.values():
                await speaker.send("Hello")
                assert [await someone.recv() for someone in people.values()] == ["Hello"] * 2

    with running("workers.py", tmp_path) as port:
        talk(port)


@virtual_time
async def test_rooms_leave_nothing_behind() -> None:
    recipe = load("rooms")
    async with serving(recipe.router) as server:
        async with server.connect("ws://localhost/ann") as ann:
            for number in range(recipe.ROOMS_OF_ONE):
                await say(ann, join=f"room{number}")
                await receive(ann)
                assert len((await receive(ann))["rooms"]) == number + 1
            await say(ann, join="one-more")
            assert "error" in await receive(ann)
        await settle()
        assert (dict(recipe.rooms._members), dict(recipe.rooms._rooms)) == ({}, {})


def test_the_page_includes_every_recipe() -> None:
    page = PAGE.read_text("utf-8")
    included = re.findall(r"literalinclude\} \.\./\.\./examples/(\S+)", page)
    assert sorted(included) == sorted(
        f"{name}.py"
        for name in (
            "notifications",
            "rate_limit",
            "rooms",
            "talk_client",
            "talk_server",
            "threads_ticker",
            "ticker",
            "token_auth",
            "workers",
        )
    )
    linked = set(re.findall(r"examples/(threads_\w+\.py)", page))
    programs = {path.name for path in EXAMPLES.glob("threads_*.py")}
    assert linked == programs - {"threads_client.py", "threads_server.py"}
