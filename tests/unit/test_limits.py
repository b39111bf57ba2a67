"""Limits: numbers, None for off, and nothing negative. Who keeps them is tested elsewhere."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from rfc6455.limits import Limits

FIELDS = [field.name for field in dataclasses.fields(Limits)]


@pytest.mark.parametrize("name", FIELDS)
def test_zero_is_a_limit(name: str) -> None:
    assert getattr(Limits(**{name: 0}), name) == 0


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "write_high_water"])
def test_none_switches_a_limit_off(name: str) -> None:
    off: dict[str, Any] = {name: None}
    assert getattr(Limits(**off), name) is None


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [-1, -0.5, math.nan])
def test_nothing_is_negative(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


def test_everything_is_limited_by_default_but_control_frames() -> None:
    limits = Limits()
    # Pings and Pongs cost no memory; how many are too many depends on the application.
    assert [name for name in FIELDS if getattr(limits, name) is None] == ["control_rate"]
