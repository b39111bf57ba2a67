"""How long a cell is measured, and what happens when a server or a part of the whole fails."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as everything
from bench import comparison
from bench.comparison import MUCH, MUCH_SECONDS, MUCH_WARMUP, Candidate, Cell, Comparison, times
from bench.peers import SERVERS
from bench.processes import Process
from bench.rounds import Load, Sample

BY_NAME = {server.name: server for server in SERVERS}


def options(*arguments: str) -> argparse.Namespace:
    found = comparison.option_parser("echo", "Test.", ["a"]).parse_args(list(arguments))
    found.rounds, found.server_core, found.load_core = 2, None, None
    return found


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_where_much_is_under_way_it_is_measured_for_longer(quick: list[str]) -> None:
    short, long = times(options(*quick), MUCH - 1), times(options(*quick), MUCH)
    assert short["seconds"] < MUCH_SECONDS == long["seconds"]
    assert short["warmup"] < MUCH_WARMUP == long["warmup"]


def test_explicit_options_hold_however_much_is_under_way() -> None:
    asked = options("--seconds", "0.3", "--warmup", "0.12")
    assert times(asked, 100 * MUCH) == times(asked) == {"seconds": 0.3, "warmup": 0.12}
    assert times(options("--seconds", "9"), MUCH) == {"seconds": 9, "warmup": MUCH_WARMUP}


@pytest.mark.compiler
def test_a_server_that_is_killed_is_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, rounds = Load.run, []

    def kill_it_in_the_second_round(load: Load, process: Process, **further: Any) -> Sample:
        if process.name == "c-raw":
            rounds.append(load.size)
            if len(rounds) == 2:
                os.kill(process.pid, signal.SIGKILL)
        return run(load, process, **further)

    monkeypatch.setattr(Load, "run", kill_it_in_the_second_round)
    both = [Candidate(name, BY_NAME[name]) for name in ("c-ws", "c-raw")]
    cells = [Cell(f"{size} B", Load(size=size, warmup=0.02, seconds=0.05)) for size in (8, 16)]
    found = Comparison(options())
    found.run(cells, both)
    assert [(row["name"], row["size"], len(row["samples"])) for row in found.results] == [
        ("c-ws", 8, 2),
        ("c-ws", 16, 2),
    ]
    assert rounds == [8, 8]
    assert "c-raw failed and is left out: c-raw ended with code -9" in capsys.readouterr().err


@pytest.mark.compiler
def test_a_measurement_in_which_nothing_came_back_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", """print('{"count": 0}')"""]
    monkeypatch.setattr(Load, "command", lambda *_: command)
    with comparison.launch(Candidate("c-ws", BY_NAME["c-ws"]), None) as server:
        assert Load(seconds=0.5).run(server, core=None) == {"count": 0}
    assert "c-ws: nothing came back in 0.5 s" in capsys.readouterr().err


def part(main: Callable[[list[str]], int]) -> everything.Part:
    return everything.Part(main, "nothing", "a part", 1, 1, 1, 1)


def complain(arguments: list[str]) -> int:
    argparse.ArgumentParser().error("too few files")


def test_a_part_that_fails_leaves_the_others_their_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def fails(arguments: list[str]) -> int:
        raise ValueError("no such thing")

    def works(arguments: list[str]) -> int:
        ran.extend(arguments)
        (tmp_path / "echo.json").write_text('{"environment": {}, "results": []}')
        return 0

    parts = {"a": part(fails), "b": part(complain), "c": part(works)}
    monkeypatch.setattr(everything, "PARTS", parts)
    monkeypatch.setattr(everything, "write_report", lambda folder: folder)
    assert everything.main(["--results", str(tmp_path), "--rounds", "2"]) == 1
    assert ran == ["--json", "--results", str(tmp_path), "--rounds", "2"]
    told = capsys.readouterr().err
    assert "ValueError: no such thing" in told
    assert "too few files" in told
    assert "failed: a, b; --resume tries again" in told


def test_who_ends_the_benchmark_ends_all_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def is_ended(arguments: list[str]) -> int:
        raise SystemExit(1)

    monkeypatch.setattr(everything, "PARTS", {"a": part(is_ended), "b": part(is_ended)})
    with pytest.raises(SystemExit):
        everything.main(["--results", str(tmp_path)])


def test_without_any_results_there_is_no_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(everything, "PARTS", {"b": part(complain)})
    assert everything.main(["--results", str(tmp_path)]) == 1
    assert f"no results in {tmp_path}" in capsys.readouterr().err


def test_rounds_change_the_time_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    one = everything.Part(complain, "x", "", fixed=10, each=20, rounds=5, quick=1)
    assert (one.seconds(None), one.seconds(3)) == (110, 70)
    always = everything.Part(complain, "x", "", fixed=10, each=0, rounds=0, quick=1)
    assert always.seconds(3) == 10
    everything.main(["--list", "--rounds", "3"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("all ")
