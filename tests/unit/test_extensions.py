"""What an extension is to a connection: one that a user could write, alone and beside ours.

Knows `rfc6455.extensions.base` and the public names; what permessage-deflate does to a message is
the matter of ``test_permessage_deflate.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from rfc6455 import (
    Connection,
    Extension,
    ExtensionFactory,
    HandshakeError,
    Limits,
    PermessageDeflate,
    ProtocolError,
    Role,
)
from rfc6455.close import CloseCode
from rfc6455.events import Fault
from rfc6455.extensions import DEFAULT_EXTENSIONS, Parameters
from rfc6455.frames import Opcode, encode
from tests.helpers import both_roles, frames_in, peer_frame
from tests.negotiation import judge_answer, open_pair, server_answer

RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10
DEFLATE = PermessageDeflate(threshold=0)


class Xor(ExtensionFactory):
    """Hides messages of at least two bytes by XOR with one octet, which the client chooses."""

    def __init__(self, octet: int = 0x55, *, name: str = "x-xor", rsv: int = RSV2) -> None:
        self.octet = octet
        self.name = name
        self.rsv = rsv

    def offers(self) -> Sequence[Parameters]:
        return [[("octet", str(self.octet))]]

    def accept(self, offer: Parameters) -> tuple[Parameters, Extension] | None:
        match offer:
            case [("octet", str(octet))]:
                return [], XorInUse(self, int(octet))
            case _:
                return None

    def confirm(self, answer: Parameters) -> Extension:
        if answer:
            raise ValueError("x-xor is answered without parameters")
        return XorInUse(self, self.octet)


class XorInUse(Extension):
    def __init__(self, factory: Xor, octet: int) -> None:
        self.name = factory.name
        self.rsv = factory.rsv
        self.octet = octet

    def applies_to(self, size: int) -> bool:
        return size >= 2

    def encode(self, payload: bytes, *, final: bool) -> bytes:
        return bytes(octet ^ self.octet for octet in payload)

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        if max_size is not None and len(payload) > max_size:
            raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, "message is too large")
        return bytes(octet ^ self.octet for octet in payload)


def xor(data: bytes, octet: int = 0x55) -> bytes:
    return bytes(byte ^ octet for byte in data)


def deflate(data: bytes) -> bytes:
    return DEFLATE.confirm([("client_max_window_bits", "12")]).encode(data, final=True)


def test_default_extensions_are_permessage_deflate() -> None:
    assert list(DEFAULT_EXTENSIONS) == [PermessageDeflate()]


@pytest.mark.parametrize("base", [Extension, ExtensionFactory])
def test_interface_has_to_be_complete(base: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_own_extension_is_negotiated_and_used_both_ways() -> None:
    pair = open_pair([Xor(0x21)], [Xor()])
    assert (pair.offer, pair.answer) == ("x-xor; octet=33", "x-xor")
    pair.client.send_text("to the server")
    pair.server.send_binary(b"to the client")
    request, response = pair.client.data_to_send(), pair.server.data_to_send()
    (frame,) = frames_in(response)
    assert (frame.rsv, frame.payload) == (RSV2, xor(b"to the client", 0x21))
    assert pair.server.receive_data(request) == ["to the server"]
    assert pair.client.receive_data(response) == [b"to the client"]


def test_message_that_the_extension_passes_over_is_not_marked() -> None:
    pair = open_pair([Xor()], [Xor()])
    pair.server.send_binary(b"a")
    data = pair.server.data_to_send()
    assert data == b"\x82\x01a"
    assert pair.client.receive_data(data) == [b"a"]


@pytest.mark.parametrize("compress", [True, False])
def test_choice_of_the_application_goes_before_that_of_the_extension(compress: bool) -> None:
    pair = open_pair([Xor()], [Xor()])
    for message in (b"a", b"abc"):
        pair.server.send_binary(message, compress=compress)
    frames = frames_in(pair.server.data_to_send())
    assert [frame.rsv for frame in frames] == [RSV2 * compress] * 2
    assert frames[1].payload == (xor(b"abc") if compress else b"abc")


def test_declined_offer_leaves_the_connection_without_the_extension() -> None:
    assert server_answer("x-xor", "x-xor; octet", "x-other", extensions=[Xor()]) == (None, [])


def test_unknown_extensions_in_an_offer_are_passed_over() -> None:
    answer, in_use = server_answer("x-other; a=1, x-xor; octet=1", extensions=[DEFLATE, Xor()])
    assert answer == "x-xor"
    assert [extension.name for extension in in_use] == ["x-xor"]


def test_answer_that_an_extension_refuses_fails_the_handshake() -> None:
    with pytest.raises(HandshakeError, match="without parameters"):
        judge_answer("x-xor; octet=1", extensions=[Xor()])


# Two extensions in one connection


ORDERS: dict[str, tuple[list[ExtensionFactory], str, Callable[[bytes], bytes]]] = {
    "deflate, then xor": ([DEFLATE, Xor()], "permessage-deflate", lambda data: xor(deflate(data))),
    "xor, then deflate": ([Xor(), DEFLATE], "x-xor", lambda data: deflate(xor(data))),
}


@pytest.mark.parametrize("order", ORDERS)
def test_extensions_apply_in_the_order_of_the_answer(order: str) -> None:
    # RFC 6455 §9.1: listed as "foo, bar", "the operations will be made on the data as
    # bar(foo(data))".
    factories, first, transformed = ORDERS[order]
    pair = open_pair(factories, [DEFLATE, Xor()])
    assert pair.answer is not None
    assert pair.answer.startswith(first)
    message = b"the same words, the same words" * 10
    pair.server.send_binary(message)
    data = pair.server.data_to_send()
    (frame,) = frames_in(data)
    assert frame.rsv == RSV1 | RSV2
    assert frame.payload == transformed(message)
    assert pair.client.receive_data(data) == [message]


@pytest.mark.parametrize("order", ORDERS)
def test_both_extensions_undo_fragments_cut_anywhere(order: str) -> None:
    factories, _, _ = ORDERS[order]
    pair = open_pair(factories, [DEFLATE, Xor()])
    for word, final in (("round ", False), ("", False), ("and round", True)):
        pair.client.send_text(word, final=final)
        pair.client.send_ping(word.encode())
    frames = frames_in(data := pair.client.data_to_send())
    assert [frame.rsv for frame in frames if not frame.opcode.is_control] == [RSV1 | RSV2, 0, 0]
    events = [
        event for i in range(len(data)) for event in pair.server.receive_data(data[i : i + 1])
    ]
    assert [event for event in events if isinstance(event, str)] == ["round and round"]


def test_each_message_is_marked_for_those_extensions_that_took_it() -> None:
    pair = open_pair(
        [PermessageDeflate(threshold=10), Xor()], [PermessageDeflate(threshold=10), Xor()]
    )
    messages = [b"1", b"123", b"1" * 10]
    for message in messages:
        pair.server.send_binary(message)
    data = pair.server.data_to_send()
    assert [frame.rsv for frame in frames_in(data)] == [0, RSV2, RSV1 | RSV2]
    assert pair.client.receive_data(data) == messages


def test_peer_may_use_any_of_the_extensions_for_a_message() -> None:
    pair = open_pair([DEFLATE, Xor()], [DEFLATE, Xor()])
    for rsv, payload in (
        (0, b"message"),
        (RSV1, deflate(b"message")),
        (RSV2, xor(b"message")),
        (RSV1 | RSV2, xor(deflate(b"message"))),
    ):
        data = encode(Opcode.BINARY, payload, rsv=rsv)
        assert pair.client.receive_data(data) == [b"message"]


# Reserved bits


@pytest.mark.parametrize("rsv", [RSV1, RSV2, RSV3])
def test_an_extension_may_own_any_reserved_bit(rsv: int) -> None:
    pair = open_pair([Xor(rsv=rsv)], [Xor(rsv=rsv)])
    pair.server.send_text("marked")
    data = pair.server.data_to_send()
    assert frames_in(data)[0].rsv == rsv
    assert pair.client.receive_data(data) == ["marked"]


@pytest.mark.clause("W110", "D010")
def test_server_takes_one_of_two_extensions_that_share_a_bit() -> None:
    rival = Xor(name="x-rival", rsv=RSV1)
    offer = "x-rival; octet=1, permessage-deflate"
    answer, in_use = server_answer(offer, extensions=[DEFLATE, rival])
    assert answer == "x-rival"
    assert [extension.rsv for extension in in_use] == [RSV1]
    # One that was declined does not keep the bit.
    answer, _ = server_answer("x-rival, permessage-deflate", extensions=[DEFLATE, rival])
    assert answer is not None
    assert answer.startswith("permessage-deflate")


@pytest.mark.clause("D011")
def test_client_fails_on_two_extensions_that_share_a_bit() -> None:
    rival = Xor(name="x-rival", rsv=RSV1)
    with pytest.raises(HandshakeError, match="taken"):
        judge_answer("permessage-deflate, x-rival", extensions=[DEFLATE, rival])


def test_an_extension_is_not_used_twice() -> None:
    answer, in_use = server_answer("x-xor; octet=1, x-xor; octet=2", extensions=[Xor()])
    assert (answer, len(in_use)) == ("x-xor", 1)
    with pytest.raises(HandshakeError, match="taken"):
        judge_answer("x-xor, x-xor", extensions=[Xor()])


@both_roles
@pytest.mark.parametrize("rsv", [RSV1, RSV3, RSV1 | RSV2, RSV1 | RSV2 | RSV3])
def test_bit_of_no_extension_fails_1002(role: Role, rsv: int) -> None:
    connection = Connection(role, extensions=[XorInUse(Xor(), 0x55)])
    (event,) = connection.receive_data(peer_frame(role, Opcode.BINARY, b"data", rsv=rsv))
    assert isinstance(event, Fault)
    assert event.error.code == CloseCode.PROTOCOL_ERROR


@both_roles
@pytest.mark.parametrize("opcode", [Opcode.CONTINUATION, Opcode.PING, Opcode.PONG, Opcode.CLOSE])
def test_bit_of_an_extension_elsewhere_than_on_a_first_frame_fails_1002(
    role: Role, opcode: Opcode
) -> None:
    connection = Connection(role, extensions=[XorInUse(Xor(), 0x55)])
    assert connection.receive_data(peer_frame(role, Opcode.TEXT, b"a", fin=False)) == []
    (event,) = connection.receive_data(peer_frame(role, opcode, rsv=RSV2))
    assert isinstance(event, Fault)
    assert event.error.code == CloseCode.PROTOCOL_ERROR


# Limits


@pytest.mark.parametrize(("size", "code"), [(9, None), (10, None), (11, 1009)])
def test_extension_is_told_how_much_may_come_out(size: int, code: int | None) -> None:
    pair = open_pair([Xor()], [Xor()], limits=Limits(max_message_size=10))
    pair.client.send_binary(bytes(size // 2), final=False, compress=True)
    pair.client.send_binary(bytes(size - size // 2), compress=True)
    (event,) = pair.server.receive_data(pair.client.data_to_send())
    if code is None:
        assert event == bytes(size)
    else:
        assert isinstance(event, Fault)
        assert event.error.code == code


def test_extension_is_told_none_without_a_limit() -> None:
    pair = open_pair([Xor()], [Xor()], limits=Limits(max_message_size=None))
    pair.client.send_binary(bytes(100_000))
    assert pair.server.receive_data(pair.client.data_to_send()) == [bytes(100_000)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("size", "code"), [(3000, None), (3001, 1009)])
def test_limit_of_a_message_holds_for_what_the_last_of_two_extensions_gives(
    order: str, size: int, code: int | None
) -> None:
    # What cannot be compressed is longer between the two than it is in the end.
    factories, _, _ = ORDERS[order]
    pair = open_pair(factories, [DEFLATE, Xor()], limits=Limits(max_message_size=3000))
    message = random.Random(6455).randbytes(size)
    for start in range(0, size, 500):
        pair.client.send_binary(message[start : start + 500], final=start + 500 >= size)
    events = pair.server.receive_data(pair.client.data_to_send())
    if code is None:
        assert events == [message]
    else:
        (event,) = events
        assert isinstance(event, Fault)
        assert event.error.code == code


class BlowUp(XorInUse):
    """Makes more of what it receives, and remembers how much it might have made."""

    asked: Sequence[int | None] = ()

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        self.asked = [*self.asked, max_size]
        return payload * 100


@pytest.mark.parametrize("limit", [4000, None])
def test_extension_before_the_last_is_told_of_a_limit_of_its_own(limit: int | None) -> None:
    blow = BlowUp(Xor(), 0)
    last = XorInUse(Xor(rsv=RSV3), 0)
    limits = Limits(max_message_size=limit)
    connection = Connection(Role.CLIENT, limits=limits, extensions=[last, blow])
    events = connection.receive_data(
        encode(Opcode.BINARY, b"1234567890", fin=False, rsv=RSV2 | RSV3)
        + encode(Opcode.CONTINUATION, b"1234567890")
    )
    assert events == [b"1234567890" * 200]
    first, second = blow.asked
    if limit is None or first is None or second is None:
        assert (limit, first, second) == (None, None, None)
    else:
        # As much as on the wire, each fragment of which may be a little longer.
        assert limit < first < 2 * limit
        assert second == first - 1000 + 8


def test_text_is_judged_after_the_extensions() -> None:
    pair = open_pair([Xor(0x80)], [Xor()])
    pair.client.send_text("ascii, hidden as octets that are no text")
    assert len(pair.server.receive_data(pair.client.data_to_send())) == 1
    masked = peer_frame(Role.SERVER, Opcode.TEXT, b"ascii", rsv=RSV2)
    (event,) = pair.server.receive_data(masked)
    assert isinstance(event, Fault)
    assert event.error.code == CloseCode.INVALID_PAYLOAD_DATA
