"""What the documentation shows is what happens: its examples are run.

Blocks that start with ``>>>`` are doctests; the blocks of a page share their names, as for a reader
who types them in one after the other.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(>>> .*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return sorted(page for page in DOCS.glob("*.md") if BLOCK.search(page.read_text("utf-8")))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_examples_give_what_the_page_says(page: Path) -> None:
    text = page.read_text("utf-8")
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    names: dict[str, object] = {}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        example = parser.get_doctest(block[1], names, page.name, str(page), line)
        runner.run(example, out=report.append, clear_globs=False)
        names = example.globs
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)
