"""The seam between bytes and messages, and the only file that may know of a native twin.

What lives here: which implementation of the two hot functions runs. `Decoder` takes the bytes of a
read and gives the list of events; `encode` takes a message and gives the bytes of its frame.
"""

from __future__ import annotations

from typing import Final

from .frames import encode
from .parser import Decoder

__all__ = ["Decoder", "encode", "implementation"]

implementation: Final = "python"
