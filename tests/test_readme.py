"""The programs of the README run as they are printed, and what it links to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.programs import background, free_port, on_port, run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINKS = re.findall(r"\]\(([^)#]+)", README)


def test_server_and_client_run_as_printed(tmp_path: Path) -> None:
    port = free_port()
    paths = [tmp_path / "server.py", tmp_path / "client.py"]
    assert len(PROGRAMS) == len(paths)
    for path, program in zip(paths, PROGRAMS, strict=True):
        path.write_text(on_port(program, port), "utf-8")
    server, client = paths
    with background(server):
        assert run(client) == "Hello\n"


@pytest.mark.parametrize("program", PROGRAMS, ids=["server", "client"])
def test_program_has_ten_lines_or_fewer(program: str) -> None:
    assert len([line for line in program.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("link", [link for link in LINKS if "://" not in link])
def test_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
