"""Profiles are summed up by function."""

from __future__ import annotations

import pytest

from bench.comparison import workload_of
from bench.peers import SERVERS
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
        (["c-raw", "--mode", "handshakes"], "c-raw has no closing handshake"),
    ],
)
def test_wrong_options(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_the_raw_servers_are_told_that_a_close_comes() -> None:
    # They would echo it, and the generator would wait for the end of TCP.
    told = {server.name: workload_of(server, "handshakes") for server in SERVERS}
    assert told["raw-uvloop"] == told["raw-asyncio"] == "handshakes"
    assert told["rfc6455"] == "echo"
    assert workload_of(SERVERS[0], "broadcast") == "broadcast"
