"""Mutation testing: changes the core in small ways, and lists the changes that no test notices.

What lives here: running the mutants that mutmut makes of the modules which bytes from the network
reach first, and counting. mutmut also notes which tests call which function. They are collected
once, and each mutant is tried in a fork of that process.

A survivor is explained in `scripts/survivors.toml`, by the lines that it changes, or it is a gap.

    python scripts/mutation.py                    # make and run all (minutes), then report
    python scripts/mutation.py parser messages    # of these modules alone
    python scripts/mutation.py --report           # report on the last run
    python scripts/mutation.py --page             # the same, into docs/mutation.md
"""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
import gc
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

import pytest
from own_tests import own_tests

ROOT: Final = Path(__file__).parents[1]
MUTANTS: Final = ROOT / "mutants"
VERDICTS: Final = MUTANTS / "verdicts.json"
COMMITS: Final = MUTANTS / "commits.json"
"""Which commit a module's mutants were tried at: modules can be run by themselves."""
SURVIVORS: Final = ROOT / "scripts" / "survivors.toml"
PAGE: Final = ROOT / "docs" / "mutation.md"
MUTMUT: Final = Path(sys.executable).with_name("mutmut")
GOAL: Final = 0.9
NOTHING: Final = ""
MOST_SECONDS: Final = 60
"""Of processor time, for the tests of one mutant; and ten times as much of time."""
MOST_OTHERS: Final = 300
"""Tests that are tried beside those that were written for the module; the fastest come first."""
MOST_MEMORY: Final = 4 << 30

PAGE_HEAD: Final = """\
# Mutation testing

A test suite that runs every line need not notice when a line is wrong. `make mutation` changes the
modules that bytes from the network reach first, in one small way after the other (another operator,
constant or argument), and runs the tests of `tests/unit` and `tests/conformance` that call the
changed function. A change that no test notices survives. This page is made by
`python scripts/mutation.py --page`; it was last on {date}.

Of the tests beside a module's own only the fastest are tried, so that some survivors may be noticed
by others.

"""

WORDS: Final = re.compile(r"f?\"(?:[^\"\\]|\\.)*\"|f?'(?:[^'\\]|\\.)*'")


# Running


class Runner:
    """A pytest plugin: instead of all tests once, runs those of each mutant in a fork.

    Args:
        tests: the ids of the tests that call each mutant's function, the fastest first.
        jobs: how many forks run at a time.
    """

    def __init__(self, tests: dict[str, list[str]], jobs: int) -> None:
        self.verdicts: dict[str, str] = {}
        self._tests = tests
        self._jobs = jobs
        self._running: dict[int, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Takes the place of pytest's own loop."""
        items = {item.nodeid: item for item in session.items}
        gc.freeze()
        # Changes nothing, and so must survive: what kills it would kill every mutant.
        self._start(session, NOTHING, session.items)
        self._reap()
        if self.verdicts.pop(NOTHING) != "survived":
            raise pytest.UsageError("the tests fail without a mutant")
        for mutant, ids in self._tests.items():
            chosen = [items[id] for id in ids if id in items]
            if not chosen:
                self.verdicts[mutant] = "no tests"
                continue
            if len(self._running) == self._jobs:
                self._reap()
            self._start(session, mutant, chosen)
        while self._running:
            self._reap()
        return True

    def _start(self, session: pytest.Session, mutant: str, items: list[pytest.Item]) -> None:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            _try(session, mutant, items)
        self._running[pid] = mutant

    def _reap(self) -> None:
        pid, status = os.wait()
        # 0 and 1 are of `_try`; a signal ends what runs for too long, or takes too much memory.
        verdict = {0: "survived", 1: "killed"}.get(os.waitstatus_to_exitcode(status), "timeout")
        self.verdicts[self._running.pop(pid)] = verdict
        if len(self.verdicts) % 50 == 0:
            counts = Counter(self.verdicts.values())
            print(f"{len(self.verdicts)} of {len(self._tests)}: {dict(counts)}", flush=True)
            save(self.verdicts)


def _try(session: pytest.Session, mutant: str, items: list[pytest.Item]) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10 * MOST_SECONDS)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    # The functions of mutmut's modules look at it each time that they are called.
    os.environ["MUTANT_UNDER_TEST"] = mutant
    status = 1
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                break
        else:
            status = 0
    finally:
        os._exit(status)


def make_mutants() -> None:
    """Has mutmut make the mutants, and note which tests call what; it runs one mutant as well."""
    # The native twin would step in for what is changed in Python.
    environment = {**os.environ, "RFC6455_PURE": "1", "PYTHONPATH": ""}
    command = [str(MUTMUT), "run", "--max-children", "1", "rfc6455.utf8.*__init____mutmut_1"]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)


def run_mutants(jobs: int) -> None:
    """Tries the mutants; within `MUTANTS`, whose modules are the changed ones."""
    stats = json.loads((MUTANTS / "mutmut-stats.json").read_text())
    seconds = stats["duration_by_test"]
    tests = {}
    for mutant in _mutants():
        function = mutant.partition("__mutmut_")[0]
        module = function.rpartition(".")[0].removeprefix("rfc6455.").replace(".", "/")
        nearest = (*own_tests(PurePosixPath(f"{module}.py")), "test_words.py")

        def order(id: str, nearest: tuple[str, ...] = nearest) -> tuple[bool, bool, float]:
            # What was written for the module finds most; the other tests are for the rest.
            file = id.partition("::")[0]
            own = file.removeprefix("tests/unit/") in nearest
            return not own, "conformance" not in file, seconds.get(id, 0.0)

        ids = sorted(stats["tests_by_mangled_function_name"].get(function, []), key=order)
        tests[mutant] = ids[: MOST_OTHERS + sum(not order(id)[0] for id in ids)]
    runner = Runner(tests, jobs)
    command = ["-q", "-s", "-p", "no:cacheprovider", "tests/unit", "tests/conformance"]
    pytest.main(command, plugins=[runner])
    save(runner.verdicts)


def save(verdicts: dict[str, str]) -> None:
    """Adds to what is known from earlier runs."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    commits = {mutant.rpartition(".")[0]: commit for mutant in verdicts}
    for path, values in ((VERDICTS, verdicts), (COMMITS, commits)):
        known = json.loads(path.read_text()) if path.exists() else {}
        # A module that has changed since has other mutants.
        kept = {name: known[name] for name in known if name.rpartition(".")[0] not in commits}
        path.write_text(json.dumps(kept | values))


def _mutants() -> list[str]:
    wanted = os.environ.get("MUTATION_MODULES", "").split()
    return [
        mutant
        for path in sorted(MUTANTS.glob("rfc6455/**/*.meta"))
        if not wanted or path.name.removesuffix(".py.meta") in wanted
        for mutant in json.loads(path.read_text())["exit_code_by_key"]
    ]


# Reporting


@dataclass(frozen=True)
class Survivor:
    """A change that no test notices.

    Attributes:
        function: dotted, from the package on.
        before: the lines that it takes out.
        after: the lines that it puts in.
    """

    function: str
    before: str
    after: str

    @classmethod
    def read(cls, mutant: str) -> Survivor:
        """Compares the mutant with its original, which stands beside it."""
        module, _, name = mutant.rpartition(".")
        functions = _functions(module)
        original = functions[f"{name.partition('__mutmut_')[0]}__mutmut_orig"]
        lines = list(difflib.ndiff(original, functions[name]))
        before, after = (
            "\n".join(line[1:].strip() for line in lines if line[:1] == sign) for sign in "-+"
        )
        return cls(_function(mutant), before, after)

    @property
    def is_wording(self) -> bool:
        """Whether only the words of a text differ: the sense of it is for a reader to judge."""
        return WORDS.sub('""', self.before) == WORDS.sub('""', self.after) and " " in "".join(
            WORDS.findall(self.before)
        )


@functools.cache
def _functions(module: str) -> dict[str, list[str]]:
    """Returns the lines of a mutated module's functions, without their names."""
    source = (MUTANTS / module.replace(".", "/")).with_suffix(".py").read_text()
    lines = source.splitlines()
    return {
        node.name: [
            line.replace(node.name, "") for line in lines[node.lineno - 1 : node.end_lineno]
        ]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _function(mutant: str) -> str:
    module, _, name = mutant.partition("__mutmut_")[0].rpartition(".")
    # x_function, or xǁClassǁmethod.
    return f"{module}.{name[2:].replace('ǁ', '.')}"


def report() -> tuple[str, bool]:
    """Returns the table and the survivors, as Markdown, and whether that is good enough."""
    reasons = tomllib.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}
    commits = json.loads(COMMITS.read_text())
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors: list[Survivor] = []
    for mutant, verdict in json.loads(VERDICTS.read_text()).items():
        module = mutant.rpartition(".")[0]
        counts[module][verdict] += 1
        if verdict == "survived":
            survivors.append(Survivor.read(mutant))
    lines = [
        "| module | mutants | killed | survived | no tests | killed | at commit |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    good = True
    for module, count in sorted(counts.items()):
        killed = count["killed"] + count["timeout"]
        ratio = killed / count.total()
        good = good and ratio >= GOAL
        cells = [count.total(), killed, count["survived"], count["no tests"]]
        lines.append(
            f"| `{module}` | "
            + " | ".join(map(str, cells))
            + f" | {ratio:.1%} | {commits[module]} |"
        )
    unexplained = False
    lines.append("\n## Survivors, and why\n")
    for function, group in _grouped(survivors).items():
        lines.append(f"\n### `{function}`\n")
        for survivor in group:
            why = _why(survivor, reasons)
            unexplained = unexplained or why is None
            lines.append(f"{why or '**Not explained.**'}\n")
            lines.append("```diff")
            lines += [f"- {line}" for line in survivor.before.splitlines()]
            lines += [f"+ {line}" for line in survivor.after.splitlines()]
            lines.append("```\n")
    return "\n".join(lines), good and not unexplained


def _grouped(survivors: Iterable[Survivor]) -> dict[str, list[Survivor]]:
    groups: dict[str, list[Survivor]] = defaultdict(list)
    for survivor in survivors:
        groups[survivor.function].append(survivor)
    return dict(sorted(groups.items()))


def _why(survivor: Survivor, reasons: dict[str, list[dict[str, str]]]) -> str | None:
    if survivor.is_wording:
        return "Words."
    for reason in reasons.get("survivor", []):
        if survivor.function.endswith(reason["function"]) and reason["after"] in survivor.after:
            return reason["why"]
    return None


def main() -> int:
    """Runs and reports, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "modules", nargs="*", help="such as parser (default: all of pyproject.toml)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", action="store_true", help="do not run; report on the last run")
    parser.add_argument("--page", action="store_true", help="write docs/mutation.md")
    parser.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.within:
        run_mutants(options.jobs)
        return 0
    if not options.report and not options.page:
        make_mutants()
        environment = {
            **os.environ,
            "RFC6455_PURE": "1",
            "PYTHONPATH": str(MUTANTS),
            "MUTATION_MODULES": " ".join(options.modules),
            "MUTANT_UNDER_TEST": "",
        }
        command = [sys.executable, __file__, "--within", "--jobs", str(options.jobs)]
        subprocess.run(command, cwd=MUTANTS, env=environment, check=True)
    text, good = report()
    if options.page:
        PAGE.write_text(PAGE_HEAD.format(date=datetime.now(UTC).strftime("%Y-%m-%d")) + text)
    else:
        print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
