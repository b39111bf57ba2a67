"""Settings: flags, the environment, a file, and what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from server.__main__ import _loop_factory
from server.config import PREFIX, Config, ConfigError, load, parse, printed
from tests.helpers import ROOT


def toml(folder: Path, text: str) -> str:
    path = folder / "chat.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_defaults() -> None:
    assert parse([], {}) == Config()


def test_a_flag_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path, 'host = "::1"\nport = 1\nhistory = 7\nmax-rooms = 9\n')
    environment = {f"{PREFIX}PORT": "2", f"{PREFIX}HOST": "::", f"{PREFIX}CONFIG": path}
    config = parse(["--port", "3"], environment)
    assert (config.port, config.host, config.history) == (3, "::", 7)
    assert config.max_rooms == 9
    assert parse(["--config", path], {}).port == 1


def test_several_origins(tmp_path: Path) -> None:
    origins = ("https://a.example", "https://b.example")
    assert parse(["--allowed-origins", *origins], {}).allowed_origins == origins
    environment = {f"{PREFIX}ALLOWED_ORIGINS": " ".join(origins)}
    assert parse([], environment).allowed_origins == origins
    path = toml(tmp_path, f"allowed_origins = {list(origins)}")
    assert parse(["--config", path], {}).allowed_origins == origins


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
def test_wrong_flags_are_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments, {})
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PORT", "x", "must be an integer, not 'x'"),
        ("PORT", "65536", "must be between 0 and 65535, not 65536"),
        ("MAX_ROOMS", "0", "must be at least 1, not 0"),
        ("LOG_LEVEL", "loud", "must be one of debug, info, warning, error, not 'loud'"),
    ],
)
def test_wrong_variables_are_named(name: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {PREFIX + name: value})
    assert str(caught.value) == f"{PREFIX}{name}: {why}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('port = "8765"', "port: must be an integer, not '8765'"),
        ("port = true", "port: must be an integer, not True"),
        ("host = 5", "host: must be a text, not 5"),
        ('allowed-origins = "https://a.example"', "allowed-origins: must be a list of texts"),
        ("nope = 1", "there is no option 'nope'"),
        ("port =", "Invalid value"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load({"config": path}, {})
    assert str(caught.value).startswith(f"{path}: {why}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml: No such file"):
        load({"config": str(tmp_path / "nothing.toml")}, {})
    (tmp_path / "latin.toml").write_bytes(b'host = "\xe4"')
    with pytest.raises(ConfigError, match=r"latin\.toml: .*utf-8"):
        load({"config": str(tmp_path / "latin.toml")}, {})


def test_help_names_every_option_and_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    text = capsys.readouterr().out
    for field in fields(Config):
        assert "--" + field.name.replace("_", "-") in text
    assert PREFIX in text


def test_settings_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--check-config"], {})
    assert caught.value.code == 0
    assert capsys.readouterr().out == "the configuration is valid\n"
    with pytest.raises(SystemExit) as caught:
        parse(["--check-config", "--config", toml(tmp_path, "port = -1")], {})
    assert caught.value.code == 2
    assert "chat.toml: port: must be between 0 and 65535, not -1" in capsys.readouterr().err


def test_printed_settings_give_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--port", "0", "--allowed-origins", "https://a.example", "--host", 'a"ü']
    with pytest.raises(SystemExit) as caught:
        parse([*arguments, "--print-config"], {})
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["port"] == 0
    assert parse(["--config", toml(tmp_path, text)], {}) == parse(arguments, {})
    assert printed(parse(arguments, {})) == text


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
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("--event-loop uvloop: ")
    assert done.stderr.count("\n") == 1


def test_without_uvloop_the_loop_is_asyncios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert _loop_factory("auto") is None
    with pytest.raises(ImportError):
        _loop_factory("uvloop")


def test_an_address_in_use_is_one_line(free_port_taken: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", str(free_port_taken)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{free_port_taken}: ")
    assert done.stderr.count("\n") == 1


def test_every_option_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "howto" / "configure-the-chat.md").read_text("utf-8")
    documented = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            names, defaults = (cell.replace("`", "").split(",") for cell in line.split("|")[1:3])
            for name, shown in zip(names, defaults * len(names), strict=False):
                documented[name.strip(" ")] = shown.strip(" ")
    for option in fields(Config):
        default: Any = option.default
        text = "none" if default in ((), "") else str(default)
        assert documented[option.name] == (text.lower() if type(default) is bool else text)
