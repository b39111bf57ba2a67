"""Properties of the core, for any input that Hypothesis thinks of.

What is read is what was written; how reads cut the bytes makes no difference; and of two
connections that talk, each receives what the other sent, in order, or a truthful end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rfc6455.close import Close, is_sendable
from rfc6455.connection import Connection, Role
from rfc6455.errors import ConnectionClosed
from rfc6455.events import Closed, Event, Fault, Message, Ping, Pong
from rfc6455.extensions import PermessageDeflate
from rfc6455.frames import Frame, Opcode, apply_mask, decode, encode
from rfc6455.headers import build_extensions, parse_extensions, parse_tokens
from rfc6455.limits import Limits
from rfc6455.state import State
from rfc6455.utf8 import Utf8Validator
from tests.helpers import CLIENT, SERVER, Failure, peer_frame, run, split
from tests.negotiation import open_pair

roles = st.sampled_from([SERVER, CLIENT])
keys = st.binary(min_size=4, max_size=4)
sizes = st.sampled_from([0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 65535, 65536])
payloads = st.binary(max_size=300) | sizes.map(bytes)
texts = st.text(max_size=100)
tokens = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=10)
codes = st.integers(1000, 4999).filter(is_sendable)
reasons = st.text(max_size=123).filter(lambda reason: len(reason.encode()) <= 123)


# What is read is what was written


@given(
    opcode=st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION]),
    payload=payloads,
    fin=st.booleans(),
    rsv=st.sampled_from(range(0, 0x80, 0x10)),
    key=st.none() | keys,
    around=st.binary(max_size=20),
)
def test_data_frame(
    opcode: Opcode, payload: bytes, fin: bool, rsv: int, key: bytes | None, around: bytes
) -> None:
    data = around + encode(opcode, payload, fin=fin, rsv=rsv, masking_key=key)
    found = decode(data + around, len(around), masked=key is not None, allowed_rsv=rsv)
    assert found == (Frame(opcode, payload, fin, rsv), len(data))


@given(
    opcode=st.sampled_from([Opcode.CLOSE, Opcode.PING, Opcode.PONG]),
    payload=st.binary(max_size=125),
    key=st.none() | keys,
)
def test_control_frame(opcode: Opcode, payload: bytes, key: bytes | None) -> None:
    data = encode(opcode, payload, masking_key=key)
    assert decode(data) == (Frame(opcode, payload), len(data))


@given(code=codes, reason=reasons)
def test_close(code: int, reason: str) -> None:
    assert Close.parse(Close(code, reason).payload()) == Close(code, reason)


@given(payload=st.binary(max_size=125))
def test_close_payload(payload: bytes) -> None:
    try:
        close = Close.parse(payload)
    except ValueError:
        return
    assert close.payload() == payload


@given(
    st.lists(
        st.tuples(tokens, st.lists(st.tuples(tokens, st.none() | tokens), max_size=4)), min_size=1
    )
)
def test_extensions(extensions: list[tuple[str, list[tuple[str, str | None]]]]) -> None:
    value = build_extensions(extensions).encode()
    assert parse_extensions([value]) == extensions
    assert parse_extensions([value.replace(b"; ", b"\t;").replace(b", ", b" ,")]) == extensions


@given(st.lists(tokens, min_size=1), st.sampled_from([", ", ",", " ,\t"]))
def test_tokens(names: list[str], separator: str) -> None:
    assert parse_tokens([separator.join(names).encode()]) == names


@given(payload=payloads, key=keys)
def test_mask_is_the_octet_wise_rule_and_its_own_inverse(payload: bytes, key: bytes) -> None:
    masked = apply_mask(payload, key)
    assert masked == bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))
    assert apply_mask(masked, key) == payload


@given(pieces=st.lists(st.binary(max_size=5) | texts.map(str.encode), max_size=8))
def test_utf8_is_what_the_decoder_takes(pieces: list[bytes]) -> None:
    octets = b"".join(pieces)
    try:
        octets.decode()
    except UnicodeDecodeError:
        is_text = False
    else:
        is_text = True
    validator = Utf8Validator()
    try:
        for piece in pieces:
            validator.feed(piece)
    except UnicodeDecodeError:
        assert not is_text
    else:
        assert validator.complete is is_text


# How reads cut the bytes makes no difference

frames = st.one_of(
    st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), texts.map(str.encode), st.booleans()),
    st.tuples(st.just(Opcode.CONTINUATION), st.binary(max_size=20), st.booleans()),
    st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=20), st.just(True)),
    st.tuples(st.just(Opcode.CLOSE), st.just(b"\x03\xe8"), st.just(True)),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Role, list[bytes]]:
    """What a peer might send, good and bad, and cut in any way."""
    role = draw(roles)
    parts = [
        draw(st.binary(min_size=1, max_size=14))
        if draw(st.integers(0, 9)) == 0
        else peer_frame(role, opcode, payload, fin=fin)
        for opcode, payload, fin in draw(st.lists(frames, min_size=1, max_size=12))
    ]
    data = b"".join(parts)
    positions = st.integers(0, len(data))
    return role, split(data, *draw(st.lists(positions, max_size=30)))


@given(streams(), st.sampled_from([None, 0, 10, 100]), st.sampled_from([None, 1, 2]))
def test_split(
    stream: tuple[Role, list[bytes]], max_size: int | None, max_fragments: int | None
) -> None:
    role, chunks = stream
    limits = Limits(max_message_size=max_size, max_fragments=max_fragments, max_discarded_size=None)
    whole = run([b"".join(chunks)], role, limits=limits)
    assert run(chunks, role, limits=limits) == whole


@given(st.binary(max_size=200), roles)
def test_any_bytes_give_events_or_one_fault(data: bytes, role: Role) -> None:
    outcome = run([data], role)
    faults = [event for event in outcome.events if isinstance(event, Failure)]
    assert len(faults) <= 1
    assert faults == [] or outcome.events[-1] == faults[0]


# Two connections


@dataclass
class Side:
    """One side of the conversation.

    Attributes:
        core: the connection.
        wire: what it has written and the other side has not yet read.
        said: the messages that it has sent, whole.
        heard: the messages that it has received.
        parts: the fragments of the message that it is sending.
        pings: payloads of its Pings.
        spoiled: how many messages it had sent when something else got onto its wire.
        end: the event `Closed`, once it came.
    """

    core: Connection
    wire: bytearray = field(default_factory=bytearray)
    said: list[Message] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    parts: list[Message] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    spoiled: int | None = None
    end: Closed | None = None


sides = st.sampled_from(["server", "client"])


class Conversation(RuleBasedStateMachine):
    """A server and a client that do what they like, over wires that cut as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sides: dict[str, Side] = {}

    @initialize(compression=st.sampled_from([None, True, False]))
    def connect(self, compression: bool | None) -> None:
        extensions = []
        if compression is not None:
            extensions = [
                PermessageDeflate(
                    threshold=0, context_takeover=compression, peer_context_takeover=compression
                )
            ]
        pair = open_pair(extensions, extensions)
        self.sides = {"server": Side(pair.server), "client": Side(pair.client)}

    def other(self, name: str) -> Side:
        return self.sides["client" if name == "server" else "server"]

    def take(self, side: Side, events: list[Event]) -> None:
        other = next(each for each in self.sides.values() if each is not side)
        for event in events:
            assert side.end is None, "an event after Closed"
            if isinstance(event, str | bytes):
                side.heard.append(event)
            elif isinstance(event, Pong):
                assert event.payload in side.pings
            elif isinstance(event, Ping):
                assert event.payload in other.pings
            elif isinstance(event, Close):
                assert event == other.core.close_sent
            elif isinstance(event, Fault):
                assert other.spoiled is not None or event.error.code == 1011
            else:
                assert isinstance(event, Closed)
                side.end = event
                self.check_end(side, other)

    def check_end(self, side: Side, other: Side) -> None:
        """The end is told truthfully."""
        assert side.end is not None
        received = side.core.close_received
        if received is None:
            assert (side.end.code, side.end.reason, side.end.clean) == (1006, "", False)
        else:
            assert (side.end.code, side.end.reason) == (received.code, received.reason)
            assert received == other.core.close_sent
            assert side.end.clean == (side.core.close_sent is not None)

    @rule(name=sides, text=texts, final=st.booleans(), compress=st.sampled_from([None, False]))
    def send_text(self, name: str, text: str, final: bool, compress: bool | None) -> None:
        self.send(self.sides[name], text, final, compress)

    @rule(name=sides, data=payloads, final=st.booleans(), compress=st.sampled_from([None, False]))
    def send_binary(self, name: str, data: bytes, final: bool, compress: bool | None) -> None:
        self.send(self.sides[name], data, final, compress)

    def send(self, side: Side, part: Message, final: bool, compress: bool | None) -> None:
        if side.parts and type(part) is not type(side.parts[0]):
            return
        try:
            if isinstance(part, str):
                side.core.send_text(part, final=final, compress=compress)
            else:
                side.core.send_binary(part, final=final, compress=compress)
        except ConnectionClosed:
            assert side.core.close_sent is not None or side.core.state is State.CLOSED
            return
        side.parts.append(part)
        if final:
            side.said.append(type(part)().join(side.parts))  # type: ignore[arg-type]
            side.parts.clear()

    @rule(name=sides, payload=st.binary(max_size=125), pong=st.booleans())
    def send_ping_or_pong(self, name: str, payload: bytes, pong: bool) -> None:
        side = self.sides[name]
        try:
            if pong and self.other(name).pings:
                side.core.send_pong(self.other(name).pings[-1])
            else:
                side.core.send_ping(payload)
                side.pings.append(payload)
        except ConnectionClosed:
            assert side.core.close_sent is not None or side.core.state is State.CLOSED

    @rule(name=sides, code=codes, reason=st.text(max_size=20))
    def close(self, name: str, code: int, reason: str) -> None:
        self.sides[name].core.close(code, reason, self.now)

    @rule(name=sides)
    def answer_close(self, name: str) -> None:
        self.sides[name].core.answer_close(self.now)

    @rule(name=sides)
    def write(self, name: str) -> None:
        side = self.sides[name]
        side.wire += side.core.data_to_send()

    @rule(name=sides, size=st.integers(0, 200) | st.just(1 << 20))
    def read(self, name: str, size: int) -> None:
        side, other = self.sides[name], self.other(name)
        data = bytes(other.wire[:size])
        del other.wire[:size]
        self.take(side, side.core.receive_data(data, self.now))

    @rule(name=sides)
    @precondition(lambda self: all(side.spoiled is None for side in self.sides.values()))
    def spoil(self, name: str) -> None:
        """Something that is no frame gets onto the wire."""
        self.write(name)
        side = self.sides[name]
        side.wire += b"\xff"
        side.spoiled = len(side.said)

    @rule(name=sides)
    def lose(self, name: str) -> None:
        self.take(self.sides[name], self.sides[name].core.receive_eof())

    @rule(seconds=st.integers(0, 30))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        for side in self.sides.values():
            # A Ping may be sent here.
            side.pings.append(b"")
            self.take(side, side.core.handle_deadline(self.now))

    @invariant()
    def what_arrives_is_what_was_sent(self) -> None:
        for name, side in self.sides.items():
            said = self.other(name).said
            assert side.heard == said[: len(side.heard)]

    def teardown(self) -> None:
        """Everything that was said arrives in the end, unless the listener stopped for a reason."""
        for _ in range(4):
            for name in self.sides:
                self.write(name)
                self.read(self.other_name(name), 1 << 30)
                self.answer_close(name)
        for name, side in self.sides.items():
            other = self.other(name)
            if side.end is None and other.end is None and side.core.fault is None:
                assert side.heard == other.said
                assert side.core.close_received == other.core.close_sent
            elif side.core.fault is not None and other.spoiled is not None:
                assert len(side.heard) <= other.spoiled

    def other_name(self, name: str) -> str:
        return "client" if name == "server" else "server"


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
