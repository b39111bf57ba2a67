"""RFC 6455 §4.1, item 7, and §4.2.2, step 5.4: the nonce and its answer.

What lives here: Sec-WebSocket-Key and Sec-WebSocket-Accept. This file does not know about headers.
"""

from __future__ import annotations

import binascii
import hashlib
import os
from typing import Final

__all__ = ["VERSION", "accept_key", "new_key"]

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION: Final = "13"
"""The version of the protocol that RFC 6455 is."""


def new_key() -> bytes:
    """Returns a Sec-WebSocket-Key: "a randomly selected 16-byte value [...] base64-encoded"."""
    return binascii.b2a_base64(os.urandom(16), newline=False)


def accept_key(key: bytes) -> str:
    """Returns the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (§4.2.2, step 5.4).

    >>> accept_key(b"dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest = hashlib.sha1(key + GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()
