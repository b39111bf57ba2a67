"""``python -m tests.load NAME``: runs a scenario, and prints and writes what came of it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import sys
from typing import Any

from bench.harness import RESULTS, environment, write_results

from . import NAMES


def arguments_of(scenario: Any) -> dict[str, Any]:
    """Returns a scenario's arguments that are numbers, with their defaults."""
    parameters = inspect.signature(scenario.run).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, int | float)}


def main() -> int:
    """Runs, and returns 0 if nothing was that should not have been."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a glance, in seconds")
    names = parser.add_subparsers(dest="name", required=True)
    for name in NAMES:
        scenario = importlib.import_module(f".{name}", __package__)
        one = names.add_parser(name, help=(scenario.__doc__ or "").strip())
        one.add_argument("--quick", action="store_true", default=argparse.SUPPRESS)
        one.add_argument("--clients-under", default="", metavar="COMMAND", help="such as nice")
        for argument, default in arguments_of(scenario).items():
            option = f"--{argument.replace('_', '-')}"
            one.add_argument(option, type=type(default), help=f"by default {default}")
    options = vars(parser.parse_args())
    scenario = importlib.import_module(f".{options['name']}", __package__)
    chosen = {name: options[name] for name in arguments_of(scenario) if options[name] is not None}
    if options["clients_under"]:
        chosen["under"] = tuple(options["clients_under"].split())
    facts = environment(["uvloop"])
    result = asyncio.run(scenario.run(**{**(scenario.QUICK if options["quick"] else {}), **chosen}))
    print(json.dumps(result, indent=1))
    folder = RESULTS / "quick" / "load" if options["quick"] else RESULTS / "load"
    print(write_results(options["name"], facts, [result], folder=folder))
    faults = scenario.faults(result)
    # A glance is too short for figures to mean anything.
    misses = [] if options["quick"] else scenario.misses(result)
    for found in faults + misses:
        print(f"NOT AS IT SHOULD BE: {found}")
    return bool(faults + misses)


if __name__ == "__main__":
    sys.exit(main())
