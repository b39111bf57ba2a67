"""The page's client module in Node, where a clock can be turned by hand (``client.test.js``)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("client.test.js")
OLDEST_NODE = 20
"""The first major version of Node with ``CustomEvent``."""


def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node: apt-get install nodejs")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    match = re.match(r"v(\d+)", version.stdout)
    if match is None or int(match[1]) < OLDEST_NODE:
        pytest.skip(f"needs Node {OLDEST_NODE} or newer, found {version.stdout.strip()}")
    return program


def test_client_module() -> None:
    run = subprocess.run(
        [node(), "--test", "--test-reporter=spec", str(TESTS)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
