"""RFC 6455 §8.1: UTF-8, judged as it arrives.

What lives here: a validator that fails at the first octet which no continuation can make valid.
This file does not know about frames or messages.
"""

from __future__ import annotations

__all__ = ["Utf8Validator"]


class Utf8Validator:
    """Judges a text that arrives in pieces, which may split a code point anywhere."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, octets: bytes) -> None:
        """Judges the next piece.

        Raises:
            UnicodeDecodeError: an octet of it can stand in no valid UTF-8: close code 1007.
        """
        octets = self._tail + octets
        try:
            octets.decode()
        except UnicodeDecodeError as error:
            tail = octets[error.start :]
            # RFC 3629 §4: UTF8-3 = %xED %x80-9F UTF8-tail. Python's decoder waits for the third
            # octet of an encoded surrogate (%xED %xA0-BF) before it objects; it is impossible now.
            if error.reason != "unexpected end of data" or (
                tail[:1] == b"\xed" and tail[1:] > b"\x9f"
            ):
                raise
            self._tail = tail
        else:
            self._tail = b""

    @property
    def complete(self) -> bool:
        """Whether the text may end here: no code point is cut."""
        return not self._tail
