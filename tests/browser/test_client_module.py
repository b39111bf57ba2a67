"""The page's client module in Node: where a clock can be turned by hand (``client.test.js``), with
the real server, and as TypeScript reads it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.chat_server import ROOT, ChatServer

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


@pytest.mark.node
def test_two_clients_talk_over_the_real_server() -> None:
    server = ChatServer("--feeds", "prices=0.1")
    server.start()
    try:
        script = str(Path(__file__).with_name("talk.js"))
        url = f"ws://127.0.0.1:{server.port}/ws"
        run = subprocess.run(
            [node(), script, url],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=120,
            check=False,
        )
    finally:
        server.stop()
    assert run.returncode == 0, run.stdout + run.stderr


WEB = ROOT / "server" / "web"


def compile_types(*arguments: str) -> None:
    compiler = ROOT / ".node" / "node_modules" / ".bin" / "tsc"
    run = subprocess.run(
        [compiler, "-p", WEB, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.d.ts")
    }


@pytest.mark.typescript
def test_its_types_hold_and_are_those_that_are_declared(tmp_path: Path) -> None:
    options = ("--noEmit", "false", "--declaration", "--emitDeclarationOnly")
    compile_types(*options, "--outDir", str(tmp_path))
    assert texts(tmp_path) == texts(WEB / "types"), (
        f"make them anew: tsc -p server/web {' '.join(options)} --outDir server/web/types"
    )
