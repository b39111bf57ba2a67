"""Writes docs/conformance.md: each clause of the standards, where it is enforced, and its tests.

What lives here: the table made of `tests/conformance/clauses.toml` and of the tests' `clause`
markers. This file does not know what a clause means.

    python scripts/conformance.py            # write the page
    python scripts/conformance.py --check    # write nothing; fail if a MUST has no test
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
CLAUSES: Final = ROOT / "tests" / "conformance" / "clauses.toml"
PAGE: Final = ROOT / "docs" / "conformance.md"
PARTIES: Final = frozenset({"client", "server"})
STANDARDS: Final = {
    "W": "RFC 6455, the WebSocket protocol",
    "D": "RFC 7692, permessage-deflate",
    "H": "RFC 9110 and RFC 9112, what the handshake needs of HTTP",
}
INTRODUCTION: Final = """\
# Conformance

Every rule of the standards that a WebSocket endpoint can keep or break, in our own words: who it
binds, where the code enforces it, and the tests that prove it. This page is made by
`python scripts/conformance.py` from `tests/conformance/clauses.toml` and the markers of the tests.
Continuous integration fails when a MUST that applies to us lacks a test of a party that it binds.

| standard | clauses | apply | of these MUST | with tests | deviations |
| --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Clause:
    """A line of the table."""

    id: str
    rfc: int
    section: str
    level: str
    party: str
    requirement: str
    applies: bool
    step: str = ""
    reason: str = ""
    deviation: str = ""
    where: str = ""

    @property
    def is_must(self) -> bool:
        """Whether it is an absolute requirement."""
        return self.level.upper().startswith("MUST")

    @property
    def parties(self) -> frozenset[str]:
        """Whom it binds."""
        return PARTIES if self.party == "both" else frozenset({self.party})


class Collector:
    """A pytest plugin that notes which tests are marked with which clauses."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """Clause id -> test (file::function) -> the parties that it tests."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Reads the markers of everything that was collected."""
        for item in items:
            name = item.nodeid.partition("[")[0]
            for marker in item.iter_markers("clause"):
                for clause in marker.args:
                    self.tests[clause][name] |= self._parties(item, marker)

    def _parties(self, item: pytest.Item, marker: pytest.Mark) -> frozenset[str]:
        party = marker.kwargs.get("party")
        if party is None and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            party = getattr(item.callspec.params.get("role"), "value", None)
        return PARTIES if party in (None, "both") else frozenset({party})


def collect() -> dict[str, dict[str, set[str]]]:
    """Collects the tests without running them."""
    collector = Collector()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main(["--collect-only", "-q", "tests"], plugins=[collector])
    if status is not pytest.ExitCode.OK:
        sys.exit(output.getvalue())
    return collector.tests


def read_clauses() -> list[Clause]:
    """Reads the table."""
    with CLAUSES.open("rb") as file:
        return [Clause(id, **entry) for id, entry in tomllib.load(file).items()]


def problems(clauses: Iterable[Clause], tests: dict[str, dict[str, set[str]]]) -> list[str]:
    """Returns what is wrong: unknown ids, and requirements without a test."""
    known = {clause.id: clause for clause in clauses}
    found = [f"no clause {id} (in {', '.join(tests[id])})" for id in tests if id not in known]
    for clause in known.values():
        if not clause.applies:
            if not clause.reason:
                found.append(f"{clause.id} does not apply, and no reason is given")
        elif clause.is_must and not clause.deviation:
            tested = {party for parties in tests.get(clause.id, {}).values() for party in parties}
            if missing := clause.parties - tested:
                found.append(f"{clause.id} ({clause.section}) has no test of {sorted(missing)}")
    return found


def render(clauses: list[Clause], tests: dict[str, dict[str, set[str]]]) -> str:
    """Returns the page."""
    lines = [INTRODUCTION]
    sections = []
    for letter, standard in STANDARDS.items():
        mine = [clause for clause in clauses if clause.id.startswith(letter)]
        apply = [clause for clause in mine if clause.applies]
        lines.append(
            f"| {standard} | {len(mine)} | {len(apply)} | {sum(c.is_must for c in apply)}"
            f" | {sum(c.id in tests for c in apply)} | {sum(bool(c.deviation) for c in mine)} |\n"
        )
        sections.append(f"\n## {standard}\n\n")
        sections.append("| clause | section | level | party | requirement | where | tests |\n")
        sections.append("| --- | --- | --- | --- | --- | --- | --- |\n")
        sections.extend(_row(clause, tests.get(clause.id, {})) for clause in mine)
    return "".join([*lines, *sections])


def _row(clause: Clause, tests: Iterable[str]) -> str:
    where = clause.where and f"`{clause.where}`"
    if not clause.applies:
        where, proof = f"*does not apply: {clause.reason}*", ""
    else:
        proof = "<br>".join(f"`{_short(test)}`" for test in sorted(tests))
        if clause.deviation:
            where += f"**deviation**: {clause.deviation}"
    place = f"{clause.section} {clause.step}".strip()
    if clause.rfc not in (6455, 7692):
        place = f"RFC {clause.rfc} {place}"
    cells = [clause.id, place, clause.level, clause.party, clause.requirement]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in [*cells, where, proof]) + " |\n"


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return f"{Path(path).stem}::{name}"


def main() -> int:
    """Writes or checks the page, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    clauses, tests = read_clauses(), collect()
    found = problems(clauses, tests)
    page = render(clauses, tests)
    if not check:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        print("note: docs/conformance.md is stale; python scripts/conformance.py writes it anew")
    print("\n".join(found), file=sys.stderr)
    musts = sum(clause.is_must and clause.applies for clause in clauses)
    print(f"{len(clauses)} clauses, {musts} MUSTs that apply, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
