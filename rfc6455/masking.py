"""RFC 6455 §5.3 and §10.3: where masking keys come from.

What lives here: a stock of random keys. How a key is applied is `frames.apply_mask`. This file does
not know about frames.
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["new_masking_key"]

BATCH: Final = 256

_stock: list[bytes] = []


def new_masking_key() -> bytes:
    """Returns four bytes that nobody can predict, for one frame alone. Safe to call from threads.

    §5.3: "the masking key for a given frame MUST NOT make it simple for a server/proxy to predict
    the masking key for a subsequent frame". They come from the operating system, a batch at a time:
    a system call per frame would cost more than the frame.
    """
    try:
        return _stock.pop()
    except IndexError:
        octets = os.urandom(4 * BATCH)
        _stock.extend(octets[i : i + 4] for i in range(4, len(octets), 4))
        return octets[:4]


# A forked child must not repeat the keys of its parent.
if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_stock.clear)
