"""RFC 7692, clause by clause: what permessage-deflate must do, on either side.

The ids are those of ``clauses.toml``. What is received goes through a connection in every way that
reads may cut it; what is sent is judged by an inflater of our own (``tests/deflate.py``).
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from rfc6455 import Connection, HandshakeError, PermessageDeflate, Role
from rfc6455.events import Event, Ping
from rfc6455.extensions import Extension, ExtensionFactory, Parameters
from rfc6455.frames import Frame, Opcode
from tests.deflate import BlockWriter, inflate
from tests.helpers import (
    CLIENT,
    SERVER,
    Failure,
    Outcome,
    both_roles,
    chunkings,
    frames_in,
    peer_frame,
    run,
)
from tests.negotiation import Pair, judge_answer, open_pair, server_answer

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"
RSV1 = 0x40
HELLO = bytes.fromhex("f248cdc9c90700")
"""§7.2.3.1: "Hello" in one compressed block."""

ALWAYS = PermessageDeflate(threshold=0)


def in_use(role: Role, *parameters: tuple[str, str | None], **options: Any) -> Extension:
    """The extension on our side, after the server answered ``parameters``."""
    deflate = PermessageDeflate(threshold=0, **options)
    if role is CLIENT:
        return deflate.confirm(parameters)
    offer = [("client_max_window_bits", None), *parameters]
    accepted = deflate.accept(list(dict(offer).items()))
    assert accepted is not None
    return accepted[1]


def receive(
    data: bytes, role: Role, *parameters: tuple[str, str | None], **options: Any
) -> Outcome:
    """What comes of the peer's ``data``, which is the same however reads cut it."""
    outcome, *others = [
        run(chunks, role, extensions=[in_use(role, *parameters, **options)])
        for chunks in chunkings(data)
    ]
    for other in others:
        assert other == outcome
    return outcome


def frames_for(role: Role, *payloads: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """A message for ``role`` whose payloads are compressed already, in fragments."""
    data = b""
    for index, payload in enumerate(payloads):
        data += peer_frame(
            role,
            Opcode.CONTINUATION if index else opcode,
            payload,
            fin=index == len(payloads) - 1,
            rsv=0 if index else RSV1,
        )
    return data


def connection(role: Role, *parameters: tuple[str, str | None], **options: Any) -> Connection:
    return Connection(role, extensions=[in_use(role, *parameters, **options)])


def messages_sent(sender: Connection) -> list[list[Frame]]:
    """The frames of each message that was sent, control frames left out."""
    messages: list[list[Frame]] = []
    for frame in frames_in(sender.data_to_send()):
        if frame.opcode.is_control:
            continue
        if frame.opcode is not Opcode.CONTINUATION:
            messages.append([])
        messages[-1].append(frame)
    return messages


def payload_of(frames: list[Frame]) -> bytes:
    return b"".join(frame.payload for frame in frames)


def exchanged(pair: Pair, messages: list[str]) -> tuple[list[Event], list[Event]]:
    """Sends messages both ways; what the client got, and what the server got."""
    for message in messages:
        pair.client.send_text(message)
        pair.server.send_text(message)
    to_server, to_client = pair.client.data_to_send(), pair.server.data_to_send()
    return pair.client.receive_data(to_client), pair.server.receive_data(to_server)


# §4 and §6: which frames


@pytest.mark.clause("D001", "D015")
@both_roles
def test_s4_control_frames_are_never_compressed(role: Role) -> None:
    sender = connection(role)
    sender.send_text("a" * 500, final=False)
    sender.send_ping(b"p" * 125)
    sender.send_pong(b"p" * 125)
    sender.send_text("", compress=True)
    sender.close(1000, "r" * 100)
    frames = [frame for frame in frames_in(sender.data_to_send()) if frame.opcode.is_control]
    assert [(frame.rsv, len(frame.payload)) for frame in frames] == [(0, 125), (0, 125), (0, 102)]


@pytest.mark.clause("D014", "D022", "D020")
@both_roles
def test_s6_first_rsv1_tells_for_each_message_whether_it_is_compressed(role: Role) -> None:
    plain = peer_frame(role, Opcode.TEXT, b"plain")
    data = frames_for(role, HELLO) + plain + frames_for(role, bytes.fromhex("f200110000")) + plain
    assert receive(data, role).events == ["Hello", "plain", "Hello", "plain"]


@pytest.mark.clause("D014", "D016", "D019", "D020")
@both_roles
@pytest.mark.parametrize("compress", [True, False])
def test_s6_1_rsv1_is_sent_on_the_first_frame_alone(role: Role, compress: bool) -> None:
    sender = connection(role)
    for word in ("un", "", "frag", "mented"):
        sender.send_text(word, final=word == "mented", compress=compress)
    (frames,) = messages_sent(sender)
    assert [frame.rsv for frame in frames] == [RSV1 * compress, 0, 0, 0]
    payload = payload_of(frames)
    assert (inflate(payload + TAIL).data if compress else payload) == b"unfragmented"


@pytest.mark.clause("D017")
@both_roles
@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CLOSE])
def test_s6_control_frame_with_rsv1_fails_1002(role: Role, opcode: Opcode) -> None:
    for before in (b"", peer_frame(role, Opcode.TEXT, HELLO[:3], fin=False, rsv=RSV1)):
        outcome = receive(before + peer_frame(role, opcode, rsv=RSV1), role)
        assert outcome.events == [Failure(1002, "5.2")]


@pytest.mark.clause("D017")
@both_roles
@pytest.mark.parametrize("first", [0, RSV1])
@pytest.mark.parametrize("fin", [True, False])
def test_s6_continuation_with_rsv1_fails_1002(role: Role, first: int, fin: bool) -> None:
    data = peer_frame(role, Opcode.TEXT, HELLO[:3] if first else b"a", fin=False, rsv=first)
    data += peer_frame(role, Opcode.CONTINUATION, HELLO[3:], fin=fin, rsv=RSV1)
    assert receive(data, role).events == [Failure(1002, "5.2")]


@pytest.mark.clause("D018")
@both_roles
def test_s6_opcode_stays_and_text_is_utf8_when_decompressed(role: Role) -> None:
    # 0xC9, in what is sent, is no UTF-8.
    data = frames_for(role, HELLO) + frames_for(role, HELLO, opcode=Opcode.BINARY)
    assert receive(data, role).events == ["Hello", b"Hello"]
    not_text = BlockWriter().stored(b"\xc9").message()
    assert receive(frames_for(role, not_text, opcode=Opcode.BINARY), role).events == [b"\xc9"]
    assert receive(frames_for(role, not_text), role).events == [Failure(1007, "8.1")]
    sender = connection(role)
    sender.send_text("text")
    sender.send_binary(b"bytes")
    assert [frames[0].opcode for frames in messages_sent(sender)] == [Opcode.TEXT, Opcode.BINARY]


@pytest.mark.clause("D021", "D062")
@both_roles
def test_s6_2_payloads_of_all_frames_are_one_stream(role: Role) -> None:
    for cut in range(len(HELLO) + 1):
        data = frames_for(role, HELLO[:cut], b"", HELLO[cut:])
        assert receive(data, role).events == ["Hello"]
    octets = [HELLO[i : i + 1] for i in range(len(HELLO))]
    assert receive(frames_for(role, *octets), role).events == ["Hello"]


@pytest.mark.clause("D001", "D021")
@both_roles
def test_s6_2_control_frames_stand_between_compressed_fragments(role: Role) -> None:
    first = peer_frame(role, Opcode.TEXT, HELLO[:3], fin=False, rsv=RSV1)
    last = peer_frame(role, Opcode.CONTINUATION, HELLO[3:])
    outcome = receive(first + peer_frame(role, Opcode.PING, b"p") + last, role)
    assert outcome.events == [Ping(b"p"), "Hello"]
    assert outcome.sent == [Frame(Opcode.PONG, b"p")]


# §5: negotiation of a per-message compression extension


@pytest.mark.clause("D002", "D003", "D039", "D044")
def test_s5_client_offers_configurations_in_its_order_of_preference() -> None:
    pair = open_pair([PermessageDeflate()], [])
    assert pair.offer == (
        f"{NAME}; server_max_window_bits=12; client_max_window_bits=12, "
        f"{NAME}; client_max_window_bits=12"
    )


@pytest.mark.clause("D004", "D005")
def test_s5_server_takes_the_first_offer_that_it_supports() -> None:
    offers = [f"x-other, {NAME}; unknown, {NAME}; server_max_window_bits=10, {NAME}"]
    answer, (extension,) = server_answer(*offers, extensions=[ALWAYS])
    assert answer == f"{NAME}; server_max_window_bits=10"
    assert extension.name == NAME


@pytest.mark.clause("D006", "D034", "D037", "D042")
def test_s5_answer_may_hold_what_was_not_offered() -> None:
    deflate = PermessageDeflate(context_takeover=False, peer_context_takeover=False)
    answer, _ = server_answer(NAME, extensions=[deflate])
    assert answer == (
        f"{NAME}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
    )
    assert judge_answer(answer, extensions=[PermessageDeflate()])


@pytest.mark.clause("D007")
@pytest.mark.parametrize("side", ["client", "server"])
def test_s5_without_an_answer_nothing_is_compressed(side: str) -> None:
    pair = open_pair([ALWAYS], []) if side == "client" else open_pair([], [ALWAYS])
    assert pair.answer is None
    for connection in (pair.client, pair.server):
        connection.send_text("a" * 5000, compress=True)
        (frame,) = frames_in(connection.data_to_send())
        assert (frame.rsv, len(frame.payload)) == (0, 5000)
        data = frames_for(connection.role, HELLO)
        outcome = run([data], connection.role)
        assert outcome.events == [Failure(1002, "5.2")]


@pytest.mark.clause("D008")
@pytest.mark.parametrize("answer", [NAME, "permessage-bzip2"])
def test_s5_answer_without_an_offer_fails_the_client(answer: str) -> None:
    offered: list[ExtensionFactory] = [] if answer == NAME else [ALWAYS]
    with pytest.raises(HandshakeError, match="was not offered"):
        judge_answer(answer, extensions=offered)


@pytest.mark.clause("D009", "D031")
@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"peer_context_takeover": False}, ""),
        ({"peer_context_takeover": False}, "; client_no_context_takeover"),
    ],
)
def test_s5_answer_that_does_not_fit_the_offer_fails_the_client(
    options: dict[str, Any], answer: str
) -> None:
    with pytest.raises(HandshakeError, match=r"^Sec-WebSocket-Extensions: "):
        judge_answer(NAME + answer, extensions=[PermessageDeflate(**options)])


class RivalForRsv1(ExtensionFactory):
    """Another per-message compression."""

    name = "x-rival"
    rsv = RSV1

    def offers(self) -> list[Parameters]:
        return [[]]

    def accept(self, offer: Parameters) -> tuple[Parameters, Extension]:
        return [], in_use(SERVER)

    def confirm(self, answer: Parameters) -> Extension:
        return in_use(CLIENT)


@pytest.mark.clause("D010")
@pytest.mark.parametrize("order", [["x-rival", NAME], [NAME, "x-rival"]])
def test_s5_server_accepts_one_of_two_extensions_that_use_rsv1(order: list[str]) -> None:
    answer, in_use = server_answer(", ".join(order), extensions=[ALWAYS, RivalForRsv1()])
    assert answer is not None
    assert answer.partition(";")[0] == order[0]
    assert len(in_use) == 1


@pytest.mark.clause("D011")
def test_s5_answer_with_two_extensions_that_use_rsv1_fails_the_client() -> None:
    with pytest.raises(HandshakeError, match="reserved bit that is taken"):
        judge_answer(f"{NAME}, x-rival", extensions=[ALWAYS, RivalForRsv1()])


# §7 and §7.1: the parameters

INVALID_VALUES = ["=0", "=7", "=16", "=99", "=-1", "=+9", "=09", "=1_0", "=abc", "=8.0"]
UNDEFINED = ["unknown", "unknown=1", "max_window_bits=10", "no_context_takeover"]
INVALID = [
    "server_max_window_bits",
    *(f"server_max_window_bits{value}" for value in INVALID_VALUES),
    *(f"client_max_window_bits{value}" for value in INVALID_VALUES),
    "server_no_context_takeover=1",
    "client_no_context_takeover=1",
]
REPEATED = [
    f"{parameter}; {parameter}"
    for parameter in (
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=10",
        "client_max_window_bits=10",
    )
]
REPEATED += ["server_max_window_bits=10; server_max_window_bits=11"]


def assert_declined(parameters: str, deflate: PermessageDeflate = ALWAYS) -> None:
    assert server_answer(f"{NAME}; {parameters}", extensions=[deflate]) == (None, [])


def assert_refused(parameters: str, deflate: PermessageDeflate = ALWAYS) -> None:
    with pytest.raises(HandshakeError, match=r"^Sec-WebSocket-Extensions: "):
        judge_answer(f"{NAME}; {parameters}", extensions=[deflate])


@pytest.mark.clause("D024")
@pytest.mark.parametrize("parameters", UNDEFINED)
def test_s7_offer_with_an_undefined_parameter_is_declined(parameters: str) -> None:
    assert_declined(parameters)


@pytest.mark.clause("D025", "D040", "D045", party="server")
@pytest.mark.parametrize("parameters", INVALID)
def test_s7_offer_with_an_invalid_value_is_declined(parameters: str) -> None:
    assert_declined(parameters)


@pytest.mark.clause("D026")
@pytest.mark.parametrize("parameters", REPEATED)
def test_s7_offer_with_a_repeated_parameter_is_declined(parameters: str) -> None:
    assert_declined(parameters)


@pytest.mark.clause("D027", "D043")
def test_s7_offer_that_the_library_cannot_honour_is_declined() -> None:
    library = pytest.importorskip("isal.isal_zlib", reason="needs isal")
    deflate = PermessageDeflate(library=library)
    assert_declined("server_max_window_bits=8", deflate)
    assert server_answer(f"{NAME}; server_max_window_bits=9", extensions=[deflate])[1]


@pytest.mark.clause("D028")
@pytest.mark.parametrize("parameters", UNDEFINED)
def test_s7_answer_with_an_undefined_parameter_fails_the_client(parameters: str) -> None:
    assert_refused(parameters)


@pytest.mark.clause("D029", "D040", "D045", party="client")
@pytest.mark.parametrize("parameters", [*INVALID, "client_max_window_bits"])
def test_s7_answer_with_an_invalid_value_fails_the_client(parameters: str) -> None:
    assert_refused(parameters)


@pytest.mark.clause("D030")
@pytest.mark.parametrize("parameters", REPEATED)
def test_s7_answer_with_a_repeated_parameter_fails_the_client(parameters: str) -> None:
    assert_refused(parameters)


@pytest.mark.clause("D023")
@both_roles
def test_s7_parameters_of_the_server_are_for_what_the_server_sends(role: Role) -> None:
    ours, theirs = ("server", "client") if role is SERVER else ("client", "server")
    message = random.Random(7).randbytes(3000)
    sender = connection(role, (f"{ours}_max_window_bits", "15"), window_bits=15)
    for _ in range(2):
        sender.send_binary(message)
    first, second = messages_sent(sender)
    assert len(payload_of(second)) < len(payload_of(first)) // 2
    # The other side's parameters change nothing in what we send.
    sender = connection(
        role,
        (f"{ours}_max_window_bits", "15"),
        (f"{theirs}_max_window_bits", "9"),
        (f"{theirs}_no_context_takeover", None),
        window_bits=15,
    )
    for _ in range(2):
        sender.send_binary(message)
    assert list(map(payload_of, messages_sent(sender))) == [payload_of(first), payload_of(second)]


@pytest.mark.clause("D032")
def test_s7_1_1_1_client_may_ask_the_server_not_to_take_over() -> None:
    pair = open_pair([PermessageDeflate(peer_context_takeover=False, peer_window_bits=15)], [])
    assert pair.offer == f"{NAME}; server_no_context_takeover; client_max_window_bits=12"


@pytest.mark.clause("D033", "D035")
def test_s7_1_1_1_server_that_accepts_says_so_without_a_value() -> None:
    answer, _ = server_answer(f"{NAME}; server_no_context_takeover", extensions=[ALWAYS])
    assert answer == f"{NAME}; server_no_context_takeover; server_max_window_bits=12"


@pytest.mark.clause("D036")
def test_s7_1_1_2_client_may_hint_that_it_does_not_take_over() -> None:
    pair = open_pair([PermessageDeflate(context_takeover=False, peer_window_bits=15)], [ALWAYS])
    assert pair.offer == f"{NAME}; client_no_context_takeover; client_max_window_bits=12"
    # A hint, no more: the answer need not repeat it.
    assert pair.answer is not None
    assert "client_no_context_takeover" not in pair.answer


@pytest.mark.clause("D037", "D038", "D056")
def test_s7_1_1_2_server_may_forbid_the_client_to_take_over() -> None:
    pair = open_pair([ALWAYS], [PermessageDeflate(peer_context_takeover=False)])
    assert pair.answer is not None
    assert "client_no_context_takeover" in pair.answer.split("; ")
    for _ in range(2):
        pair.client.send_text("Hello, Hello")
    first, second = messages_sent(pair.client)
    assert first[0].payload == second[0].payload


@pytest.mark.clause("D040", "D045")
@pytest.mark.parametrize("bits", range(8, 16))
def test_s7_1_2_window_bits_are_8_to_15(bits: int) -> None:
    deflate = PermessageDeflate(window_bits=15, peer_window_bits=15)
    for side in ("server", "client"):
        parameter = f"{side}_max_window_bits={bits}"
        answer, _ = server_answer(f"{NAME}; {parameter}", extensions=[deflate])
        assert answer is not None
        assert bits == 15 or parameter in answer
        assert judge_answer(f"{NAME}; {parameter}", extensions=[deflate])


@pytest.mark.clause("D041")
@pytest.mark.parametrize("configured", range(8, 16))
@pytest.mark.parametrize("offered", range(8, 16))
def test_s7_1_2_1_server_answers_the_same_window_or_a_smaller_one(
    configured: int, offered: int
) -> None:
    deflate = PermessageDeflate(window_bits=configured)
    answer, _ = server_answer(f"{NAME}; server_max_window_bits={offered}", extensions=[deflate])
    assert answer == f"{NAME}; server_max_window_bits={min(configured, offered)}"


@pytest.mark.clause("D044", "D046")
@pytest.mark.parametrize("configured", range(8, 15))
@pytest.mark.parametrize("offered", [None, *range(8, 16)])
def test_s7_1_2_2_server_answers_the_same_client_window_or_a_smaller_one(
    configured: int, offered: int | None
) -> None:
    parameter = "client_max_window_bits" + ("" if offered is None else f"={offered}")
    deflate = PermessageDeflate(window_bits=15, peer_window_bits=configured)
    answer, _ = server_answer(f"{NAME}; {parameter}", extensions=[deflate])
    assert answer == f"{NAME}; client_max_window_bits={min(configured, offered or 15)}"


@pytest.mark.clause("D044")
@pytest.mark.parametrize("bits", range(8, 16))
def test_s7_1_2_2_client_offers_its_window_as_a_hint(bits: int) -> None:
    pair = open_pair([PermessageDeflate(window_bits=bits, peer_window_bits=15)], [])
    value = "" if bits == 15 else f"={bits}"
    assert pair.offer == f"{NAME}; client_max_window_bits{value}"


@pytest.mark.clause("D044")
@pytest.mark.parametrize("answer", ["", "; client_max_window_bits=15"])
def test_s7_1_2_2_client_keeps_to_its_hint_when_the_server_ignores_it(answer: str) -> None:
    deflate = PermessageDeflate(threshold=0, window_bits=9)
    sender = Connection(CLIENT, extensions=judge_answer(NAME + answer, extensions=[deflate]))
    message = random.Random(9).randbytes(600)
    sender.send_binary(message * 3)
    ((frame,),) = messages_sent(sender)
    inflated = inflate(frame.payload + TAIL)
    assert inflated.data == message * 3
    assert inflated.longest_distance <= 512


@pytest.mark.clause("D047")
@pytest.mark.parametrize(
    "others", ["", "; server_max_window_bits=9", "; client_no_context_takeover"]
)
def test_s7_1_2_2_client_window_is_not_answered_when_it_was_not_offered(others: str) -> None:
    deflate = PermessageDeflate(peer_window_bits=8)
    answer, _ = server_answer(NAME + others, extensions=[deflate])
    assert answer is not None
    assert "client_max_window_bits" not in answer


# §7.2.1: compression


@pytest.mark.clause("D049", "D050", "D051")
@both_roles
@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("kind", ["noise", "words", "zeros", "empty"])
def test_s7_2_1_message_is_deflate_data_without_its_tail(role: Role, level: int, kind: str) -> None:
    message = {
        "noise": random.Random(1).randbytes(40_000),
        "words": b"the quick brown fox " * 2000,
        "zeros": bytes(40_000),
        "empty": b"",
    }[kind]
    sender = connection(role, level=level, memory_level=1)
    for _ in range(3):
        sender.send_binary(message)
    history = b""
    for (frame,) in messages_sent(sender):
        assert not frame.payload.endswith(TAIL)
        inflated = inflate(frame.payload + TAIL, history)
        assert inflated.data == message
        # An empty stored block is the last one.
        assert inflated.blocks[-1] == 0
        history += message
        if kind == "noise":
            assert len(inflated.blocks) > 2


@pytest.mark.clause("D050", "D051", "D052", "D053")
@both_roles
def test_s7_2_1_blocks_of_every_type_with_and_without_bfinal_are_received(role: Role) -> None:
    # A block with BFINAL is padded to the next octet with zero bits, which a writer does at its
    # end, and the next block follows there.
    payload = BlockWriter().begin(final=True).literals(b"fixed, ").end().octets()
    payload += BlockWriter().stored(b"stored, ", final=True).octets()
    payload += BlockWriter().begin().literals(b"and ").match(7, 12).end().stored(b"again").message()
    data = frames_for(role, payload)
    assert receive(data * 2, role).events == ["fixed, stored, and stored,again"] * 2


@pytest.mark.clause("D052")
@both_roles
def test_s7_2_1_dynamic_codes_are_received(role: Role) -> None:
    # Written by zlib, since ours writes none: the message holds a block of type 2.
    sender = connection(CLIENT if role is SERVER else SERVER)
    text = " ".join(f"{number} is a number" for number in range(200))
    sender.send_text(text)
    data = sender.data_to_send()
    (frame,) = frames_in(data)
    assert 2 in inflate(frame.payload + TAIL).blocks
    assert receive(data, role).events == [text]


@pytest.mark.clause("D054")
@both_roles
def test_s7_2_1_tail_of_other_fragments_than_the_last_is_kept(role: Role) -> None:
    sender = connection(role)
    for word in ("one ", "two ", "three"):
        sender.send_text(word, final=word == "three")
    ((first, second, last),) = messages_sent(sender)
    assert first.payload.endswith(TAIL)
    assert second.payload.endswith(TAIL)
    assert inflate(first.payload).data == b"one "
    assert not last.payload.endswith(TAIL)


@pytest.mark.clause("D055", "D060", "D061")
@both_roles
@pytest.mark.parametrize("bits", range(8, 16))
def test_s7_2_1_compressor_looks_back_as_far_as_agreed_at_most(role: Role, bits: int) -> None:
    name = "server_max_window_bits" if role is SERVER else "client_max_window_bits"
    sender = connection(role, (name, str(bits)), window_bits=15)
    source = random.Random(bits)
    words = [source.randbytes(20) for _ in range((2 << bits) // 20)]
    messages = [b"".join(source.choices(words, k=40)) for _ in range(40 + (3 << bits) // 800)]
    for message in messages:
        sender.send_binary(message)
    stream = b"".join(payload_of(frames) + TAIL for frames in messages_sent(sender))
    inflated = inflate(stream)
    assert inflated.data == b"".join(messages)
    assert (1 << bits) // 3 < inflated.longest_distance <= 1 << bits <= 32768


@pytest.mark.clause("D056", "D058")
@both_roles
def test_s7_2_1_without_takeover_each_message_starts_with_an_empty_window(role: Role) -> None:
    name = "server_no_context_takeover" if role is SERVER else "client_no_context_takeover"
    sender = connection(role, (name, None))
    for _ in range(2):
        sender.send_text("Hello", final=False)
        sender.send_text("Hello")
    for frames in messages_sent(sender):
        # Within a message it looks back.
        assert inflate(payload_of(frames) + TAIL).data == b"HelloHello"
        assert inflate(payload_of(frames) + TAIL).longest_distance == 5


@pytest.mark.clause("D057", "D059")
@both_roles
def test_s7_2_1_with_takeover_messages_look_back_at_earlier_ones(role: Role) -> None:
    sender = connection(role)
    for _ in range(2):
        sender.send_text("Hello")
    first, second = (payload_of(frames) for frames in messages_sent(sender))
    assert first.hex() == "f248cdc9c90700"
    # The RFC's example of what may follow is "f200110000"; a compressor may find more.
    assert len(second) <= 5
    inflated = inflate(second + TAIL, b"Hello")
    assert (inflated.data, inflated.longest_distance) == (b"Hello", 5)


# §7.2.2: decompression


@pytest.mark.clause("D062")
@both_roles
def test_s7_2_2_tail_is_put_back_at_the_end_of_each_message(role: Role) -> None:
    data = frames_for(role, HELLO) * 3 + frames_for(role, b"\x00")
    assert receive(data, role).events == ["Hello"] * 3 + [""]


@pytest.mark.clause("D063", "D065")
@both_roles
def test_s7_2_2_without_takeover_the_window_is_emptied(role: Role) -> None:
    name = "client_no_context_takeover" if role is SERVER else "server_no_context_takeover"
    looks_back = frames_for(role, bytes.fromhex("f200110000"))
    outcome = receive(
        frames_for(role, HELLO) + looks_back, role, (name, None), peer_context_takeover=False
    )
    assert outcome.events == ["Hello", Failure(1007)]


@pytest.mark.clause("D064", "D066")
@both_roles
def test_s7_2_2_with_takeover_the_window_is_kept(role: Role) -> None:
    looks_back = frames_for(role, bytes.fromhex("f200110000"))
    plain = peer_frame(role, Opcode.TEXT, b"plain")
    data = frames_for(role, HELLO) + plain + looks_back + frames_for(role, b"\x00") + looks_back
    assert receive(data, role).events == ["Hello", "plain", "Hello", "", "Hello"]


@pytest.mark.clause("D065", "D066")
def test_s7_2_2_hint_of_the_client_does_not_empty_the_servers_window() -> None:
    # §7.1.1.2: the client may still take over its context unless the answer forbids it.
    data = frames_for(SERVER, HELLO) + frames_for(SERVER, bytes.fromhex("f200110000"))
    assert receive(data, SERVER, ("client_no_context_takeover", None)).events == ["Hello"] * 2


@pytest.mark.clause("D067", "D069")
@both_roles
@pytest.mark.parametrize("bits", range(8, 16))
def test_s7_2_2_agreed_window_is_there_to_the_last_byte(role: Role, bits: int) -> None:
    name = "client_max_window_bits" if role is SERVER else "server_max_window_bits"
    history = random.Random(bits).randbytes(1 << bits)
    looks_back = BlockWriter().begin().match(100, 1 << bits).end().message()
    data = frames_for(
        role, BlockWriter().stored(history).message(), opcode=Opcode.BINARY
    ) + frames_for(role, looks_back, opcode=Opcode.BINARY)
    outcome = receive(data, role, (name, str(bits)), peer_window_bits=bits)
    assert outcome.events == [history, history[:100]]


@pytest.mark.clause("D048", "D068", "D070")
@both_roles
def test_s7_2_2_window_is_of_32_kib_unless_less_was_agreed(role: Role) -> None:
    deflate = PermessageDeflate(peer_window_bits=8)
    accepted = deflate.accept([])
    assert accepted is not None
    extension = accepted[1] if role is SERVER else deflate.confirm([])
    history = random.Random(1).randbytes(32768)
    looks_back = BlockWriter().begin().match(100, 32768).end().message()
    data = frames_for(
        role, BlockWriter().stored(history).message(), opcode=Opcode.BINARY
    ) + frames_for(role, looks_back, opcode=Opcode.BINARY)
    assert run([data], role, extensions=[extension]).events == [history, history[:100]]


# §7.2.3: the examples of the RFC

EXAMPLES = {
    "7.2.3.1: one compressed block": ["f248cdc9c90700"],
    "7.2.3.1: in two fragments": ["f248cd|c9c90700"],
    "7.2.3.2: without sharing the window": ["f248cdc9c90700", "f248cdc9c90700"],
    "7.2.3.2: sharing the window": ["f248cdc9c90700", "f200110000"],
    "7.2.3.3: block without compression": ["000500faff48656c6c6f00"],
    "7.2.3.4: block with BFINAL": ["f348cdc9c9070000"],
    "7.2.3.5: two blocks in one message": ["f24805000000ffffcac9c90700"],
}


@pytest.mark.clause("D050", "D051", "D052", "D062")
@both_roles
@pytest.mark.parametrize("example", EXAMPLES)
def test_s7_2_3_examples_are_received(role: Role, example: str) -> None:
    messages = [list(map(bytes.fromhex, message.split("|"))) for message in EXAMPLES[example]]
    data = b"".join(frames_for(role, *payloads) for payloads in messages)
    assert receive(data, role).events == ["Hello"] * len(messages)
    # And again behind each other, with all that the examples before leave behind.
    assert receive(data * 3, role).events == ["Hello"] * (3 * len(messages))


@pytest.mark.clause("D062")
@both_roles
def test_s7_2_3_examples_are_received_in_one_connection(role: Role) -> None:
    messages = [message for example in EXAMPLES.values() for message in example]
    data = b"".join(
        frames_for(role, *map(bytes.fromhex, message.split("|"))) for message in messages
    )
    assert receive(data, role).events == ["Hello"] * len(messages)


@pytest.mark.clause("D019", "D049")
def test_s7_2_3_1_example_is_sent_to_the_octet() -> None:
    sender = connection(SERVER)
    sender.send_text("Hello")
    assert sender.data_to_send() == bytes.fromhex("c107f248cdc9c90700")
    sender = connection(SERVER, ("server_no_context_takeover", None))
    for _ in range(2):
        sender.send_text("Hello")
    assert sender.data_to_send() == bytes.fromhex("c107f248cdc9c90700") * 2


@pytest.mark.clause("D050")
def test_s7_2_3_5_example_is_what_a_sender_of_fragments_makes() -> None:
    sender = connection(SERVER)
    sender.send_text("He", final=False)
    sender.send_text("llo")
    first, second = frames_in(sender.data_to_send())
    assert (first.payload + second.payload).hex() == "f24805000000ffffcac9c90700"


@pytest.mark.clause("D071")
@both_roles
def test_s7_2_3_6_empty_message_is_one_octet(role: Role) -> None:
    sender = connection(role)
    sender.send_text("", compress=True)
    sender.send_text("Hello", final=False)
    sender.send_text("", final=True)
    (empty,), (hello, end) = messages_sent(sender)
    assert (empty.rsv, empty.payload) == (RSV1, b"\x00")
    assert hello.payload.hex() == "f248cdc9c907000000ffff"
    assert end.payload == b"\x00"
    data = frames_for(role, b"\x00") + frames_for(role, HELLO + TAIL, b"\x00")
    assert receive(data, role).events == ["", "Hello"]


# §8


@pytest.mark.clause("D072")
@both_roles
def test_s8_secrets_can_be_kept_out_of_the_compression(role: Role) -> None:
    sender = connection(role)
    sender.send_text("known=1;", compress=True)
    sender.send_text("token=secret;" * 100, compress=False)
    sender.send_text("token=secret;" * 100, compress=True)
    guess, secret, later = messages_sent(sender)
    assert (guess[0].rsv, secret[0].rsv) == (RSV1, 0)
    assert payload_of(secret) == b"token=secret;" * 100
    # It has left no trace in the context.
    inflated = inflate(payload_of(guess) + TAIL + payload_of(later) + TAIL)
    assert inflated.data == b"known=1;" + b"token=secret;" * 100


def test_both_sides_understand_each_other_with_every_takeover() -> None:
    messages = ["Hello", "Hello", "", "x" * 5000, "Hello"]
    for ours in (True, False):
        for theirs in (True, False):
            deflate = PermessageDeflate(
                threshold=0, context_takeover=ours, peer_context_takeover=theirs
            )
            at_client, at_server = exchanged(open_pair([deflate], [ALWAYS]), messages)
            assert at_client == at_server == messages
