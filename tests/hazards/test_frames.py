"""Attacks on frames and messages that other implementations have suffered, on the sans-IO core.

Each test says in its comment what went wrong where. Memory is measured in a process of its own.
Linear work is told from quadratic by the ratio of processor times of the same work at two sizes,
with so much room between them that the machine's load cannot matter.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from rfc6455.close import Close, CloseCode
from rfc6455.codec import Decoder
from rfc6455.connection import Connection, Role, TransportAction
from rfc6455.errors import UsageError
from rfc6455.events import Closed, Event, Ping, Pong
from rfc6455.extensions import PermessageDeflate
from rfc6455.frames import Frame, Opcode
from rfc6455.limits import Limits
from rfc6455.masking import new_masking_key
from rfc6455.state import State
from tests.helpers import (
    CLIENT,
    SERVER,
    Failure,
    assert_fails,
    both_roles,
    deliver,
    frames_in,
    growth,
    header,
    peer_frame,
    run,
    run_python,
)

KiB = 1024
MiB = 1024 * KiB


def octets(text: str) -> bytes:
    """Hexadecimal bytes of a frame that a client would send, with a zero masking key as [M]."""
    return bytes.fromhex(text.replace("[M]", "00000000"))


def events_of(data: bytes, role: Role = SERVER, **options: Any) -> list[Event | Failure]:
    return run([data], role, **options).events


LINEAR = 1.5
"""What `growth` stays below for linear work: 23 times as long for 8 times as much."""


# 64-bit lengths with the highest bit set, or near it: endless loops and panics in Tomcat
# (CVE-2020-13935), NATS (CVE-2026-27889) and undici (CVE-2026-1528).


@pytest.mark.clause("W113")
@pytest.mark.parametrize("length", ["80 00 00 00 00 00 00 00", "ff ff ff ff ff ff ff ff"])
def test_negative_length(length: str) -> None:
    data = octets(f"82 ff {length} [M]")
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.2")
    assert events_of(data[:3]) == [Failure(1002, "5.2")]


@pytest.mark.clause("W235")
def test_enormous_length() -> None:
    data = octets("82 ff 7f ff ff ff ff ff ff ff [M]")
    assert_fails(data, CloseCode.MESSAGE_TOO_BIG, "")
    # Without a limit it is legal, and nothing is allocated for it.
    off = Limits(max_message_size=None)
    assert events_of(data + b"abc", limits=off) == []


# The length added to what is buffered overflows 63 bits: gorilla (CVE-2020-27813), aiohttp.


@pytest.mark.clause("W235")
def test_length_that_overflows_when_added() -> None:
    data = octets("01 81 [M] 41  00 ff 7f ff ff ff ff ff ff ff [M]")
    assert_fails(data, CloseCode.MESSAGE_TOO_BIG, "")
    off = Limits(max_message_size=None)
    assert events_of(data + b"abc", limits=off) == []
    almost = Limits(max_message_size=2**63 - 1)
    assert events_of(data, limits=almost) == [Failure(1009)]


# The lengths of old drafts, accumulated without bound: faye websocket-driver (CVE-2026-54466).


def test_frame_of_an_old_draft() -> None:
    data = octets("80 ff ff ff ff 7f")
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.2")
    assert_fails(b"\x00Hello\xff", CloseCode.PROTOCOL_ERROR, "5.1")


# Lengths that are not in their shortest form, on which filters and parsers disagree.


@pytest.mark.clause("W115")
@pytest.mark.parametrize(
    "frame",
    [
        "82 fe 00 05 [M]",
        "82 fe 00 7d [M]",
        "82 ff 0000000000000005 [M]",
        "82 ff 000000000000007e [M]",
        "82 ff 000000000000ffff [M]",
    ],
)
def test_length_in_a_longer_form(frame: str) -> None:
    assert_fails(octets(frame), CloseCode.PROTOCOL_ERROR, "5.2")


@pytest.mark.clause("W115")
@pytest.mark.parametrize(
    ("length", "size"),
    [
        ("fd", 125),
        ("fe 007e", 126),
        ("fe 007f", 127),
        ("fe ffff", 65535),
        ("ff 0000000000010000", 65536),
    ],
)
def test_lengths_where_the_form_changes(length: str, size: int) -> None:
    assert deliver(octets(f"82 {length} [M]") + bytes(size)).events == [bytes(size)]


# Unmasked frames of clients are taken: aiohttp, bandit (GHSA-rhh8-5xw9-c3gm).


@pytest.mark.clause("W101")
@pytest.mark.parametrize(
    "frame", ["81 05 48656c6c6f", "82 7f 0000000000010000", "89 00", "88 02 03e8", "01 00", "8a 7d"]
)
def test_unmasked_frame(frame: str) -> None:
    data = octets(frame)
    assert_fails(data, CloseCode.PROTOCOL_ERROR, "5.1")
    assert events_of(data[:2]) == [Failure(1002, "5.1")]


@pytest.mark.clause("W104")
def test_masked_frame_of_a_server() -> None:
    assert_fails(octets("81 85 [M] 48656c6c6f"), CloseCode.PROTOCOL_ERROR, "5.1", CLIENT)
    assert events_of(octets("81 85"), CLIENT) == [Failure(1002, "5.1")]


# Masking keys that are fixed or can be predicted, for the poisoning of caches: curl
# (CVE-2025-10148), aiohttp. (That a forked child has others is in tests/unit/test_masking.py.)


@pytest.mark.clause("W120", "W122", "W233")
def test_a_million_masking_keys() -> None:
    keys = [new_masking_key() for _ in range(1_000_000)]
    # Of random ones about 116 are drawn twice; more than 250 come once in 10 ** 25 runs.
    assert len(keys) - len(set(keys)) < 250
    # Every bit is set in about half of them.
    for bit in range(32):
        ones = sum(int.from_bytes(key, "big") >> bit & 1 for key in keys[:10_000])
        assert 4_600 < ones < 5_400


# What is refused, or not asked for, is not kept. Jetty (CVE-2026-19204) buffered
# the payload of an unknown opcode, aiohttp (CVE-2026-54274) that of a frame which its header showed
# to be too large, and what came after a fault; Undertow (CVE-2021-3690) leaked Pongs.

MEMORY = """
import json, sys, tracemalloc
from rfc6455.connection import Connection, Role
from rfc6455.frames import Opcode, encode
from rfc6455.limits import Limits

first, chunk, times, read_size = sys.argv[1:]
first, chunk = bytes.fromhex(first), bytes.fromhex(chunk)
chunk *= int(read_size) // len(chunk)
connection = Connection(Role.SERVER, limits=Limits(max_discarded_size=None))
connection.receive_data(chunk[:0])
tracemalloc.start()
events = connection.receive_data(first)
codes = [event.error.code for event in events]
tracemalloc.reset_peak()
before = tracemalloc.get_traced_memory()[0]
for _ in range(int(times)):
    connection.receive_data(chunk)
after, peak = tracemalloc.get_traced_memory()
print(json.dumps([codes, after - before, peak - before]))
"""


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("83 ff 00 00 00 00 10 00 00 00 [M]", 1002),
        ("8b ff 00 00 00 00 10 00 00 00 [M]", 1002),
        ("a2 ff 00 00 00 00 10 00 00 00 [M]", 1002),
        ("82 ff 00 00 00 00 00 10 00 01 [M]", 1009),
        ("81 82 [M] 41 ff", 1007),
        ("01 81 [M] 41 00 ff 00 00 00 00 00 10 00 00 [M]", 1009),
    ],
)
def test_nothing_is_kept_after_a_fault(start: str, code: int) -> None:
    first = octets(start)
    assert events_of(first)[-1] == Failure(code, {1002: "5.2", 1007: "8.1"}.get(code, ""))
    # 32 MiB more, in reads of 64 KiB.
    codes, kept, peak = json.loads(run_python(MEMORY, first.hex(), "00", "512", "65536"))
    assert codes == [code]
    assert kept < 4 * KiB
    assert peak < 4 * KiB


def test_pongs_that_nobody_asked_for() -> None:
    pong = octets("8a fd [M]") + bytes(125)
    # 16 reads of 64 KiB: 8 000 Pongs.
    codes, kept, peak = json.loads(run_python(MEMORY, "", pong.hex(), "16", "65536"))
    assert codes == []
    assert kept < 4 * KiB
    assert peak < 512 * KiB


def test_peer_that_goes_on_after_its_fault_is_dropped() -> None:
    connection = Connection(SERVER)
    connection.receive_data(b"\xff")
    connection.answer_close()
    events: list[Event] = []
    for _ in range(512):
        events += connection.receive_data(bytes(64 * KiB))
    assert events == [Closed(1006, "", clean=False)]
    assert connection.transport_action is TransportAction.ABORT


@pytest.mark.clause("W235")
def test_declared_length_counts_before_the_payload_comes() -> None:
    start = octets("82 ff 00 00 00 00 00 10 00 01 [M]")
    assert events_of(start) == [Failure(1009)]
    # With what came before, in the same message.
    first = peer_frame(SERVER, Opcode.BINARY, bytes(1 * MiB - 5), fin=False)
    assert events_of(first + header(SERVER, 0x00, b"\x05")) == []
    assert events_of(first + header(SERVER, 0x00, b"\x06")) == [Failure(1009)]


# Fragments without end: ws (CVE-2026-48779), undici (CVE-2026-12151), bandit
# (CVE-2026-42786, CVE-2026-65623), Netty (CVE-2014-0193).


@pytest.mark.clause("W235")
@both_roles
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_fragments_without_end(role: Role, payload: bytes) -> None:
    first = peer_frame(role, Opcode.BINARY, payload, fin=False)
    more = peer_frame(role, Opcode.CONTINUATION, payload, fin=False)
    assert run([first + 1023 * more], role).events == []
    outcome = run([first + 1024 * more, 5000 * more], role)
    assert outcome.events == [Failure(CloseCode.POLICY_VIOLATION)]


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_work_for_fragments_is_linear(payload: bytes) -> None:
    first = peer_frame(SERVER, Opcode.BINARY, payload, fin=False)
    more = peer_frame(SERVER, Opcode.CONTINUATION, payload, fin=False)

    def work(count: int) -> None:
        decoder = Decoder(masked=True)
        decoder.receive_data(first)
        for _ in range(8):
            decoder.receive_data(more * (count // 8))

    assert growth(work, 4_000) < LINEAR


UNFINISHED = """
import json, tracemalloc
from rfc6455.connection import Connection, Role
from rfc6455.frames import Opcode, encode

key = bytes(4)
payload = 64 * 1024
part = payload // 1023
frames = encode(Opcode.BINARY, bytes(part), fin=False, masking_key=key) + 1022 * encode(
    Opcode.CONTINUATION, bytes(part), fin=False, masking_key=key
)
connections = [Connection(Role.SERVER) for _ in range(20)]
tracemalloc.start()
for connection in connections:
    for start in range(0, len(frames), 1000):
        connection.receive_data(frames[start : start + 1000])
print(json.dumps([tracemalloc.get_traced_memory()[0] / len(connections), payload]))
"""


def test_memory_of_unfinished_messages_is_that_of_their_payload() -> None:
    each, payload = json.loads(run_python(UNFINISHED))
    assert each < 1.25 * payload + 4 * KiB


# A frame that arrives byte by byte keeps an object for each byte: aiohttp #13350.

BYTEWISE = """
import json, tracemalloc
from rfc6455.connection import Connection, Role
from rfc6455.frames import Opcode, encode

size = 66_000
frame = encode(Opcode.BINARY, bytes(size), masking_key=bytes(4))
octets = [frame[i : i + 1] for i in range(len(frame))]
connection = Connection(Role.SERVER)
tracemalloc.start()
events = []
for octet in octets:
    events += connection.receive_data(octet)
assert events == [bytes(size)]
print(json.dumps([tracemalloc.get_traced_memory()[1], size]))
"""


def test_memory_of_a_frame_that_comes_byte_by_byte() -> None:
    peak, size = json.loads(run_python(BYTEWISE))
    assert peak < 2.5 * size


def test_work_for_a_frame_that_comes_in_pieces_is_linear() -> None:
    def work(count: int) -> None:
        decoder = Decoder(masked=True)
        decoder.receive_data(header(SERVER, 0x82, b"\x7f" + (count * 16).to_bytes(8, "big")))
        piece = bytes(16)
        events = [decoder.receive_data(piece) for _ in range(count)]
        assert events[-1] == [bytes(16 * count)]

    assert growth(work, 5_000) < LINEAR


# Many small frames in one read, the rest of it copied for each.


@both_roles
def test_work_for_many_frames_in_one_read_is_linear(role: Role) -> None:
    for opcode in (Opcode.TEXT, Opcode.PONG):
        frame = peer_frame(role, opcode)

        def work(count: int, frame: bytes = frame) -> None:
            assert len(Decoder(masked=role is SERVER).receive_data(count * frame)) == count

        assert growth(work, 4_000) < LINEAR


# A fragmented control frame with RSV1 crashes the handler: bandit #633.


@pytest.mark.clause("W110", "W140", "D017")
@pytest.mark.parametrize("frame", ["49 80 [M]", "c9 80 [M]", "c8 80 [M]", "ca 80 [M]", "48 80 [M]"])
def test_control_frame_with_rsv1(frame: str) -> None:
    for extensions in ([], [deflate()]):
        events = events_of(octets(frame), extensions=extensions)
        assert [event.code for event in events if isinstance(event, Failure)] == [1002]
        assert len(events) == 1


def deflate() -> Any:
    accepted = PermessageDeflate().accept([])
    assert accepted is not None
    return accepted[1]


# Reserved bits that nobody negotiated are taken: aiohttp's client (CVE-2026-59881).


@pytest.mark.clause("W109", "W110", "W111", "D017")
@both_roles
@pytest.mark.parametrize("compressed", [False, True])
def test_every_first_byte(role: Role, compressed: bool) -> None:
    passed = set()
    for first in range(256):
        extensions = [deflate()] if compressed else []
        payload = b"\x00" if compressed and first & 0x40 else b""
        data = header(role, first, bytes([len(payload)])) + payload
        events = events_of(data, role, extensions=extensions)
        if not any(isinstance(event, Failure) for event in events):
            passed.add(first)
        else:
            assert [event.code for event in events if isinstance(event, Failure)] == [1002]
    expected = {0x01, 0x02, 0x81, 0x82, 0x88, 0x89, 0x8A}
    assert passed == (expected | {0x41, 0x42, 0xC1, 0xC2} if compressed else expected)


# A Close inside a fragmented text goes to the validator of the text: Netty #14118.


@pytest.mark.clause("W131", "W147", "W218")
@pytest.mark.parametrize("text", ["01 82 [M] c3a9", "01 81 [M] c3", "01 83 [M] f09f98"])
def test_close_inside_a_fragmented_text(text: str) -> None:
    outcome = deliver(octets(text + "88 82 [M] 03e8"))
    assert outcome.events == [Close(1000)]
    assert outcome.sent == [Frame(Opcode.CLOSE, b"\x03\xe8")]
    outcome = deliver(octets(text + "89 81 [M] ff"))
    assert outcome.events == [Ping(b"\xff")]
    outcome = deliver(octets(text + "8a 81 [M] ff"))
    assert outcome.events == [Pong(b"\xff")]


# Invalid UTF-8 that is cut by frames and reads: cowlib; Python's decoder waits with ED A0.


@pytest.mark.clause("W218")
@pytest.mark.parametrize(
    "text",
    [
        *("80", "bf", "c080", "c1bf", "c328", "e08080", "e09f80", "eda080", "edbfbf", "e228a1"),
        *("f0808080", "f08f8080", "f4908080", "f5808080", "f888808080", "fc8480808080", "fe", "ff"),
        *("cebae1bdb9cf83cebceda080656469746564", "f09f9841"),
    ],
)
def test_invalid_utf8_over_up_to_three_frames(text: str) -> None:
    payload = bytes.fromhex(text)
    for first in range(len(payload) + 1):
        for second in range(first, len(payload) + 1):
            frames = [
                peer_frame(SERVER, Opcode.TEXT, payload[:first], fin=False),
                peer_frame(SERVER, Opcode.CONTINUATION, payload[first:second], fin=False),
                peer_frame(SERVER, Opcode.CONTINUATION, payload[second:]),
            ]
            data = b"".join(frames)
            for chunks in ([data], frames, [data[i : i + 1] for i in range(len(data))]):
                assert run(chunks).events == [Failure(1007, "8.1")]


@pytest.mark.clause("W162")
def test_noncharacters_are_text() -> None:
    text = "".join(map(chr, [0xFDD0, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF]))
    assert deliver(peer_frame(SERVER, Opcode.TEXT, text.encode())).events == [text]


# Text or a reason that ends inside a code point.


@pytest.mark.clause("W162", "W143", "W218")
@pytest.mark.parametrize("frame", ["81 82 [M] f09f", "81 81 [M] c3", "88 84 [M] 03e8 e282"])
def test_end_inside_a_code_point(frame: str) -> None:
    assert_fails(octets(frame), CloseCode.INVALID_PAYLOAD_DATA, "8.1")


# Close codes that must not travel, taken or sent: aiohttp #12895.


@pytest.mark.clause("W210", "W211", "W212", "W213", "W217")
@both_roles
@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_close_code_that_must_not_travel(role: Role, code: int) -> None:
    frame = peer_frame(role, Opcode.CLOSE, code.to_bytes(2, "big"))
    assert_fails(frame, CloseCode.PROTOCOL_ERROR, "7.4", role)
    connection = Connection(role)
    with pytest.raises(UsageError):
        connection.close(code, "x")
    assert connection.state is State.OPEN


@pytest.mark.clause("W209", "W217")
@both_roles
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
)
def test_close_code_that_may_travel(role: Role, code: int) -> None:
    frame = peer_frame(role, Opcode.CLOSE, code.to_bytes(2, "big"))
    assert deliver(frame, role).sent == [Frame(Opcode.CLOSE, code.to_bytes(2, "big"))]


@pytest.mark.clause("W142")
def test_close_with_one_byte() -> None:
    assert_fails(octets("88 81 [M] 03"), CloseCode.PROTOCOL_ERROR, "7.4")


# Memory that was never given, in Pings and Closes made of unusual buffers: ws
# (CVE-2026-45736).


@pytest.mark.parametrize(
    "buffer",
    [
        b"abcdefgh",
        bytearray(b"abcdefgh"),
        memoryview(b"abcdefgh"),
        memoryview(b"abcdefgh")[::2],
        memoryview(b"abcdefgh")[::-1],
        memoryview(bytearray(16)).cast("d"),
        memoryview(b"abcdefgh").cast("B", [2, 4]),
        memoryview(b""),
    ],
    ids=["bytes", "bytearray", "view", "stride", "reversed", "doubles", "rows", "empty"],
)
def test_payload_is_what_the_buffer_holds(buffer: Any) -> None:
    expected = buffer.tobytes() if isinstance(buffer, memoryview) else bytes(buffer)
    for role in (SERVER, CLIENT):
        connection = Connection(role)
        connection.send_binary(buffer)
        connection.send_ping(buffer)
        connection.send_pong(buffer)
        frames = frames_in(connection.data_to_send())
        assert [frame.payload for frame in frames] == [expected] * 3


# The whole of it, cut at random.


@both_roles
def test_a_long_conversation_cut_at_random(role: Role) -> None:
    generator = random.Random(6455)
    parts: list[bytes] = []
    expected: list[Event] = []
    for _ in range(200):
        payload = generator.randbytes(generator.choice([0, 1, 3, 125, 126, 1000]))
        match generator.randrange(4):
            case 0:
                parts.append(peer_frame(role, Opcode.BINARY, payload))
                expected.append(payload)
            case 1:
                text = payload.decode("latin-1")
                parts.append(peer_frame(role, Opcode.TEXT, text.encode()))
                expected.append(text)
            case 2:
                parts.append(peer_frame(role, Opcode.PONG, payload[:125]))
                expected.append(Pong(payload[:125]))
            case _:
                cut = len(payload) // 2
                parts.append(peer_frame(role, Opcode.BINARY, payload[:cut], fin=False))
                parts.append(peer_frame(role, Opcode.CONTINUATION, payload[cut:]))
                expected.append(payload)
    data = b"".join(parts)
    for _ in range(20):
        chunks = []
        position = 0
        while position < len(data):
            size = generator.choice([1, 2, 3, 7, 100, 1000, 65536])
            chunks.append(data[position : position + size])
            position += size
        assert run(chunks, role).events == expected
