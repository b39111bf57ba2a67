"""Dependencies point one way: the contracts of pyproject.toml, and two rules beside them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rfc6455

ROOT = Path(__file__).parents[2]
PUBLIC = frozenset(rfc6455.__all__) | {"__version__"}


def modules(package: str) -> list[str]:
    """Every module of a top-level package, as a path relative to the root."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py"))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def chat_faults(source: str) -> list[str]:
    """Where a module of the chat reaches past the library's public names or names its own package.

    Its own package is called differently in a checkout and in a wheel, so imports are relative.
    """
    tree = ast.parse(source)
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            faults += [
                f"{node.lineno}: import {alias.name}"
                for alias in node.names
                if alias.name.partition(".")[0] in {"server", "rfc6455_chat"}
                or alias.name.startswith("rfc6455.")
            ]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            top = node.module.partition(".")[0]
            if top in {"server", "rfc6455_chat"} or node.module.startswith("rfc6455."):
                faults.append(f"{node.lineno}: from {node.module} import ...")
            elif node.module == "rfc6455":
                faults += [
                    f"{node.lineno}: from rfc6455 import {alias.name}"
                    for alias in node.names
                    if alias.name not in PUBLIC
                ]
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "rfc6455"
            and node.attr not in PUBLIC
        ):
            faults.append(f"{node.lineno}: rfc6455.{node.attr}")
    return faults


def native_imports(source: str) -> list[int]:
    """The lines that import the native twin."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        if any("_native" in name.split(".") for name in names):
            lines.append(node.lineno)
    return lines


def test_import_contracts_hold() -> None:
    # In a process of its own: import-linter switches off the loggers of others.
    program = (
        "import sys; from importlinter.cli import lint_imports;"
        " sys.exit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", modules("server"))
def test_chat_uses_public_names_only(path: str) -> None:
    assert chat_faults(read(path)) == []


@pytest.mark.parametrize("path", modules("rfc6455"))
def test_only_the_codecs_import_the_native_twin(path: str) -> None:
    codecs = [f"rfc6455/{folder}codec.py" for folder in ("", "extensions/", "handshake/")]
    if path not in codecs:
        assert native_imports(read(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import rfc6455.frames",
        "from rfc6455.parser import Parser",
        "from rfc6455 import frames",
        "from server.rooms import Room",
        "import rfc6455_chat",
        "rfc6455.connection.Connection",
    ],
)
def test_fault_of_the_chat_is_found(line: str) -> None:
    assert len(chat_faults(line)) >= 1


@pytest.mark.parametrize(
    "line",
    ["import rfc6455", "from rfc6455 import serve", "from .rooms import Room", "rfc6455.serve()"],
)
def test_public_or_relative_import_is_allowed(line: str) -> None:
    assert chat_faults(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "import rfc6455._native",
        "from rfc6455 import _native",
        "from rfc6455._native import parse",
        "from . import _native",
        "from ._native import parse",
        "from .. import _native",
    ],
)
def test_native_import_is_found(line: str) -> None:
    assert native_imports(line) == [1]
