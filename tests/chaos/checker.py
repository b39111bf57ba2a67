"""Judges what a run of the chaos tests recorded.

What lives here: one pure function, in the spirit of Jepsen's checkers. The chat's promise, word by
word: an acknowledged message is in its room's log once, where the acknowledgement says; one that
nobody knows about at most once; one that was refused never. Each publisher's messages are in the
order in which they were said. Every subscriber is handed the log, entry by entry, and where one is
left out it was told so. This file does not know how the history came about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .history import Delivered, Entered, History, Outcome, Publish, Step


def check(history: History) -> list[str]:
    """Returns what is wrong with a history, in words; nothing if the promise was kept."""
    return [
        *_check_logs(history),
        *_check_publishes(history),
        *_check_order(history),
        *(
            f"{subscriber} in {room}: {fault}"
            for (subscriber, room), steps in history.received.items()
            for fault in _check_received(steps, history.logs.get(room, {}))
        ),
    ]


def _check_logs(history: History) -> Iterator[str]:
    """Offsets count from 1 without gaps, and there is nothing but what was said in this room."""
    said = {publish.value: publish.room for publish in history.publishes}
    for room, log in history.logs.items():
        if sorted(log) != list(range(1, len(log) + 1)):
            yield f"{room}: the log has gaps"
        for offset, value in log.items():
            if value not in said:
                yield f"{room}: nobody said {value} at {offset}"
            elif said[value] != room:
                yield f"{room}: {value} at {offset} was said in {said[value]}"


def _check_publishes(history: History) -> Iterator[str]:
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for room, log in history.logs.items():
        for offset, value in log.items():
            places[value].append((room, offset))
    for publish in history.publishes:
        found = places[publish.value]
        if len(found) > 1:
            yield f"{publish.room}: {publish.value} is in the log {len(found)} times"
        if publish.outcome is Outcome.REFUSED and found:
            yield f"{publish.room}: {publish.value} was refused and is in the log"
        if publish.outcome is Outcome.ACKNOWLEDGED:
            if not found:
                yield f"{publish.room}: {publish.value} was acknowledged and is lost"
            elif publish.offset != found[0][1]:
                yield f"{publish.room}: {publish.value} was acknowledged at another offset"


def _check_order(history: History) -> Iterator[str]:
    """What a publisher said in a room stands in the log in that order."""
    offsets = {
        (room, value): offset for room, log in history.logs.items() for offset, value in log.items()
    }
    latest: dict[tuple[str, str], Publish] = {}
    for publish in history.publishes:
        offset = offsets.get((publish.room, publish.value))
        if offset is None:
            continue
        before = latest.get((publish.publisher, publish.room))
        if before is not None and offsets[before.room, before.value] > offset:
            yield f"{publish.room}: {publish.value} stands before {before.value}"
        latest[publish.publisher, publish.room] = publish


def _check_received(steps: list[Step], log: dict[int, str]) -> Iterator[str]:
    """A subscriber has the log up to its end, and was told of every gap."""
    last: int | None = None
    for step in steps:
        if isinstance(step, Entered):
            if not step.recovered:
                last = None
            continue
        yield from _check_delivered(step, last, log)
        last = step.offset
    if last != (max(log) if log else None):
        yield f"the end is missing: {last} was the last, the log has {len(log)}"


def _check_delivered(step: Delivered, last: int | None, log: dict[int, str]) -> Iterator[str]:
    if last is not None and step.offset <= last:
        yield f"{step.value} at {step.offset} came after {last}"
    elif last is not None and step.offset > last + 1:
        yield f"between {last} and {step.offset} something is missing, and nobody said so"
    if log.get(step.offset) != step.value:
        yield f"{step.value} at {step.offset} is not what is in the log"
