"""Settings: flags, the environment, and what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from server.config import Config, parse
from tests.helpers import ROOT


def test_defaults() -> None:
    assert parse([], {}) == Config()


def test_a_flag_goes_before_the_environment() -> None:
    environment = {"RFC6455_CHAT_PORT": "1", "RFC6455_CHAT_HOST": "::"}
    config = parse(["--port", "2"], environment)
    assert (config.port, config.host) == (2, "::")


def test_several_origins() -> None:
    environment = {"RFC6455_CHAT_ALLOWED_ORIGINS": "https://a.example https://b.example"}
    assert parse([], environment).allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "65536"],
        ["--max-rooms", "0"],
        ["--log-level", "loud"],
        ["--nope"],
    ],
    ids=" ".join,
)
def test_wrong_settings_are_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments, {})
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_names_every_option_and_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    text = capsys.readouterr().out
    for field in fields(Config):
        assert "--" + field.name.replace("_", "-") in text
    assert "RFC6455_CHAT_" in text


def test_an_event_loop_that_is_not_there_is_one_line() -> None:
    script = (
        "import sys\n"
        "sys.modules['uvloop'] = None\n"
        "sys.argv = ['server', '--event-loop', 'uvloop']\n"
        "from server.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("--event-loop uvloop: ")
    assert done.stderr.count("\n") == 1


def test_an_address_in_use_is_one_line(free_port_taken: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", str(free_port_taken)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{free_port_taken}: ")
    assert done.stderr.count("\n") == 1
