"""A `Decoder` and a stream of frames: what the targets of both roles have in common.

For every stream of bytes:

- `Decoder.receive_data` returns events and raises nothing; what is wrong is a `Fault` with 1002,
  1007, 1008 or 1009.
- A `Fault` or a `Close` stands last, and once; nothing that comes later gives an event.
- However the stream is cut, and in whatever buffers it comes, the events are the same.
- No more events than frames can be in the input, no message beyond the limit, and never more
  retained than one message.
- The events, written as frames, are read as the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rfc6455 import Close, CloseCode, Event, Fault, Ping, Pong
from rfc6455.codec import Decoder, encode
from rfc6455.frames import Opcode

from ..oracles import digest, pieces, require, retained

# The limits can be reached with short inputs, and lengths of 64 bits can still be within them.
MAX_MESSAGE_SIZE = 0x10010
MAX_FRAGMENTS = 8

# Unions of types are made anew each time; this runs ten million times.
MESSAGE = (str, bytes)
ALIVE = (Ping, Pong)
END = (Close, Fault)
AFTER_THE_END = b"\x81\x00\x81\x80\x00\x00\x00\x00"
"""An empty message from a server, and one from a client."""

FAULT_CODES = {
    CloseCode.PROTOCOL_ERROR,
    CloseCode.INVALID_PAYLOAD_DATA,
    CloseCode.POLICY_VIOLATION,
    CloseCode.MESSAGE_TOO_BIG,
}


def new_decoder(*, masked: bool) -> Decoder:
    """Returns a decoder with limits that short inputs can reach."""
    return Decoder(masked=masked, max_message_size=MAX_MESSAGE_SIZE, max_fragments=MAX_FRAGMENTS)


def comparable(events: Iterable[Event]) -> list[object]:
    """Returns the events as values that compare: errors do not, by themselves."""
    return [
        (event.error.code, event.error.reason, event.error.section)
        if type(event) is Fault
        else event
        for event in events
    ]


def same_events(some: list[Event], others: list[Event]) -> bool:
    """Tells whether they are equal."""
    return comparable(some) == comparable(others)


def check_stream(
    data: bytes,
    new: Callable[[], Decoder],
    *,
    masked: bool,
    most_retained: int = MAX_MESSAGE_SIZE,
    same: Callable[[list[Event], list[Event]], bool] = same_events,
    sparing: bool = False,
) -> None:
    """Checks the invariants for one stream.

    Args:
        data: what the peer sends.
        new: makes a decoder of the kind under test.
        masked: whether that decoder wants masked frames.
        most_retained: how many bytes may wait for the rest of a message, beside those of a header.
        same: tells whether two lists of events, from two ways of cutting, are as good as equal.
        sparing: cuts only every other stream, for targets that run ten million times.
    """
    decoder = new()
    events = decoder.receive_data(data)
    _check_events(events, len(data))

    number = digest(data)
    if not sparing or number & 1:
        cut = new()
        found = [event for piece in pieces(data) for event in cut.receive_data(piece)]
        require(same(found, events), "the cut matters", found, events)
        if number >> 8 & 0b1111 == 0:
            require(retained(cut) <= 80 + most_retained, "too much is retained", retained(cut))
        _check_end(cut, found, data)
    _check_end(decoder, events, data)
    if number >> 12 & 0b111 == 0:
        _check_round_trip(events, masked)


def _check_end(decoder: Decoder, events: list[Event], data: bytes) -> None:
    # Of two ways to cut, each by its own events: `same` may let one go on where the other refuses.
    if events and isinstance(events[-1], END):
        require(decoder.receive_data(data) == [], "an event after the end", events)
        require(decoder.receive_data(AFTER_THE_END) == [], "an event after the end", events)


def _check_events(events: list[Event], size: int) -> None:
    # The shortest frame has two bytes; a frame that is wrong can be known by its first.
    require(len(events) <= size // 2 + 1, "more events than frames", events)
    for number, event in enumerate(events):
        if isinstance(event, MESSAGE):
            length = len(event.encode() if isinstance(event, str) else event)
            require(length <= MAX_MESSAGE_SIZE, "message beyond the limit", length)
        elif isinstance(event, ALIVE):
            require(len(event.payload) <= 125, "control frame beyond its limit", event)
        else:
            require(isinstance(event, END), "an event of another kind", event)
            require(number == len(events) - 1, "an event after the end", events)
        if isinstance(event, Fault):
            error = event.error
            require(error.code in FAULT_CODES, "wrong close code", error)
            require(error.reason and len(error.reason.encode()) <= 123, "unfit for a Close", error)


def _check_round_trip(events: list[Event], masked: bool) -> None:
    good = [event for event in events if not isinstance(event, Fault)]
    key = b"\x37\xfa\x21\x3d" if masked else None
    wire = b"".join(encode(opcode, payload, masking_key=key) for opcode, payload in _frames(good))
    again = Decoder(masked=masked).receive_data(wire)
    require(again == good, "read back as something else", good, again)


def _frames(events: Iterable[Event]) -> Iterator[tuple[Opcode, bytes]]:
    for event in events:
        if isinstance(event, str):
            yield Opcode.TEXT, event.encode()
        elif isinstance(event, bytes):
            yield Opcode.BINARY, event
        elif isinstance(event, Ping):
            yield Opcode.PING, event.payload
        elif isinstance(event, Pong):
            yield Opcode.PONG, event.payload
        elif isinstance(event, Close):
            yield Opcode.CLOSE, event.payload()
