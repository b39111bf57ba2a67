"""Who is measured: names, what is missing, and what the command line refuses."""

from __future__ import annotations

import argparse

import pytest

from bench import __main__ as everything
from bench import broadcast, comparison, echo, memory
from bench.clients.__main__ import CLIENTS, Client, chosen
from bench.peers import SERVERS, Server, choose, names


def test_names_are_unique() -> None:
    assert len(set(names())) == len(SERVERS)
    assert len({client.name for client in CLIENTS}) == len(CLIENTS)


def test_a_peer_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    here = Server("here", "raw", loop="asyncio")
    absent = Server("absent", "raw", ("no_such_package",), loop="asyncio")
    assert choose(None, among=[here, absent]) == [here]
    assert capsys.readouterr().err == "absent is left out: it needs no_such_package\n"
    assert Client("absent", "raw_socket", ("no_such.package",)).missing() is not None


def test_quick_runs_have_fewer_unless_names_are_given() -> None:
    many = Server("many", "raw", loop="asyncio")
    few = Server("few", "raw", loop="asyncio", quick=True)
    assert choose(None, quick=True, among=[many, few]) == [few]
    assert choose(["many"], quick=True, among=[many, few]) == [many]


def test_unknown_names_are_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"no such server here: nobody; .*picows, .*c-raw"):
        choose(["nobody"])
    with pytest.raises(ValueError, match="no such client: nobody; there are rfc6455"):
        chosen(["nobody"], quick=False)


IN_PYTHON_OR_NODE = [server for server in SERVERS if server.module != "c"]


@pytest.mark.parametrize("server", IN_PYTHON_OR_NODE, ids=names(IN_PYTHON_OR_NODE))
def test_commands_name_workload_and_port(server: Server) -> None:
    command = server.command(4321, "echo", "zlib")
    assert "4321" in command
    assert "echo" in command
    assert any("deflate" in word for word in command)


def parser() -> argparse.ArgumentParser:
    return comparison.option_parser("echo", "Test.", ["a"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "at least 1, not 0"),
        (["--rounds", "x"], "invalid positive value"),
        (["--seconds", "0"], "0.01 to 3600 seconds"),
        (["--warmup", "-1"], "0.01 to 3600 seconds"),
        (["--no-such-option"], "unrecognized arguments"),
    ],
)
def test_wrong_options_end_with_a_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        parser().parse_args(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "main",
    [echo.main, broadcast.main, memory.main, everything.main],
    ids=lambda main: main.__module__,
)
def test_help_tells_the_module(main: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(main)
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "usage: python -m bench" in capsys.readouterr().out


def test_parts_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert everything.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        *everything.PARTS,
        "all",
    ]
    with pytest.raises(SystemExit):
        everything.main(["echoes"])
    assert "no such part: echoes; there are codec, echo" in capsys.readouterr().err


def test_echo_leaves_out_what_measures_memory() -> None:
    shapes = echo.shapes()
    assert (128, 1000, 16) in shapes
    assert (1024 * 1024, 100, 1) in shapes
    assert (1024 * 1024, 100, 16) not in shapes
    assert len(set(shapes)) == len(shapes)
