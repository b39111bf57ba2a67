"""permessage-deflate: what is negotiated, and that what is promised is kept, with each library.

Knows `rfc6455.extensions.permessage_deflate` through the opening handshake, connections and the
interface of an extension. That clause for clause is obeyed is shown in
``tests/conformance/test_rfc7692.py``; what attackers do, in ``tests/hazards/test_compression.py``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import sys
import zlib
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfc6455 import Connection, HandshakeError, Limits, PermessageDeflate, ProtocolError, Role
from rfc6455.close import CloseCode
from rfc6455.codec import Decoder
from rfc6455.events import Event, Fault
from rfc6455.extensions import Extension, Parameters
from rfc6455.frames import Opcode, encode
from tests.deflate import BlockWriter, inflate, installed_libraries
from tests.helpers import chunkings, frames_in, split
from tests.negotiation import Pair, judge_answer, open_pair, server_answer

LIBRARIES = installed_libraries()
TAIL = b"\x00\x00\xff\xff"
NAME = "permessage-deflate"

each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)


def is_isal(library: ModuleType) -> bool:
    return library.__name__.startswith("isal")


def smallest_window(library: ModuleType) -> int:
    return 9 if is_isal(library) else 8


def levels(library: ModuleType) -> range:
    return range(4) if is_isal(library) else range(-1, 10)


def accept(extension: PermessageDeflate, *parameters: tuple[str, str | None]) -> Extension:
    accepted = extension.accept(parameters)
    assert accepted is not None
    return accepted[1]


def decode(extension: Extension, payload: bytes, max_size: int | None = None) -> bytes:
    return extension.decode(payload, final=True, max_size=max_size)


def messages_with_repetitions(around: int, size: int, seed: int) -> bytes:
    """Bytes full of repetitions of what stands ``around`` bytes back, a little less and more."""
    source = random.Random(seed)
    data = bytearray(source.randbytes(around + 400))
    while len(data) < size:
        if source.random() < 0.75:
            distance = source.randint(max(1, around - 400), around + 300)
            start = len(data) - distance
            data += (data[start:] * 300)[: source.randint(3, 300)]
        else:
            data += source.randbytes(source.randint(1, 20))
    return bytes(data)


# Configuration


@pytest.mark.parametrize("bits", [-8, 0, 7, 16])
@pytest.mark.parametrize("name", ["window_bits", "peer_window_bits"])
def test_window_bits_are_8_to_15(name: str, bits: int) -> None:
    with pytest.raises(ValueError, match=f"window bits are 8 to 15, not {bits}"):
        PermessageDeflate(**cast("dict[str, Any]", {name: bits}))


@each_library
@pytest.mark.parametrize("memory_level", [-1, 0, 10])
def test_memory_level_is_1_to_9(library: ModuleType, memory_level: int) -> None:
    with pytest.raises(ValueError, match=f"with memory level {memory_level}$"):
        PermessageDeflate(library=library, memory_level=memory_level)


@each_library
def test_level_that_the_library_does_not_know_is_refused_at_once(library: ModuleType) -> None:
    for level in (levels(library)[0] - 1, levels(library)[-1] + 1):
        with pytest.raises(ValueError, match=rf"^{library.__name__} knows no level {level} "):
            PermessageDeflate(library=library, level=level)


@each_library
def test_every_level_of_the_library_works(library: ModuleType) -> None:
    message = messages_with_repetitions(1000, 8000, 1)
    for level, memory_level in itertools.product([None, *levels(library)], (1, 5, 9)):
        deflate = PermessageDeflate(library=library, level=level, memory_level=memory_level)
        extension = accept(deflate)
        payload = extension.encode(message, final=True)
        assert inflate(payload + TAIL).data == message
        assert decode(accept(PermessageDeflate()), payload) == message


@each_library
def test_level_is_1_unless_another_is_asked_for(library: ModuleType) -> None:
    message = messages_with_repetitions(1000, 8000, 1)

    def encoded(**options: Any) -> bytes:
        deflate = PermessageDeflate(library=library, **options)
        return accept(deflate).encode(message, final=True)

    default = encoded(level=library.Z_DEFAULT_COMPRESSION)
    assert encoded() == encoded(level=1) != encoded(level=3)
    assert encoded(level=None) == default


def unproven() -> ModuleType:
    """A library with zlib's interface of which nobody has shown how far it looks back."""
    library = ModuleType("unproven")
    vars(library).update({name: vars(zlib)[name] for name in dir(zlib) if name[0] != "_"})
    return library


@pytest.mark.parametrize("library", [*filter(is_isal, LIBRARIES), unproven()])
def test_library_that_may_not_keep_to_8_bits_does_not_promise_it(library: ModuleType) -> None:
    with pytest.raises(
        ValueError, match=f"{library.__name__} cannot compress with a window of 8 bits"
    ):
        PermessageDeflate(library=library, window_bits=8)
    deflate = PermessageDeflate(library=library)
    offer = f"{NAME}; server_max_window_bits=8"
    assert server_answer(offer, extensions=[deflate]) == (None, [])
    fallback = f"{offer}, {NAME}; server_max_window_bits=9"
    assert server_answer(fallback, extensions=[deflate])[0] == fallback.partition(", ")[2]
    with pytest.raises(
        HandshakeError, match=r": a window of 8 bits is more than this library can promise$"
    ):
        judge_answer(f"{NAME}; client_max_window_bits=8", extensions=[deflate])
    # What the peer promises, it can hold the peer to.
    assert judge_answer(f"{NAME}; server_max_window_bits=8", extensions=[deflate])


def test_inflater_is_asked_for_steps_and_for_one_byte_more_than_may_come_out() -> None:
    asked = []

    class Inflater:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._inflater = zlib.decompressobj(*arguments, **options)

        def decompress(self, data: bytes, max_length: int = 0) -> bytes:
            asked.append(max_length)
            return self._inflater.decompress(data, max_length)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inflater, name)

    library = unproven()
    vars(library)["decompressobj"] = Inflater
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(bytes(200_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    extension = PermessageDeflate(library=library).confirm([])
    extension.decode(data[:-4], final=True, max_size=200_000)
    assert asked == [65536, 65536, 65536, 200_000 - 3 * 65536 + 1]


@pytest.mark.parametrize("size", [4095, 4096, 4097, 10_000])
def test_no_more_is_remembered_than_a_window(size: int) -> None:
    message = random.Random(6455).randbytes(size)
    extension = PermessageDeflate(peer_window_bits=12).confirm([("server_max_window_bits", "12")])
    compressor = zlib.compressobj(wbits=-12)
    for _ in range(3):
        data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert extension.decode(data[:-4], final=True, max_size=None) == message
    history = extension._history  # type: ignore[attr-defined]
    assert history == (message * 3)[-4096:]


# What a client asks for


OFFERS = [
    ({}, ["server_max_window_bits=12; client_max_window_bits=12", "client_max_window_bits=12"]),
    ({"peer_window_bits": 15}, ["client_max_window_bits=12"]),
    ({"window_bits": 15, "peer_window_bits": 15}, ["client_max_window_bits"]),
    ({"window_bits": 8, "peer_window_bits": 15}, ["client_max_window_bits=8"]),
    (
        {"window_bits": 15, "peer_window_bits": 8},
        ["server_max_window_bits=8; client_max_window_bits", "client_max_window_bits"],
    ),
    (
        {"peer_window_bits": 15, "context_takeover": False},
        ["client_no_context_takeover; client_max_window_bits=12"],
    ),
    (
        {"peer_window_bits": 15, "peer_context_takeover": False},
        ["server_no_context_takeover; client_max_window_bits=12"],
    ),
    (
        {"context_takeover": False, "peer_context_takeover": False},
        [
            "server_max_window_bits=12; server_no_context_takeover; "
            "client_no_context_takeover; client_max_window_bits=12",
            "server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12",
        ],
    ),
]


@pytest.mark.parametrize(("options", "offers"), OFFERS)
def test_offer(options: dict[str, Any], offers: list[str]) -> None:
    pair = open_pair([PermessageDeflate(**options)], [])
    assert pair.offer == ", ".join(f"{NAME}; {offer}" for offer in offers)
    assert pair.answer is None


# What a server answers

ANSWERS = [
    ({}, "", "server_max_window_bits=12"),
    ({}, "client_max_window_bits", "server_max_window_bits=12; client_max_window_bits=12"),
    ({}, "client_max_window_bits=15", "server_max_window_bits=12; client_max_window_bits=12"),
    ({}, "client_max_window_bits=9", "server_max_window_bits=12; client_max_window_bits=9"),
    ({}, "server_max_window_bits=15", "server_max_window_bits=12"),
    ({}, "server_max_window_bits=10", "server_max_window_bits=10"),
    ({}, "server_max_window_bits=8", "server_max_window_bits=8"),
    ({"window_bits": 15}, "", ""),
    ({"window_bits": 15}, "server_max_window_bits=15", "server_max_window_bits=15"),
    ({"window_bits": 15}, "server_max_window_bits=14", "server_max_window_bits=14"),
    ({"window_bits": 15, "peer_window_bits": 15}, "client_max_window_bits", ""),
    (
        {"window_bits": 15, "peer_window_bits": 15},
        "client_max_window_bits=14",
        "client_max_window_bits=14",
    ),
    ({"window_bits": 15}, "server_no_context_takeover", "server_no_context_takeover"),
    ({"window_bits": 15}, "client_no_context_takeover", ""),
    ({"window_bits": 15, "context_takeover": False}, "", "server_no_context_takeover"),
    ({"window_bits": 15, "peer_context_takeover": False}, "", "client_no_context_takeover"),
    (
        {"context_takeover": False, "peer_context_takeover": False},
        "client_max_window_bits; server_max_window_bits=9",
        "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
        "client_max_window_bits=12",
    ),
]


@pytest.mark.parametrize(("options", "offer", "answer"), ANSWERS)
def test_answer(options: dict[str, Any], offer: str, answer: str) -> None:
    extensions = [PermessageDeflate(**options)]
    found, in_use = server_answer("; ".join(filter(None, [NAME, offer])), extensions=extensions)
    assert found == "; ".join(filter(None, [NAME, answer]))
    assert [extension.name for extension in in_use] == [NAME]


BITS_ASKED = ("8", "9", "12", "15")


def legal_offers() -> list[dict[str, str | None]]:
    """Every combination of the four parameters, with a few values for those that have one."""
    choices: list[list[tuple[str, str | None] | None]] = [
        [None, ("server_no_context_takeover", None)],
        [None, ("client_no_context_takeover", None)],
        [None, *(("server_max_window_bits", bits) for bits in BITS_ASKED)],
        [None, *(("client_max_window_bits", bits) for bits in (None, *BITS_ASKED))],
    ]
    return [dict(filter(None, chosen)) for chosen in itertools.product(*choices)]


def bits_of(parameters: dict[str, str | None], name: str) -> int:
    return int(parameters.get(name) or 15)


@pytest.mark.parametrize("own", [8, 12, 15])
@pytest.mark.parametrize("peer", [8, 12, 15])
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("peer_takeover", [True, False])
def test_answer_to_every_legal_offer(
    own: int, peer: int, takeover: bool, peer_takeover: bool
) -> None:
    deflate = PermessageDeflate(
        window_bits=own,
        peer_window_bits=peer,
        context_takeover=takeover,
        peer_context_takeover=peer_takeover,
    )
    for offer in legal_offers():
        accepted = deflate.accept(list(offer.items()))
        assert accepted is not None
        answer = dict(accepted[0])
        assert len(answer) == len(accepted[0])
        assert ("server_no_context_takeover" in answer) == (
            "server_no_context_takeover" in offer or not takeover
        )
        assert ("client_no_context_takeover" in answer) == (not peer_takeover)
        # The least of both wishes, told where it was asked for and where it is not 15.
        server_bits = bits_of(answer, "server_max_window_bits")
        assert server_bits == min(own, bits_of(offer, "server_max_window_bits"))
        if "server_max_window_bits" in offer:
            assert "server_max_window_bits" in answer
        client_bits = bits_of(answer, "client_max_window_bits")
        if "client_max_window_bits" in offer:
            assert client_bits == min(peer, bits_of(offer, "client_max_window_bits"))
        else:
            assert "client_max_window_bits" not in answer


MALFORMED = [
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    'server_no_context_takeover=""',
    "server_max_window_bits",
    *(
        f"{side}_max_window_bits={value}"
        for side in ("server", "client")
        for value in ("0", "7", "16", "99", "-1", "+9", "09", "1_0", "abc", "8.0", "010", "1e1")
    ),
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits; client_max_window_bits=10",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "unknown",
    "unknown=10",
    "max_window_bits=10",
    # Names of parameters are not case-insensitive.
    "Server_Max_Window_Bits=10",
]


@pytest.mark.parametrize("parameters", [p for p in MALFORMED if '""' not in p])
def test_malformed_offer_is_declined(parameters: str) -> None:
    deflate = PermessageDeflate()
    assert server_answer(f"{NAME}; {parameters}", extensions=[deflate]) == (None, [])
    # It does not stand in the way of the next one.
    answer, _ = server_answer(f"{NAME}; {parameters}, {NAME}", extensions=[deflate])
    assert answer == f"{NAME}; server_max_window_bits=12"


@pytest.mark.parametrize("value", ["\u0661\u0662", "\uff11\uff12", "12\n", " 12", "12 ", ""])
def test_only_ascii_digits_make_a_number(value: str) -> None:
    deflate = PermessageDeflate()
    parameters: Parameters = [("server_max_window_bits", value)]
    assert deflate.accept(parameters) is None
    with pytest.raises(ValueError, match="is an integer from 8 to 15"):
        deflate.confirm(parameters)


@pytest.mark.parametrize(
    "lines",
    [
        [f"{NAME}; server_max_window_bits=7, {NAME}; server_max_window_bits=10"],
        [f"{NAME}; server_max_window_bits=7", f"{NAME}; server_max_window_bits=10"],
        [f"x-other, {NAME};unknown", "x-other", f"{NAME} ;\tserver_max_window_bits=10 , {NAME}"],
        [f'{NAME}; server_max_window_bits="10"'],
        [f'{NAME}; server_max_window_bits="1\\0"'],
        [f'{NAME}; server_max_window_bits="7", {NAME}; server_max_window_bits=10'],
    ],
)
def test_first_acceptable_offer_is_taken_however_it_is_written(lines: list[str]) -> None:
    answer, in_use = server_answer(*lines, extensions=[PermessageDeflate()])
    assert answer == f"{NAME}; server_max_window_bits=10"
    assert len(in_use) == 1


# What a client makes of the answer


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=8",
        "server_max_window_bits=15",
        "client_max_window_bits=8",
        "client_max_window_bits=12",
        'client_max_window_bits="12"',
        "client_max_window_bits=9; server_max_window_bits=9; client_no_context_takeover; "
        "server_no_context_takeover",
    ],
)
def test_legal_answer_is_taken(answer: str) -> None:
    header = "; ".join(filter(None, [NAME, answer]))
    (extension,) = judge_answer(header, extensions=[PermessageDeflate()])
    assert (extension.name, extension.rsv) == (NAME, 0x40)


@pytest.mark.parametrize("answer", [*MALFORMED, "client_max_window_bits"])
def test_illegal_answer_fails_the_handshake(answer: str) -> None:
    with pytest.raises(HandshakeError, match=r"^Sec-WebSocket-Extensions: "):
        judge_answer(f"{NAME}; {answer}", extensions=[PermessageDeflate()])


def test_server_that_keeps_its_context_against_the_offer_fails_the_handshake() -> None:
    deflate = PermessageDeflate(peer_context_takeover=False)
    with pytest.raises(HandshakeError, match="keeps its context"):
        judge_answer(NAME, extensions=[deflate])
    assert judge_answer(f"{NAME}; server_no_context_takeover", extensions=[deflate])


@pytest.mark.parametrize("answer", [f"{NAME}, {NAME}", f"x-other, {NAME}"])
def test_answer_with_more_than_was_offered_fails_the_handshake(answer: str) -> None:
    with pytest.raises(HandshakeError, match=r"taken|was not offered"):
        judge_answer(answer, extensions=[PermessageDeflate()])


# Compression


def test_messages_from_the_threshold_on_are_compressed() -> None:
    extension = accept(PermessageDeflate(threshold=10))
    assert [extension.applies_to(size) for size in (0, 9, 10, 11)] == [False, False, True, True]
    pair = open_pair([], [])
    assert pair.server.extensions == ()
    pair = open_pair([PermessageDeflate()], [PermessageDeflate()])
    for size in (0, 1023, 1024):
        pair.server.send_binary(bytes(size))
    frames = frames_in(pair.server.data_to_send())
    assert [frame.rsv for frame in frames] == [0, 0, 0x40]


def test_first_fragment_decides_for_the_message() -> None:
    pair = open_pair([PermessageDeflate(threshold=10)], [PermessageDeflate(threshold=10)])
    for first in (9, 10):
        pair.server.send_binary(bytes(first), final=False)
        pair.server.send_binary(bytes(100))
    data = pair.server.data_to_send()
    assert [(frame.rsv, len(frame.payload) < 100) for frame in frames_in(data)] == [
        (0, True),
        (0, False),
        (0x40, True),
        (0, True),
    ]
    assert pair.client.receive_data(data) == [bytes(109), bytes(110)]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("size", [0, 1, 5000])
def test_application_chooses_per_message(size: int, compress: bool) -> None:
    pair = open_pair([PermessageDeflate()], [PermessageDeflate()])
    pair.client.send_text("a" * size, compress=compress)
    pair.server.send_binary(b"a" * size, compress=compress)
    request, response = pair.client.data_to_send(), pair.server.data_to_send()
    assert [frame.rsv for frame in frames_in(request + response)] == [0x40 * compress] * 2
    assert pair.server.receive_data(request) == ["a" * size]
    assert pair.client.receive_data(response) == [b"a" * size]


def test_uncompressed_messages_leave_the_context_alone() -> None:
    pair = open_pair([PermessageDeflate()], [PermessageDeflate()])
    messages = [b"compressed" * 200, b"plain" * 1000, b"compressed" * 200]
    for message, compress in zip(messages, (True, False, True), strict=True):
        pair.server.send_binary(message, compress=compress)
    data = pair.server.data_to_send()
    first, _, last = (frame.payload for frame in frames_in(data))
    assert len(last) < len(first)
    assert inflate(first + TAIL + last + TAIL).data == messages[0] * 2
    assert pair.client.receive_data(data) == messages


@each_library
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT], ids=["server", "client"])
def test_context_takeover(library: ModuleType, takeover: bool, role: Role) -> None:
    ours = PermessageDeflate(library=library, context_takeover=takeover, threshold=0)
    theirs = PermessageDeflate(library=library, threshold=0)
    if role is Role.SERVER:
        pair = open_pair([theirs], [ours])
        sender, receiver = pair.server, pair.client
    else:
        pair = open_pair([ours], [theirs])
        sender, receiver = pair.client, pair.server
    message = random.Random(1).randbytes(700)
    for _ in range(3):
        sender.send_binary(message)
    data = sender.data_to_send()
    first, second, third = (frame.payload for frame in frames_in(data))
    if takeover:
        assert len(second) < 100
        with pytest.raises(ValueError, match="before the beginning"):
            inflate(second + TAIL)
        assert inflate(second + TAIL + third + TAIL, history=message).data == message * 2
    else:
        assert inflate(second + TAIL).data == message
        assert first == second == third
    assert receiver.receive_data(data) == [message] * 3


@each_library
def test_a_silent_connection_on_which_nothing_is_compressed_gives_its_compressor_up(
    library: ModuleType,
) -> None:
    deflate = PermessageDeflate(library=library, threshold=0)
    pair = open_pair([deflate], [deflate])
    message = random.Random(1).randbytes(700)

    def sizes(count: int) -> list[int]:
        """Has messages sent, received and answered; returns how large their payloads were."""
        for _ in range(count):
            pair.server.send_binary(message)
        data = pair.server.data_to_send()
        assert pair.client.receive_data(data) == [message] * count
        return [len(frame.payload) for frame in frames_in(data) if frame.opcode is Opcode.BINARY]

    def be_silent() -> None:
        """Lets the time go by until the next Ping, which is answered."""
        now = pair.server.next_deadline()
        assert now is not None
        assert pair.server.handle_deadline(now) == []
        pair.client.receive_data(pair.server.data_to_send())
        pair.server.receive_data(pair.client.data_to_send(), now)

    def looks_back(size: int) -> bool:
        return size < 100

    assert list(map(looks_back, sizes(2))) == [False, True]
    be_silent()
    assert list(map(looks_back, sizes(1))) == [True]
    be_silent()
    be_silent()
    assert list(map(looks_back, sizes(2))) == [False, True]


@each_library
@pytest.mark.parametrize("agreed", range(8, 16))
def test_compressor_keeps_to_the_agreed_window(library: ModuleType, agreed: int) -> None:
    if agreed < smallest_window(library):
        return
    window = 1 << agreed
    size = 300_000 if agreed == 8 else 3 * window // 2 + 20_000
    message = messages_with_repetitions(window, size, agreed)
    for level in (1, levels(library)[-1]) if agreed < 14 else (None,):
        deflate = PermessageDeflate(library=library, window_bits=15, level=level)
        extension = accept(deflate, ("server_max_window_bits", str(agreed)))
        stream = b""
        for piece in split(message, *range(7000, size, 7000)):
            stream += extension.encode(piece, final=True) + TAIL
        inflated = inflate(stream)
        assert inflated.data == message
        # Not so careful either that the window would be of no use.
        assert window // 3 < inflated.longest_distance <= window


@each_library
@pytest.mark.parametrize("agreed", range(8, 16))
@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT], ids=["server", "client"])
def test_inflater_reaches_back_as_far_as_was_agreed(
    library: ModuleType, agreed: int, role: Role
) -> None:
    deflate = PermessageDeflate(library=library, peer_window_bits=agreed)
    if role is Role.SERVER:
        extension = accept(deflate, ("client_max_window_bits", None))
    else:
        extension = deflate.confirm([("server_max_window_bits", str(agreed))])
    history = random.Random(agreed).randbytes(1 << agreed)
    assert decode(extension, BlockWriter().stored(history).message()) == history
    back = BlockWriter().begin().match(258, 1 << agreed).end().message()
    assert decode(extension, back) == (history * 2)[:258]


@each_library
def test_inflater_has_the_whole_window_where_nothing_was_agreed(library: ModuleType) -> None:
    deflate = PermessageDeflate(library=library, peer_window_bits=8)
    history = random.Random(0).randbytes(32768)
    for extension in (accept(deflate), deflate.confirm([])):
        assert decode(extension, BlockWriter().stored(history).message()) == history
        back = BlockWriter().begin().match(258, 32768).end().message()
        assert decode(extension, back) == history[:258]


@each_library
@pytest.mark.parametrize("takeover", [True, False])
def test_fragments_of_a_compressed_message(library: ModuleType, takeover: bool) -> None:
    deflate = PermessageDeflate(library=library, context_takeover=takeover, threshold=0)
    pair = open_pair([deflate], [deflate])
    expected: list[Event] = []
    for fragments in (["one"], ["", "two"], ["th", "", "ree"], ["four", ""], ["", "", ""], [""]):
        for index, fragment in enumerate(fragments):
            pair.client.send_text(fragment, final=index == len(fragments) - 1)
            pair.client.send_pong(b"between")
        expected.append("".join(fragments))
    data = pair.client.data_to_send()
    fragments_sent = [frame for frame in frames_in(data) if not frame.opcode.is_control]
    stream = b""
    for frame in fragments_sent:
        assert frame.rsv == (0 if frame.opcode is Opcode.CONTINUATION else 0x40)
        stream += frame.payload + (TAIL if frame.fin else b"")
    assert inflate(stream).data == "".join(map(str, expected)).encode() or not takeover
    assert messages_of(pair.server, [data]) == expected


def messages_of(connection: Connection, chunks: list[bytes]) -> list[Event]:
    events = [event for chunk in chunks for event in connection.receive_data(chunk)]
    assert not any(isinstance(event, Fault) for event in events), events
    return [event for event in events if isinstance(event, str | bytes)]


def test_library_that_has_nothing_to_say_of_nothing_gets_its_empty_block() -> None:
    # zlib's deflate() gives nothing when it is flushed twice; RFC 7692 §7.2.3.6 tells what to send.
    class Taciturn:
        def __init__(self, *arguments: Any) -> None:
            self.compressor = zlib.compressobj(*arguments)

        def compress(self, data: bytes) -> bytes:
            return self.compressor.compress(data) if data else b""

        def flush(self, mode: int) -> bytes:
            return self.compressor.flush(mode)

    library = unproven()
    library.compressobj = Taciturn  # type: ignore[attr-defined]
    extension = accept(PermessageDeflate(library=library))
    receiver = accept(PermessageDeflate())
    payload = extension.encode(b"Hello", final=False)
    assert extension.encode(b"", final=False) == b""
    payload += extension.encode(b"", final=True)
    assert payload.endswith(TAIL + b"\x00")
    for expected in (b"Hello", b"", b"Hello"):
        assert decode(receiver, payload) == expected
        payload = extension.encode(b"Hello" if expected == b"" else b"", final=True)


# Decompression


@each_library
def test_block_with_bfinal_does_not_end_the_messages(library: ModuleType) -> None:
    # RFC 7692 §7.2.3.4: what follows may look back across it.
    extension = accept(PermessageDeflate(library=library))
    final = BlockWriter().begin(final=True).literals(b"Hello, ").end().octets()
    payload = final + BlockWriter().begin().match(7, 7).end().message()
    assert decode(extension, payload) == b"Hello, Hello, "
    assert decode(extension, BlockWriter().begin().match(14, 14).end().message()) == (
        b"Hello, Hello, "
    )
    # The last octet of a message with BFINAL at its end, as in the RFC's example.
    assert decode(extension, final + b"\x00") == b"Hello, "
    assert decode(extension, BlockWriter().begin().match(7, 7).end().message()) == b"Hello, "


@each_library
def test_history_across_bfinal_is_as_long_as_the_window(library: ModuleType) -> None:
    extension = accept(PermessageDeflate(library=library), ("client_max_window_bits", "9"))
    old = random.Random(1).randbytes(2000)
    stored = BlockWriter().stored(old).stored(b"", final=True).octets()
    payload = stored + BlockWriter().begin().match(258, 512).end().message()
    assert decode(extension, payload) == old + old[-512:-254]
    # Of several messages, too.
    pieces = [random.Random(2).randbytes(size) for size in (100, 311, 1, 100, 200, 1)]
    for piece in pieces:
        assert decode(extension, BlockWriter().stored(piece).message()) == piece
    payload = BlockWriter().stored(b"", final=True).octets()
    payload += BlockWriter().begin().match(3, 512).end().message()
    assert decode(extension, payload) == b"".join(pieces)[-512:-509]


@each_library
def test_history_is_forgotten_without_context_takeover(library: ModuleType) -> None:
    extension = accept(PermessageDeflate(library=library, peer_context_takeover=False))
    assert decode(extension, BlockWriter().stored(b"history").message()) == b"history"
    with pytest.raises(ProtocolError) as caught:
        decode(extension, BlockWriter().begin().match(3, 3).end().message())
    assert caught.value.code == CloseCode.INVALID_PAYLOAD_DATA


@each_library
@pytest.mark.parametrize("count", [1, 1023, 1024])
def test_blocks_with_bfinal_up_to_the_limit(library: ModuleType, count: int) -> None:
    extension = accept(PermessageDeflate(library=library))
    for _ in range(2):
        assert decode(extension, b"\x03\x00" * count + b"\x00") == b""


@each_library
@pytest.mark.parametrize("pieces", [1, 25])
def test_too_many_blocks_with_bfinal_fail_1008(library: ModuleType, pieces: int) -> None:
    extension = accept(PermessageDeflate(library=library))
    payload = b"\x03\x00" * (1025 // pieces)
    for _ in range(pieces - 1):
        assert extension.decode(payload, final=False, max_size=None) == b""
    with pytest.raises(ProtocolError, match="too many final blocks") as caught:
        extension.decode(payload, final=False, max_size=None)
    assert caught.value.code == CloseCode.POLICY_VIOLATION


@each_library
@pytest.mark.parametrize("cut", range(5))
def test_message_that_brings_part_of_the_tail_itself(library: ModuleType, cut: int) -> None:
    # A stored block of its own, and as much of the header of the next as the peer left there.
    extension = accept(PermessageDeflate(library=library))
    payload = BlockWriter().stored(b"Hello").octets() + (b"\x00" + TAIL) * (cut > 0) + b"\x00"
    for _ in range(3):
        assert decode(extension, payload) == b"Hello"
    assert decode(extension, b"\x00" + TAIL + b"\x00") == b""


@each_library
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536, 200_000])
@pytest.mark.parametrize("takeover", [True, False])
def test_output_is_bounded(library: ModuleType, limit: int, takeover: bool) -> None:
    sender = accept(PermessageDeflate(library=library, context_takeover=takeover))
    receiver = accept(PermessageDeflate(library=library, peer_context_takeover=takeover))
    for size in {0, limit - 1, limit} - {-1}:
        payload = sender.encode(bytes(size), final=True)
        assert decode(receiver, payload, max_size=limit) == bytes(size)
    with pytest.raises(ProtocolError, match="too large when inflated") as caught:
        decode(receiver, sender.encode(bytes(limit + 1), final=True), max_size=limit)
    assert caught.value.code == CloseCode.MESSAGE_TOO_BIG


@each_library
@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65536, 131072, 500_000])
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_messages_of_every_size_without_a_limit(library: ModuleType, size: int, kind: str) -> None:
    message = bytes(size) if kind == "zeros" else random.Random(size).randbytes(size)
    sender, receiver = (accept(PermessageDeflate(library=library)) for _ in range(2))
    for _ in range(2):
        assert decode(receiver, sender.encode(message, final=True)) == message


@each_library
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xff", id="reserved block type"),
        pytest.param(b"\x07", id="reserved block type with BFINAL"),
        pytest.param(b"\x00\x05\x00\x00\x00Hello", id="length of a stored block not confirmed"),
        pytest.param(BlockWriter().begin().match(3, 1).end().message(), id="before the beginning"),
        pytest.param(b"\x05\xff\xff\xff\xff\xff\xff\xff", id="impossible codes"),
    ],
)
def test_invalid_data_fails_1007(library: ModuleType, payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="not valid DEFLATE data") as caught:
        decode(accept(PermessageDeflate(library=library)), payload)
    assert caught.value.code == CloseCode.INVALID_PAYLOAD_DATA
    assert isinstance(caught.value.__cause__, library.error)


@each_library
@pytest.mark.parametrize("pieces", [1, 3])
def test_compressed_message_without_a_block_fails_1007(library: ModuleType, pieces: int) -> None:
    extension = accept(PermessageDeflate(library=library))
    # Only when all of it is empty: pieces may be.
    for piece in (b"", b"\x00"):
        extension.decode(piece, final=False, max_size=None)
    assert extension.decode(b"", final=True, max_size=None) == b""
    for _ in range(pieces - 1):
        assert extension.decode(b"", final=False, max_size=None) == b""
    with pytest.raises(ProtocolError, match="without a block") as caught:
        extension.decode(b"", final=True, max_size=None)
    assert caught.value.code == CloseCode.INVALID_PAYLOAD_DATA


@each_library
def test_every_split_of_a_stream_gives_the_same(library: ModuleType) -> None:
    final = BlockWriter().begin(final=True).literals(b"final").end().octets()
    payload = final + BlockWriter().begin().match(5, 5).literals("é€".encode()).end().message()
    frame = encode(Opcode.TEXT, payload, rsv=0x40)
    for chunks in chunkings(frame * 3):
        connection = Connection(Role.CLIENT, extensions=[PermessageDeflate().confirm([])])
        assert messages_of(connection, chunks) == ["finalfinalé€"] * 3


# Whole messages, which the native twin inflates in place of zlib


def inflate_in_python(
    payload: bytes, history: bytearray, window_bits: int, max_size: int | None
) -> bytes | None:
    """What the native twin does, for runs without it."""
    try:
        inflated = inflate(payload + TAIL, bytes(history))
    except ValueError:
        return None
    window = 1 << window_bits
    if inflated.final_blocks or inflated.longest_distance > window or not payload:
        return None
    if max_size is not None and len(inflated.data) > max_size:
        raise OverflowError
    history[:] = (history + inflated.data)[-window:]
    return bytes(inflated.data)


@pytest.fixture(params=["as it is", "in Python"])
def whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has whole messages inflated by what is built, or by the slow one of these tests."""
    if request.param == "in Python":
        monkeypatch.setattr(
            "rfc6455.extensions.permessage_deflate.inflate_whole_for",
            lambda library: (inflate_in_python, sys.maxsize) if library is zlib else (None, 0),
        )


def look_back(distance: int) -> bytes:
    return BlockWriter().begin().match(3, distance).end().message()


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("takeover", [True, False])
def test_whole_messages_and_others_share_one_history(takeover: bool) -> None:
    extension = accept(PermessageDeflate(peer_context_takeover=takeover))
    sender = zlib.compressobj(wbits=-15)
    for number in range(12):
        message = b"%d: the same words, the same words" % number
        if not takeover:
            sender = zlib.compressobj(wbits=-15)
        payload = (sender.compress(message) + sender.flush(zlib.Z_SYNC_FLUSH))[:-4]
        *pieces, last = (payload,) if number % 3 else split(payload, 3, 7)
        found = [extension.decode(piece, final=False, max_size=None) for piece in pieces]
        assert b"".join(found) + decode(extension, last) == message


@each_library
@pytest.mark.parametrize("bits", [9, 12, 15])
def test_short_messages_and_long_ones_share_one_history(library: ModuleType, bits: int) -> None:
    sender = zlib.compressobj(wbits=-bits)
    extension = accept(
        PermessageDeflate(library=library, peer_window_bits=bits), ("client_max_window_bits", None)
    )
    words = random.Random(6455).randbytes(900)
    for number, size in enumerate((10, 400, 900, 10, 40_000, 300, 10, 900)):
        message = (words * 50)[number : number + size]
        payload = (sender.compress(message) + sender.flush(zlib.Z_SYNC_FLUSH))[:-4]
        assert decode(extension, payload) == message


@pytest.mark.usefixtures("whole")
def test_whole_message_with_bfinal_leaves_its_history() -> None:
    extension = accept(PermessageDeflate())
    final = BlockWriter().begin(final=True).literals(b"abc").end().octets()
    for payload in (final + b"\x00", look_back(3), final + look_back(3), look_back(6)):
        assert decode(extension, payload).endswith(b"abc")
    # One that begins in a piece is counted with what follows.
    assert extension.decode(final, final=False, max_size=None) == b"abc"
    with pytest.raises(ProtocolError, match="too many final blocks"):
        decode(extension, b"\x03\x00" * 1024)


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("pieces", [1, 2])
def test_whole_message_is_limited_as_others_are(pieces: int) -> None:
    extension = accept(PermessageDeflate())
    payload = BlockWriter().begin().literals(b"a").match(258, 1).match(258, 1).end().message()
    for limit in (517, 518, None):
        *first, last = (payload,) if pieces == 1 else split(payload, 4)
        size = sum(len(extension.decode(piece, final=False, max_size=limit)) for piece in first)
        left = None if limit is None else limit - size
        assert size + len(decode(extension, last, max_size=left)) == 517
    with pytest.raises(ProtocolError, match="too large when inflated") as caught:
        accept(PermessageDeflate()).decode(payload, final=True, max_size=516)
    assert caught.value.code == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(
    "payload",
    [
        # Within a block, whose next symbols the tail brings; and within a stored one.
        BlockWriter().begin().literals(b"Hello").octets(),
        BlockWriter().stored(b"Hello").octets(),
        BlockWriter().stored(b"Hello" * 20).octets()[:-3],
    ],
)
def test_message_that_ends_within_a_block_goes_on_in_the_next(payload: bytes) -> None:
    # No sender may do that. What comes of it is zlib's, with the native twin or without.
    outcomes = []
    for library in (zlib, unproven()):
        extension = accept(PermessageDeflate(library=library))
        outcome: list[object] = []
        for piece in (payload, b"\x00", look_back(3), b"\x00"):
            try:
                outcome.append(decode(extension, piece))
            except ProtocolError as error:
                outcome.append(str(error))
                break
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


@pytest.mark.usefixtures("whole")
def test_message_in_pieces_may_end_with_a_final_block() -> None:
    extension = accept(PermessageDeflate())
    final = BlockWriter().begin(final=True).literals(b"abc").end().octets()
    assert extension.decode(b"\x00" + TAIL, final=False, max_size=None) == b""
    assert extension.decode(final + b"\x00", final=False, max_size=None) == b"abc"
    # With the tail, which is an empty stored block but for its first byte, and this one.
    payload = BlockWriter().stored(b"", final=True).octets()
    assert payload.endswith(TAIL)
    assert extension.decode(TAIL + payload[:-4], final=True, max_size=None) == b""
    assert decode(extension, look_back(3)) == b"abc"


# Properties


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


short = st.binary(max_size=8)
payloads = st.one_of(
    short,
    st.builds(noise, st.integers(0, 3), st.integers(0, 3000)),
    st.builds(lambda unit, times, end: unit * times + end, short, st.integers(0, 900), short),
)


@st.composite
def configurations(draw: st.DrawFn) -> PermessageDeflate:
    library = draw(st.sampled_from(LIBRARIES))
    return PermessageDeflate(
        library=library,
        level=draw(st.sampled_from([None, *levels(library)])),
        memory_level=draw(st.integers(1, 9)),
        window_bits=draw(st.integers(smallest_window(library), 15)),
        peer_window_bits=draw(st.integers(8, 15)),
        context_takeover=draw(st.booleans()),
        peer_context_takeover=draw(st.booleans()),
        threshold=draw(st.sampled_from([0, 10, 1024])),
    )


sendings = st.tuples(
    st.sampled_from(Role),
    st.lists(payloads, min_size=1, max_size=4),
    st.sampled_from([None, True, False]),
)


@settings(max_examples=75)
@given(configurations(), configurations(), st.lists(sendings, max_size=8), st.data())
def test_what_arrives_is_what_was_sent(
    client: PermessageDeflate,
    server: PermessageDeflate,
    sent: list[tuple[Role, list[bytes], bool | None]],
    data: st.DataObject,
) -> None:
    # A client cannot say that it takes no less than 9 bits.
    server = replace(server, peer_window_bits=max(9, server.peer_window_bits))
    pair: Pair = open_pair([client], [server])
    expected: dict[Role, list[bytes]] = {Role.CLIENT: [], Role.SERVER: []}
    for role, fragments, compress in sent:
        sender = pair.client if role is Role.CLIENT else pair.server
        for index, fragment in enumerate(fragments):
            sender.send_binary(fragment, final=index == len(fragments) - 1, compress=compress)
            sender.send_pong(b"between")
        expected[role].append(b"".join(fragments))
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        stream = sender.data_to_send()
        cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
        assert messages_of(receiver, split(stream, *cuts)) == expected[sender.role]


@settings(max_examples=75)
@given(configurations(), st.lists(payloads, max_size=5))
def test_what_is_sent_is_deflate_within_the_agreed_window(
    deflate: PermessageDeflate, messages: list[bytes]
) -> None:
    extension = deflate.confirm([("server_no_context_takeover", None)])
    history = b""
    for message in messages:
        payload = extension.encode(message, final=True)
        inflated = inflate(payload + TAIL, history)
        assert inflated.data == message
        assert inflated.longest_distance <= 1 << deflate.window_bits
        assert inflated.final_blocks == 0
        history = history + message if deflate.context_takeover else b""


@st.composite
def streams(draw: st.DrawFn, window: int, history: int) -> bytes:
    """Blocks of any type, with and without BFINAL, that look back up to ``window`` bytes."""
    octets = b""
    writer = BlockWriter()
    for _ in range(draw(st.integers(1, 6))):
        final = draw(st.integers(0, 4)) == 0
        if draw(st.booleans()):
            data = draw(payloads)
            writer.stored(data, final=final)
            history += len(data)
        else:
            writer.begin(final=final)
            for _ in range(draw(st.integers(0, 4))):
                literals = draw(st.binary(max_size=10))
                writer.literals(literals)
                history += len(literals)
                if history:
                    length = draw(st.integers(3, 258))
                    writer.match(length, draw(st.integers(1, min(history, window))))
                    history += length
            writer.end()
        if final:
            octets, writer = octets + writer.octets(), BlockWriter()
    return octets + writer.message()


@settings(max_examples=75)
@given(st.sampled_from(LIBRARIES), st.integers(8, 15), st.booleans(), st.integers(1, 4), st.data())
def test_any_deflate_stream_is_inflated_as_it_should_be(
    library: ModuleType, bits: int, takeover: bool, messages: int, data: st.DataObject
) -> None:
    deflate = PermessageDeflate(
        library=library, peer_window_bits=bits, peer_context_takeover=takeover
    )
    extension = accept(deflate, ("client_max_window_bits", None))
    history = b""
    for _ in range(messages):
        payload = data.draw(streams(1 << bits, len(history)))
        expected = bytes(inflate(payload + TAIL, history).data)
        cuts = data.draw(st.lists(st.integers(0, len(payload)), max_size=5))
        *pieces, last = split(payload, *cuts)
        found = b"".join(
            extension.decode(piece, final=False, max_size=None) for piece in pieces
        ) + extension.decode(last, final=True, max_size=None)
        assert found == expected
        history = history + expected if takeover else b""


@settings(max_examples=100)
@given(st.sampled_from(LIBRARIES), st.binary(max_size=200), st.integers(0, 300), st.data())
def test_garbage_raises_nothing_but_protocol_errors(
    library: ModuleType, payload: bytes, limit: int, data: st.DataObject
) -> None:
    extension = accept(PermessageDeflate(library=library))
    position = data.draw(st.integers(0, len(payload)))
    size = 0
    with contextlib.suppress(ProtocolError):
        for piece, final in ((payload[:position], False), (payload[position:], True)):
            size += len(extension.decode(piece, final=final, max_size=limit - size))
            assert size <= limit


def test_zlib_is_the_default() -> None:
    assert PermessageDeflate().library is zlib


def test_limits_hold_for_the_inflated_size() -> None:
    limits = Limits(max_message_size=5000)
    pair = open_pair([PermessageDeflate()], [PermessageDeflate()], limits=limits)
    for size in (5000, 5001):
        pair.client.send_binary(bytes(size))
    fits, fault = pair.server.receive_data(pair.client.data_to_send())
    assert fits == bytes(5000)
    assert isinstance(fault, Fault)
    assert fault.error.code == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize("seed", range(8))
def test_message_that_is_too_large_is_inflated_once(seed: int) -> None:
    # Read again, by an inflater that stopped in the middle of it, it would be malformed to some.
    message = bytes(random.Random(seed).choices(b"abcdefgh", k=3000))
    payload = zlib.compress(message, wbits=-15)
    decoder = Decoder(
        masked=False, max_message_size=2000, extensions=[PermessageDeflate().confirm([])]
    )
    (fault,) = decoder.receive_data(encode(Opcode.BINARY, payload, rsv=0x40))
    assert isinstance(fault, Fault)
    assert fault.error.code == CloseCode.MESSAGE_TOO_BIG


def test_a_window_larger_than_our_hint_is_not_used() -> None:
    """RFC 7692 §7.1.2.2: the server may ignore the value that we offered."""
    extension = PermessageDeflate(window_bits=9, threshold=0).confirm(
        [("client_max_window_bits", "15")]
    )
    message = os.urandom(1000)
    encoded = extension.encode(message * 2, final=True)
    assert len(encoded) > 2 * len(message)
    strict = zlib.decompressobj(-9)
    assert strict.decompress(encoded + b"\x00\x00\xff\xff") == message * 2
