"""Results are judged by the targets, and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import PARTS, is_done
from bench.clients.__main__ import CLIENTS
from bench.harness import commit
from bench.peers import SERVERS, names
from bench.report import PLOTS, write_report
from bench.targets import TARGETS, Target, judge, load_results, main, table

ECHO = {"size": 128, "connections": 100, "in_flight": 1, "kind": "text"}
TARGET = Target("echo", "echo", ECHO, "rfc6455", ("slow", "fast", "absent"), 2.0)


def row(name: str, rate: float, cpu: float = 1.0, **facts: Any) -> dict[str, Any]:
    return {**ECHO, **facts, "name": name, "samples": [{"rate": rate, "cpu_us": cpu}] * 3}


def test_ours_is_compared_with_the_best_of_the_others() -> None:
    results = {"echo": [row("rfc6455", 90, 2.0), row("fast", 40, 6.0), row("slow", 10)]}
    verdict = judge(TARGET, results)
    assert (verdict.other, verdict.found, verdict.by_cpu) == ("fast", 2.25, 3.0)
    assert verdict.met
    assert not judge(TARGET, {"echo": [row("rfc6455", 79), row("fast", 40)]}).met
    assert table([verdict]) == [["echo", "fast", "≥ 2 ×", "2.25 ×", "3.00 ×", "met"]]


@pytest.mark.parametrize(
    ("server", "generator", "told"), [(0.6, 0.97, "≤ 2.25 ×"), (0.97, 0.97, "2.25 ×")]
)
def test_who_waited_for_the_generator_might_be_faster(
    server: float, generator: float, told: str
) -> None:
    rows = [row("rfc6455", 90), row("fast", 40)]
    for sample in rows[1]["samples"]:
        sample |= {"server_load": server, "generator_load": generator}
    verdict = judge(TARGET, {"echo": rows})
    assert verdict.met
    assert table([verdict])[0][3] == told


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("fast", 40)],
        [row("rfc6455", 90)],
        [row("rfc6455", 90, size=8), row("fast", 40, size=8)],
    ],
    ids=["nothing", "not ours", "not theirs", "elsewhere"],
)
def test_what_was_not_measured_is_not_met(rows: list[dict[str, Any]]) -> None:
    verdict = judge(TARGET, {"echo": rows})
    assert verdict.found is None
    assert not verdict.met
    assert table([verdict])[0][3:] == ["not measured", "", "?"]


def test_memory_has_to_be_small() -> None:
    target = Target("memory", "memory", {}, "rfc6455", at_most=6.0, key=("pss_kib",))
    for used, met in ((6.0, True), (6.1, False)):
        rows = [{"name": "rfc6455", "samples": [{"pss_kib": used}]}]
        assert judge(target, {"memory": rows}).met is met


def test_fairness_is_the_ratio_to_the_figure_without_a_flood() -> None:
    target = next(target for target in TARGETS if target.source == "fairness")
    rows = [
        {"name": "rfc6455", "way": way, "samples": [{"latency_us": {"p99": p99}}]}
        for way, p99 in (("alone", 100.0), ("beside a flood", 150.0))
    ]
    assert judge(target, {"fairness": rows}).found == 1.5
    assert judge(target, {"fairness": rows[1:]}).found is None


def test_targets_name_what_exists() -> None:
    files = {part.results for part in PARTS.values()}
    deflating = {f"{s.name} {library}" for s in SERVERS for library in s.deflate[1:]}
    known = {*names(), *deflating, *(client.name for client in CLIENTS), "its codec"}
    for target in TARGETS:
        assert target.source in files
        assert {target.ours, *target.others} <= known, target
        assert (target.at_least is None) != (target.at_most is None)


def write(folder: Path) -> None:
    facts = {
        "date": "today",
        "commit": commit(),
        "implementation": "native",
        "python": "CPython 3.11",
        "cpu": "a processor",
        "cores": 2,
        "load": [0.1, 0.2, 0.3],
        "platform": "Linux",
        "versions": {"rfc6455": "0.1.0"},
    }
    cells = [
        row(name, rate, size=size, connections=connections, in_flight=depth)
        for name, rate in (("rfc6455", 1e5), ("websockets", 3e4), ("raw-uvloop", 1.6e5))
        for size, connections in ((8, 100), (128, 100), (128, 1), (1024, 100))
        for depth in (1, 16)
    ]
    codec = {
        "direction": "receive",
        "size": 128,
        "shape": "1 per read",
        "messages": 100,
        "seconds": {"its codec": [1.0], "websockets": [20.0]},
    }
    for name, results in (("echo", cells), ("codec-native", [codec])):
        (folder / f"{name}.json").write_text(json.dumps({"environment": facts, "results": results}))


def test_a_folder_of_results_is_judged_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    assert main(["--results", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "20.00 ×" in out
    assert "3.33 ×" in out
    page = write_report(tmp_path).read_text()
    drawn = {name for name, (source, _) in PLOTS.items() if source == "echo"}
    assert {path.stem for path in tmp_path.glob("*.svg")} == drawn
    assert all(f"{name}.svg" in page for name in drawn)
    assert "a processor" in page
    assert load_results(tmp_path)["codec-native"][0]["samples"] == [{"rate": 100.0}]


def test_a_folder_without_results_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--results", str(tmp_path)])
    assert "run `make bench` or `make bench-quick`" in capsys.readouterr().err


def test_a_part_is_done_when_its_results_are_of_this_commit(tmp_path: Path) -> None:
    assert not is_done(PARTS["echo"], tmp_path)
    write(tmp_path)
    assert is_done(PARTS["echo"], tmp_path) is not commit().endswith("+changes")
    path = tmp_path / "echo.json"
    path.write_text(path.read_text().replace(commit(), "another"))
    assert not is_done(PARTS["echo"], tmp_path)
    path.write_text("{")
    assert not is_done(PARTS["echo"], tmp_path)
