"""Each scenario in a small size: what was counted is right, however long it took."""

from __future__ import annotations

import asyncio
import importlib

import pytest

from . import NAMES, restart
from .figures import percentile, quantiles


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_scenario(name: str) -> None:
    scenario = importlib.import_module(f"tests.load.{name}")
    result = asyncio.run(scenario.run(**scenario.QUICK))
    assert scenario.faults(result) == []


@pytest.mark.slow
def test_the_chat_ends_gently() -> None:
    result = asyncio.run(restart.run(**restart.QUICK, gently=1))
    assert restart.faults(result) == []


def test_percentiles() -> None:
    values = list(range(1, 201))
    assert percentile(values, 50) == 100
    assert percentile(values, 99) == 198
    assert percentile([7], 99) == 7
    assert quantiles([1500] * 99 + [9000]) == {"p50": 1.5, "p99": 1.5, "max": 9.0}
