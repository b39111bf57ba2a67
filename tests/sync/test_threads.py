"""Many threads on one connection: nothing is lost, doubled, cut or mixed, however they meet.

Knows real sockets. Threads are switched far more often than usual, so that they meet everywhere.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest

from rfc6455 import ConnectionClosed, Limits, Overflow, PermessageDeflate, Role
from rfc6455.sync import WebSocket, connect
from tests.transports.conftest import TLS

from .support import PATIENCE, Task, echo, serving, uri

THREADS = 8


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def content(sender: int, number: int) -> str:
    """A message that tells who sent it, and that shows when a part of it is missing."""
    size = (0, 10, 200, 3_000, 70_000)[(sender * 7 + number) % 5]
    return f"{sender} {number} " + f"<{sender}:{number}>" * (size // 8)


def pieces(text: str) -> list[str]:
    step = max(len(text) // 3, 1)
    return [text[start : start + step] for start in range(0, len(text), step)]


def numbers_by_sender(messages: list[str | bytes]) -> dict[int, list[int]]:
    """Proves that all messages are whole. Returns the numbers of each sender, in their order."""
    found: dict[int, list[int]] = defaultdict(list)
    for message in messages:
        assert isinstance(message, str)
        sender, number, _ = message.split(" ", 2)
        assert message == content(int(sender), int(number))
        found[int(sender)].append(int(number))
    return found


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "deflate"])
def test_messages_of_many_threads_stay_whole_and_in_order(compress: bool, link: TLS | None) -> None:
    count = 60
    extensions = [PermessageDeflate()] if compress else []
    with (
        serving(echo, ssl=link and link.server, extensions=extensions) as server,
        connect(
            uri(server, scheme="wss" if link else "ws"),
            ssl=link and link.client,
            extensions=extensions,
        ) as websocket,
    ):

        def send_all(sender: int) -> None:
            for number in range(count):
                text = content(sender, number)
                # Every third one in fragments.
                websocket.send(pieces(text) if number % 3 == 0 else text)
                if number % 20 == 10:
                    websocket.ping()

        senders = [Task(send_all, sender) for sender in range(THREADS)]
        received = [websocket.recv() for _ in range(THREADS * count)]
        for sender in senders:
            sender.result()
        assert numbers_by_sender(received) == {s: list(range(count)) for s in range(THREADS)}
        with pytest.raises(TimeoutError):
            websocket.recv(timeout=0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("closer", [Role.CLIENT, Role.SERVER], ids=["we close", "the peer closes"])
def test_what_send_says_is_true_when_the_connection_is_closed_meanwhile(
    seed: int, closer: Role
) -> None:
    """Each message of which `send` returned has arrived, and no other, when we close.

    When the peer does, those that crossed its Close are lost, but what arrives has no gaps.
    """
    rng = random.Random(seed)
    stop_after = rng.randrange(1, 400)
    arrived: list[str | bytes] = []
    returned: dict[int, list[int]] = defaultdict(list)
    enough = threading.Event()

    def collect(websocket: WebSocket) -> None:
        for message in websocket:
            arrived.append(message)
            if len(arrived) == stop_after:
                enough.set()
                if closer is Role.SERVER:
                    websocket.close()

    with serving(collect) as server:
        websocket = connect(uri(server)).open()

        def send_all(sender: int) -> None:
            for number in itertools.count():
                text = content(sender, number)
                websocket.send(pieces(text) if number % 5 == 4 else text)
                returned[sender].append(number)

        def send_until_closed(sender: int) -> None:
            with pytest.raises(ConnectionClosed):
                send_all(sender)

        def receive_until_closed() -> None:
            for _ in websocket:
                pass

        tasks = [Task(send_until_closed, sender) for sender in range(THREADS)]
        tasks.append(Task(receive_until_closed))
        assert enough.wait(60)
        closers = [Task(websocket.close) for _ in range(3)]
        for task in (*tasks, *closers):
            task.result()
        assert websocket.close_code in (1000, 1011)
    found = numbers_by_sender(arrived)
    for sender, numbers in found.items():
        assert numbers == list(range(len(numbers)))
        if closer is Role.CLIENT:
            # A message in fragments that was cut off by our Close did not arrive.
            assert numbers == returned[sender]
        else:
            assert len(numbers) <= len(returned[sender]) + 1


@pytest.mark.parametrize("seed", range(5))
def test_every_thread_comes_back_from_an_abort(seed: int) -> None:
    rng = random.Random(seed)
    with serving(echo) as server:
        websocket = connect(uri(server)).open()

        def use(sender: int) -> None:
            for number in itertools.count():
                if sender == 0:
                    websocket.recv()
                elif sender == 1:
                    websocket.ping()
                elif sender == 2:
                    websocket.push(content(sender, number), overflow=Overflow.DROP_OLDEST)
                else:
                    websocket.send(content(sender, number))

        tasks = [Task(use, sender) for sender in range(THREADS)]
        threading.Event().wait(rng.random() * 0.05)
        websocket.abort()
        for task in tasks:
            with pytest.raises(ConnectionClosed):
                task.result()
        websocket.wait_closed()
        assert websocket.close_code == 1006


def test_threads_that_receive_in_turn_lose_nothing() -> None:
    """One at a time, in changing threads, with time limits that race with arrivals."""
    count = 500
    received: list[str | bytes] = []
    turn = threading.Lock()

    def send_all(websocket: WebSocket) -> None:
        for number in range(count):
            websocket.send(str(number))

    with serving(send_all) as server, connect(uri(server)) as websocket:

        def receive() -> None:
            while True:
                with turn:
                    if len(received) == count:
                        return
                    try:
                        received.append(websocket.recv(timeout=1e-4))
                    except TimeoutError:
                        continue

        tasks = [Task(receive) for _ in range(4)]
        for task in tasks:
            task.result()
    assert received == [str(number) for number in range(count)]


def test_many_connections_at_once() -> None:
    def exchange(number: int) -> None:
        with connect(uri(server), limits=patient) as websocket:
            for turn in range(20):
                text = content(number, turn)
                websocket.send(text)
                assert websocket.recv() == text

    # A busy machine may keep the last of them waiting for as long as a test may take.
    patient = Limits(open_timeout=PATIENCE, close_timeout=PATIENCE)
    with serving(echo, limits=patient) as server:
        tasks = [Task(exchange, number) for number in range(40)]
        for task in tasks:
            task.result()
