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
            # All but this reason means that no continuation helps, even at the end: a decoder that
            # is asked for the whole, unlike the incremental one, sees at once that %xED %xA0 would
            # be a surrogate (RFC 3629 §4).
            if error.reason != "unexpected end of data":
                raise
            self._tail = octets[error.start :]
        else:
            self._tail = b""

    @property
    def incomplete(self) -> bytes:
        """The octets at the end of a code point that is cut."""
        return self._tail

    @property
    def complete(self) -> bool:
        """Whether the text may end here: no code point is cut."""
        return not self._tail
