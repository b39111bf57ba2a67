"""The seam between bytes and a request, and what knows of the native twin of its reader.

What lives here: whether a head that comes whole is read in native code. `server` is the
specification: it reads whatever the twin leaves, and everything where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Plain", "read_request"]

Plain: TypeAlias = tuple[str, str, str, str, bytes, dict[bytes, list[bytes]], int]
"""Of a request: its method, its target, the path and the query of that; the lines of its fields,
and their values by names in lower case; and how many bytes its head has."""

read_request: Callable[[bytes, int | None, int | None, int | None, int | None], Plain | None] | None
"""Reads a head within four limits: of the request line, of a header line, of the head, in bytes;
and of the number of fields. Returns None for what is left to Python: what is cut, wrong, too large,
or comes with a body."""

try:
    if os.environ.get("RFC6455_PURE"):
        raise ImportError("RFC6455_PURE asks for Python")
    from .._native.head import read_request as _native
except ImportError:
    read_request = None
else:
    read_request = _native
