"""`rfc6455.extensions.permessage_deflate`: what it inflates, and what it deflates.

The first byte of the input settles what was negotiated; the rest is a stream of frames that a
server sends, where RSV1 marks a compressed message.

For every input:

- The invariants of `fuzz.targets._frames` hold: no undocumented error, nothing after the end, the
  same events however the stream is cut, no message beyond the limit. (Where a message is wrong in
  more than one way, which of them is told may depend on the cut.)
- What an inflater of zlib makes of a message that stands alone, in one go, is what comes out.
- Whatever is compressed by one side, as one message after the other or as fragments, comes out of
  the other side as it went in.
- Between messages no more is retained than a window.
"""

from __future__ import annotations

import zlib
from itertools import product, zip_longest

from rfc6455 import CloseCode, Event, Extension, Fault, PermessageDeflate, ProtocolError
from rfc6455.codec import Decoder

from ..oracles import digest, require, retained
from ..seeds import SERVER_STREAMS, stream
from ._frames import MAX_FRAGMENTS, MAX_MESSAGE_SIZE, check_stream, comparable

TAIL = b"\x00\x00\xff\xff"
REFUSED = {
    CloseCode.INVALID_PAYLOAD_DATA,
    CloseCode.POLICY_VIOLATION,
    CloseCode.MESSAGE_TOO_BIG,
}
SETTINGS = [
    PermessageDeflate(
        window_bits=bits,
        peer_window_bits=bits,
        context_takeover=takeover,
        peer_context_takeover=takeover,
        memory_level=1,
        threshold=0,
    )
    for bits, takeover in product(range(8, 16), (True, False))
]


def deflate(message: bytes, wbits: int = -15, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """Compresses as RFC 7692 §7.2.1 says, without our code."""
    compressor = zlib.compressobj(wbits=wbits)
    return (compressor.compress(message) + compressor.flush(mode)).removesuffix(TAIL)


def seeds() -> dict[str, bytes]:
    """Returns the examples of RFC 7692 §7.2.3, bombs, final blocks, and what is not DEFLATE."""
    compressor = zlib.compressobj(wbits=-15)
    contexts = [
        (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        for message in (b"Hello", b"Hello", b"")
    ]
    hello = bytes.fromhex("f248cdc9c90700")
    final = bytes.fromhex("f348cdc9c9070000")
    streams = {
        "rfc-7.2.3.1": stream((0xC1, hello)),
        "rfc-7.2.3.1-fragments": stream((0x41, hello[:3]), (0x80, hello[3:])),
        "rfc-7.2.3.2": stream((0xC1, hello), (0xC1, bytes.fromhex("f200110000"))),
        "rfc-7.2.3.3": stream((0xC1, bytes.fromhex("000500faff48656c6c6f00"))),
        "rfc-7.2.3.4": stream((0xC1, final)),
        "rfc-7.2.3.5": stream((0xC1, bytes.fromhex("f248050000 00ffffcac9c90700"))),
        "rfc-7.2.3.6": stream((0xC1, b"\x00")),
        "contexts": stream(*[(0xC1, data) for data in contexts]),
        "final-context": stream((0xC1, final), (0xC1, bytes.fromhex("f200110000"))),
        "final-blocks": stream((0xC2, b"\x03\x00" * 60)),
        "final-garbage": stream((0xC2, b"\x03\x00\xff\xff")),
        "empty": stream((0xC1, b"")),
        "empty-fragments": stream((0x41, b""), (0x00, b""), (0x80, b"")),
        "end-in-tail": stream((0x41, hello + b"\x00\x00"), (0x80, b"\xff\xff")),
        "tail-inside": stream((0xC2, deflate(b"a") + TAIL + deflate(b"b"))),
        "garbage": stream((0xC1, b"\xff")),
        "stored-mismatch": stream((0xC1, bytes.fromhex("000500faee48656c6c6f00"))),
        "far-distance": stream((0xC2, deflate(bytes(range(256)) * 2))),
        "bomb": stream((0xC2, deflate(bytes(60_000)))),
        "bomb-limit": stream((0xC2, deflate(bytes(MAX_MESSAGE_SIZE)))),
        "bomb-beyond": stream((0xC2, deflate(bytes(MAX_MESSAGE_SIZE + 1)))),
        "bomb-fragments": stream(
            (0x42, deflate(bytes(40_000)) + TAIL), (0x80, deflate(bytes(40_000)))
        ),
        "fixed-huffman": stream((0xC1, deflate(b"abcabcabc"))),
        "dynamic-huffman": stream((0xC2, deflate(bytes(range(64)) * 9 + b"text" * 40))),
        "plain-between": stream((0xC1, hello), (0x81, b"plain"), (0xC1, hello)),
        "ping-between": stream((0x41, hello[:2]), (0x89, b"ping"), (0x80, hello[2:])),
        "rsv-continuation": stream((0x41, hello[:2]), (0xC0, hello[2:])),
        "rsv-control": stream((0xC9, b"")),
        "text-invalid": stream((0xC1, deflate(b"\xce\xba\xed\xa0\x80"))),
        "text-cut": stream((0x41, deflate(b"\xf0\x9f") + TAIL), (0x80, deflate(b"\x98\x80"))),
    }
    some = {name: data for name, data in SERVER_STREAMS.items() if name.startswith("rfc")}
    number = 0x0E
    seeds = {}
    for name, data in {**streams, **some}.items():
        seeds[name] = bytes([number % 16]) + data
        number += 5
    return seeds


def check(data: bytes) -> None:
    """Checks the invariants for a setting and a stream, and for the input as messages of ours."""
    settings = SETTINGS[data[0] % 16 if data else 0]
    wire = data[1:]

    def new() -> Decoder:
        return Decoder(
            masked=False,
            max_message_size=MAX_MESSAGE_SIZE,
            max_fragments=MAX_FRAGMENTS,
            extensions=[negotiate(settings)[0]],
        )

    check_stream(
        wire,
        new,
        masked=False,
        most_retained=len(wire) + MAX_MESSAGE_SIZE + (1 << settings.peer_window_bits),
        same=same_events if settings.peer_window_bits == 15 else same_until_a_fault,
    )
    _check_one_message(wire, settings)
    _check_round_trip(wire, settings)


def same_events(some: list[Event], others: list[Event]) -> bool:
    """Tells whether they are equal, where a message may be wrong in several ways.

    Which is seen first depends on the cut: zlib throws away what it has inflated when it comes to
    something that it cannot read, be it in the same call.
    """
    return without_reasons(some) == without_reasons(others)


def same_until_a_fault(some: list[Event], others: list[Event]) -> bool:
    """Tells whether they are equal, where the peer may look back further than it promised.

    zlib finds that out for what an earlier call has inflated, not within one call: with a window of
    less than 32 KiB, one of the two may go on where the other refuses a message as not DEFLATE.
    """
    if same_events(some, others):
        return True
    pairs = zip_longest(some, others)
    return any(
        same_events(some[:place], others[:place])
        for place, pair in enumerate(pairs)
        if any(isinstance(event, Fault) and "DEFLATE" in event.error.reason for event in pair)
    )


def without_reasons(events: list[Event]) -> list[object]:
    """Returns the events as values that compare, all refusals of a message alike."""
    return [
        "a message is refused" if isinstance(event, tuple) and event[0] in REFUSED else event
        for event in comparable(events)
    ]


def negotiate(settings: PermessageDeflate) -> tuple[Extension, Extension]:
    """Returns the two ends of a connection between equals: the client's, the server's."""
    for offer in settings.offers():
        accepted = settings.accept(offer)
        if accepted is not None:
            answer, server = accepted
            return settings.confirm(answer), server
    raise AssertionError("equals do not agree")


def _check_one_message(payload: bytes, settings: PermessageDeflate) -> None:
    """The payload as one message: against zlib, which stops at the first final block."""
    client, _ = negotiate(settings)
    message: bytes | None = None
    try:
        message = client.decode(payload, final=True, max_size=MAX_MESSAGE_SIZE)
    except ProtocolError as error:
        require(error.code in (1007, 1008, 1009), "wrong close code", error)
    else:
        require(len(message) <= MAX_MESSAGE_SIZE, "message beyond the limit", len(message))
        window = 1 << settings.peer_window_bits
        require(retained(client) <= window + 256, "too much is retained", retained(client))
    reference = zlib.decompressobj(wbits=-settings.peer_window_bits)
    try:
        expected = reference.decompress(payload + TAIL, MAX_MESSAGE_SIZE + 1)
    except zlib.error:
        require(message is None, "zlib refuses what we take", message)
        return
    if reference.eof:
        require(message is None or message.startswith(expected), "another message", message)
    elif not payload or len(expected) > MAX_MESSAGE_SIZE:
        require(message is None, "taken, and should be refused", message)
    else:
        require(message == expected, "another message", message, expected)


def _check_round_trip(data: bytes, settings: PermessageDeflate) -> None:
    client, server = negotiate(settings)
    number = digest(data)
    half = number % (len(data) + 1)
    messages = [data, data[:half], data[half:] * (1 + number % 64)]
    for sender, receiver in ((client, server), (server, client)):
        for message in messages:
            wire = sender.encode(message, final=True)
            require(wire and not wire.endswith(TAIL), "§7.2.1 says otherwise", wire)
            again = receiver.decode(wire, final=True, max_size=len(message))
            require(again == message, "comes out as something else", message, again)
        first, last = (
            sender.encode(data[:half], final=False),
            sender.encode(data[half:], final=True),
        )
        again = receiver.decode(first, final=False, max_size=half)
        again += receiver.decode(last, final=True, max_size=len(data) - half)
        require(again == data, "fragments come out as something else", data, again)
