"""Rate limits: how much a connection, a user and an address may do.

What lives here: token buckets, a bounded table of them that outlives connections, and what counts
as one address. Pure and synchronous: times come in as arguments. This file does not know what the
chat does, only what it costs.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

__all__ = ["Buckets", "Limiter", "Rate", "publish_cost", "source_of"]

MAX_BUCKETS: Final = 100_000
"""Buckets in one table; each takes about 200 bytes."""
FAN_OUT: Final = 1000
"""Receivers whose sum costs as much as a command."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a bucket fills, and how much it holds.

    Attributes:
        per_second: what may be spent in a second, over time; 0 switches the limit off.
        burst: what may be spent at once.
    """

    per_second: float
    burst: float


class Buckets:
    """Token buckets by key: a bounded table, in which nothing is remembered that says nothing.

    A bucket that is full again is like one that never was, so it expires. Where there are more
    buckets than fit, the one that was used least recently goes.

    Args:
        rate: of each bucket.
        size: how many buckets are kept.
    """

    def __init__(self, rate: Rate, size: int = MAX_BUCKETS) -> None:
        self.rate = rate
        self._size = size
        # By key: what is left, and when that was counted; the least recently used first.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, key: str, cost: float, now: float) -> float:
        """Returns for how many seconds a cost cannot be paid yet; 0 when it can.

        What costs more than a bucket holds can be paid from a full one.
        """
        if not self.rate.per_second:
            return 0.0
        missing = min(cost, self.rate.burst) - self._left(key, now)
        return max(0.0, missing / self.rate.per_second)

    def spend(self, key: str, cost: float, now: float) -> None:
        """Pays, with a debt where it is more than there is."""
        if not self.rate.per_second:
            return
        buckets = self._buckets
        buckets[key] = (self._left(key, now) - cost, now)
        buckets.move_to_end(key)
        # At most one comes with each call, and up to two go: the table cannot grow for ever.
        for _ in range(2):
            oldest = next(iter(buckets))
            if oldest == key or (
                self._left(oldest, now) < self.rate.burst and len(buckets) <= self._size
            ):
                break
            del buckets[oldest]

    def _left(self, key: str, now: float) -> float:
        left, counted = self._buckets.get(key, (self.rate.burst, now))
        return min(self.rate.burst, left + (now - counted) * self.rate.per_second)


class Limiter:
    """The limits that one action has to pass together: all pay, or none does.

    Args:
        connection: what one connection may do.
        user: what all connections of a user may do together.
        address: what all connections from an address may do together.
    """

    def __init__(self, *, connection: Rate, user: Rate, address: Rate) -> None:
        self._connections = Buckets(connection)
        self._users = Buckets(user)
        self._addresses = Buckets(address)

    def pay(
        self, cost: float, now: float, *, connection: str, user: str, address: str
    ) -> tuple[str, float] | None:
        """Pays from several buckets; one without a key need not pay.

        Args:
            cost: the price.
            now: the time, in seconds of a monotonic clock.
            connection: which one it is.
            user: who does it.
            address: where it comes from.

        Returns:
            None; or whose limit it is that holds, and for how many seconds. Nothing is paid then.
        """
        paying = [
            (scope, buckets, key)
            for scope, buckets, key in (
                ("connection", self._connections, connection),
                ("user", self._users, user),
                ("address", self._addresses, address),
            )
            if key and buckets.rate.per_second
        ]
        longest, whose = 0.0, ""
        for scope, buckets, key in paying:
            seconds = buckets.wait(key, cost, now)
            if seconds > longest:
                longest, whose = seconds, scope
        if whose:
            return whose, longest
        for _, buckets, key in paying:
            buckets.spend(key, cost, now)
        return None


def publish_cost(receivers: int) -> float:
    """Returns what it costs to say something to so many: a command, and a part for each of them."""
    return receivers / FAN_OUT


def source_of(address: str) -> str:
    """Returns what counts as one address: of IPv6 the /64, which a single home has to itself.

    An IPv4 address that IPv6 has wrapped (``::ffff:192.0.2.1``) is what it wraps. What is no
    address, such as the path of a Unix socket, stands for itself.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
