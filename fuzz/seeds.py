"""Where the fuzzer starts from: streams of frames with a name and a source each.

What lives here: what both directions share. A stream is written down once, as frames, and comes out
masked for a server to read and unmasked for a client. Names tell the source: ``rfc`` for an example
of RFC 6455, ``autobahn`` for the case of the Autobahn|Testsuite that sends it, ``attack`` for what
has broken other implementations. This file imports nothing of the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["CLIENT_STREAMS", "SERVER_STREAMS", "frame", "stream"]

CLEAR: Final = b"\x00\x00\x00\x00"
"""A masking key that leaves the payload readable, for people and for the fuzzer alike."""
KEY: Final = b"\x37\xfa\x21\x3d"
"""The masking key of RFC 6455 §5.7."""

FIN: Final = 0x80
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    first: int,
    payload: bytes = b"",
    *,
    key: bytes | None = None,
    length: int | None = None,
    extended: int | None = None,
) -> bytes:
    """Writes a frame as the bytes say, right or wrong.

    Args:
        first: the first byte.
        payload: in the clear.
        key: the masking key, or None.
        length: what the header claims, where that is not the truth.
        extended: 0, 2 or 8: bytes of the extended length, where that is not the shortest form.
    """
    claimed = len(payload) if length is None else length
    if extended is None:
        extended = 0 if claimed < 126 else 2 if claimed < 0x10000 else 8
    mask = 0 if key is None else 0x80
    if extended:
        header = bytes([first, mask | (126 if extended == 2 else 127)])
        header += claimed.to_bytes(extended, "big")
    else:
        header = bytes([first, mask | claimed])
    if key is None:
        return header + payload
    return header + key + bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))


def stream(*frames: tuple[int, bytes], key: bytes | None = None) -> bytes:
    """Writes frames, one behind the other."""
    return b"".join(frame(first, payload, key=key) for first, payload in frames)


# RFC 3629: the borders of UTF-8, and what lies just beyond them (cases 6.5 to 6.23).
UTF8: Final = {
    "ascii": b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    "greek": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    "first-2": b"\xc2\x80",
    "first-3": b"\xe0\xa0\x80",
    "first-4": b"\xf0\x90\x80\x80",
    "last-1": b"\x7f",
    "last-2": b"\xdf\xbf",
    "last-3": b"\xef\xbf\xbf",
    "last-4": b"\xf4\x8f\xbf\xbf",
    "before-surrogates": b"\xed\x9f\xbf",
    "after-surrogates": b"\xee\x80\x80",
    "replacement": b"\xef\xbf\xbd",
    "noncharacter": b"\xef\xb7\x90",
    "too-high": b"\xf4\x90\x80\x80",
    "five": b"\xf8\x88\x80\x80\x80",
    "six": b"\xfc\x84\x80\x80\x80\x80",
    "surrogate": b"\xce\xba\xed\xa0\x80edited",
    "surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "last-surrogate": b"\xed\xbf\xbf",
    "overlong-2": b"\xc0\xaf",
    "overlong-3": b"\xe0\x9f\xbf",
    "overlong-4": b"\xf0\x8f\xbf\xbf",
    "overlong-nul": b"\xc0\x80",
    "lonely-tail": b"\x80",
    "lonely-start": b"\xce ",
    "cut": b"\xf0\x9f",
    "impossible": b"\xfe\xff",
}

CLOSE_CODES: Final = (
    0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
    1014, 1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535,
)  # fmt: skip


def _streams(key: bytes | None) -> Iterator[tuple[str, bytes]]:
    """All streams, masked with the key or not at all."""

    def frames(*parts: tuple[int, bytes]) -> bytes:
        return stream(*parts, key=key)

    rfc = None if key is None else KEY
    hello = b"Hello"
    # §5.7
    yield "rfc-5.7-text", frame(FIN | TEXT, hello, key=rfc)
    yield "rfc-5.7-fragments", stream((TEXT, b"Hel"), (FIN | CONT, b"lo"), key=rfc)
    yield "rfc-5.7-ping-pong", stream((FIN | PING, hello), (FIN | PONG, hello), key=rfc)
    yield "rfc-5.7-256", frame(FIN | BINARY, bytes(range(256)), key=rfc)
    yield "rfc-5.7-64k", frame(FIN | BINARY, b"", key=rfc, length=65536)

    # 1: messages of the lengths at which the header changes.
    for size in (0, 1, 125, 126, 127, 128):
        yield f"autobahn-1.1-{size}", frames((FIN | TEXT, b"*" * size))
        yield f"autobahn-1.2-{size}", frames((FIN | BINARY, b"\xfe" * size))
    for size in (65535, 65536):
        yield f"autobahn-1.1-{size}", frame(FIN | TEXT, b"*" * 16, key=key, length=size)
    # 2: pings and pongs.
    yield "autobahn-2.1", frames((FIN | PING, b""), (FIN | CLOSE, b"\x03\xe8"))
    yield "autobahn-2.3", frames((FIN | PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"))
    yield "autobahn-2.4", frames((FIN | PING, b"\xfe" * 125))
    yield "autobahn-2.5", frame(FIN | PING, b"\xfe" * 126, key=key)
    yield "autobahn-2.7", frames((FIN | PONG, b""))
    yield "autobahn-2.9", frames((FIN | PONG, b"unsolicited"), (FIN | PING, b"ping"))
    yield "autobahn-2.10", frames(*[(FIN | PING, b"payload-%d" % i) for i in range(10)])
    # 3: reserved bits; 4: reserved opcodes.
    for rsv in range(1, 8):
        yield f"autobahn-3.{rsv}", frames((FIN | TEXT, hello), (FIN | rsv << 4 | TEXT, hello))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"autobahn-4-{opcode}", frames((FIN | TEXT, hello), (FIN | opcode, b""))
        yield f"autobahn-4-{opcode}-payload", frames((FIN | opcode, hello))
    # 5: fragments.
    yield "autobahn-5.1", frames((PING, b"fragment1"), (FIN | CONT, b"fragment2"))
    yield "autobahn-5.2", frames((PONG, b"fragment1"), (FIN | CONT, b"fragment2"))
    yield "autobahn-5.6", frames((TEXT, b"f1"), (FIN | PING, b"ping"), (FIN | CONT, b"f2"))
    yield "autobahn-5.9", frames((FIN | CONT, b"non-continuation"), (FIN | TEXT, hello))
    yield "autobahn-5.10", frames((CONT, b"non-continuation"), (FIN | TEXT, hello))
    yield (
        "autobahn-5.15",
        frames(
            (TEXT, b"f1"), (FIN | CONT, b"f2"), (CONT, b"f3"), (TEXT, b"f4"), (FIN | CONT, b"f5")
        ),
    )
    yield "autobahn-5.18", frames((TEXT, b"f1"), (FIN | TEXT, b"f2"))
    yield "autobahn-5.19", frames(
        (TEXT, b"f1"), (CONT, b"f2"), (FIN | PING, b"p1"), (CONT, b"f3"), (CONT, b"f4"),
        (FIN | PING, b"p2"), (FIN | CONT, b"f5"),
    )  # fmt: skip
    # 6: text.
    yield "autobahn-6.1.2", frames((TEXT, b""), (CONT, b""), (FIN | CONT, b""))
    yield "autobahn-6.1.3", frames((TEXT, b""), (CONT, b"middle frame payload"), (FIN | CONT, b""))
    for name, text in UTF8.items():
        yield f"autobahn-6-{name}", frames((FIN | TEXT, text))
        halves = (TEXT, text[:1]), (FIN | CONT, text[1:])
        yield f"autobahn-6-{name}-split", frames(*halves)
    start, beyond = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4", b"\x90"
    yield "autobahn-6.4.1", frames((TEXT, start), (CONT, beyond), (FIN | CONT, b"\x80\x80edited"))
    yield "autobahn-6.4.3", frame(FIN | TEXT, start + beyond, key=key, length=25)
    # 7: closing.
    yield "autobahn-7.1.3", frames((FIN | CLOSE, b""), (FIN | PING, b""), (FIN | TEXT, hello))
    yield "autobahn-7.1.5", frames((TEXT, b"f1"), (FIN | CLOSE, b"\x03\xe8"), (FIN | CONT, b"f2"))
    yield "autobahn-7.3.1", frames((FIN | CLOSE, b""))
    yield "autobahn-7.3.2", frames((FIN | CLOSE, b"\x03"))
    yield "autobahn-7.3.4", frames((FIN | CLOSE, b"\x03\xe8Hello World!"))
    yield "autobahn-7.3.5", frames((FIN | CLOSE, b"\x03\xe8" + b"*" * 123))
    yield "autobahn-7.3.6", frame(FIN | CLOSE, b"\x03\xe8" + b"*" * 124, key=key)
    yield "autobahn-7.5.1", frames((FIN | CLOSE, b"\x03\xe8" + UTF8["surrogate"]))
    for code in CLOSE_CODES:
        yield f"autobahn-7.9-{code}", frames((FIN | CLOSE, code.to_bytes(2, "big")))

    # 64-bit lengths: negative where they are read as signed, or beyond what any memory holds.
    yield "attack-length-sign", frame(FIN | BINARY, b"", key=key, length=1 << 63)
    yield "attack-length-ones", frame(FIN | BINARY, b"", key=key, length=(1 << 64) - 1)
    yield "attack-length-most", frame(FIN | BINARY, b"", key=key, length=(1 << 63) - 1)
    yield (
        "attack-length-sum",
        frame(TEXT, b"A", key=key) + frame(CONT, b"", key=key, length=(1 << 63) - 1),
    )
    # The drafts before RFC 6455 wrote a length in as many bytes of seven bits as it takes.
    yield "attack-draft-length", b"\x80\xff\xff\xff\xff\x7f"
    yield "attack-draft-text", b"\x00Hello\xff"
    # Lengths that are not in their shortest form, and the borders.
    for extended, sizes in ((2, (0, 5, 125, 126)), (8, (0, 5, 126, 0xFFFF, 0x10000))):
        for size in sizes:
            yield (
                f"attack-form-{extended}-{size}",
                frame(FIN | BINARY, b"*" * min(size, 130), key=key, length=size, extended=extended),
            )
    # The other direction's mask.
    other = CLEAR if key is None else None
    for first in (FIN | TEXT, FIN | PING, FIN | CLOSE):
        yield f"attack-mask-{first:02x}", frame(first, hello, key=other)
    yield "attack-mask-64", frame(FIN | BINARY, b"", key=other, length=0x10000)
    # Memory: what is announced and never comes, and what should be refused by its first byte.
    yield "attack-announced", frame(FIN | BINARY, b"*" * 64, key=key, length=0x10010)
    yield "attack-announced-more", frame(FIN | BINARY, b"*" * 64, key=key, length=0x10011)
    yield "attack-opcode-large", frame(FIN | 3, b"*" * 64, key=key, length=0x10000000)
    yield "attack-control-large", frame(FIN | 0xB, b"*" * 64, key=key, length=0x10000000)
    # Many tiny fragments, and many tiny frames.
    yield "attack-fragments-empty", frames((TEXT, b""), *[(CONT, b"")] * 12)
    yield "attack-fragments-most", frames((BINARY, b"1"), *[(CONT, b"2")] * 6, (FIN | CONT, b"3"))
    yield "attack-fragments-more", frames((BINARY, b"1"), *[(CONT, b"2")] * 7, (FIN | CONT, b"3"))
    yield "attack-frames-empty", frames(*[(FIN | TEXT, b"")] * 40)
    yield "attack-pings", frames(*[(FIN | PING, b"*" * 125)] * 6)
    yield "attack-pongs", frames(*[(FIN | PONG, b"*" * 125)] * 6)
    # Reserved bits on control frames and continuations, with FIN and without.
    for first in (0x49, 0xC9, 0xC8, 0xCA, 0x48, 0x08, 0x0A):
        yield f"attack-control-{first:02x}", frame(first, b"", key=key)
    yield "attack-rsv-continuation", frames((TEXT, b"a"), (FIN | 0x40 | CONT, b"b"))
    # A Close between the fragments of a text that ends inside a code point.
    yield "attack-close-cut", frames((TEXT, b"\xc3"), (FIN | CLOSE, b"\x03\xe8"))
    yield "attack-ping-cut", frames((TEXT, b"\xc3"), (FIN | PING, b""), (FIN | CONT, b"\xa9"))
    # Where one implementation judges before another: a length without the masking key, a control
    # frame within the limit of a message, a Close with a bad code and a bad reason.
    yield "attack-length-alone", frame(FIN | BINARY, b"", key=key, length=0x20000)[:10]
    yield "attack-ping-limit", frames((BINARY, b"*" * 290), (FIN | PING, b"*" * 20), (CONT, b""))
    yield "attack-close-both", frames((FIN | CLOSE, b"\x03\xec\xff"))
    yield "attack-surrogate-end", frames((TEXT, b"\xed\xa0"), (FIN | PING, b""))
    # What follows a fault or a Close must not be looked at.
    yield "attack-after-fault", frames((FIN | TEXT, b"\xff"), (FIN | TEXT, hello))
    yield "attack-after-close", frames((FIN | CLOSE, b"\x03\xe8"), (FIN | TEXT, b"\xff"))


CLIENT_STREAMS: Final = dict(_streams(CLEAR))
"""What clients send: masked."""
SERVER_STREAMS: Final = dict(_streams(None))
"""What servers send: not masked."""
