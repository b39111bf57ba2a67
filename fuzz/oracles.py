"""What the targets have in common: how a promise is checked, how input is cut, what is retained.

What lives here: helpers that know nothing about the boundary under test.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from types import FunctionType, MethodType
from typing import Any, Final, TypeAlias

__all__ = ["Data", "Violation", "digest", "outcome", "pieces", "require", "retained", "unquoted"]

Data: TypeAlias = bytes | bytearray | memoryview


class Violation(AssertionError):
    """A promise was broken: the fuzzer reports the input as a crash."""


def require(promise: object, message: str, *details: object) -> None:
    """Raises `Violation` unless the promise holds."""
    if not promise:
        raise Violation(": ".join([message, *map(repr, details)]))


def digest(data: bytes) -> int:
    """Returns a number that stands for the input: it settles what is not worth a byte of it.

    How the input is cut, and which of the costlier checks run, must be the same each time that an
    input is tried, and must not shift the bytes of a seed.
    """
    return zlib.crc32(data)


def pieces(data: bytes) -> Iterator[Data]:
    """Cuts the input: into many small pieces, or at up to three places, in every kind of buffer.

    A ``bytearray`` is overwritten when the consumer asks for the next piece, as a transport does
    that reads into one buffer: whoever kept a reference instead of a copy is found out.
    """
    number = digest(data)
    size = len(data)
    if number % 32 == 0:
        # Long inputs in a few dozen pieces: what one octet at a time shows, short inputs show.
        cuts = [*range(0, size, size // 48 + 1), size]
    else:
        cuts = sorted({0, size, *((number >> shift) % (size + 1) for shift in (5, 13, 21))})
    for turn, (start, end) in enumerate(pairwise(cuts)):
        kind = (number >> 27) + turn
        if kind % 3 == 0:
            yield data[start:end]
            continue
        buffer = bytearray(data[start:end])
        if kind % 3 == 1:
            yield buffer
        else:
            with memoryview(buffer) as view:
                yield view
        buffer[:] = b"\xa5" * len(buffer)


def outcome(
    function: Callable[..., Any], *arguments: Any, documented: type[Exception]
) -> tuple[Any, Exception | None]:
    """Returns what the function returns, or the documented error that it raises.

    Anything else that it raises is the crash that a fuzzer looks for.
    """
    try:
        return function(*arguments), None
    except documented as error:
        return None, error


def unquoted(message: str) -> str:
    """Returns an error without what h11 quotes in it of a malformed body: what it had read."""
    return message.partition("bytearray(")[0]


FOLLOWED: Final = ("rfc6455", "h11")
SIMPLE: Final = (int, float, type(None), type, FunctionType, MethodType)


def retained(root: object) -> int:
    """Returns how many bytes of buffers and text an object keeps alive.

    Follows attributes and containers, within this package and h11.
    """
    seen: set[int] = set()
    todo: list[object] = [root]
    total = 0
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, SIMPLE):
            continue
        seen.add(id(value))
        if isinstance(value, bytes | bytearray | str):
            total += len(value)
        elif isinstance(value, memoryview):
            total += value.nbytes
        elif isinstance(value, dict):
            todo += value.keys()
            todo += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            todo += value
        elif any(kind.__module__.startswith(FOLLOWED) for kind in type(value).__mro__):
            todo += _attributes(value)
    return total


def _attributes(value: object) -> list[object]:
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    if is_dataclass(value):
        names += [field.name for field in fields(value)]
    return [
        *(getattr(value, name) for name in names if hasattr(value, name)),
        *getattr(value, "__dict__", {}).values(),
    ]
