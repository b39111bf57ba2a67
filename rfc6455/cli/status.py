"""The exit status of a client, and how an end is told.

What lives here: the table of exit statuses. This file does not know who prints them.
"""

from __future__ import annotations

from typing import Final

from ..close import NAMES
from ..errors import ConnectionClosed, ProtocolError
from .terminal import escape

__all__ = [
    "HANDSHAKE_REFUSED",
    "INTERRUPTED",
    "OUTPUT_CLOSED",
    "TABLE",
    "TIMED_OUT",
    "UNREACHABLE",
    "USAGE",
    "close_status",
    "tell_close",
]

USAGE: Final = 2
UNREACHABLE: Final = 3
HANDSHAKE_REFUSED: Final = 4
LIBRARY_CODE: Final = 30
APPLICATION_CODE: Final = 40
TIMED_OUT: Final = 124
INTERRUPTED: Final = 130
OUTPUT_CLOSED: Final = 141

TABLE: Final = """\
exit status:
  0          closed with 1000, 1001, or without a code
  2          wrong usage, or input that cannot be sent
  3          the server could not be reached: DNS, TCP, TLS, proxy, or --open-timeout
  4          the server refused the opening handshake
  30         closed with 3000 to 3999, codes of libraries
  40         closed with 4000 to 4999, codes of applications
  102 - 115  closed with 1002 to 1015: the code less 900; 106 is a connection that was lost
  124        --timeout was over
  130        Ctrl-C
  141        nobody reads standard output any more
"""


def close_status(error: ConnectionClosed) -> int:
    """Returns the exit status for how a connection ended."""
    fault = error.__cause__
    code = fault.code if isinstance(fault, ProtocolError) else error.code
    if code in (1000, 1001, 1005):
        return 0
    if code >= 4000:
        return APPLICATION_CODE
    return LIBRARY_CODE if code >= 3000 else code - 900


def tell_close(error: ConnectionClosed) -> str:
    """Returns how a connection ended, in words."""
    fault = error.__cause__
    if isinstance(fault, ProtocolError):
        return f"failed with {int(fault.code)} {NAMES[fault.code]}: {escape(str(fault))}"
    if error.received is None:
        return "lost: no Close came (1006)"
    if error.code == 1005:
        return "closed without a code (1005)"
    reason = f": {escape(error.reason)}" if error.reason else ""
    name = NAMES.get(error.code, "")
    return f"closed with {error.code}{f' {name}' if name else ''}{reason}"
