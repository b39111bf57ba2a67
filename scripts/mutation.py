"""Mutation testing: changes the core in small ways, and lists the changes that no test notices.

What lives here: running mutmut on the modules that bytes from the network reach first, and
counting. A change that only alters the words of an error message is counted apart: tests look at
codes and sections, not at words.


    python scripts/mutation.py            # run everything (minutes), then report
    python scripts/mutation.py --report   # report on the last run
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
MUTMUT: Final = Path(sys.executable).with_name("mutmut")
GOAL: Final = 0.9
WORDS: Final = re.compile(r"f?\"(?:[^\"\\]|\\.)*\"|f?'(?:[^'\\]|\\.)*'")


def run_mutmut(*arguments: str) -> str:
    """Runs mutmut and returns what it prints."""
    done = subprocess.run(
        [str(MUTMUT), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout


def changed_lines(mutant: str) -> list[str]:
    """Returns the lines that a mutant takes out and puts in, with their signs."""
    return [
        line
        for line in run_mutmut("show", mutant).splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]


def is_wording(lines: list[str]) -> bool:
    """Tells whether the lines differ in the words of a string alone, other than in its case."""
    before = [line[1:] for line in lines if line.startswith("-")]
    after = [line[1:] for line in lines if line.startswith("+")]
    return [WORDS.sub('""', line) for line in before] == [
        WORDS.sub('""', line) for line in after
    ] and " " in "".join(WORDS.findall("".join(before)))


def report() -> int:
    """Prints the table and the survivors, and returns the exit status."""
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors: list[tuple[str, list[str]]] = []
    for line in run_mutmut("results", "--all", "true").splitlines():
        mutant, _, verdict = line.strip().partition(": ")
        if not verdict:
            continue
        module = mutant.partition(".x")[0]
        if verdict == "survived":
            lines = changed_lines(mutant)
            if is_wording(lines):
                verdict = "wording"
            else:
                survivors.append((mutant, lines))
        verdicts[module][verdict] += 1
    print("| module | mutants | killed | survived | of these wording | killed |")
    print("| --- | --- | --- | --- | --- | --- |")
    lowest = 1.0
    for module, counts in sorted(verdicts.items()):
        total = counts.total()
        lost = counts["survived"] + counts["wording"]
        ratio = 1 - (lost + counts["no tests"]) / total
        lowest = min(lowest, ratio)
        print(
            f"| `{module}` | {total} | {total - lost - counts['no tests']} | {lost}"
            f" | {counts['wording']} | {ratio:.0%} |"
        )
    print("\nSurvivors that are not wording:\n")
    for mutant, lines in survivors:
        print("\n".join([mutant, *lines]), end="\n\n")
    return 0 if lowest >= GOAL else 1


def main() -> int:
    """Runs and reports, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="do not run; report on the last run")
    if not parser.parse_args().report:
        # The native twin would step in for what is changed in Python.
        environment = {**os.environ, "RFC6455_PURE": "1"}
        command = [str(MUTMUT), "run"]
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    return report()


if __name__ == "__main__":
    sys.exit(main())
