"""The runner: what it says when it cannot fuzz, and when an input fails."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import fuzz.run
from fuzz.targets import TARGETS


def test_without_atheris_the_run_fails_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec

    def without_atheris(name: str, *arguments: Any) -> Any:
        return None if name == "atheris" else find_spec(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", without_atheris)
    assert fuzz.run.main(["--seconds", "1"]) == 1
    assert "NOTHING WAS FUZZED" in capsys.readouterr().err


def test_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fuzz.run.main(["tea"])
    assert "no such target: tea" in capsys.readouterr().err


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What a libFuzzer would say, for a run that leaves no traces here."""
    said = ["stat::number_of_executed_units: 1234\n"]
    monkeypatch.setattr(fuzz.run, "WORK", tmp_path / "work")
    monkeypatch.setattr(fuzz.run, "CORPUS", tmp_path / "corpus")
    monkeypatch.setattr("fuzz.targets.CORPUS", tmp_path / "corpus")
    monkeypatch.setattr("fuzz.run.importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(fuzz.run, "_libfuzzer", lambda *_: said[0])
    (tmp_path / "work").mkdir()
    return said


@pytest.mark.usefixtures("log")
def test_run_counts_executions(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.run.main(["--seconds", "1", "close", "utf8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["close", "1,234"], ["utf8", "1,234"]]
    assert len((fuzz.run.WORK / "history.jsonl").read_text().splitlines()) == 2


def test_interrupted_run_counts_and_is_the_last(
    log: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    log[0] = "==1== libFuzzer: run interrupted; exiting\nstat::number_of_executed_units: 12\n"
    assert fuzz.run.main(["--runs", "99", "close", "utf8"]) == 1
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()] == [["close", "12"]]
    assert "interrupted" in said.err


def test_run_fails_when_the_fuzzer_did_not_start(
    log: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    log[0] = "ImportError: no fuzzer here\n"
    assert fuzz.run.main(["--runs", "1", "close"]) == 1
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert "no fuzzer here" in said.err


@pytest.mark.usefixtures("log")
def test_run_fails_when_an_input_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(target: Any, arguments: list[str], folders: list[Path]) -> str:
        (folders[-1] / "crash-0").write_bytes(b"\x03")
        return "stat::number_of_executed_units: 7\n"

    monkeypatch.setattr(fuzz.run, "_libfuzzer", crash)
    assert fuzz.run.main(["--seconds", "1", "close"]) == 1
    assert "FAILED: crash-0" in capsys.readouterr().out
    assert [path.name for path in TARGETS["close"].corpus()] == ["crash-0"]
