"""Short runs: what happens to the server breaks no promise, and a server that breaks one is caught.

A long run is ``python -m tests.chaos --kill 200``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import async_test

from .run import Report, run


def assert_kept(report: Report) -> None:
    """The promise was kept; if not, says what was wrong."""
    assert not report.faults, "\n".join([str(report), *report.faults[:50]])


@pytest.mark.slow
@async_test
async def test_ten_kills(tmp_path: Path) -> None:
    report = await run(tmp_path, ["kill"] * 10)
    assert_kept(report)
    assert report.comebacks
    assert report.acknowledged


@async_test
async def test_standing_still(tmp_path: Path) -> None:
    assert_kept(await run(tmp_path, ["freeze"] * 2))


@async_test
async def test_full_disk(tmp_path: Path) -> None:
    report = await run(tmp_path, ["fill_disk"] * 2)
    assert_kept(report)
    assert report.indeterminate


@async_test
async def test_full_disk_at_the_end_of_the_process(tmp_path: Path) -> None:
    assert_kept(await run(tmp_path, ["fill_disk", "kill"] * 2, durability="full"))


@pytest.mark.faketime
@pytest.mark.slow
@async_test
async def test_moved_clock(tmp_path: Path) -> None:
    assert_kept(await run(tmp_path, ["move_clock"] * 2))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "duplicate", "swap", "acknowledge_early"])
@async_test
async def test_a_server_that_breaks_its_promise_is_caught(tmp_path: Path, fault: str) -> None:
    report = await run(tmp_path, ["kill"] * 4, program=("-m", "tests.chaos.broken", fault))
    assert report.faults
