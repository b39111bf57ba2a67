"""``rfc6455-chat user``: the users' command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from server.accounts import Accounts
from server.users import main


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, stdin: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    return main(arguments, {})


def test_users_are_added_changed_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--users", str(tmp_path / "users.db")]
    assert run(["add", "Ann", "--role", "admin", *where], monkeypatch, "correct horse\n") == 0
    assert run(["add", "Bob", *where], monkeypatch, "battery staple\n") == 0
    assert run(["role", "bob", "moderator", *where], monkeypatch) == 0
    assert run(["passwd", "bob", *where], monkeypatch, "another password\n") == 0
    assert run(["list", *where], monkeypatch) == 0
    assert capsys.readouterr().out == "admin     Ann\nmoderator Bob\n"
    assert run(["remove", "Ann", *where], monkeypatch) == 0
    with Accounts(str(tmp_path / "users.db")) as accounts:
        assert [user.name for user in accounts.all()] == ["Bob"]
        assert accounts.check("Bob", "another password")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add", "Ann"], "a password has 8"),
        (["add", ""], "at least one character"),
        (["remove", "Ann"], "there is no user 'Ann'"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*arguments, "--users", str(tmp_path / "users.db")], monkeypatch, "short\n") == 1
    printed = capsys.readouterr()
    assert why in printed.err
    assert printed.err.count("\n") == 1
    assert "short" not in printed.err


def test_the_file_is_named_by_the_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "chat.toml"
    config.write_text(f'users = "{tmp_path / "users.db"}"\n')
    assert run(["list", "--config", str(config)], monkeypatch) == 0
    assert run(["list"], monkeypatch) == 1
    assert "no file of users" in capsys.readouterr().err
