"""The table of clauses agrees with the code that it names, and with the tests that name its ids.

That every clause which binds us has a test is checked where the page of conformance is made.
"""

from __future__ import annotations

import ast
import functools
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TABLE: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("clauses.toml").read_text(encoding="utf-8")
)
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "RECOMMENDED", "MAY", "OPT", "DEF"}
PARTIES = {"client", "server", "both", "intermediary", "ext author"}


@functools.cache
def names_in(path: Path) -> set[str]:
    """What a module defines: names, and for classes ``Class.name`` too."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                names.add(name)
                names.update(
                    f"{name}.{member.name}"
                    for member in body
                    if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
                )
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@functools.cache
def marked_ids() -> list[tuple[str, str]]:
    """Every id in a marker ``clause`` below tests/, with the place where it stands."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source if ".clause(" in source else "")):
            match node:
                case ast.Call(func=ast.Attribute(attr="clause"), args=args):
                    for argument in args:
                        assert isinstance(argument, ast.Constant)
                        place = f"{path.relative_to(ROOT)}:{node.lineno}"
                        found.append((str(argument.value), place))
    return found


@pytest.mark.parametrize("clause", TABLE)
def test_entry_is_complete(clause: str) -> None:
    entry = dict(TABLE[clause])
    assert entry.pop("rfc") in (6455, 7692, 9110, 9112)
    assert entry.pop("section").replace(".", "").isdigit()
    entry.pop("step", None)
    assert entry.pop("level").upper() in LEVELS
    party = entry.pop("party")
    assert party in PARTIES
    assert entry.pop("requirement").endswith(".")
    applies = entry.pop("applies")
    if applies:
        assert party in ("client", "server", "both")
        entry.pop("where")
        entry.pop("deviation", None)
    else:
        assert entry.pop("reason")
    assert entry == {}


def test_code_that_the_table_names_exists() -> None:
    missing = set()
    for clause, entry in TABLE.items():
        if entry["applies"]:
            module, _, name = entry["where"].partition(": ")
            if name not in names_in(ROOT / module):
                missing.add((clause, entry["where"]))
    assert missing == set()


def test_marked_clauses_are_in_the_table() -> None:
    assert marked_ids()
    assert [(clause, place) for clause, place in marked_ids() if clause not in TABLE] == []


def test_marked_clauses_bind_us() -> None:
    assert [(clause, place) for clause, place in marked_ids() if not TABLE[clause]["applies"]] == []
