"""What has been done to other implementations through compression, done to ours.

The bytes are those that a peer would send; work is counted, never timed, and memory is measured
where nothing else uses any: in a process of its own. Each test names what went wrong elsewhere.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import rfc6455
from rfc6455 import (
    Connection,
    Fault,
    HandshakeError,
    Limits,
    PermessageDeflate,
    ProtocolError,
    Role,
    WebSocket,
)
from rfc6455.events import Event, Ping
from rfc6455.extensions import Extension
from rfc6455.extensions.permessage_deflate import MAX_FINAL_BLOCKS, PIECE, STEP
from rfc6455.frames import Frame, Opcode
from rfc6455.handshake import ServerHandshake
from rfc6455.headers import parse_extensions
from tests.deflate import inflate
from tests.helpers import (
    SERVER,
    Failure,
    both_roles,
    chunkings,
    frames_in,
    peer_frame,
    run,
    run_python,
)
from tests.negotiation import judge_answer, open_pair, server_answer
from tests.transports.support import MemoryTransport, settle, virtual_time

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"
RSV1 = 0x40
KiB = 1024
MiB = 1024 * KiB


def in_use(role: Role = SERVER, **options: Any) -> Extension:
    deflate = PermessageDeflate(threshold=0, **options)
    if role is Role.CLIENT:
        return deflate.confirm([])
    accepted = deflate.accept([("client_max_window_bits", None)])
    assert accepted is not None
    return accepted[1]


def receive(data: bytes, role: Role, **options: Any) -> list[Event | Failure]:
    """The events of ``data``, which are the same however reads cut it."""
    outcome, *others = [
        run(chunks, role, extensions=[in_use(role)], **options) for chunks in chunkings(data)
    ]
    assert all(other == outcome for other in others)
    return outcome.events


def compressed(message: bytes, level: int = 9) -> bytes:
    compressor = zlib.compressobj(level, wbits=-15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def message(role: Role, payload: bytes, opcode: Opcode = Opcode.BINARY) -> bytes:
    return peer_frame(role, opcode, payload, rsv=RSV1)


@dataclass
class CountingLibrary:
    """zlib, with everything written down that it was asked to do.

    Attributes:
        compressors: made so far.
        inflaters: made so far.
        given: bytes that each call was given.
        left: bytes that each call left, and that zlib therefore copied.
        produced: bytes that each call gave.
    """

    compressors: int = 0
    inflaters: int = 0
    given: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    produced: list[int] = field(default_factory=list)

    __name__ = "zlib"
    error = zlib.error
    DEFLATED = zlib.DEFLATED
    Z_DEFAULT_COMPRESSION = zlib.Z_DEFAULT_COMPRESSION
    Z_SYNC_FLUSH = zlib.Z_SYNC_FLUSH

    __hash__ = object.__hash__

    def compressobj(self, *arguments: Any) -> Any:
        self.compressors += 1
        return zlib.compressobj(*arguments)

    def decompressobj(self, *arguments: Any, **options: Any) -> Any:
        self.inflaters += 1
        return CountingInflater(self, zlib.decompressobj(*arguments, **options))


class CountingInflater:
    def __init__(self, library: CountingLibrary, inflater: Any) -> None:
        self.library = library
        self.inflater = inflater

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inflater, name)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        assert 0 < max_length <= STEP
        produced: bytes = self.inflater.decompress(data, max_length)
        self.library.given.append(len(data))
        self.library.left.append(
            len(self.inflater.unused_data) + len(self.inflater.unconsumed_tail)
        )
        self.library.produced.append(len(produced))
        return produced


def traced_peak(work: Callable[[], object]) -> int:
    """Bytes that ``work`` needs at its worst, beyond what is there before."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# B1: decompression bombs


@both_roles
def test_b1_bomb_of_one_frame_fails_1009(role: Role) -> None:
    bomb = compressed(bytes(MiB))
    assert len(bomb) < 1040
    assert receive(message(role, bomb), role) == [bytes(MiB)]
    for limit in (64 * KiB, MiB - 1):
        limits = Limits(max_message_size=limit)
        assert receive(message(role, bomb), role, limits=limits) == [Failure(1009)]


@both_roles
@pytest.mark.parametrize("fragments", [2, 1000])
def test_b1_bomb_in_fragments_fails_1009(role: Role, fragments: int) -> None:
    bomb = compressed(bytes(2 * MiB))
    size = len(bomb) // fragments
    data = peer_frame(role, Opcode.BINARY, bomb[:size], fin=False, rsv=RSV1)
    for index in range(1, fragments):
        piece = bomb[index * size :] if index == fragments - 1 else bomb[index * size :][:size]
        data += peer_frame(role, Opcode.CONTINUATION, piece, fin=index == fragments - 1)
    for chunks in ([data], [data[i : i + 100] for i in range(0, len(data), 100)]):
        outcome = run(chunks, role, extensions=[in_use(role)])
        assert outcome.events == [Failure(1009)]


def test_b1_inflater_stops_one_byte_over_the_limit() -> None:
    library = CountingLibrary()
    extension = in_use(library=library)
    with pytest.raises(ProtocolError):
        extension.decode(compressed(bytes(10 * MiB)), final=True, max_size=MiB)
    assert sum(library.produced) == MiB + 1
    assert max(library.produced) <= STEP


def test_b1_work_is_linear_in_what_goes_in_and_comes_out() -> None:
    for size in (MiB, 32 * MiB):
        library = CountingLibrary()
        bomb = compressed(bytes(size))
        in_use(library=library).decode(bomb, final=True, max_size=None)
        assert len(library.given) <= size // STEP + len(bomb) // PIECE + 2
        # Where the whole rest were given each time, a bomb of 100 KiB would have zlib copy 80 MiB.
        assert max(library.left) <= PIECE


@both_roles
def test_b1_bomb_that_a_shortcut_has_seen_is_not_inflated_again(role: Role) -> None:
    library = CountingLibrary()
    limits = Limits(max_message_size=5000)
    connection = Connection(role, limits=limits, extensions=[in_use(role, library=library)])
    bomb = message(role, compressed(bytes(6000)))
    assert connection.take_run(bomb, 0, []) == 0
    # Even where pieces of it were asked for meanwhile.
    assert connection.stream() is None
    (fault,) = connection.receive_data(bomb)
    assert len(library.given) == 1
    assert isinstance(fault, Fault)
    assert fault.error.code == 1009


MEMORY_OF_BOMBS = """
import json, sys, tracemalloc, zlib
from rfc6455 import Connection, Fault, Limits, PermessageDeflate, Role
from rfc6455.frames import Opcode, encode

limit, connections, wire_size = map(int, sys.argv[1:])
compressor = zlib.compressobj(9, wbits=-15)
piece = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
payload = piece * (wire_size // len(piece))
frame = encode(Opcode.BINARY, payload[:-4], rsv=0x40, masking_key=bytes(4))
limits = Limits(max_message_size=limit)

def high_water():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

def attack():
    peers = []
    for _ in range(connections):
        _, extension = PermessageDeflate().accept([("client_max_window_bits", None)])
        peers.append(Connection(Role.SERVER, limits=limits, extensions=[extension]))
    codes = [None] * connections
    # All of them at once, in reads of 16 KiB.
    for start in range(0, len(frame), 16384):
        read = frame[start:start + 16384]
        for index, peer in enumerate(peers):
            for event in peer.receive_data(read):
                codes[index] = event.error.code if isinstance(event, Fault) else repr(event)[:20]
        if None not in codes:
            return codes
    return codes

attack()
before = high_water()
codes = attack()
after = high_water()
tracemalloc.start()
attack()
print(json.dumps({
    "codes": codes,
    "resident": after - before,
    "peak": tracemalloc.get_traced_memory()[1],
    "wire": len(frame),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(
    ("limit", "connections", "wire_size"),
    [(MiB, 1, 10 * MiB), (MiB, 1, MiB), (64 * KiB, 100, 64 * KiB)],
)
def test_b1_memory_of_bombs_is_that_of_the_limit(
    limit: int, connections: int, wire_size: int
) -> None:
    # 10 MiB that would inflate to 10 GiB, which the frame's header gives away; 1 MiB that would
    # inflate to 1 GiB; and a hundred connections at once.
    found = json.loads(run_python(MEMORY_OF_BOMBS, str(limit), str(connections), str(wire_size)))
    assert found["codes"] == [1009] * connections
    assert found["peak"] < connections * (limit + MiB)
    assert found["resident"] < connections * (limit + MiB)


def test_b1_peak_while_inflating_is_the_limit_and_some_steps() -> None:
    extension = in_use()
    bomb = compressed(bytes(100 * MiB))

    def explode() -> None:
        with pytest.raises(ProtocolError):
            extension.decode(bomb, final=True, max_size=MiB)

    assert traced_peak(explode) < MiB + 4 * STEP


@both_roles
@pytest.mark.parametrize("end", ["", "000000ffffffffffff"], ids=["too large", "invalid"])
def test_b1_bomb_leaves_nothing_of_its_size_behind(role: Role, end: str) -> None:
    connection = Connection(role, extensions=[in_use(role)])
    payload = compressed(bytes(MiB if end else 2 * MiB)) + bytes.fromhex(end)
    bomb = message(role, payload)
    gc.collect()
    tracemalloc.start()
    try:
        (fault,) = connection.receive_data(bomb)
        assert isinstance(fault, Fault)
        assert tracemalloc.get_traced_memory()[0] < 128 * KiB
    finally:
        tracemalloc.stop()


# B2: the limit holds for what comes out


@both_roles
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536, MiB])
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_b2_limit_is_that_of_the_inflated_size(role: Role, limit: int, kind: str) -> None:
    limits = Limits(max_message_size=limit)
    data = bytes(limit + 1) if kind == "zeros" else random.Random(1).randbytes(limit + 1)
    fits, over = (message(role, compressed(data[:size])) for size in (limit, limit + 1))
    extensions = [in_use(role)]
    outcome = run([fits + fits + over], role, extensions=extensions, limits=limits)
    assert outcome.events == [data[:limit], data[:limit], Failure(1009)]
    assert [frame.payload[:2] for frame in outcome.sent] == [(1009).to_bytes(2, "big")]


@both_roles
def test_b2_frame_that_could_not_fit_is_refused_by_its_header(role: Role) -> None:
    # DEFLATE adds five bytes to what it cannot compress, for 64 KiB or less: an eighth, and 1 KiB
    # for the smallest, is more than any compressor needs.
    limits = Limits(max_message_size=64 * KiB)
    frame = peer_frame(role, Opcode.BINARY, bytes(80 * KiB), rsv=RSV1)
    header = frame[: len(frame) - 80 * KiB]
    outcome = run([header], role, extensions=[in_use(role)], limits=limits)
    assert outcome.events == [Failure(1009)]


# B3: many final blocks


@both_roles
def test_b3_message_of_final_blocks_fails_1008(role: Role) -> None:
    payload = b"\x03\x00" * 100_000 + b"\x00"
    for data in (payload, payload[: 2 * MAX_FINAL_BLOCKS + 2] + b"\x00"):
        outcome = run([message(role, data)], role, extensions=[in_use(role)])
        assert outcome.events == [Failure(1008)]
    allowed = message(role, b"\x03\x00" * MAX_FINAL_BLOCKS + b"\x00")
    assert run([allowed * 2], role, extensions=[in_use(role)]).events == [b"", b""]


def test_b3_work_of_final_blocks_is_bounded() -> None:
    library = CountingLibrary()
    extension = in_use(library=library)
    with pytest.raises(ProtocolError, match="too many final blocks"):
        extension.decode(b"\x03\x00" * 500_000, final=True, max_size=MiB)
    assert library.inflaters == len(library.given) == MAX_FINAL_BLOCKS + 1
    assert sum(library.left) <= MAX_FINAL_BLOCKS * PIECE + PIECE


def test_b3_limit_holds_for_the_message_and_not_for_a_piece() -> None:
    extension = in_use()
    for _ in range(MAX_FINAL_BLOCKS // 2):
        extension.decode(b"\x03\x00" * 2, final=False, max_size=MiB)
    with pytest.raises(ProtocolError, match="too many final blocks"):
        extension.decode(b"\x03\x00", final=True, max_size=MiB)


def test_b3_empty_blocks_that_are_not_final_are_read_in_one_go() -> None:
    library = CountingLibrary()
    payload = b"\x00\x00\x00\xff\xff" * 200_000 + b"\x00"
    assert in_use(library=library).decode(payload, final=True, max_size=MiB) == b""
    assert len(library.given) == -(-(len(payload) + 4) // PIECE)
    assert sum(library.left) == 0
    assert library.inflaters == 1


# B4: zlib stops for good at a final block


@both_roles
def test_b4_messages_go_on_after_a_final_block(role: Role) -> None:
    first = message(role, bytes.fromhex("f348cdc9c9070000"), Opcode.TEXT)
    second = message(role, bytes.fromhex("f200110000"), Opcode.TEXT)
    assert first[0] == 0xC1
    assert first[1] & 0x7F == 8
    assert receive(first + second, role) == ["Hello", "Hello"]
    assert receive((first + second) * 3, role) == ["Hello"] * 6


def test_b4_final_blocks_of_a_hundred_thousand_messages_leave_nothing_behind() -> None:
    connection = Connection(SERVER, extensions=[in_use()])
    batch = message(SERVER, bytes.fromhex("f348cdc9c9070000"), Opcode.TEXT) * 1000
    gc.collect()
    for _ in range(90):
        assert len(connection.receive_data(batch)) == 1000
    tracemalloc.start()
    try:
        connection.receive_data(batch)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(9):
            connection.receive_data(batch)
        assert tracemalloc.get_traced_memory()[0] - before < 2 * KiB
    finally:
        tracemalloc.stop()
    assert connection.receive_data(message(SERVER, bytes.fromhex("f200110000"))) == [b"Hello"]


# B5: window bits out of range

BAD_BITS = ["0", "7", "16", "99", "-1", "+9", "09", "1_0", '""', "abc", "8.0", "\xd9\xa1\xd9\xa2"]


@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("value", BAD_BITS)
def test_b5_answer_with_bad_window_bits_fails_the_handshake(name: str, value: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        judge_answer(f"{NAME}; {name}={value}", extensions=[PermessageDeflate()])
    assert caught.value.status == 101


@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("value", [value for value in BAD_BITS if value.isascii()])
def test_b5_offer_with_bad_window_bits_is_declined_or_answered_400(name: str, value: str) -> None:
    offer = f"{NAME}; {name}={value}"
    if value == '""':
        # RFC 6455 §9.1: what is quoted is a token too.
        with pytest.raises(HandshakeError) as caught:
            server_answer(offer, extensions=[PermessageDeflate()])
        assert caught.value.status == 400
    else:
        assert server_answer(offer, extensions=[PermessageDeflate()]) == (None, [])


# B6: a window of 8 bits, which zlib does not make


@both_roles
def test_b6_window_of_8_bits_is_kept_to(role: Role) -> None:
    eight = PermessageDeflate(window_bits=8, threshold=0)
    fifteen = PermessageDeflate(window_bits=15, peer_window_bits=8, threshold=0)
    pair = open_pair([eight], [fifteen]) if role is Role.CLIENT else open_pair([fifteen], [eight])
    sender, receiver = (
        (pair.client, pair.server) if role is Role.CLIENT else (pair.server, pair.client)
    )
    source = random.Random(8)
    unit = source.randbytes(257)
    messages = [b"0123456789" * 1024, unit * 40, *(unit[:n] * 9 for n in range(200, 257))]
    for data in messages:
        sender.send_binary(data)
    frames = frames_in(wire := sender.data_to_send())
    inflated = inflate(b"".join(frame.payload + TAIL for frame in frames))
    assert inflated.data == b"".join(messages)
    assert inflated.longest_distance <= 256
    assert receiver.receive_data(wire) == messages


# B7: memory of contexts

MEMORY_OF_CONTEXTS = """
import gc, json, random, tracemalloc
from rfc6455 import Connection, PermessageDeflate, Role

def per_connection(options, offer=(("client_max_window_bits", None),), count=100):
    message = random.Random(1).randbytes(40_000) + bytes(40_000)
    def make():
        extensions = []
        if options is not None:
            _, extension = PermessageDeflate(**options).accept(offer)
            extensions.append(extension)
        return Connection(Role.SERVER, extensions=extensions)
    peer = PermessageDeflate(window_bits=(options or {}).get("peer_window_bits", 12))
    wire = []
    for _ in range(2):
        extensions = [] if options is None else [peer.confirm([])]
        client = Connection(Role.CLIENT, extensions=extensions)
        client.send_binary(message)
        wire.append(client.data_to_send())
    def use(connection):
        for data in wire:
            assert connection.receive_data(data) == [message]
            connection.send_binary(message)
            connection.data_to_send()
    use(make())
    gc.collect()
    tracemalloc.start()
    connections = [make() for _ in range(count)]
    gc.collect()
    idle = tracemalloc.get_traced_memory()[0]
    for connection in connections:
        use(connection)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return [idle // count, used // count]

window_15 = {"window_bits": 15, "peer_window_bits": 15, "memory_level": 8}
print(json.dumps({
    "plain": per_connection(None),
    "default": per_connection({}),
    "unlimited client": per_connection({}, offer=()),
    "window 15": per_connection(window_15),
    "no takeover": per_connection({"context_takeover": False, "peer_context_takeover": False}),
}))
"""


def test_b7_memory_per_connection_is_what_is_documented() -> None:
    found = json.loads(run_python(MEMORY_OF_CONTEXTS))

    plain_idle, plain_used = found["plain"]
    assert found["default"][0] - plain_idle < KiB
    is_native = rfc6455.implementation == "native"
    assert 8 * KiB < found["default"][1] - plain_used <= (20 if is_native else 64) * KiB
    assert found["no takeover"][1] - plain_used < KiB
    # A client that cannot be asked for a smaller window.
    most = 56 if is_native else 112
    assert most * KiB / 2 < found["unlimited client"][1] - plain_used <= most * KiB
    # What the defaults save.
    least = 128 if is_native else 256
    assert least * KiB < found["window 15"][1] - plain_used < 400 * KiB


# B8: the compressor keeps no message


@pytest.mark.parametrize("takeover", [True, False])
def test_b8_message_of_a_megabyte_leaves_its_context_behind_and_no_more(takeover: bool) -> None:
    deflate = PermessageDeflate(context_takeover=takeover, peer_context_takeover=takeover)
    pair = open_pair([deflate], [deflate])
    small, large = (random.Random(1).randbytes(size) for size in (5000, MiB))

    def exchange(data: bytes) -> None:
        pair.server.send_binary(data)
        assert pair.client.receive_data(pair.server.data_to_send()) == [data]

    gc.collect()
    tracemalloc.start()
    try:
        exchange(small)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        references = sys.getrefcount(large)
        exchange(large)
        gc.collect()
        assert sys.getrefcount(large) == references
        assert tracemalloc.get_traced_memory()[0] - before < 16 * KiB
    finally:
        tracemalloc.stop()


# B9: cancelled while it is sent


@virtual_time
async def test_b9_cancelled_send_is_not_sent_and_harms_no_other() -> None:
    pair = open_pair([PermessageDeflate()], [PermessageDeflate()])
    transport = MemoryTransport()
    websocket = WebSocket(pair.server, transport, asyncio.get_running_loop())
    transport.set_protocol(websocket)
    source = random.Random(9)
    expected: list[bytes] = []
    cancelled = 0
    for number in range(300):
        transport.congested = source.random() < 0.7
        tasks = []
        for index in range(4):
            data = b"%d.%d " % (number, index) * source.randint(1, 5000)
            tasks.append((asyncio.ensure_future(websocket.send(data)), data))
        # At any of the points at which one of them may wait.
        for _ in range(source.randint(0, 4)):
            await asyncio.sleep(0)
        chosen = source.choice(tasks)[0]
        chosen.cancel()
        transport.flow()
        await settle()
        for task, data in tasks:
            assert task.done()
            if task.cancelled():
                cancelled += 1
            else:
                expected.append(data)
        assert cancelled <= number + 1
    assert cancelled > 50
    received = [
        event for written in transport.writes for event in pair.client.receive_data(written)
    ]
    # Whole or not at all; the order among those that waited is theirs.
    assert received == expected
    websocket.abort()


# B10: control frames between compressed fragments


@both_roles
@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
def test_b10_control_frame_between_fragments_leaves_the_context_alone(
    role: Role, opcode: Opcode
) -> None:
    # With a control frame whose payload looks like DEFLATE data.
    control = peer_frame(role, opcode, bytes.fromhex("f248cdc9c90700"))
    data = message(role, bytes.fromhex("f248cdc9c90700"), Opcode.TEXT)
    data += peer_frame(role, Opcode.TEXT, bytes.fromhex("f200"), fin=False, rsv=RSV1)
    data += control + peer_frame(role, Opcode.CONTINUATION, bytes.fromhex("1100"), fin=False)
    data += control + peer_frame(role, Opcode.CONTINUATION, bytes.fromhex("00"))
    events = receive(data, role)
    assert [event for event in events if isinstance(event, str)] == ["Hello", "Hello"]
    outcome = run([data], role, extensions=[in_use(role)])
    pongs = [Frame(Opcode.PONG, bytes.fromhex("f248cdc9c90700"))]
    assert outcome.sent == (pongs * 2 if opcode is Opcode.PING else [])


@both_roles
def test_b10_control_frames_that_we_send_leave_the_context_alone(role: Role) -> None:
    pair = open_pair([PermessageDeflate()], [PermessageDeflate()])
    sender, receiver = (
        (pair.client, pair.server) if role is Role.CLIENT else (pair.server, pair.client)
    )
    for word in ("ping ", "between ", "fragments"):
        sender.send_text(word * 500, final=word == "fragments")
        sender.send_ping(word.encode())
        sender.receive_data(peer_frame(role, Opcode.PING, b"answer me"))
    events = receiver.receive_data(sender.data_to_send())
    assert [event for event in events if isinstance(event, str)] == [
        "ping " * 500 + "between " * 500 + "fragments" * 500
    ]
    assert sum(isinstance(event, Ping) for event in events) == 3


# B11: secrets beside text of an attacker's choice (CRIME, BREACH)


@both_roles
@pytest.mark.parametrize("size", [10, 1023, 1024, 100_000])
def test_b11_message_sent_without_compression_shows_its_length_alone(role: Role, size: int) -> None:
    connection = Connection(role, extensions=[in_use(role)])
    connection.send_text("token=" + "a" * size, compress=True)
    connection.data_to_send()
    connection.send_text("token=" + "a" * size, compress=False)
    (frame,) = frames_in(connection.data_to_send())
    assert frame == Frame(Opcode.TEXT, b"token=" + b"a" * size)


# B12: odd ends

ODD = {
    "the header of a stored block alone": ("00", ""),
    "nothing at all": ("", Failure(1007)),
    "all ones": ("ff", Failure(1007)),
    "reserved block type": ("06", Failure(1007)),
    "stored block whose length is not confirmed": ("000500000048656c6c6f00", Failure(1007)),
    "the tail inside": ("f248050000" + "00ffffcac9c90700", "Hello"),
    "the tail at the end as well": ("f248cdc9c90700" + "0000ffff" + "00", "Hello"),
    "the tail twice": ("00" + "0000ffff" + "000000ffff" + "00", ""),
    "final block in the end": ("f348cdc9c9070000", "Hello"),
    "final stored block": ("010500faff48656c6c6f00", "Hello"),
    "empty final blocks around": ("0300" + "f248cdc9c90700" + "0000ffff" + "0300" + "00", "Hello"),
    "match before the beginning": ("0223000000", Failure(1007)),
}


@both_roles
@pytest.mark.parametrize("case", ODD)
def test_b12_odd_payloads_have_a_defined_end(role: Role, case: str) -> None:
    payload, expected = ODD[case]
    data = message(role, bytes.fromhex(payload), Opcode.TEXT)
    assert receive(data, role) == [expected]
    if isinstance(expected, str):
        after = message(role, bytes.fromhex("f248cdc9c90700"), Opcode.TEXT)
        assert receive(data + after, role) == [expected, "Hello"]


@both_roles
def test_b12_every_message_of_up_to_two_bytes_has_a_defined_end(role: Role) -> None:
    payloads = [bytes([a]) for a in range(256)]
    payloads += [bytes([a, b]) for a in range(256) for b in range(0, 256, 3)]
    for payload in payloads:
        connection = Connection(role, extensions=[in_use(role)])
        (event,) = connection.receive_data(message(role, payload))
        if isinstance(event, Fault):
            assert event.error.code == 1007
        else:
            assert isinstance(event, bytes)


@both_roles
def test_b12_message_cut_off_has_a_defined_end(role: Role) -> None:
    # The end is not that of a block: RFC 7692 does not ask a receiver to notice, and the damage
    # stays within what the peer itself sends.
    whole = compressed(b"the quick brown fox jumps over the lazy dog" * 3)
    for size in range(1, len(whole)):
        connection = Connection(role, extensions=[in_use(role)])
        for _ in range(3):
            events = connection.receive_data(message(role, whole[:size]))
            for event in events:
                assert isinstance(event, bytes) or (
                    isinstance(event, Fault) and event.error.code in (1007, 1009)
                )


# B13: headers that make a parser slow


def python_calls(work: Callable[[], object]) -> int:
    """How many functions are called, in Python and in C."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    "attack",
    [
        lambda count: b'a; b="' + b"\\c" * count,
        lambda count: b'a; b="' + b"c" * count,
        lambda count: b"x," * count,
        lambda count: b";" * count,
        lambda count: b"a" + b" " * count + b"!" + b"(",
        lambda count: b"a;b=" + b" " * count,
        lambda count: b'a; b="' + b"\\" * count,
        lambda count: b"a" + b"; b=c" * count + b"(",
        lambda count: b"a" + b'; b="\\c"' * count + b"(",
        lambda count: b"permessage-deflate; x, " * count + b"(",
    ],
    ids=["pairs", "open", "commas", "semicolons", "space", "value", "slashes", "b", "q", "offers"],
)
def test_b13_header_is_read_in_linear_time(attack: Callable[[int], bytes]) -> None:
    def refused(value: bytes) -> None:
        with pytest.raises(ValueError, match=r"offset|token"):
            parse_extensions([value])

    small, large = (python_calls(functools.partial(refused, attack(n))) for n in (1000, 4000))
    assert large <= 4 * small + 100
    # What a regular expression does is not seen as calls. This would take hours if it were
    # quadratic, and the time limit of tests ends it.
    head = attack(1)
    if large < 200:
        refused(attack(4_000_000 // len(head)))


@pytest.mark.parametrize(
    "value", ['a; b="' + r"\c" * 3500, "x," * 3900, ";" * 7900, 'a; b="' + "c" * 7000]
)
def test_b13_server_answers_400(value: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        server_answer(value, extensions=[PermessageDeflate()])
    assert caught.value.status == 400


# B14: many offers


def test_b14_thousand_offers_cost_one_extension_and_no_context() -> None:
    library = CountingLibrary()
    deflate = PermessageDeflate(library=library)
    assert library.compressors == 1  # which proved the settings
    line = ", ".join([f"{NAME}; server_max_window_bits=15"] * 170)
    answer, in_use = server_answer(line, line[:7000].rpartition(",")[0], extensions=[deflate])
    assert answer == f"{NAME}; server_max_window_bits=12"
    assert len(in_use) == 1
    assert (library.compressors, library.inflaters) == (1, 0)


def test_b14_declined_offers_cost_nothing() -> None:
    library = CountingLibrary()
    deflate = PermessageDeflate(library=library)
    line = ", ".join([f"{NAME}; server_max_window_bits=7"] * 170)
    assert server_answer(line, line[:7000].rpartition(",")[0], extensions=[deflate]) == (None, [])
    assert (library.compressors, library.inflaters) == (1, 0)


def test_b14_more_offers_than_a_head_may_hold_are_refused() -> None:
    handshake = ServerHandshake(Limits())
    head = b"GET / HTTP/1.1\r\nHost: example.com\r\n"
    line = b"Sec-WebSocket-Extensions: " + b", ".join([NAME.encode()] * 390) + b"\r\n"
    with pytest.raises(HandshakeError) as caught:
        handshake.receive_data(head + line * 3)
    assert caught.value.status == 431
