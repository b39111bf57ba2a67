"""Plots as SVG, without a library for it.

What lives here: bars and lines, drawn for readers on light and dark pages. This file does not know
what the numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

__all__ = ["Bar", "bars", "lines"]

STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.quiet { font-size: 12px; fill: #656d76; }
.ours { fill: #0969da; } .peer { fill: #afb8c1; } .limit { fill: #eaeef2; stroke: #afb8c1; }
.gap { stroke: #fff; stroke-width: 5; } .grid { stroke: #d8dee4; } .strong { font-weight: 600; }
.line { fill: none; stroke-width: 1.8; } .line.ours { fill: none; stroke-width: 3; }
.c0 { stroke: #0969da; } .c1 { stroke: #bf8700; } .c2 { stroke: #1a7f37; } .c3 { stroke: #cf222e; }
.c4 { stroke: #8250df; } .c5 { stroke: #57606a; } .c6 { stroke: #bf3989; } .c7 { stroke: #1b7c83; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .quiet { fill: #8d96a0; }
  .gap { stroke: #0d1117; } .grid { stroke: #30363d; }
  .ours { fill: #4493f8; } .peer { fill: #57606a; } .limit { fill: #21262d; stroke: #57606a; }
  .c0 { stroke: #4493f8; } .c1 { stroke: #d29922; } .c2 { stroke: #3fb950; }
  .c3 { stroke: #f85149; } .c4 { stroke: #ab7df8; } .c5 { stroke: #8d96a0; }
  .c6 { stroke: #db61a2; } .c7 { stroke: #39c5cf; }
}
"""
COLOURS: Final = 8

WIDTH: Final = 760
LABELS: Final = 200
"""Pixels for the names to the left of bars, and to the right of lines."""
BAR: Final = 24
BEYOND: Final = 2.5
"""How many times the longest of the others a limit's bar may be before it is cut short."""
HEIGHT: Final = 420
"""Pixels of a plot of lines."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: beside it.
        value: its length.
        kind: ours, peer or limit.
        note: behind the value.
    """

    name: str
    value: float
    kind: str = "peer"
    note: str = ""


def number(value: float) -> str:
    """Returns a value with three digits that count, and no more."""
    if value >= 1000:
        return f"{value / 1000:,.3g}k" if value < 1e6 else f"{value / 1e6:,.3g}M"
    return f"{value:.3g}"


def bars(title: str, subtitle: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Draws horizontal bars, the longest of a group first.

    Args:
        title: of the plot.
        subtitle: below it: the unit, and what is worth knowing.
        groups: each with a heading, and a scale of its own. A limit far beyond all others is cut
            short, with a gap in its bar, so that they can be told apart.
    """
    parts = [_text(16, 26, title, "title"), _text(16, 46, subtitle, "quiet")]
    at = 56.0
    for heading, group in groups:
        at += 26
        if heading:
            parts.append(_text(16, at, heading, "strong"))
            at += 10
        longest = max((bar.value for bar in group), default=0) or 1
        others = max((bar.value for bar in group if bar.kind != "limit"), default=0)
        scale = others * 1.25 if 0 < others * BEYOND < longest else longest
        for bar in sorted(group, key=lambda bar: bar.value, reverse=True):
            width = max(1.0, (WIDTH - LABELS - 130) * min(bar.value / scale, 1))
            kind = "strong" if bar.kind == "ours" else "plain"
            parts.append(_text(LABELS - 8, at + 16, bar.name, kind, "end"))
            parts.append(
                f'<rect class="{bar.kind}" x="{LABELS}" y="{at + 3:.1f}" width="{width:.1f}"'
                f' height="{BAR - 6}" rx="2"/>'
            )
            if bar.value > scale:
                cut = LABELS + width * 0.9
                parts.append(f'<path class="gap" d="M{cut:.1f} {at + BAR:.1f} l8 {-BAR}"/>')
            value = f"{number(bar.value)} {bar.note}".strip()
            parts.append(_text(LABELS + width + 8, at + 16, value, kind))
            at += BAR
    return _svg(title, at + 16, parts)


def lines(
    title: str,
    subtitle: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    ours: Sequence[str] = (),
    ticks: Mapping[float, str] | None = None,
) -> str:
    """Draws lines with both axes logarithmic, each with its name at its right end.

    Args:
        title: of the plot.
        subtitle: below it: what the axes are.
        series: points by name; all values above 0.
        ours: names that are drawn stronger.
        ticks: labels of values on the axis to the right; by default the values themselves.
    """
    points = [point for line in series.values() for point in line]
    if any(x <= 0 or y <= 0 for x, y in points):
        raise ValueError("a logarithmic axis has no place for 0 and less")
    parts = [_text(16, 26, title, "title"), _text(16, 46, subtitle, "quiet")]
    if not points:
        return _svg(title, 80, parts)
    columns = sorted({x for x, _ in points})
    left, right, top, bottom = 64.0, WIDTH - LABELS, 66.0, HEIGHT - 36.0
    lowest = 10 ** math.floor(math.log10(min(y for _, y in points)))
    highest = 10 ** math.ceil(math.log10(max(y for _, y in points)))
    if lowest == highest:
        highest *= 10

    def across(x: float) -> float:
        span = math.log(columns[-1] / columns[0]) or 1
        return left + (right - left) * math.log(x / columns[0]) / span

    def down(y: float) -> float:
        return bottom - (bottom - top) * math.log(y / lowest) / math.log(highest / lowest)

    value = float(lowest)
    while value <= highest * 1.001:
        parts.append(_line(left, down(value), right, down(value)))
        parts.append(_text(left - 8, down(value) + 4, number(value), "quiet", "end"))
        value *= 10
    for x in columns:
        label = (ticks or {}).get(x, number(x))
        parts.append(_text(across(x), bottom + 20, label, "quiet", "middle"))
    ends = []
    for index, (name, line) in enumerate(series.items()):
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in sorted(line))
        kind = "ours" if name in ours else ""
        parts.append(f'<polyline class="line c{index % COLOURS} {kind}" points="{path}"/>')
        ends.append((down(max(line)[1]), name, index % COLOURS))
    ends.sort()
    for y, (end, name, colour) in zip(_apart([end for end, *_ in ends]), ends, strict=True):
        parts.append(
            f'<line class="c{colour}" x1="{right + 4:.1f}" y1="{end:.1f}" x2="{right + 18:.1f}"'
            f' y2="{y:.1f}"/>'
        )
        parts.append(_text(right + 22, y + 4, name, "strong" if name in ours else "plain"))
    return _svg(title, HEIGHT, parts)


def _apart(places: Sequence[float], distance: float = 16) -> list[float]:
    """Moves ascending places down or up until no two are closer than the distance."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + distance) if moved else place)
    # What was pushed beyond the last place comes back as a whole, as far as its own crowd reaches.
    if moved and moved[-1] > places[-1]:
        last = places[-1] + (moved[-1] - places[-1]) / 2
        for index in reversed(range(len(moved))):
            moved[index] = min(moved[index], last)
            last = moved[index] - distance
    return moved


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )
