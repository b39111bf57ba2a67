"""One frame: what `rfc6455.frames` reads, writes and refuses. Roles and messages are not here."""

from __future__ import annotations

import pytest

from rfc6455.close import CloseCode
from rfc6455.errors import ProtocolError
from rfc6455.frames import (
    Frame,
    FrameHeader,
    Opcode,
    apply_mask,
    decode,
    decode_header,
    encode,
    encode_message,
)

KEY = bytes.fromhex("37fa213d")
FRAMES = [
    ("8105 48656c6c6f", None, Frame(Opcode.TEXT, b"Hello")),
    ("8185 37fa213d 7f9f4d5158", KEY, Frame(Opcode.TEXT, b"Hello")),
    ("0103 48656c", None, Frame(Opcode.TEXT, b"Hel", fin=False)),
    ("8002 6c6f", None, Frame(Opcode.CONTINUATION, b"lo")),
    ("8900", None, Frame(Opcode.PING, b"")),
    ("8a85 37fa213d 7f9f4d5158", KEY, Frame(Opcode.PONG, b"Hello")),
    ("8802 03e8", None, Frame(Opcode.CLOSE, b"\x03\xe8")),
    ("c200", None, Frame(Opcode.BINARY, b"", rsv=0x40)),
    ("827d" + "00" * 125, None, Frame(Opcode.BINARY, bytes(125))),
    ("827e007e" + "00" * 126, None, Frame(Opcode.BINARY, bytes(126))),
    ("827effff" + "00" * 65535, None, Frame(Opcode.BINARY, bytes(65535))),
    ("827f0000000000010000" + "00" * 65536, None, Frame(Opcode.BINARY, bytes(65536))),
    ("82fe007e 37fa213d" + "37fa213d" * 31 + "37fa", KEY, Frame(Opcode.BINARY, bytes(126))),
]
IDS = [f"{len(frame.payload)}-byte {frame.opcode.name}" for _, _, frame in FRAMES]


@pytest.mark.parametrize(("wire", "key", "frame"), FRAMES, ids=IDS)
def test_encode(wire: str, key: bytes | None, frame: Frame) -> None:
    written = encode(frame.opcode, frame.payload, fin=frame.fin, rsv=frame.rsv, masking_key=key)
    assert written == bytes.fromhex(wire)


@pytest.mark.parametrize(("wire", "key", "frame"), FRAMES, ids=IDS)
def test_decode(wire: str, key: bytes | None, frame: Frame) -> None:
    data = bytes.fromhex(wire)
    masked = key is not None
    assert decode(data, allowed_rsv=0x40) == (frame, len(data))
    assert decode(b"?" + data + b"?", 1, masked=masked, allowed_rsv=0x40) == (
        frame,
        1 + len(data),
    )


@pytest.mark.parametrize(("wire", "key", "frame"), FRAMES, ids=IDS)
def test_decode_wants_every_byte(wire: str, key: bytes | None, frame: Frame) -> None:
    data = bytes.fromhex(wire)
    for end in {*range(min(len(data), 20)), len(data) - 1}:
        for before in (b"", b"?" * 20):
            found = decode(before + data[:end], len(before), masked=bool(key), allowed_rsv=0x40)
            assert found is None


@pytest.mark.parametrize("offset", [0, 1, 20])
@pytest.mark.parametrize(("wire", "key", "frame"), FRAMES, ids=IDS)
def test_decode_header_wants_no_byte_more(
    wire: str, key: bytes | None, frame: Frame, offset: int
) -> None:
    data = bytes.fromhex(wire)
    size = len(data) - len(frame.payload)
    for end in range(size):
        assert decode_header(b"?" * offset + data[:end], offset, allowed_rsv=0x40) is None
    header = decode_header(b"?" * offset + data[:size], offset, allowed_rsv=0x40)
    assert header is not None
    assert (header.size, header.length) == (size, len(frame.payload))


@pytest.mark.parametrize("key", [None, b"\x37\xfa\x21\x3d"])
def test_encode_message_tells_text_from_binary(key: bytes | None) -> None:
    for message, opcode in (("h\u00e9", Opcode.TEXT), (b"h\xe9", Opcode.BINARY)):
        payload = message.encode() if isinstance(message, str) else message
        assert encode_message(message, key) == encode(opcode, payload, masking_key=key)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 0xFFFF, 0x10000])
@pytest.mark.parametrize("key", [None, KEY])
def test_encode_message_writes_what_encode_writes(key: bytes | None, size: int) -> None:
    text = "a" * size
    assert encode_message(text, key) == encode(Opcode.TEXT, text.encode(), masking_key=key)
    data = text.encode()
    assert encode_message(data, key) == encode(Opcode.BINARY, data, masking_key=key)


def test_decode_header_tells_all_but_the_payload() -> None:
    assert decode_header(bytes.fromhex("01fe 1000 01020304")) == FrameHeader(
        fin=False, rsv=0, opcode=Opcode.TEXT, masking_key=b"\1\2\3\4", length=0x1000, size=8
    )
    assert decode_header(bytes.fromhex("f27f 7fffffffffffffff"), allowed_rsv=0x70) == FrameHeader(
        fin=True, rsv=0x70, opcode=Opcode.BINARY, masking_key=None, length=2**63 - 1, size=10
    )


FAULTS = [
    ("c1", "5.2", "reserved bit"),
    ("a1", "5.2", "reserved bit"),
    ("91", "5.2", "reserved bit"),
    *((f"8{opcode:x}", "5.2", "unknown opcode") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("08", "5.5", "fragmented control frame"),
    ("09", "5.5", "fragmented control frame"),
    ("0a", "5.5", "fragmented control frame"),
    ("89 7e", "5.5", "longer than 125"),
    ("8a 7f", "5.5", "longer than 125"),
    ("82 7f 80", "5.2", "most significant bit"),
    ("82 7f ff", "5.2", "most significant bit"),
    ("82 7e 007d", "5.2", "shortest form"),
    ("82 7e 0000", "5.2", "shortest form"),
    ("82 7f 000000000000ffff", "5.2", "shortest form"),
    ("82 7f 0000000000000000", "5.2", "shortest form"),
]


@pytest.mark.parametrize(("wire", "section", "reason"), FAULTS)
def test_decode_header_refuses_at_the_first_byte_that_proves_it(
    wire: str, section: str, reason: str
) -> None:
    data = bytes.fromhex(wire)
    assert decode_header(data[:-1], allowed_rsv=0) is None
    with pytest.raises(ProtocolError, match=reason) as caught:
        decode_header(data)
    assert (caught.value.code, caught.value.section) == (CloseCode.PROTOCOL_ERROR, section)


@pytest.mark.parametrize(
    ("wire", "masked", "reason"),
    [("8105", True, "frame is not masked"), ("8185", False, "frame is masked")],
)
def test_decode_header_refuses_the_wrong_direction(wire: str, masked: bool, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        decode_header(bytes.fromhex(wire), masked=masked)
    assert caught.value.section == "5.1"


@pytest.mark.parametrize("masked", [True, False])
def test_decode_has_the_rules_of_decode_header(masked: bool) -> None:
    frame = Frame(Opcode.TEXT, b"Hello", rsv=0x20)
    key = b"\x37\xfa\x21\x3d" if masked else None
    data = encode(frame.opcode, frame.payload, rsv=frame.rsv, masking_key=key)
    assert decode(data, masked=masked, allowed_rsv=0x20) == (frame, len(data))
    with pytest.raises(ProtocolError, match="masked"):
        decode(data, masked=not masked, allowed_rsv=0x20)
    with pytest.raises(ProtocolError, match="reserved bit"):
        decode(data, masked=masked, allowed_rsv=0x40)


def test_decode_header_allows_the_bits_of_extensions_only() -> None:
    header = decode_header(b"\xc1\x00", allowed_rsv=0x40)
    assert header is not None
    assert header.rsv == 0x40
    with pytest.raises(ProtocolError):
        decode_header(b"\xe1\x00", allowed_rsv=0x40)


@pytest.mark.parametrize("opcode", Opcode)
def test_control_opcodes_have_their_high_bit_set(opcode: Opcode) -> None:
    assert opcode.is_control == (opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG))


@pytest.mark.parametrize("length", [*range(10), 125, 126, 1000])
def test_apply_mask_is_the_octet_by_octet_rule(length: int) -> None:
    payload = bytes(i * 7 % 256 for i in range(length))
    masked = bytes(octet ^ KEY[i % 4] for i, octet in enumerate(payload))
    assert apply_mask(payload, KEY) == masked
    assert apply_mask(masked, KEY) == payload
