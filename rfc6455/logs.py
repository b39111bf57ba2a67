"""Logs that a flood of bad clients cannot fill.

What lives here: how many lines an interval may have. It reads no clock. This file does not know
what the lines say.
"""

from __future__ import annotations

import logging
from typing import Any, Final, TypeAlias

__all__ = ["LogSampler", "LoggerLike"]

LoggerLike: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"

MAX_LINES: Final = 20
INTERVAL: Final = 10.0
"""Seconds."""


class LogSampler:
    """Passes on the first lines of each interval, and tells in the next how many it left out.

    Args:
        logger: where they go.
        max_lines: of an interval.
        interval: in seconds.
    """

    def __init__(
        self, logger: LoggerLike, *, max_lines: int = MAX_LINES, interval: float = INTERVAL
    ) -> None:
        self._logger = logger
        self._max_lines = max_lines
        self._interval = interval
        self._ends = float("-inf")
        self._lines = 0
        self._left_out = 0
        self._level = logging.INFO

    def log(self, now: float, level: int, message: str, *args: object, **options: Any) -> None:
        """Logs a line, if the interval has room for it; ``now`` is the time in seconds."""
        if now >= self._ends:
            self._ends = now + self._interval
            self._lines = 0
            self.flush()
        self._lines += 1
        if self._lines <= self._max_lines:
            self._logger.log(level, message, *args, **options)
        else:
            self._left_out += 1
            self._level = level

    def flush(self) -> None:
        """Tells how many lines were left out, if any were."""
        if self._left_out:
            self._logger.log(self._level, "%d more lines like these were left out", self._left_out)
            self._left_out = 0
