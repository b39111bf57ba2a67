"""The events: plain values, compared by what they say."""

from __future__ import annotations

import dataclasses

import pytest

from rfc6455.close import CloseCode
from rfc6455.errors import ProtocolError
from rfc6455.events import Closed, Fault, Ping, Pong


def test_events_are_values() -> None:
    assert Ping() == Ping(b"")
    assert Ping(b"a") != Ping(b"b")
    assert Ping(b"a") not in [Pong(b"a"), b"a"]
    assert Closed(1000, "bye", clean=True) == Closed(1000, "bye", True)
    error = ProtocolError(CloseCode.PROTOCOL_ERROR, "no")
    assert Fault(error) == Fault(error)


@pytest.mark.parametrize(
    ("event", "attribute"),
    [(Ping(b"x"), "payload"), (Pong(b"x"), "payload"), (Closed(1006, "", clean=False), "code")],
)
def test_events_cannot_be_changed(event: object, attribute: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, attribute, 1)
