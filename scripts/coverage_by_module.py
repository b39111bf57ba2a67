"""Demands that each module of the sans-IO core is covered by its own tests, every line and branch.

What lives here: one run of `tests/unit` and `tests/conformance` under coverage.py, in which each
test file is a context, and the question which of them are a module's own: the file in `tests/unit`
that is named after it, those that `ALSO` names, and the tests of conformance, which are written for
clauses and not for modules. That other tests pass by a line proves little about it.

    RFC6455_PURE=1 python scripts/coverage_by_module.py

What is left out stands under `tool.coverage.report` in pyproject.toml.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Final

import coverage
import pytest
from coverage.exceptions import NoDataError

ROOT: Final = Path(__file__).parents[1]
CORE: Final = ROOT / "rfc6455"
ALSO: Final = {
    # Messages in pieces are as much of these three; so is what is sent to many of the others.
    "connection.py": ("test_streaming.py", "test_prepared.py", "test_budget.py"),
    "messages.py": ("test_streaming.py",),
    "parser.py": ("test_streaming.py",),
    "extensions/base.py": ("test_extensions.py", "test_prepared.py"),
    "extensions/permessage_deflate.py": ("test_prepared.py",),
}


class ByFile:
    """A pytest plugin: what a test runs is counted for its file."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Notes whose turn it is."""
        self._measured.switch_context(nodeid.partition("::")[0])


def own_tests(module: Path) -> list[str]:
    """Returns patterns of the contexts that count for a module; importing it is in none."""
    name = module.relative_to(CORE)
    files = [name.with_name(f"test_{name.name}").as_posix(), f"test_{name.name}"]
    files += ALSO.get(name.as_posix(), ())
    return ["^$", "^tests/conformance/", *(rf"^tests/unit/{re.escape(file)}$" for file in files)]


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
            percent = measured.report([str(module)], contexts=own_tests(module), file=table)
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
