"""Short runs: what happens to the server breaks no promise, and a server that breaks one is caught.

A long run is ``python -m tests.chaos --kill 200``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import async_test

from .run import run


@pytest.mark.slow
@async_test
async def test_ten_kills(tmp_path: Path) -> None:
    report = await run(tmp_path, ["kill"] * 10)
    assert report.faults == []
    assert report.comebacks
    assert report.acknowledged


@async_test
async def test_standing_still(tmp_path: Path) -> None:
    assert (await run(tmp_path, ["freeze"] * 2)).faults == []


@async_test
async def test_full_disk(tmp_path: Path) -> None:
    report = await run(tmp_path, ["fill_disk"] * 2)
    assert report.faults == []
    assert report.indeterminate


@async_test
async def test_full_disk_at_the_end_of_the_process(tmp_path: Path) -> None:
    assert (await run(tmp_path, ["fill_disk", "kill"] * 2, durability="full")).faults == []


@pytest.mark.faketime
@pytest.mark.slow
@async_test
async def test_moved_clock(tmp_path: Path) -> None:
    report = await run(tmp_path, ["move_clock"] * 2)
    assert report.faults == []
    # It did move.
    days = {time[:10] for time in report.times}
    assert len(days) > 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "duplicate", "swap", "acknowledge_early"])
@async_test
async def test_a_server_that_breaks_its_promise_is_caught(tmp_path: Path, fault: str) -> None:
    report = await run(tmp_path, ["kill"] * 4, program=("-m", "tests.chaos.broken", fault))
    assert report.faults
