"""``python -m tests.chaos.broken FAULT ...``: the chat server with a fault planted into it.

What lives here: four ways to break the promise, each in a line or two. The tests show that a run
finds every one of them.
"""

from __future__ import annotations

import sys
from typing import Any

from server.__main__ import main
from server.engines.base import Entry
from server.engines.store import Store
from server.rooms import Channel

ROOMS = "room:"
deliver = Channel.publish


def drop(channel: Channel, entry: Entry, event: str, to: Any = None) -> None:
    """Now and then somebody is not told."""
    if channel.log.startswith(ROOMS) and entry.position.offset % 5 == 0:
        to = set(list(channel)[1:])
    deliver(channel, entry, event, to)


def duplicate(channel: Channel, entry: Entry, event: str, to: Any = None) -> None:
    """Now and then everybody is told twice."""
    deliver(channel, entry, event, to)
    if entry.position.offset % 5 == 0:
        channel.deliver(event)


def swap(channel: Channel, entry: Entry, event: str, to: Any = None) -> None:
    """Now and then an event overtakes the one before it."""
    if entry.position.offset % 5 == 0:
        deliver(channel, entry, "{}", set())
        held[channel] = event
        return
    deliver(channel, entry, event, to)
    if channel in held:
        channel.deliver(held.pop(channel))


held: dict[Channel, str] = {}


def acknowledge_early() -> None:
    """Transactions are left open, and what is in them is acknowledged."""
    begin, commit = Store.begin, Store.commit
    commits = 0

    def begin_unless_open(store: Store, *, writing: bool) -> None:
        if not store._database.in_transaction:
            begin(store, writing=writing)

    def commit_rarely(store: Store) -> None:
        nonlocal commits
        commits += 1
        if commits < 30 or commits % 30 == 0:
            commit(store)

    for name, method in (("begin", begin_unless_open), ("commit", commit_rarely)):
        setattr(Store, name, method)


FAULTS: dict[str, Any] = {"drop": drop, "duplicate": duplicate, "swap": swap}

if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if fault == "acknowledge_early":
        acknowledge_early()
    else:
        Channel.publish = FAULTS[fault]  # type: ignore[method-assign]
    sys.exit(main())
