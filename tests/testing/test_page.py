"""The page about testing tells of all names, and what it shows runs."""

from __future__ import annotations

import re
from pathlib import Path

import rfc6455.testing

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "testing.md").read_text("utf-8")


def test_every_name_is_in_the_reference() -> None:
    documented = re.findall(r"^\.\. auto\w+:: (\w+)", PAGE, re.MULTILINE)
    assert sorted(documented) == sorted(rfc6455.testing.__all__)


def test_the_example_of_cancelling_runs() -> None:
    (block,) = re.findall(r"^```python\n(@virtual_time\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names = {name: getattr(rfc6455.testing, name) for name in rfc6455.testing.__all__}
    exec(block, names)
    names["test_a_cancelled_recv_loses_nothing"]()
