"""Which tests of `tests/unit` are a module's own.

What lives here: a table. Where it says nothing, they are in the file with the name of the module.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

__all__ = ["own_tests"]

ALSO: Final = {
    # Messages in pieces are as much of these three; so is what is sent to many of the others.
    "connection.py": ("test_streaming.py", "test_prepared.py", "test_budget.py"),
    "messages.py": ("test_streaming.py",),
    "sender.py": ("test_connection.py", "test_streaming.py", "test_prepared.py", "test_budget.py"),
    "parser.py": ("test_streaming.py",),
    # The log of frames is the first of those who want to see them.
    "frameobserver.py": ("test_framelog.py",),
    "observer.py": ("test_framelog.py",),
    "tracing.py": ("test_framelog.py",),
    "handshake/offer.py": ("handshake/test_server.py",),
    "extensions/base.py": ("test_extensions.py", "test_prepared.py"),
    "extensions/permessage_deflate.py": ("test_prepared.py",),
}


def own_tests(module: PurePosixPath) -> list[str]:
    """Returns files below `tests/unit`, for a module that is given below `rfc6455`."""
    own = [module.with_name(f"test_{module.name}").as_posix(), f"test_{module.name}"]
    return [*own, *ALSO.get(module.as_posix(), ())]
