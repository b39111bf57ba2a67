"""The examples with threads do what they say, and every name is in the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rfc6455.sync
from tests.programs import background, free_port, on_port, run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def port() -> int:
    """A port that is held until the end of the process: before `nothing_is_left` counts."""
    return free_port()


def test_the_client_talks_to_the_server(tmp_path: Path, port: int) -> None:
    for name in ("threads_server.py", "threads_client.py"):
        program = (ROOT / "examples" / name).read_text("utf-8")
        (tmp_path / name).write_text(on_port(program, port), "utf-8")
    with background(tmp_path / "threads_server.py") as first_line:
        assert first_line == f"Echo at ws://localhost:{port}\n"
        messages, latency = run(tmp_path / "threads_client.py").splitlines()
    assert messages == "['a 0', 'a 1', 'a 2', 'b 0', 'b 1', 'b 2']"
    assert re.fullmatch(r"one round trip: [0-9.]+ ms", latency)


def test_every_public_name_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference-threads.md").read_text("utf-8")
    documented = re.findall(r"^\.\. auto\w+:: (\w+)", reference, re.MULTILINE)
    assert sorted(documented) == sorted(rfc6455.sync.__all__)
