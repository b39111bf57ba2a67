"""`rfc6455.connection`: one connection, whatever its peer, its application and its clock do.

The input is a script: two bytes of settings, then steps, each a byte that names it, a byte that
counts, and the bytes that it brings. A step is what the peer sends, a call of the application's, or
time that passes.

For every script:

- Calls return, or raise `UsageError` or `ConnectionClosed`; nothing else.
- What goes out is read by a peer without a fault: the messages that were accepted, in order and
  nothing else; nothing but Pongs behind a Close, and one Close.
- Messages come before the peer's `Close` or a `Fault`, of which there is one at most. `Closed`
  comes once, and last.
- Once the closing handshake has begun, time alone ends the connection, in two steps at most.
- A call that is refused sends nothing.
"""

from __future__ import annotations

from rfc6455 import (
    Close,
    Closed,
    Connection,
    ConnectionClosed,
    Event,
    Fault,
    Limits,
    PermessageDeflate,
    Ping,
    Pong,
    Role,
    State,
    TransportAction,
    UsageError,
)
from rfc6455.frames import Opcode, decode
from rfc6455.parser import Decoder

from ..oracles import require
from ..seeds import CLIENT_STREAMS, SERVER_STREAMS
from .inflate import negotiate

LIMITS = (
    Limits(),
    Limits(max_message_size=64, max_fragments=2, max_discarded_size=4),
    Limits(close_grace=None, close_timeout=None, ping_interval=None),
    Limits(close_grace=0.0, close_timeout=0.0, ping_interval=0.0, ping_timeout=0.0),
)
DEFLATE = PermessageDeflate(threshold=8, window_bits=9, peer_window_bits=9, memory_level=1)
CODES = (1000, 1001, 1005, 1006, 1011, 1015, 3000, 4999, 999, 5000)

RECEIVE, TEXT, BINARY, PING, PONG, CLOSE, ANSWER, FLUSH, WAIT, DEADLINE, PAUSE, END = range(12)


def script(settings: int, *steps: tuple[int, bytes]) -> bytes:
    """Writes a script."""
    return bytes([settings, 0]) + b"".join(
        bytes([name, min(len(data), 255)]) + data[:255] for name, data in steps
    )


def seeds() -> dict[str, bytes]:
    """Returns what a life looks like, ends of all kinds, and every vector as what a peer sends."""
    hello, normal, going = (RECEIVE, b"\x81\x05Hello"), b"\x88\x02\x03\xe8", b"\x88\x02\x03\xe9"
    seeds = {
        "talk": script(0, (TEXT, b"Hi"), hello, (FLUSH, b""), (BINARY, b"\x00\xff"), (FLUSH, b"")),
        "we-close": script(0, (CLOSE, b""), (FLUSH, b""), (RECEIVE, normal), (END, b"")),
        "they-close": script(0, (RECEIVE, going), (TEXT, b"last"), (ANSWER, b""), (FLUSH, b"")),
        "both-close": script(0, (CLOSE, b"\x06why"), (RECEIVE, going), (ANSWER, b""), (CLOSE, b"")),
        "grace": script(0, (RECEIVE, normal), (DEADLINE, b""), (DEADLINE, b""), (DEADLINE, b"")),
        "keepalive": script(0, (DEADLINE, b""), (FLUSH, b""), (DEADLINE, b""), (DEADLINE, b"")),
        "alive": script(
            0, (DEADLINE, b""), (RECEIVE, b"\x8a\x00"), (WAIT, b"\x01"), (DEADLINE, b"")
        ),
        "paused": script(0, (PAUSE, b""), (DEADLINE, b""), (PAUSE, b"x"), (DEADLINE, b"")),
        "pings": script(0, (TEXT, b"a"), *[(RECEIVE, b"\x89\x01%d" % i) for i in range(4)]),
        "fragments": script(0, (TEXT, b"\x01a"), (PING, b"p"), (BINARY, b"b"), (TEXT, b"c")),
        "close-inside": script(0, (TEXT, b"\x01a"), (CLOSE, b""), (TEXT, b"b"), (FLUSH, b"")),
        "deflate": script(32, (TEXT, b"a" * 40), (FLUSH, b""), (TEXT, b"\x01" + b"b" * 9)),
        "fault": script(0, (RECEIVE, b"\x81\x01\xff"), (RECEIVE, b"more"), (DEADLINE, b"")),
        "discard": script(8, (RECEIVE, normal), (RECEIVE, b"four!"), (RECEIVE, b"")),
        "lost": script(0, (TEXT, b"a"), (END, b""), (END, b""), (TEXT, b"b"), (RECEIVE, b"c")),
        "no-limits": script(16, (DEADLINE, b""), (CLOSE, b""), (DEADLINE, b""), (END, b"")),
        "no-time": script(24, (DEADLINE, b""), (DEADLINE, b""), (DEADLINE, b""), (DEADLINE, b"")),
        "codes": script(0, *[(CLOSE, bytes([i])) for i in range(10)]),
    }
    seeds |= {f"as-server-{name}": data[:1] + b"\x01" + data[2:] for name, data in seeds.items()}
    for side, streams in enumerate((SERVER_STREAMS, CLIENT_STREAMS)):
        for name, data in streams.items():
            seed = script(0, (RECEIVE, data), (PING, b""), (ANSWER, b""), (FLUSH, b""))
            seeds[f"{('client', 'server')[side]}-{name}"] = seed[:1] + bytes([side]) + seed[2:]
    return seeds


def check(data: bytes) -> None:
    """Plays a script."""
    if len(data) < 2:
        return
    play = Play(
        Role.SERVER if data[1] & 1 else Role.CLIENT,
        LIMITS[data[0] >> 3 & 3],
        deflate=bool(data[0] & 32),
    )
    position = 2
    while position + 1 < len(data):
        name, size = data[position] % 12, data[position + 1]
        position += 2
        play.step(name, data[position : position + size])
        position += size
    play.finish()


LAST = (Close, Fault, Closed)
"""What a peer's last word leads to; of these, `Closed` alone comes after another."""


class Play:
    """A connection, and what its surroundings may expect of it.

    Args:
        role: which side the connection is.
        limits: its limits.
        deflate: whether permessage-deflate was negotiated.
    """

    def __init__(self, role: Role, limits: Limits, *, deflate: bool) -> None:
        client, server = negotiate(DEFLATE) if deflate else (None, None)
        ours, theirs = (server, client) if role is Role.SERVER else (client, server)
        self.now = 0.0
        self.connection = Connection(role, limits=limits, extensions=[ours] if ours else [])
        self.peer = Decoder(masked=role is Role.CLIENT, extensions=[theirs] if theirs else [])
        self.wire = bytearray()
        self.accepted: list[Event] = []
        self.fragments: str | bytes | None = None
        self.over: list[Event] = []

    def step(self, name: int, data: bytes) -> None:
        """Does one step, and looks at what it led to."""
        connection = self.connection
        state, sent = connection.state, len(self.accepted)
        events: list[Event] = []
        try:
            if name == RECEIVE:
                events = connection.receive_data(data, self.now)
            elif name == DEADLINE:
                self.now = max(self.now, connection.next_deadline() or self.now)
                events = connection.handle_deadline(self.now)
            elif name == END:
                events = connection.receive_eof()
            else:
                self._call(name, data)
        except (UsageError, ConnectionClosed):
            require(name in (TEXT, BINARY, PING, PONG, CLOSE), "a step that cannot fail", name)
            require(connection.state is state and len(self.accepted) == sent, "it did something")
        self._take(events)

    def _call(self, name: int, data: bytes) -> None:
        connection = self.connection
        if name in (TEXT, BINARY):
            # A first byte of 1 stands for "more follows".
            final = data[:1] != b"\x01"
            message = data.decode("latin-1") if name == TEXT else data
            if isinstance(message, str):
                connection.send_text(message, final=final)
            else:
                connection.send_binary(message, final=final)
            self._accept(message, final)
        elif name == PING:
            connection.send_ping(data)
            self.accepted.append(Ping(data))
        elif name == PONG:
            connection.send_pong(data)
        elif name == CLOSE:
            code = CODES[data[0] % len(CODES)] if data else 1000
            connection.close(code, data[1:].decode("latin-1"), self.now)
        elif name == ANSWER:
            connection.answer_close(self.now)
        elif name == FLUSH:
            self.wire += connection.data_to_send()
            require(connection.data_to_send() == b"", "it said something twice")
        elif name == WAIT:
            self.now += data[0] if data else 0.5
        elif data:
            connection.resume_reading(self.now)
        else:
            connection.pause_reading()

    def _accept(self, part: str | bytes, final: bool) -> None:
        whole = part if self.fragments is None else self.fragments + part  # type: ignore[operator]
        if final:
            self.accepted.append(whole)
        self.fragments = None if final else whole

    def _take(self, events: list[Event]) -> None:
        state = self.connection.state
        over = self.over
        for event in events:
            require(not self._is_closed(), "an event after the last", event)
            require(not over or isinstance(event, Closed), "an event after the end", over, event)
            if isinstance(event, LAST):
                over.append(event)
        closed = self._is_closed()
        require(closed == (state is State.CLOSED), "Closed, and the state says otherwise", state)
        action = self.connection.transport_action
        require(closed == (action is TransportAction.ABORT), "TCP is not dropped", action)
        require(self.connection.next_deadline() is None or not closed, "a deadline after the end")

    def _is_closed(self) -> bool:
        return bool(self.over) and isinstance(self.over[-1], Closed)

    def finish(self) -> None:
        """Lets time pass, reads what was sent, and compares."""
        connection = self.connection
        self.wire += connection.data_to_send()
        limits = connection.limits
        if connection.state is not State.OPEN and None not in (
            limits.close_grace,
            limits.close_timeout,
        ):
            for _ in range(2):
                self.step(DEADLINE, b"")
                self.wire += connection.data_to_send()
            require(connection.state is State.CLOSED, "time does not end it", connection.state)
        self._check_wire()

    def _check_wire(self) -> None:
        wire = bytes(self.wire)
        heard = self.peer.receive_data(wire)
        require(not any(isinstance(event, Fault) for event in heard), "a peer objects", heard)
        closes = [event for event in heard if isinstance(event, Close)]
        sent = self.connection.close_sent
        require(closes in ([], [sent]), "another Close than it tells of", closes, sent)
        said = [event for event in heard if not isinstance(event, Pong | Close)]
        # Keepalive sends empty Pings of its own.
        mine = [event for event in self.accepted if event != Ping()]
        said = [event for event in said if event != Ping()]
        require(said == mine[: len(said)], "something else was sent", said, mine)
        if self.connection.state is not State.CLOSED:
            require(said == mine, "something was not sent", said, mine)
        self._check_order(wire)

    def _check_order(self, wire: bytes) -> None:
        position = 0
        after_close = False
        while position < len(wire):
            decoded = decode(wire, position, allowed_rsv=0x40)
            require(decoded is not None, "a frame is cut", wire[position:])
            assert decoded is not None
            frame, position = decoded
            require(not after_close or frame.opcode is Opcode.PONG, "after our Close", frame)
            after_close = after_close or frame.opcode is Opcode.CLOSE
