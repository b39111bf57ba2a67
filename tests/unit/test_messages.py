"""Frames to messages: what `MessageAssembler` completes and refuses. Bytes are the parser's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rfc6455.close import Close
from rfc6455.errors import ProtocolError
from rfc6455.events import Event, Ping, Pong
from rfc6455.extensions import Extension
from rfc6455.frames import FrameHeader, Opcode
from rfc6455.messages import MessageAssembler

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG


class Rotate(Extension):
    """Adds ``step`` to each octet of a message, and remembers what it was asked."""

    name = "rotate"

    def __init__(self, rsv: int, step: int) -> None:
        self.rsv = rsv
        self._step = step
        self.calls: list[tuple[bytes, bool, int | None]] = []

    def decode(self, payload: bytes, *, final: bool, max_size: int | None) -> bytes:
        self.calls.append((payload, final, max_size))
        return bytes((octet - self._step) % 256 for octet in payload)

    def encode(self, payload: bytes, *, final: bool) -> bytes:
        raise NotImplementedError

    def applies_to(self, size: int) -> bool:
        raise NotImplementedError


def give(
    messages: MessageAssembler, opcode: Opcode, *pieces: bytes, fin: bool = True, rsv: int = 0
) -> Event | None:
    """Gives one frame, its payload in pieces; returns what it completes."""
    payload = b"".join(pieces)
    messages.start_frame(FrameHeader(fin, rsv, opcode, None, len(payload), 2))
    event = None
    for i, piece in enumerate(pieces or (b"",), start=1):
        assert event is None, "an event before the end of the frame"
        event = messages.receive_payload(piece, end_of_frame=i >= len(pieces))
    return event


def assembler(
    *extensions: Extension, max_size: int | None = None, max_fragments: int | None = None
) -> MessageAssembler:
    return MessageAssembler(max_size=max_size, max_fragments=max_fragments, extensions=extensions)


@contextmanager
def fault(code: int, section: str) -> Iterator[None]:
    with pytest.raises(ProtocolError) as caught:
        yield
    assert (caught.value.code, caught.value.section) == (code, section)


# Whole messages


@pytest.mark.parametrize("pieces", [[b"Hello"], [b"Hel", b"lo"], [b"", b"Hello", b""]])
def test_unfragmented(pieces: list[bytes]) -> None:
    assert give(assembler(), TEXT, *pieces) == "Hello"
    message = give(assembler(), BINARY, *pieces)
    assert message == b"Hello"
    assert type(message) is bytes


def test_empty() -> None:
    messages = assembler(max_size=0)
    assert give(messages, TEXT) == ""
    assert give(messages, BINARY) == b""


@pytest.mark.parametrize(
    ("opcode", "message"), [(TEXT, "Hello, Wörld"), (BINARY, "Hello, Wörld".encode())]
)
def test_fragmented(opcode: Opcode, message: str | bytes) -> None:
    messages = assembler()
    for _ in range(2):
        assert not messages.in_message
        assert give(messages, opcode, b"Hel", fin=False) is None
        assert messages.in_message
        assert give(messages, CONTINUATION, fin=False) is None
        assert give(messages, CONTINUATION, b"lo,", b" W\xc3", fin=False) is None
        assert give(messages, CONTINUATION, b"\xb6rld") == message
    assert not messages.in_message


def test_control_frames_between_fragments_and_between_pieces() -> None:
    messages = assembler()
    assert give(messages, TEXT, b"\xe2\x82", fin=False) is None
    assert give(messages, PING, b"\xff", b"\xfe") == Ping(b"\xff\xfe")
    assert give(messages, PONG, b"\xff") == Pong(b"\xff")
    assert give(messages, PING) == Ping(b"")
    assert give(messages, CONTINUATION, b"\xac") == "€"


# Faults


def test_continuation_without_a_message() -> None:
    messages = assembler()
    with fault(1002, "5.4"):
        give(messages, CONTINUATION)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_new_message_inside_a_message(opcode: Opcode) -> None:
    messages = assembler()
    give(messages, TEXT, b"a", fin=False)
    with fault(1002, "5.4"):
        give(messages, opcode, b"b")


@pytest.mark.parametrize("opcode", [CONTINUATION, CLOSE, PING, PONG])
def test_reserved_bit_on_a_frame_that_starts_no_message(opcode: Opcode) -> None:
    messages = assembler(Rotate(0x40, 1))
    give(messages, TEXT, fin=False, rsv=0x40)
    with fault(1002, "5.2"):
        give(messages, opcode, rsv=0x40)


def test_text_fails_at_the_first_impossible_octet() -> None:
    messages = assembler()
    give(messages, TEXT, b"\xf4", fin=False)
    messages.start_frame(FrameHeader(False, 0, CONTINUATION, None, 3, 2))
    with fault(1007, "8.1"):
        messages.receive_payload(b"\x90", end_of_frame=False)


@pytest.mark.parametrize("payloads", [[b"\xc3"], [b"a\xe2\x82"], [b"a", b"\xe2\x82"], [b"\xff"]])
def test_text_must_not_end_inside_a_code_point(payloads: list[bytes]) -> None:
    messages = assembler()
    *first, last = payloads
    opcode = TEXT
    for payload in first:
        give(messages, opcode, payload, fin=False)
        opcode = CONTINUATION
    with fault(1007, "8.1"):
        give(messages, opcode, last)


@pytest.mark.parametrize(
    ("payload", "code", "section"),
    [(b"\x03", 1002, "7.4"), (b"\x03\xed", 1002, "7.4"), (b"\x03\xe8\xff", 1007, "8.1")],
)
def test_malformed_close(payload: bytes, code: int, section: str) -> None:
    messages = assembler()
    with fault(code, section):
        give(messages, CLOSE, payload)


def test_close() -> None:
    assert give(assembler(), CLOSE, b"\x03", b"\xe8bye") == Close(1000, "bye")
    assert give(assembler(), CLOSE) == Close(1005)


# Limits


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_max_size(size: int) -> None:
    for limit in (size, None):
        assert give(assembler(max_size=limit), BINARY, bytes(size)) == bytes(size)
    if size:
        with fault(1009, ""):
            assembler(max_size=size - 1).start_frame(FrameHeader(True, 0, BINARY, None, size, 2))


def test_max_size_counts_all_fragments() -> None:
    messages = assembler(max_size=10)
    give(messages, BINARY, bytes(6), fin=False)
    give(messages, PING, bytes(100))
    give(messages, CONTINUATION, bytes(4), fin=False)
    with fault(1009, ""):
        messages.start_frame(FrameHeader(True, 0, CONTINUATION, None, 1, 2))


def test_max_size_counts_each_message_anew() -> None:
    messages = assembler(max_size=10)
    for _ in range(3):
        assert give(messages, BINARY, bytes(10)) == bytes(10)


@pytest.mark.parametrize("limit", [1, 2, 3, None])
def test_max_fragments(limit: int | None) -> None:
    messages = assembler(max_fragments=limit)
    for count in range(1, 5):
        if limit is not None and count > limit:
            with fault(1008, ""):
                give(messages, CONTINUATION, fin=False)
            return
        give(messages, TEXT if count == 1 else CONTINUATION, fin=False)
        give(messages, PING)
    assert limit is None


# Extensions


def test_extensions_undo_their_work_in_reverse_order() -> None:
    one, two = Rotate(0x40, 1), Rotate(0x20, 2)
    messages = assembler(one, two, max_size=10)
    assert give(messages, TEXT, b"d", b"e", fin=False, rsv=0x60) is None
    assert give(messages, CONTINUATION, b"f") == "abc"
    # ``max_size`` is what may still come out: of the last, no more than a message may have; of the
    # one before, what the wire may bring of it, which grows with each fragment.
    assert two.calls == [(b"d", False, 1043), (b"e", False, 1042), (b"f", True, 1049)]
    assert one.calls == [(b"b", False, 10), (b"c", False, 9), (b"d", True, 8)]


@pytest.mark.parametrize(("length", "passes"), [(1932, True), (1933, False)])
def test_marked_message_may_be_an_eighth_and_a_little_longer_on_the_wire(
    length: int, passes: bool
) -> None:
    messages = assembler(Rotate(0x40, 1), max_size=800)
    header = FrameHeader(False, 0x40, BINARY, None, length, 4)
    if passes:
        messages.start_frame(header)
    else:
        with fault(1009, ""):
            messages.start_frame(header)


def test_only_marked_messages_are_transformed() -> None:
    extension = Rotate(0x40, 1)
    messages = assembler(extension)
    assert give(messages, TEXT, b"a") == "a"
    assert give(messages, TEXT, b"b", rsv=0x40) == "a"
    assert give(messages, TEXT, b"a") == "a"
    assert extension.calls == [(b"b", True, None)]


def test_size_on_the_wire_is_bounded_for_marked_messages_too() -> None:
    # What does not compress grows a little: somewhat more than ``max_size`` may come in.
    header = FrameHeader(True, 0x40, BINARY, None, 8 * 1024, 4)
    assembler(Rotate(0x40, 1), max_size=8 * 1024).start_frame(header)
    with fault(1009, ""):
        assembler(Rotate(0x40, 1), max_size=4 * 1024).start_frame(header)


def test_each_fragment_may_grow_on_the_wire() -> None:
    # A byte that is flushed by itself takes several: 600 of them, under a limit that they meet.
    messages = assembler(Rotate(0x40, 1), max_size=600)
    give(messages, BINARY, b"x", fin=False, rsv=0x40)
    for _ in range(599):
        messages.start_frame(FrameHeader(False, 0, CONTINUATION, None, 8, 2))
        messages.receive_payload(b"x", end_of_frame=True)
