"""The nonce and its answer."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from rfc6455.handshake.nonce import VERSION, accept_key, new_key

if TYPE_CHECKING:
    import pytest


def test_accept_key_of_the_rfcs_example() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_accept_key_uses_the_key_as_it_came() -> None:
    # The two decode to the same bytes: the RFC's second example is not canonical base64.
    assert accept_key(b"AQIDBAUGBwgJCgsMDQ4PEC==") != accept_key(b"AQIDBAUGBwgJCgsMDQ4PEA==")


def test_new_key_is_sixteen_random_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda size: bytes(range(size)))
    assert base64.b64decode(new_key(), validate=True) == bytes(range(16))


def test_version() -> None:
    assert VERSION == "13"
