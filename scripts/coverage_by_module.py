"""Demands that each module of the sans-IO core is covered by its own tests, every line and branch.

What lives here: one run of `tests/unit` and `tests/conformance` under coverage.py, in which each
test file is a context, and the question which of them count for a module: its own of `tests/unit`,
and the tests of conformance, which are written for clauses and not for modules. That other tests
pass by a line proves little about it.

    RFC6455_PURE=1 python scripts/coverage_by_module.py

What is left out stands under `tool.coverage.report` in pyproject.toml.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Final

import coverage
import pytest
from coverage.exceptions import NoDataError
from own_tests import own_tests

ROOT: Final = Path(__file__).parents[1]
CORE: Final = ROOT / "rfc6455"


class ByFile:
    """A pytest plugin: what a test runs is counted for its file."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Notes whose turn it is."""
        self._measured.switch_context(nodeid.partition("::")[0])


def contexts(module: Path) -> list[str]:
    """Returns patterns of the contexts that count for a module; importing it is in none."""
    own = own_tests(PurePosixPath(module.relative_to(CORE)))
    return ["^$", "^tests/conformance/", *(rf"^tests/unit/{re.escape(file)}$" for file in own)]


def main() -> int:
    """Runs and reports; returns the exit status."""
    measured = coverage.Coverage()
    measured.start()
    status = pytest.main(["-q", "tests/unit", "tests/conformance"], plugins=[ByFile(measured)])
    measured.stop()
    measured.save()
    if status:
        return int(status)
    failed = False
    for module in sorted(CORE.rglob("*.py")):
        table = io.StringIO()
        try:
            percent = measured.report([str(module)], contexts=contexts(module), file=table)
        except NoDataError:
            continue  # It is left out.
        if percent < 100:
            failed = True
            print(table.getvalue().splitlines()[2])
    print(
        "NOT COVERED BY ITS OWN TESTS: see above" if failed else "each module is covered by its own"
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
