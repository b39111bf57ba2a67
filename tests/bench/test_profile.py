"""Profiles are summed up by function."""

from __future__ import annotations

import pytest

from bench.profile import main, spy_shares


def test_stacks_are_summed_by_their_innermost_function() -> None:
    stacks = ["main (a.py);run (a.py);send (b.py) 6", "main (a.py);send (b.py) 2", "main (a.py) 2"]
    assert spy_shares(stacks) == [["send (b.py)", "80.00%"], ["main (a.py)", "20.00%"]]
    assert spy_shares([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "invalid choice: 'nobody'"),
        (["c-raw", "--deflate", "zlib"], "c-raw has no permessage-deflate"),
    ],
)
def test_wrong_options(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err
