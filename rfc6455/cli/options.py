"""Values of options that several commands share.

What lives here: how numbers are read, so that a wrong one is named in the usage message. This file
does not know what they are for.
"""

from __future__ import annotations

__all__ = ["count", "port", "seconds", "size"]


def seconds(text: str) -> float:
    """Reads a time; ``inf`` is one."""
    value = float(text)
    if not value >= 0:
        raise ValueError(text)
    return value


def count(text: str) -> int:
    """Reads a number from 1 on."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def port(text: str) -> int:
    """Reads a TCP port to listen on; 0 is any."""
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError(text)
    return value


def size(text: str) -> int:
    """Reads a number of bytes, such as ``500K`` or ``16M``."""
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:].upper(), 1)
    value = int(text[:-1] if unit > 1 else text)
    if value < 0:
        raise ValueError(text)
    return value * unit


# argparse says "invalid ... value" with these names.
seconds.__name__ = "time"
