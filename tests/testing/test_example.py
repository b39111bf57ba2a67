"""The tests of the example pass, and fail where its application is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "test_quiz.py"


def run_example(path: Path) -> subprocess.CompletedProcess[str]:
    options = ["-p", "no:asyncio", "-W", "error", "-c", os.devnull, "--rootdir", str(path.parent)]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:asyncio",
            "-p",
            "no:cacheprovider",
            *options,
            str(path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_passes() -> None:
    done = run_example(EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "13 passed" in done.stdout


def test_the_example_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "test_wrong.py"
    wrong.write_text(EXAMPLE.read_text("utf-8").replace("timeout(30)", "timeout(20)"), "utf-8")
    done = run_example(wrong)
    assert done.returncode == 1
    assert "test_silence_is_too_late" in done.stdout
