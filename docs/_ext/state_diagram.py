"""The directive ``state-diagram``: draws the table of ``rfc6455.state`` as an inline SVG.

What lives here: a layered drawing of any small acyclic table of transitions, and the same table in
words. Nothing is drawn that the table does not hold; this file does not know what a state means.
"""

from __future__ import annotations

import html
from collections import defaultdict
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from rfc6455.state import TRANSITIONS, State, Trigger

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WIDTH = 760
BOX_WIDTH = 170
BOX_HEIGHT = 36
ROW_HEIGHT = 112
MARGIN = 12
# Where the lines run that skip rows: beside all boxes.
BUS = 70

Table = dict[State, dict[Trigger, State]]


def edges(table: Table) -> dict[tuple[State, State], list[Trigger]]:
    """The arrows: from a state to another, with all triggers that lead there."""
    arrows: dict[tuple[State, State], list[Trigger]] = defaultdict(list)
    for source, row in table.items():
        for trigger, target in row.items():
            arrows[source, target].append(trigger)
    return dict(arrows)


def ranks(table: Table) -> dict[State, int]:
    """The row of each state: one below the lowest state that leads to it."""
    rank = dict.fromkeys(table, 0)
    for _ in table:
        for source, target in edges(table):
            rank[target] = max(rank[target], rank[source] + 1)
    if max(rank.values()) >= len(table):
        raise ValueError("the table of transitions has a cycle; this drawing needs another layout")
    return rank


def centres(table: Table) -> dict[State, tuple[float, float]]:
    """The middle of each state's box."""
    rows: dict[int, list[State]] = defaultdict(list)
    for state, rank in ranks(table).items():
        rows[rank].append(state)
    places = {}
    for rank, states in rows.items():
        for column, state in enumerate(states):
            x = WIDTH * (column + 1) / (len(states) + 1)
            places[state] = (x, MARGIN + BOX_HEIGHT / 2 + rank * ROW_HEIGHT)
    return places


def words(name: str) -> str:
    """``CLOSE_SENT`` as a reader says it."""
    return name.replace("_", " ").lower()


def line(path: str) -> str:
    """An arrow along an SVG path."""
    return f'<path class="arrow" d="{path}" marker-end="url(#state-arrow)"/>'


def label(x: float, y: float, triggers: list[Trigger], anchor: str) -> str:
    """The names of an arrow's triggers, one a line, around a height."""
    top = y - 7 * (len(triggers) - 1) + 4
    return "".join(
        f'<text class="label halo" x="{x:.0f}" y="{top + 14 * i:.0f}" text-anchor="{anchor}">'
        f"{html.escape(words(trigger.name))}</text>"
        for i, trigger in enumerate(triggers)
    )


def beside(x: float, y: float, slope: float, triggers: list[Trigger]) -> str:
    """The label of an arrow from row to row, on its outer side, where the curve leaves room."""
    if slope == 0:
        return label(x + 8, y, triggers, "start")
    left = x < WIDTH / 2
    outward = (slope < 0) == left
    x += -18 if left else 18
    return label(x, y + (-8 if outward else 8), triggers, "end" if left else "start")


def draw(table: Table) -> str:
    """The whole drawing, as an SVG element."""
    place, rank = centres(table), ranks(table)
    shapes = []
    for (source, target), triggers in edges(table).items():
        (x1, y1), (x2, y2) = place[source], place[target]
        if rank[target] == rank[source] + 1:
            start, end = y1 + BOX_HEIGHT / 2, y2 - BOX_HEIGHT / 2
            bend = (start + end) / 2
            curve = f"C{x1:.0f} {bend:.0f} {x2:.0f} {bend:.0f} {x2:.0f} {end:.0f}"
            shapes.append(line(f"M{x1:.0f} {start:.0f} {curve}"))
            shapes.append(beside((x1 + x2) / 2, bend, x2 - x1, triggers))
        else:
            side = -1 if x1 < WIDTH / 2 else 1
            edge, bus = x1 + side * BOX_WIDTH / 2, BUS if side < 0 else WIDTH - BUS
            end = x2 + side * BOX_WIDTH / 2
            shapes.append(line(f"M{edge:.0f} {y1:.0f} H{bus:.0f} V{y2:.0f} H{end:.0f}"))
            shapes.append(
                label((edge + bus) / 2, y1 - 12 - 7 * (len(triggers) - 1), triggers, "middle")
            )
    for state, (x, y) in place.items():
        name = html.escape(words(state.name))
        shapes.append(
            f'<rect class="box core" x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" '
            f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{name}</text>'
        )
    height = max(y for _, y in place.values()) + BOX_HEIGHT / 2 + MARGIN
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img" '
        'aria-label="States of a connection and their transitions; the table below says the same">'
        '<defs><marker id="state-arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="head" d="M0 0L10 5L0 10z"/></marker></defs>'
        f"{''.join(shapes)}</svg>"
    )


class StateDiagram(SphinxDirective):
    """Puts the drawing and the table into a page."""

    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Returns the nodes."""
        self.env.note_dependency(str(__file__))
        rows = "".join(
            f"<tr><td>{words(source.name)}</td>"
            f"<td>{words(trigger.name)}: {html.escape(trigger.value)}</td>"
            f"<td>{words(target.name)}</td></tr>"
            for source, row in TRANSITIONS.items()
            for trigger, target in row.items()
        )
        table = (
            '<div class="table-wrapper docutils container"><table class="docutils align-default">'
            "<thead><tr><th>State</th><th>What happens</th><th>Next state</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
        drawing = f'<div class="diagram">{draw(TRANSITIONS)}</div>'
        return [nodes.raw("", drawing + table, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("state-diagram", StateDiagram)
    return {"parallel_read_safe": True}
