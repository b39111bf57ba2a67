"""A flood of lines becomes a few, and a number."""

from __future__ import annotations

import logging

import pytest  # noqa: TC002

from rfc6455.logs import LogSampler


def test_e16_an_interval_has_so_many_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "test")
    logs = LogSampler(logging.getLogger("test"), max_lines=2, interval=10)
    for tenth in range(100):
        logs.log(tenth / 10, logging.INFO, "line %d", tenth)
    assert caplog.messages == ["line 0", "line 1"]
    logs.log(10, logging.DEBUG, "line %d", 100)
    assert caplog.messages[2:] == ["98 more lines like these were left out", "line 100"]
    assert [record.levelno for record in caplog.records[2:]] == [logging.INFO, logging.DEBUG]


def test_what_was_left_out_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    logs = LogSampler(logging.getLogger("test"), max_lines=0, interval=10)
    logs.flush()
    assert caplog.messages == []
    logs.log(0, logging.WARNING, "line")
    logs.flush()
    logs.flush()
    assert caplog.messages == ["1 more lines like these were left out"]


def test_a_quiet_interval_leaves_room_in_the_next(caplog: pytest.LogCaptureFixture) -> None:
    logs = LogSampler(logging.getLogger("test"), max_lines=1, interval=10)
    for now in (5, 15, 30):
        logs.log(now, logging.WARNING, "at %d", now)
    assert caplog.messages == ["at 5", "at 15", "at 30"]
