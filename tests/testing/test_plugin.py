"""The pytest plugin, as an application meets it: by its entry point, with warnings as errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Each run of pytest starts without those that take their time and are not asked about.
OTHERS = ("-p", "no:hypothesispytest", "-p", "no:xdist", "-p", "no:timeout")
ALONE = (*OTHERS, "-p", "no:asyncio")

SILENT = """
import sys

def test_nothing():
    assert "pytest_rfc6455" in sys.modules
    assert "rfc6455" not in sys.modules
"""

WITH_FIXTURES = """
from rfc6455.testing import Faults, client

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

def test_echo(rfc6455_run, rfc6455_network):
    async def talk():
        async with client(echo, network=rfc6455_network(to_client=Faults(split=1))) as ws:
            await ws.send("Hello")
            assert await ws.recv() == "Hello"

    rfc6455_run(talk())
"""

WITH_CHANCE = """
import asyncio
from rfc6455.testing import Faults, pair

def test_chance(rfc6455_run, rfc6455_network):
    async def talk():
        async with pair(rfc6455_network(to_client=Faults(delay=(0.0, 1.0)))) as (client, server):
            print("latency", await client.ping())

    rfc6455_run(talk())
    assert False
"""

LEAKING = """
import asyncio

def test_leak(rfc6455_run):
    async def leave():
        asyncio.create_task(asyncio.sleep(1))

    rfc6455_run(leave())
"""

COROUTINE = """
import asyncio
import pytest
from rfc6455.testing import virtual_time

@pytest.mark.asyncio
async def test_theirs():
    await asyncio.sleep(0)

@virtual_time
async def test_ours(tmp_path):
    await asyncio.sleep(3600)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder on the path that says what an installed package says, and tests to run."""
    info = tmp_path / "path" / "rfc6455_as_installed-1.0.dist-info"
    info.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: rfc6455-as-installed\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata, "utf-8")
    ((name, target),) = PROJECT["entry-points"]["pytest11"].items()
    (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {target}\n", "utf-8")
    record = "rfc6455/__init__.py,,\npytest_rfc6455/__init__.py,,\n"
    (info / "RECORD").write_text(record, "utf-8")
    plugin = ROOT / "rfc6455" / "testing" / "pytest_plugin"
    (tmp_path / "path" / "pytest_rfc6455").symlink_to(plugin, target_is_directory=True)
    return tmp_path


def run_pytest(
    installed: Path, test: str, *options: str, program: tuple[str, ...] = ("-m", "pytest", *ALONE)
) -> subprocess.CompletedProcess[str]:
    (installed / "test_it.py").write_text(test, "utf-8")
    path = os.pathsep.join([str(installed / "path"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-W", "error", *program, "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("test", [SILENT, WITH_FIXTURES], ids=["unused", "used"])
def test_it_is_found_by_its_entry_point_and_warns_of_nothing(installed: Path, test: str) -> None:
    done = run_pytest(installed, test, "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rfc6455-as-installed-1.0" in done.stdout
    assert done.stderr == ""


def test_it_warns_of_nothing_where_the_library_was_imported_before(installed: Path) -> None:
    program = ("-c", "import sys, pytest, rfc6455; sys.exit(pytest.main(sys.argv[1:]))", *ALONE)
    done = run_pytest(installed, WITH_FIXTURES, program=program)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_leak_fails_the_test(installed: Path) -> None:
    done = run_pytest(installed, LEAKING)
    assert done.returncode == 1
    assert "tasks left running" in done.stdout


def test_chance_is_the_same_in_each_run_and_the_seed_is_told(installed: Path) -> None:
    first, again = (run_pytest(installed, WITH_CHANCE).stdout for _ in range(2))
    (latency,) = re.findall(r"^latency .*$", first, re.M)
    assert re.findall(r"^latency .*$", again, re.M) == [latency]
    (seed,) = re.findall(r"^--rfc6455-seed=(\d+)$", first, re.M)
    given = run_pytest(installed, WITH_CHANCE, f"--rfc6455-seed={seed}").stdout
    assert re.findall(r"^latency .*$", given, re.M) == [latency]
    other = run_pytest(installed, WITH_CHANCE, "--rfc6455-seed=other").stdout
    assert re.findall(r"^latency .*$", other, re.M) != [latency]


def test_fixtures_are_listed_with_their_descriptions(installed: Path) -> None:
    done = run_pytest(installed, SILENT, "--fixtures")
    for name in ("rfc6455_network", "rfc6455_run"):
        assert re.search(rf"^{name}.*\n    \w+", done.stdout, re.M)


def test_it_goes_with_pytest_asyncio(installed: Path) -> None:
    scope = "asyncio_default_fixture_loop_scope=function"
    done = run_pytest(installed, COROUTINE, "-o", scope, program=("-m", "pytest", *OTHERS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
