"""When to connect again, and after which errors."""

from __future__ import annotations

import itertools
import socket
import ssl
from datetime import UTC, datetime

import pytest

from rfc6455.backoff import Backoff, backoff_delays, is_transient, retry_after
from rfc6455.errors import ConnectionClosedError, HandshakeError, ProxyError, UsageError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def first(count: int, **options: float) -> list[tuple[float, float]]:
    """The ranges that the first delays are chosen from."""
    bounds = [
        itertools.islice(backoff_delays(random=lambda x=x: x, **options), count)  # type: ignore[misc]
        for x in (0.0, 1.0)
    ]
    return list(zip(*bounds, strict=True))


@pytest.mark.clause("W202", "W203", "W204", "W205", party="client")
def test_delays_start_random_and_double_up_to_a_minute() -> None:
    assert first(7) == [(0, 5), (5, 10), (10, 20), (20, 40), (30, 60), (30, 60), (30, 60)]


def test_delays_as_the_application_wants_them() -> None:
    assert first(4, initial=1, factor=4, maximum=10) == [(0, 1), (1, 4), (2.5, 10), (2.5, 10)]
    assert first(2, initial=9, factor=3, maximum=3) == [(0, 3), (1, 3)]
    assert first(3, initial=0) == [(0, 0), (0, 0), (0, 0)]


def test_delays_are_random_by_default() -> None:
    delays = [next(backoff_delays()) for _ in range(100)]
    assert len(set(delays)) > 50
    assert all(0 <= delay < 5 for delay in delays)


def caused_by(cause: BaseException) -> HandshakeError:
    error = HandshakeError("no answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionRefusedError(), True),
        (ConnectionResetError(), True),
        (OSError(101, "Network is unreachable"), True),
        (socket.gaierror(-3, "Temporary failure in name resolution"), True),
        (TimeoutError(), True),
        (EOFError(), True),
        (ssl.SSLEOFError(), True),
        (ssl.SSLSyscallError(), True),
        (caused_by(EOFError()), True),
        (caused_by(ConnectionResetError()), True),
        (HandshakeError("", 500), True),
        (HandshakeError("", 502), True),
        (HandshakeError("", 503), True),
        (HandshakeError("", 504), True),
        (ProxyError("", 503), True),
        (ProxyError("", 407), False),
        (HandshakeError("", 501), False),
        (HandshakeError("", 505), False),
        (HandshakeError("", 401), False),
        (HandshakeError("", 429), False),
        (HandshakeError("", 101), False),
        (HandshakeError("", 0), False),
        (caused_by(ValueError()), False),
        (ssl.SSLCertVerificationError(), False),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), False),
        (UsageError(""), False),
        (ConnectionClosedError(None, None), False),
        (RuntimeError(), False),
    ],
    ids=repr,
)
def test_which_errors_are_transient(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


DATE = ("Date", "Fri, 02 Jan 2026 03:00:00 GMT")


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([], 0),
        ([("Retry-After", "0")], 0),
        ([("Retry-After", "120")], 120),
        ([("retry-after", "3600")], 3600),
        ([("Retry-After", "3601")], 3600),
        ([("Retry-After", "999999999")], 3600),
        ([("Retry-After", "9999999999")], 0),
        ([("Retry-After", "-1")], 0),
        ([("Retry-After", "+1")], 0),
        ([("Retry-After", "1_0")], 0),
        ([("Retry-After", "1.5")], 0),
        ([("Retry-After", "")], 0),
        ([("Retry-After", "1"), ("Retry-After", "2")], 0),
        ([("Retry-After", "\xe9")], 0),
        ([("Retry-After", "Fri, 02 Jan 2026 03:04:35 GMT")], 30),
        ([("Retry-After", "Fri, 02 Jan 2026 03:04:35")], 30),
        ([("Retry-After", "Fri, 02 Jan 2026 03:04:00 GMT")], 0),
        ([("Retry-After", "Fri, 02 Jan 2126 03:04:00 GMT")], 3600),
        ([("Retry-After", "Fri, 02 Jan 2026 03:00:07 GMT"), DATE], 7),
        ([("Retry-After", "Fri, 02 Jan 2026 03:04:35 GMT"), ("Date", "today")], 30),
    ],
)
def test_retry_after(fields: list[tuple[str, str]], seconds: float) -> None:
    assert retry_after(HandshakeError("", 503, fields), NOW) == seconds


def test_retry_after_of_other_errors() -> None:
    assert retry_after(TimeoutError(), NOW) == 0


# The loop


def test_delays_go_on_until_a_connection_was_open() -> None:
    backoff = Backoff(lambda: [1.0, 2.0, 3.0], is_transient)
    assert [backoff.after_error(OSError(), NOW) for _ in range(4)] == [1, 2, 3, None]
    assert backoff.after_end("") == 1
    assert backoff.after_error(OSError(), NOW) == 2
    assert backoff.after_end("") == 1
    assert Backoff(lambda: [], is_transient).after_end("") == 0


def test_what_is_not_retried_is_raised() -> None:
    backoff = Backoff(backoff_delays, lambda error: isinstance(error, KeyError))
    assert backoff.after_error(OSError(), NOW) is None
    assert backoff.after_error(KeyError(), NOW) is not None


def test_what_a_server_asks_for() -> None:
    backoff = Backoff(lambda: [5.0, 10.0, 20.0], is_transient)
    for seconds, delay in (("7", 7), ("9", 10), ("9999", 3600)):
        error = HandshakeError("", 503, [("Retry-After", seconds)])
        assert backoff.after_error(error, NOW) == delay
    assert backoff.after_end("restart retry-after=0.5") == 0.5
    assert backoff.after_end("retry-after=99999") == 3600
