"""RFC 6455 §7.4: close codes, and the payload of a Close frame.

What lives here: which codes exist, which of them may travel, how a Close payload is read and
written. This file does not know who sends a Close, or when.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Close", "CloseCode", "is_sendable"]

MAX_REASON_SIZE = 123
"""Bytes: a control frame carries at most 125, and the code takes two (§5.5)."""


class CloseCode(IntEnum):
    """The codes of §7.4.1 and those that IANA has registered since."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


RETRY_AFTER = re.compile(r"(?:^| )retry-after=([0-9]{1,6}(?:\.[0-9]{1,3})?)\Z")

NAMES: dict[int, str] = {code: code.name.replace("_", " ").lower() for code in CloseCode}

# §7.4.1: 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame by an
# endpoint"; they exist to tell an application how a connection ended.
LOCAL_CODES = frozenset(
    {CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE}
)
SENDABLE_CODES = frozenset(CloseCode) - LOCAL_CODES


def is_sendable(code: int) -> bool:
    """Tells whether a Close frame may carry this code (§7.4.1, §7.4.2).

    1004 and 1016–2999 are reserved for the protocol and have no meaning yet; 3000–3999 belong to
    registered libraries and 4000–4999 to applications; nothing else is a close code.
    """
    return code in SENDABLE_CODES or 3000 <= code <= 4999


@dataclass(frozen=True, slots=True)
class Close:
    """What a Close frame says, and the event that tells of the peer's.

    Attributes:
        code: the close code; 1005 stands for a frame without one.
        reason: text for logs and debugging, at most 123 bytes of UTF-8. §5.5.1: it is "not
            guaranteed to be human readable" and not for end users.
    """

    code: int
    reason: str = ""

    def __str__(self) -> str:
        """Returns the code with its name, and the reason, escaped, when there is one."""
        name = NAMES.get(self.code, "")
        return " ".join(filter(None, [str(self.code), name, self.reason and ascii(self.reason)]))

    @property
    def retry_after(self) -> float | None:
        """When the peer asks us to connect again, in seconds from now; None if it does not.

        RFC 6455 has no place for it; by a convention of this package a close reason may end with
        ``retry-after=`` and seconds, as in ``new version retry-after=3.2``.
        """
        hint = RETRY_AFTER.search(self.reason)
        return None if hint is None else float(hint[1])

    def payload(self) -> bytes:
        """Returns the payload of the Close frame.

        Raises:
            ValueError: the code may not travel, a reason stands without a code, the reason is
                longer than 123 bytes, or it is not valid Unicode.
        """
        if self.code == CloseCode.NO_STATUS_RECEIVED and not self.reason:
            return b""
        if not is_sendable(self.code):
            raise ValueError(f"a Close frame must not carry code {self.code}")
        reason = self.reason.encode()
        if len(reason) > MAX_REASON_SIZE:
            raise ValueError(f"the close reason is {len(reason)} bytes long; 123 is the most")
        return self.code.to_bytes(2, "big") + reason

    @classmethod
    def parse(cls, payload: bytes) -> Close:
        """Reads the payload of a Close frame.

        Raises:
            ValueError: one byte alone, or a code that may not travel: close code 1002.
            UnicodeDecodeError: the reason is not valid UTF-8: close code 1007. (It is a ValueError
                too, so look for it first.)
        """
        if not payload:
            return cls(CloseCode.NO_STATUS_RECEIVED)
        # §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned
        # integer (in network byte order) representing a status code"
        if len(payload) == 1:
            raise ValueError("a Close payload of one byte has no room for a code")
        code = int.from_bytes(payload[:2], "big")
        if not is_sendable(code):
            raise ValueError(f"close code {code} must not travel")
        return cls(code, payload[2:].decode())
