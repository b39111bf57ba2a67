"""`rfc6455.close`: the payload of a Close frame.

For every payload that a control frame can carry:

- `Close.parse` returns, or raises `ValueError`: `UnicodeDecodeError` when the reason alone is
  wrong; nothing else.
- What it accepts may be sent, and ``Close.parse(payload).payload()`` gives back the same bytes.
- What it says fits one line of a log, without a character that a terminal obeys.
- `Close.payload` writes at most 125 bytes, or raises `ValueError`.
"""

from __future__ import annotations

from rfc6455 import Close, CloseCode
from rfc6455.close import is_sendable

from ..oracles import outcome, require
from ..seeds import CLOSE_CODES, UTF8


def seeds() -> dict[str, bytes]:
    """Returns every code that tells something, and reasons that are text and that are not."""
    normal = (1000).to_bytes(2, "big")
    return {
        "empty": b"",
        "one-byte": b"\x03",
        "longest": normal + b"*" * 123,
        "too-long": normal + b"*" * 124,
        "escape": normal + b"\x1b[2J\r\n\xe2\x80\xae",
        **{f"code-{code}": code.to_bytes(2, "big") for code in CLOSE_CODES},
        **{f"reason-{name}": normal + text for name, text in UTF8.items()},
    }


def check(data: bytes) -> None:
    """Checks the invariants for the payload of a frame, and for a reason of our own."""
    close, error = outcome(Close.parse, data, documented=ValueError)
    if close is None:
        code = int.from_bytes(data[:2], "big")
        bad_code = len(data) == 1 or not is_sendable(code)
        require(bad_code != isinstance(error, UnicodeDecodeError), "the wrong error", error)
    else:
        require(bool(data) == (close.code != CloseCode.NO_STATUS_RECEIVED), "code from nowhere")
        require(is_sendable(close.code) or not data, "a code that must not travel", close)
        require(str(close).isprintable() and str(close).isascii(), "unfit for a log", str(close))
        payload, refusal = outcome(close.payload, documented=ValueError)
        require(payload == data if len(data) <= 125 else refusal, "written otherwise", close)
    reason = data[2:].decode("utf-8", "surrogatepass") if _is_wtf8(data[2:]) else ""
    ours = Close(int.from_bytes(data[:2], "big"), reason)
    payload, _ = outcome(ours.payload, documented=ValueError)
    if payload is not None:
        require(len(payload) <= 125, "longer than a control frame", ours)
        require(Close.parse(payload) == ours, "read back as something else", ours)


def _is_wtf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
