"""RFC 6455 §5.2 on the screen: a frame, bit by bit, with the sections that say so.

What lives here: the sentence for each field, and the table that they stand in. What is wrong with a
frame is the core's to say; this file only shows it. It knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ..close import NAMES, Close
from ..events import Event, Fault, Ping, Pong
from ..frames import FIN, LENGTH_16, LENGTH_64, MASK, PAYLOAD_LEN, Opcode, apply_mask
from ..tracing import TracedFrame
from .terminal import Style, escape, preview

__all__ = ["lines", "summary"]

PER_ROW: Final = 8

OPCODES: Final = {
    0: ("continuation of a fragmented message", "§5.4"),
    1: ("text", "§5.6"),
    2: ("binary", "§5.6"),
    8: ("Close", "§5.5.1"),
    9: ("Ping", "§5.5.2"),
    10: ("Pong", "§5.5.3"),
}
RESERVED: Final = {
    False: "reserved for further kinds of data frames",
    True: "reserved for further control frames",
}


class Row(NamedTuple):
    """A line of the table: some octets, or some bits of one, and what they say."""

    offset: int | None
    octets: bytes
    bits: str
    name: str
    value: str
    meaning: str
    section: str


def lines(frame: TracedFrame, style: Style, *, first_line: str = "") -> Iterator[str]:
    """Gives the lines that show a frame.

    Args:
        frame: what is shown.
        style: the colours.
        first_line: what stands before the summary on the first line.
    """
    rows = list(_rows(frame))
    name_width = max(len(row.name) for row in rows)
    texts = ["  ".join(filter(None, (row.value, row.meaning))) for row in rows]
    text_width = max(map(len, texts))
    octets_width = 3 * max(len(row.octets) for row in rows) - 1
    yield first_line + style.name(summary(frame))
    yield ""
    for row, text in zip(rows, texts, strict=True):
        offset = "    " if row.offset is None else f"{row.offset:04x}"
        octets = row.octets.hex(" ").ljust(octets_width)
        yield (
            f"  {style.aside(offset)}  {style.data(octets)}  {style.data(row.bits.ljust(8))}"
            f"  {row.name.ljust(name_width)}  {text.ljust(text_width)}"
            f"  {style.aside(row.section)}"
        ).rstrip()
    yield ""
    for line in _verdict(frame, style):
        yield f"  {line}"


def summary(frame: TracedFrame) -> str:
    """Returns the frame in a few words."""
    header = frame.header
    if header is None:
        return "not the beginning of a valid frame" if frame.error else "the beginning of a frame"
    kind = OPCODES[header.opcode][0]
    if header.opcode is Opcode.CONTINUATION:
        kind = "last fragment" if header.fin else "fragment"
    elif not header.fin:
        kind = f"first fragment of a {kind} message"
    words = [kind]
    if frame.compressed:
        words.append("compressed")
    words.append("masked" if header.masking_key is not None else "unmasked")
    size = f"{header.size} + {header.length} bytes"
    return f"{', '.join(words)}, {size}"


# The fields of the header


def _rows(frame: TracedFrame) -> Iterator[Row]:
    head = frame.head
    yield from _first_octet(head[0], frame)
    if len(head) > 1:
        yield from _rest_of_header(head, frame)
    if frame.received and frame.header is not None:
        yield from _payload(frame)


def _first_octet(octet: int, frame: TracedFrame) -> Iterator[Row]:
    code = octet & 0x0F
    yield Row(0, bytes([octet]), f"{octet >> 7}.......", "FIN", *_fin(octet & FIN != 0, code))
    if not octet & 0x70:
        yield Row(None, b"", ".000....", "RSV1-3", "0", "no extension marks it", "§5.2")
    for number in (1, 2, 3):
        if octet & 0x80 >> number:
            bits = "." * number + "1" + "." * (7 - number)
            if number == 1 and frame.compressed:
                yield Row(None, b"", bits, "RSV1", "1", "compressed", "RFC 7692 §6")
            else:
                meaning = "only an extension can give it a meaning"
                yield Row(None, b"", bits, f"RSV{number}", "1", meaning, "§5.2")
    meaning, section = OPCODES.get(code, (RESERVED[code >= 8], "§5.2"))
    yield Row(None, b"", f"....{code:04b}", "opcode", f"{code:x}", meaning, section)


def _fin(fin: bool, code: int) -> tuple[str, str, str]:
    if code >= 8:
        return ("1", "control frames are never fragmented", "§5.5") if fin else _BAD_FIN
    if fin:
        end = "the last fragment of its message" if code == 0 else "a whole message in one frame"
        return "1", end, "§5.4"
    start = "more fragments follow" if code == 0 else "the first fragment; more follow"
    return "0", start, "§5.4"


_BAD_FIN: Final = ("0", "but control frames must not be fragmented", "§5.5")


def _rest_of_header(head: bytes, frame: TracedFrame) -> Iterator[Row]:
    octet = head[1]
    masked = octet & MASK != 0
    sender = "masked, as a client must" if masked else "in the clear, as a server must"
    yield Row(1, head[1:2], f"{octet >> 7}.......", "MASK", str(octet >> 7), sender, "§5.1")
    length = octet & PAYLOAD_LEN
    extended = {LENGTH_16: 2, LENGTH_64: 8}.get(length, 0)
    meaning = f"the length is in the next {extended} bytes" if extended else _bytes(length)
    value = str(length) if extended else ""
    yield Row(None, b"", f".{length:07b}", "payload length", value, meaning, "§5.2")
    position = 2
    if extended:
        octets = head[position : position + extended]
        if octets:
            whole = len(octets) == extended
            meaning = _bytes(int.from_bytes(octets, "big")) if whole else "unfinished"
            yield Row(position, octets, "", "extended length", "", meaning, "§5.2")
        position += extended
    if masked and head[position:]:
        octets = head[position:]
        meaning = "octet i is masked with key octet i mod 4" if len(octets) == 4 else "unfinished"
        yield Row(position, octets, "", "masking key", "", meaning, "§5.3")


def _bytes(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count} bytes"


# The payload: on the left what travelled, on the right what it means


def _payload(frame: TracedFrame) -> Iterator[Row]:
    header = frame.header
    assert header is not None
    plain = frame.payload
    if header.masking_key is not None:
        plain = apply_mask(plain, header.masking_key)
    start = 0
    if header.opcode is Opcode.CLOSE and len(plain) >= 2:
        code = int.from_bytes(plain[:2], "big")
        meaning = NAMES.get(code, "for applications" if 4000 <= code <= 4999 else "")
        yield Row(header.size, frame.payload[:2], "", "close code", str(code), meaning, "§7.4")
        start = 2
    name = {
        Opcode.CLOSE: "reason",
        Opcode.PING: "application data",
        Opcode.PONG: "application data",
    }.get(header.opcode, "payload")
    section = {Opcode.CLOSE: "§5.5.1", Opcode.PING: "§5.5.2", Opcode.PONG: "§5.5.3"}.get(
        header.opcode, "RFC 7692 §7" if frame.compressed else "§5.6"
    )
    for position in range(start, len(plain), PER_ROW):
        octets = frame.payload[position : position + PER_ROW]
        shown = plain[position : position + PER_ROW]
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in shown)
        value = shown.hex(" ").ljust(3 * PER_ROW - 1) if header.masking_key is not None else ""
        yield Row(header.size + position, octets, "", name, value, f"|{text}|", section)
        name = section = ""
    if frame.received > len(plain):
        more = f"and {_bytes(frame.received - len(plain))} more"
        yield Row(header.size + len(plain), b"", "", "", "", more, "")


# What it amounts to


def _verdict(frame: TracedFrame, style: Style) -> Iterator[str]:
    if not frame.complete and not frame.error:
        missing = "" if frame.header is None else _bytes(frame.header.length - frame.received)
        yield style.bad(f"cut off here: {missing or 'the rest of the header'} missing")
    for event in frame.events:
        if isinstance(event, Fault):
            error = event.error
            section = f" (RFC 6455 §{error.section})" if error.section else ""
            yield style.bad(f"fault: {escape(error.reason)}{section}")
            yield style.bad(
                f"The connection fails with close code {error.code}, {NAMES[error.code]} (§7.1.7)."
            )
        else:
            yield style.good(_event(event))
    if frame.complete and not frame.events:
        yield style.aside(_silence(frame))


def _event(event: Event) -> str:
    if isinstance(event, Ping):
        return "It is to be answered with a Pong that carries the same data (§5.5.2)."
    if isinstance(event, Pong):
        return "It answers the Ping with the same data, or is a sign of life unasked for (§5.5.3)."
    if isinstance(event, Close):
        said = f"It closes with {event}" if event.code != 1005 else "It closes without a code"
        return f"{said}, and is to be answered with a Close (§5.5.1)."
    if isinstance(event, str):
        size = "1 character" if len(event) == 1 else f"{len(event)} characters"
        return f"It completes a text message of {size}: {preview(event)}"
    assert isinstance(event, bytes)
    return f"It completes a binary message of {_bytes(len(event))}: {preview(event)}"


def _silence(frame: TracedFrame) -> str:
    header = frame.header
    assert header is not None
    if header.fin:
        return "It comes after a Close, and is ignored (§5.5.1)."
    return "The message goes on in the next data frame; control frames may come between (§5.4)."
