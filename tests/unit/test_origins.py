"""Which web pages may connect: what is allowed is lenient in its form, what comes is not."""

from __future__ import annotations

import re

import pytest

from rfc6455.errors import UsageError
from rfc6455.origins import Origins

GOOD = "http://good.com"


@pytest.mark.clause("W231")
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://other.com",
        "http://good.com.evil.com",
        "http://evilgood.com",
        "http://good.com:444",
        "http://good.com:80",
        "https://good.com",
        "HTTP://GOOD.COM",
        "http://Good.com",
        "http://good.com.",
        "http://good.com/",
        "http://good.com/path",
        "http://user@good.com",
        "http://goöd.com",
        "http://good.com\0",
        "http://good.com ",
        "http://good.com, http://good.com",
        "good.com",
        "*",
    ],
)
def test_d1_only_the_very_origin_is_allowed(origin: str | None) -> None:
    origins = Origins([GOOD])
    assert origins.allow(GOOD)
    assert not origins.allow(origin)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("HTTPS://Example.COM", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("http://localhost:8765", "http://localhost:8765"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
        (None, None),
    ],
)
def test_what_is_allowed_may_have_any_of_its_forms(written: str | None, sent: str | None) -> None:
    assert Origins([written]).allow(sent)
    assert not Origins([]).allow(sent)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "example.com",
        "https://",
        "https://example.com/",
        "https://example.com/path",
        "https://user@example.com",
        "https://example.com:",
        "https://example.com:x",
        "https://*.example.com",
        "https://exämple.com",
        "//example.com",
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(UsageError, match="not an origin"):
        Origins([origin])


def test_one_string_is_no_list() -> None:
    with pytest.raises(UsageError, match="list"):
        Origins(GOOD)


def test_d1_a_pattern_has_to_match_the_whole() -> None:
    origins = Origins([re.compile(r"https://[a-z]+\.good\.com"), None])
    assert origins.allow("https://www.good.com")
    assert origins.allow(None)
    for origin in (
        "https://www.good.com.evil.com",
        "xhttps://www.good.com",
        "https://www.good.com:444",
        "https://www.good.com\n",
        "https://wwwxgood.com",
        "https://good.com",
    ):
        assert not origins.allow(origin)
