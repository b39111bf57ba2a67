"""The messages that benchmarks send: JSON of an exact size, as applications send it.

What lives here: their contents, the same in every run. Names repeat, numbers and words vary, so
that permessage-deflate finds as much as it would in practice. All of it is ASCII.
"""

from __future__ import annotations

import json
import random
from typing import Final

__all__ = ["messages"]

SMALL: Final = 64
"""Bytes; below, a message is a few letters: there is no room for more."""
RING_SIZE: Final = 1024 * 1024
"""Bytes; about as much is prepared, and sent round and round."""

TEXT: Final = """
the of and to in is that for it as was with be by on not he this are or his from at which but
have an had they you were their one all we can her has there been if more when will would who so
said what up its about than into them only some time could these two may then do first any now
such like our over man me even most made after also did many before must through back years
where much your way well down should because each just those people how too little good"""
WORDS: Final = TEXT.split()
NAMES: Final = ("ada", "alan", "barbara", "donald", "edsger", "grace", "john", "ken", "leslie")


def messages(size: int, *, count: int | None = None) -> list[str]:
    """Returns different texts of ``size`` bytes each.

    Args:
        size: bytes, at least 1.
        count: how many; by default about a megabyte of them, but no fewer than 4.
    """
    if size < 1:
        raise ValueError(f"a message has at least one byte, not {size}")
    if count is None:
        count = max(4, min(1024, RING_SIZE // size))
    source = random.Random(6455)
    return [_message(source, size, number) for number in range(count)]


def _message(source: random.Random, size: int, number: int) -> str:
    if size < SMALL:
        return "".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=size))
    records: list[str] = []
    # What stands around the records and the text that fills up.
    left = size - len('{"records":[],"text":""}')
    while left > 0:
        record = json.dumps(
            {
                "id": number * 1000 + len(records),
                "user": source.choice(NAMES),
                "price": round(source.uniform(1, 1000), 2),
                "online": source.random() < 0.8,
                "text": " ".join(source.choices(WORDS, k=source.randrange(4, 16))),
            },
            separators=(",", ":"),
        )
        if len(record) + 1 > left:
            break
        records.append(record)
        left -= len(record) + (len(records) > 1)
    text = " ".join(source.choices(WORDS, k=left // 2 + 1))[:left]
    return f'{{"records":[{",".join(records)}],"text":"{text}"}}'
