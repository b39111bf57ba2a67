"""Percentiles of latencies.

What lives here: how they are computed and told. This file does not know what took so long.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["percentile", "quantiles"]


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__trunc__() - 1)]


def quantiles(microseconds: Sequence[float]) -> dict[str, float]:
    """Returns what tells most about latencies, in milliseconds."""
    told = {f"p{percent}": percentile(microseconds, percent) for percent in (50, 99)}
    told["max"] = max(microseconds)
    return {name: round(value / 1000, 2) for name, value in told.items()}
