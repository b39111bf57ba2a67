"""Wire text is read with real grammars, never with Python's lenient text methods.

``int()`` takes ``"1_0"`` for a number, ``splitlines()`` ends a line at ``"\\u2028"``, and a bare
``strip()`` removes far more than the space and tab of RFC 9110 §5.6.3. Whoever trusts them reads
another request than the proxy in front did.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "rfc6455"
# A URI is the application's own text; uri.py is not among them.
WIRE_MODULES = [
    *(
        CORE / f"{name}.py"
        for name in ("backoff", "exchange", "headers", "http", "proxy", "redirect")
    ),
    *sorted((CORE / "handshake").glob("*.py")),
]

ALWAYS = {
    "splitlines": "ends lines at eight characters that HTTP does not know",
    "isdigit": "accepts digits of every script",
    "isdecimal": "accepts digits of every script",
    "isnumeric": "accepts digits of every script",
    "isalnum": "accepts letters and digits of every script",
    "isalpha": "accepts letters of every script",
    "isspace": "accepts white space that HTTP does not know",
}
WITHOUT_ARGUMENT = {
    "strip": "removes white space that HTTP does not know",
    "lstrip": "removes white space that HTTP does not know",
    "rstrip": "removes white space that HTTP does not know",
    "split": "splits at white space that HTTP does not know",
    "rsplit": "splits at white space that HTTP does not know",
}
FUNCTIONS = {"int": "accepts signs, underscores, white space and digits of every script"}


def banned_calls(source: str) -> list[str]:
    """The banned calls in a module, as ``line: name: why``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, why = None, None
        if isinstance(node.func, ast.Attribute):
            name = node.func.attr
            why = ALWAYS.get(name)
            if why is None and not node.args and not node.keywords:
                why = WITHOUT_ARGUMENT.get(name)
        elif isinstance(node.func, ast.Name):
            name = node.func.id
            why = FUNCTIONS.get(name)
        if why is not None:
            found.append(f"{node.lineno}: {name}(): {why}")
    return found


@pytest.mark.parametrize("path", WIRE_MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_wire_modules_use_no_lenient_text_method(path: Path) -> None:
    assert banned_calls(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        "head.splitlines()",
        "value.strip()",
        "value.rstrip()",
        "value.split()",
        "value.isdigit()",
        "line.split(b':')[0].lstrip()",
        "int(value)",
        "int(value, 10)",
    ],
)
def test_banned_call_is_found(code: str) -> None:
    assert len(banned_calls(f"def f(value, line, head):\n    return {code}\n")) == 1


@pytest.mark.parametrize(
    "code", ["value.strip(b' \\t')", "value.split(b',')", "int.from_bytes(value)", "value.lower()"]
)
def test_exact_call_is_allowed(code: str) -> None:
    assert banned_calls(f"def f(value):\n    return {code}\n") == []
