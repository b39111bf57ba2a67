"""`broadcast`: made once, given to each, and nobody's trouble is another's."""

from __future__ import annotations

from typing import Any

import pytest

from rfc6455 import ConnectionClosedOK, Overflow, PreparedMessage, UsageError, broadcast


class Receiver:
    """Takes messages, or does not."""

    def __init__(self, *, takes: bool = True, gone: bool = False) -> None:
        self.takes = takes
        self.gone = gone
        self.pushed: list[tuple[PreparedMessage, dict[str, Any]]] = []

    def push(self, message: PreparedMessage, /, **options: Any) -> bool:
        if self.gone:
            raise ConnectionClosedOK(None, None)
        self.pushed.append((message, options))
        return self.takes


def test_all_get_the_same_message_and_who_missed_it_is_told() -> None:
    first, second, full, gone = Receiver(), Receiver(), Receiver(takes=False), Receiver(gone=True)
    assert broadcast([gone, first, full, second], "a") == [gone, full]
    ((message, options),) = first.pushed
    assert message.message == "a"
    assert second.pushed == full.pushed == [(message, options)]
    assert options == {"key": None, "overflow": Overflow.DROP_NEWEST, "compress": None}


def test_what_push_takes_is_handed_on() -> None:
    receiver, prepared = Receiver(), PreparedMessage(b"a")
    options: dict[str, Any] = {"key": 1, "overflow": Overflow.DISCONNECT, "compress": True}
    assert broadcast([receiver], prepared, **options) == []
    assert receiver.pushed == [(prepared, options)]


@pytest.mark.parametrize(("message", "error"), [(["a"], TypeError), ("\ud800", UsageError)])
def test_what_cannot_be_sent_is_sent_to_nobody(message: Any, error: type[Exception]) -> None:
    receiver = Receiver()
    with pytest.raises(error):
        broadcast([receiver], message)
    assert receiver.pushed == []
