"""Fixtures of the threads' tests: each proves that it leaves no thread and no descriptor behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest

from rfc6455.sync import attendant as attendant_module
from tests.transports.conftest import TLS, certificate, tls

from .support import PATIENCE

__all__ = ["TLS", "certificate", "tls"]

DESCRIPTORS = "/proc/self/fd"


def descriptors() -> set[str]:
    if not os.path.isdir(DESCRIPTORS):  # pragma: no cover - not Linux
        return set()
    return set(os.listdir(DESCRIPTORS))


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The attendant ends when no connection is left, and with it all that was opened."""
    # It need not wait for connections of the next test.
    monkeypatch.setattr(attendant_module, "LINGER", 0.0)
    before = descriptors()
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("rfc6455"):
            # What it had to do is done; it may need a moment to end.
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"thread left running: {thread.name}"
    gc.collect(1)
    assert len(descriptors()) <= len(before), "descriptors left open"


@pytest.fixture(params=["plain", "tls"])
def link(request: pytest.FixtureRequest) -> TLS | None:
    """Whether TLS is between."""
    return request.getfixturevalue("tls") if request.param == "tls" else None
