"""RFC 6455 §10.2: which web pages may connect.

What lives here: the comparison of an Origin with those that an application allows. A cookie travels
with every request that a browser makes, whichever page made it; so this is what keeps the pages of
others from acting in a visitor's name. This file does not know what the answer to a stranger is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from .errors import UsageError

__all__ = ["Origins", "OriginsLike"]

OriginsLike: TypeAlias = Iterable[str | re.Pattern[str] | None]

ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]+))?"
)
DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


class Origins:
    """The origins that may connect.

    What is allowed may be written in any of its forms (upper case, the scheme's own port); what a
    browser sends has one form (RFC 6454 §6.2), and only that is taken.

    Args:
        allowed: origins such as ``https://example.com``; compiled regular expressions, which have
            to match the whole of an Origin; and None for requests that have no Origin, which are
            those of programs other than browsers.

    Raises:
        UsageError: one of them is no origin, for instance because it has a path.
    """

    def __init__(self, allowed: OriginsLike) -> None:
        if isinstance(allowed, str):
            raise UsageError("origins are a list, not one string")
        self._exact: set[str | None] = set()
        self._patterns: list[re.Pattern[str]] = []
        for origin in allowed:
            if isinstance(origin, re.Pattern):
                self._patterns.append(origin)
            else:
                self._exact.add(origin if origin is None else _serialize(origin))

    def allow(self, origin: str | None) -> bool:
        """Tells whether a page of this origin may connect; None stands for no Origin."""
        return origin in self._exact or (
            origin is not None and any(pattern.fullmatch(origin) for pattern in self._patterns)
        )


def _serialize(origin: str) -> str:
    """Returns the form in which browsers send an origin (RFC 6454 §6.2)."""
    if origin == "null":
        return origin
    parts = ORIGIN.fullmatch(origin.lower()) if origin.isascii() else None
    if parts is None:
        raise UsageError(
            f"not an origin, which is scheme://host or scheme://host:port, in ASCII: {origin!r}"
        )
    scheme, host, port = parts.group("scheme", "host", "port")
    return f"{scheme}://{host}" + (
        f":{port}" if port is not None and port != DEFAULT_PORTS.get(scheme) else ""
    )
