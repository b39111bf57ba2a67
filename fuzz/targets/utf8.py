"""`rfc6455.utf8`: text that arrives in pieces.

For every sequence of octets, however it is cut:

- `Utf8Validator.feed` returns, or raises `UnicodeDecodeError`; nothing else.
- It raises for the piece that holds the first octet which RFC 3629 makes impossible, not earlier
  and not later.
- ``complete`` tells whether a code point is cut, and what is complete is what Python decodes.
- Never more than three octets are retained.
"""

from __future__ import annotations

from itertools import pairwise

from rfc6455.utf8 import Utf8Validator

from ..oracles import digest, pieces, require, retained
from ..seeds import UTF8

TAIL = range(0x80, 0xC0)
# RFC 3629 §4: what may follow each first octet.
SEQUENCES: dict[int, tuple[range, ...]] = {
    **dict.fromkeys(range(0x00, 0x80), ()),
    **dict.fromkeys(range(0xC2, 0xE0), (TAIL,)),
    0xE0: (range(0xA0, 0xC0), TAIL),
    **dict.fromkeys(range(0xE1, 0xED), (TAIL, TAIL)),
    0xED: (range(0x80, 0xA0), TAIL),
    **dict.fromkeys(range(0xEE, 0xF0), (TAIL, TAIL)),
    0xF0: (range(0x90, 0xC0), TAIL, TAIL),
    **dict.fromkeys(range(0xF1, 0xF4), (TAIL, TAIL, TAIL)),
    0xF4: (range(0x80, 0x90), TAIL, TAIL),
}


def seeds() -> dict[str, bytes]:
    """Returns the borders of UTF-8, and pairs of them."""
    pairs = {f"{a}-{b}": UTF8[a] + UTF8[b] for a, b in pairwise(UTF8)}
    return {**UTF8, **pairs}


def judge(octets: bytes) -> tuple[int | None, bool]:
    """Reads the octets by the grammar.

    Returns:
        The offset of the first that is impossible, or None, and whether the text may end here.
    """
    expected: tuple[range, ...] = ()
    for offset, octet in enumerate(octets):
        if expected:
            if octet not in expected[0]:
                return offset, False
            expected = expected[1:]
        elif octet in SEQUENCES:
            expected = SEQUENCES[octet]
        else:
            return offset, False
    return None, not expected


def check(data: bytes) -> None:
    """Checks the invariants, for the text as a whole and cut."""
    fault, complete = judge(data)
    require(complete == _decodes(data), "the grammar of this file is wrong", data)
    _feed([data], fault, complete)
    _feed([bytes(piece) for piece in pieces(data)], fault, complete)
    if digest(data) % 8 == 1:
        _feed([data[i : i + 1] for i in range(len(data))], fault, complete)


def _feed(parts: list[bytes], fault: int | None, complete: bool) -> None:
    validator = Utf8Validator()
    position = 0
    for part in parts:
        end = position + len(part)
        impossible = fault is not None and fault < end
        try:
            validator.feed(part)
        except UnicodeDecodeError as error:
            require(impossible, "refused too early", part, position, error)
            return
        require(not impossible, "refused too late", part, position)
        position = end
        require(retained(validator) <= 3, "too much is retained", retained(validator))
    require(validator.complete == complete, "wrong about the end", complete)


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
