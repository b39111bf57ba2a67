"""Helpers of all tests: frames as a peer would send them, and a connection fed in every way.

What must live here: what two folders of tests need. It knows the core and asyncio, and nothing of
any particular test. What it compares, it compares as values: a `Fault` becomes a `Failure`, and the
bytes that a connection sends become frames, since a client's masking keys differ from run to run.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.connection import Connection, Role, TransportAction
from rfc6455.errors import ProtocolError
from rfc6455.events import Event, Fault, Ping
from rfc6455.frames import Frame, Opcode, decode, encode
from rfc6455.observer import Observer
from rfc6455.state import State

P = ParamSpec("P")

ROOT = Path(__file__).parents[1]
KEY = bytes.fromhex("37fa213d")
"""The masking key of the examples in RFC 6455 §5.7."""

SERVER = Role.SERVER
CLIENT = Role.CLIENT

both_roles = pytest.mark.parametrize("role", [SERVER, CLIENT], ids=["server", "client"])
"""Runs a test for either side of a connection: ``role`` is the side under test."""


def async_test(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs a coroutine function as a test, in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


# Frames


def peer_frame(
    role: Role, opcode: Opcode, payload: bytes = b"", *, fin: bool = True, rsv: int = 0
) -> bytes:
    """A frame as the peer of ``role`` would send it: masked when we are the server."""
    return encode(
        opcode, payload, fin=fin, rsv=rsv, masking_key=KEY if role is Role.SERVER else None
    )


def header(role: Role, first: int, length: bytes) -> bytes:
    """A frame header made of raw bytes, as the peer of ``role`` would send it.

    Args:
        role: the side under test.
        first: the first byte: FIN, the reserved bits and the opcode.
        length: the seven bits of the length, and the bytes of an extended one.
    """
    if role is Role.CLIENT:
        return bytes([first]) + length
    return bytes([first, 0x80 | length[0]]) + length[1:] + bytes(4)


def frames_in(data: bytes) -> list[Frame]:
    """The frames in ``data``, which holds nothing but whole ones."""
    frames = []
    position = 0
    while position < len(data):
        found = decode(data, position, allowed_rsv=0x70)
        assert found is not None, f"unfinished frame at offset {position} of {data!r}"
        frame, position = found
        frames.append(frame)
    return frames


def split(data: bytes, *positions: int) -> list[bytes]:
    """``data``, cut at ``positions``."""
    cuts = [0, *sorted(positions), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(cuts)]


def chunkings(data: bytes) -> Iterator[list[bytes]]:
    """Ways in which reads may cut ``data``: whole, byte by byte, and once at every position.

    The middle of long data is cut more coarsely.
    """
    size = len(data)
    yield [data]
    yield split(
        data, *(range(1, size) if size <= 1000 else {*range(1, 100), *range(100, size, 997)})
    )
    positions = {*range(1, size)} if size <= 40 else {*range(1, 16), *range(size - 5, size)}
    for position in sorted(positions.union(range(1, size, size // 7 + 1))):
        yield split(data, position)


# The opening handshake

NONCE = "dGhlIHNhbXBsZSBub25jZQ=="
"""The Sec-WebSocket-Key of the example in RFC 6455 §1.3."""

OPENING = [
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", NONCE),
    ("Sec-WebSocket-Version", "13"),
]


def head(line: str, *fields: tuple[str, str]) -> bytes:
    """The head of an HTTP message."""
    lines = [line, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def opening(line: str = "GET / HTTP/1.1", **changes: str | list[str] | None) -> bytes:
    """The head of a request that opens a WebSocket.

    Args:
        line: the request line.
        changes: fields by their names in lower case, with underscores: another value, several in a
            list, or None for none.
    """
    fields = {name.lower().replace("-", "_"): (name, [value]) for name, value in OPENING}
    for key, change in changes.items():
        name, _ = fields.get(key, (key.replace("_", "-"), []))
        values = change if isinstance(change, list) else [] if change is None else [change]
        fields[key] = (name, values)
    return head(line, *((name, value) for name, values in fields.values() for value in values))


# Connections


class Failure(NamedTuple):
    """A `Fault`, as a value."""

    code: int
    section: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of some bytes.

    Attributes:
        events: those that the application sees, with a `Failure` for each `Fault`.
        sent: the frames that the connection sent, its own Close included.
        state: where it stands in the end.
        action: what is to be done with TCP in the end.
    """

    events: list[Event | Failure]
    sent: list[Frame]
    state: State
    action: TransportAction


def comparable(events: Iterable[Event]) -> list[Event | Failure]:
    return [
        Failure(event.error.code, event.error.section) if isinstance(event, Fault) else event
        for event in events
    ]


def run(
    chunks: Iterable[bytes],
    role: Role = SERVER,
    *,
    prepare: Callable[[Connection], None] | None = None,
    **options: Any,
) -> Outcome:
    """Gives ``chunks`` to a new connection, answering a Close or a Fault when it comes.

    Args:
        chunks: what each read brings.
        role: the side under test.
        prepare: what is done with the connection before.
        options: further arguments of `Connection`.
    """
    connection = Connection(role, **options)
    if prepare is not None:
        prepare(connection)
    events: list[Event] = []
    sent = b""
    for chunk in chunks:
        events += connection.receive_data(chunk)
        connection.answer_close()
        sent += connection.data_to_send()
    return Outcome(
        comparable(events), frames_in(sent), connection.state, connection.transport_action
    )


TRAILING = b"trailing"


def deliver(data: bytes, role: Role = SERVER, **options: Any) -> Outcome:
    """Gives whole frames, or frames up to a fault, to new connections in every way.

    However reads cut them, the outcome is the same; and so it is with more data behind them, which
    makes one more event while the connection goes on, and none once it has ended.

    Returns:
        The outcome, without trailing data.
    """
    outcome, *others = [run(chunks, role, **options) for chunks in chunkings(data)]
    for other in others:
        assert other == outcome
    trailing = peer_frame(role, Opcode.PING, TRAILING)
    for chunks in ([data + trailing], [data, trailing], [data[:-1], data[-1:] + trailing]):
        followed = run(chunks, role, **options)
        if outcome.state in (State.OPEN, State.CLOSE_SENT):
            assert followed.events == [*outcome.events, Ping(TRAILING)]
        else:
            assert followed == outcome
    return outcome


def assert_fails(
    data: bytes,
    code: CloseCode,
    section: str,
    role: Role = SERVER,
    *,
    after: Sequence[Event] = (),
    **options: Any,
) -> None:
    """Proves that ``data`` fails the connection, however reads cut it.

    The fault comes after the events ``after``, a Close with ``code`` is the last frame that we
    send, and what follows is ignored.
    """
    outcome = deliver(data, role, **options)
    assert outcome.events == [*after, Failure(code, section)]
    last = outcome.sent[-1]
    assert last.opcode is Opcode.CLOSE
    assert Close.parse(last.payload).code == code
    assert [frame.opcode for frame in outcome.sent].count(Opcode.CLOSE) == 1
    assert outcome.state is State.CLOSE_EXCHANGED
    assert outcome.action is TransportAction.HALF_CLOSE


# Work and processes


def growth(work: Callable[[int], object], size: int) -> float:
    """The exponent with which the processor time of ``work`` grows: 1 for linear, 2 for quadratic.

    The best of a few runs counts, at ``size`` and at eight times that, in turns: what else the
    machine does hits both.
    """
    best = {size: math.inf, 8 * size: math.inf}
    for size_now in [*best] * 3:
        start = time.process_time()
        work(size_now)
        best[size_now] = min(best[size_now], time.process_time() - start)
    return math.log(best[8 * size] / best[size], 8)


def run_python(script: str, *arguments: str, timeout: float = 200) -> str:
    """Runs a script in a new interpreter and returns what it prints.

    For what cannot be seen in a process that other tests share, such as memory.
    """
    completed = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


class RecordingObserver(Observer):
    """Notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def opened(self, connection: Any, core: Any) -> None:
        self.seen.append(("opened", core.role))

    def received(self, connection: Any, data: bytes, events: Sequence[Event], frames: int) -> None:
        self.seen.append(("received", len(data), list(events), frames))

    def sent(self, connection: Any, data: bytes, frames: int) -> None:
        self.seen.append(("sent", len(data), frames))

    def latency(self, connection: Any, seconds: float) -> None:
        self.seen.append(("latency", seconds))

    def fault(self, connection: Any, error: ProtocolError) -> None:
        self.seen.append(("fault", int(error.code)))

    def dropped(self, connection: Any, messages: int) -> None:
        self.seen.append(("dropped", messages))

    def answered(self, status: int) -> None:
        self.seen.append(("answered", int(status)))

    def closed(self, connection: Any, code: int) -> None:
        self.seen.append(("closed", code))
