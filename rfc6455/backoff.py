"""When to connect again: after which errors, and after how long.

What lives here: delays as a generator, the default answer to "does it make sense to try again?",
what a server asks for, and `Backoff`, which puts them together. This file does not wait, reads no
clock, and does not know what is connected to.
"""

from __future__ import annotations

import random as random_module
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from .close import Close, CloseCode
from .errors import HandshakeError
from .headers import Headers

__all__ = ["Backoff", "backoff_delays", "is_transient", "retry_after"]

TRANSIENT_STATUSES: Final = frozenset({500, 502, 503, 504})
MAX_RETRY_AFTER: Final = 3600.0
"""Seconds: for longer than that nobody is kept away."""
SECONDS: Final = re.compile(rb"[0-9]{1,9}")


def backoff_delays(
    *,
    initial: float = 5.0,
    factor: float = 2.0,
    maximum: float = 60.0,
    random: Callable[[], float] = random_module.random,
) -> Iterator[float]:
    """Generates delays between attempts to connect, without end.

    All are random, so that the clients of a server that was restarted do not come back at the same
    moment: the first is between 0 and ``initial``, with the defaults then between 5 and 10, 10 and
    20, 20 and 40, and 30 and 60.

    Args:
        initial: the longest first delay, in seconds.
        factor: by how much the longest delay grows each time.
        maximum: the longest delay of all, in seconds.
        random: gives numbers from 0 up to 1.
    """
    # RFC 6455 §7.2.3: "the first reconnect attempt SHOULD be delayed by a random amount of time.
    # [...] a value chosen randomly between 0 and 5 seconds is a reasonable initial delay". Later
    # ones are delayed "by increasingly longer amounts of time, using a method such as truncated
    # binary exponential backoff".
    longest = min(initial, maximum)
    yield longest * random()
    while True:
        longest = min(longest * factor, maximum)
        shortest = longest / factor
        yield shortest + (longest - shortest) * random()


def is_transient(error: Exception) -> bool:
    """Tells whether it makes sense to try again after an error of `connect`.

    So it is after errors of the network, whether on the way to the server or to a proxy; after
    timeouts; and when either answered with HTTP status 500, 502, 503 or 504. Everything else would
    fail again: other statuses, certificates that are not valid, answers that are not HTTP, wrong
    arguments.
    """
    if isinstance(error, HandshakeError):
        return error.status in TRANSIENT_STATUSES or isinstance(
            error.__cause__, (OSError, EOFError)
        )
    if isinstance(error, ssl.SSLError):
        # The others say that the two do not agree, on certificates or on TLS itself.
        return isinstance(error, (ssl.SSLEOFError, ssl.SSLSyscallError))
    # TimeoutError is an OSError; so is socket.gaierror, which also an absent network gives.
    return isinstance(error, (OSError, EOFError))


class Backoff:
    """How long to wait in a loop that connects again and again.

    Args:
        delays: makes the delays, in seconds, each time that a connection was opened.
        retry: whether to try again after an error.
    """

    def __init__(
        self, delays: Callable[[], Iterable[float]], retry: Callable[[Exception], bool]
    ) -> None:
        self._make_delays = delays
        self._retry = retry
        self._delays = iter(delays())

    def after_error(self, error: Exception, now: datetime) -> float | None:
        """Returns the delay after an attempt that failed; None where the error is to be raised.

        Args:
            error: of the attempt.
            now: see `retry_after`.
        """
        delay = next(self._delays, None)
        if delay is None or not self._retry(error):
            return None
        return max(delay, retry_after(error, now))

    def after_end(self, close_reason: str) -> float:
        """Returns the delay after a connection that was open, with the reason of its Close."""
        self._delays = iter(self._make_delays())
        # A server that is drained spreads its clients itself.
        hint = Close(CloseCode.GOING_AWAY, close_reason).retry_after
        return next(self._delays, 0.0) if hint is None else min(hint, MAX_RETRY_AFTER)


def retry_after(error: Exception, now: datetime) -> float:
    """Returns how long the answer in an error asks us to wait, in seconds; 0 without such a wish.

    Args:
        error: what an attempt to connect gave.
        now: the time with its time zone, in case that the answer names a time and has no Date.
    """
    if not isinstance(error, HandshakeError):
        return 0.0
    headers = Headers(error.headers)
    values = headers.raw("Retry-After")
    if len(values) != 1:
        return 0.0
    # RFC 9110 §10.2.3: "Retry-After = HTTP-date / delay-seconds".
    if SECONDS.fullmatch(values[0]):
        return min(float(values[0]), MAX_RETRY_AFTER)
    then = _date(values[0])
    if then is None:
        return 0.0
    # The server's own clock, where it tells it: ours may be wrong.
    date = _date(headers.raw("Date")[0]) if "Date" in headers else None
    return min(max((then - (date or now)).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _date(value: bytes) -> datetime | None:
    try:
        date = parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
