"""Accounts: users, passwords, and who is locked out."""

from __future__ import annotations

import hmac
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.accounts import AccountError, Accounts, User, hash_password, matches
from server.tokens import Identity, Role

PASSWORD = "correct horse"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(clock: Clock) -> Iterator[Accounts]:
    with Accounts(":memory:", clock=clock) as opened:
        yield opened


def test_a_user_has_a_name_whatever_its_case(accounts: Accounts) -> None:
    assert accounts.add("Straße", PASSWORD) == User("Straße", Role.USER)
    assert accounts.find("STRASSE") == User("Straße", Role.USER)
    assert accounts.check("strasse", PASSWORD) == User("Straße", Role.USER)
    with pytest.raises(AccountError, match="already"):
        accounts.add("STRASSE", PASSWORD)
    assert accounts.find("Nobody") is None


@pytest.mark.parametrize(
    "password", ["", "correct hors", "correct horse ", "Correct horse", "\ud800"]
)
def test_another_password_is_wrong(accounts: Accounts, password: str) -> None:
    accounts.add("Ann", PASSWORD)
    assert accounts.check("Ann", password) is None
    assert accounts.check("Bob", password) is None


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("a\nb", PASSWORD), ("Ann", "short")]
)
def test_what_cannot_be_is_refused(accounts: Accounts, name: str, password: str) -> None:
    with pytest.raises(AccountError):
        accounts.add(name, password)
    assert accounts.all() == []


def test_users_are_changed_and_removed(accounts: Accounts) -> None:
    accounts.add("Ann", PASSWORD)
    accounts.add("bob", PASSWORD, Role.MODERATOR)
    accounts.set_role("ann", Role.ADMIN)
    accounts.set_password("BOB", "another password")
    assert accounts.all() == [User("Ann", Role.ADMIN), User("bob", Role.MODERATOR)]
    assert accounts.check("bob", PASSWORD) is None
    assert accounts.check("bob", "another password")
    accounts.remove("Ann")
    assert accounts.find("Ann") is None
    changes: list[Callable[[], None]] = [
        lambda: accounts.remove("Ann"),
        lambda: accounts.set_role("Ann", Role.USER),
        lambda: accounts.set_password("Ann", PASSWORD),
    ]
    for change in changes:
        with pytest.raises(AccountError, match="no user 'Ann'"):
            change()


def test_passwords_are_compared_in_constant_time(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    genuine = hmac.compare_digest

    def spy(first: bytes, second: bytes) -> bool:
        compared.append((len(first), len(second)))
        return genuine(first, second)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    accounts.add("Ann", PASSWORD)
    for name, password in [("Ann", PASSWORD), ("Ann", "wrong"), ("Bob", PASSWORD), ("Ann", "")]:
        accounts.check(name, password)
    # Whoever it is and whatever is given, one scrypt and one comparison of 32 bytes each.
    assert compared == [(32, 32)] * 4


def test_a_password_is_kept_as_a_salted_hash() -> None:
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second
    assert PASSWORD not in first
    assert matches(PASSWORD, first)
    assert not matches(PASSWORD + "x" * 2000, first)


def test_a_login_can_be_ended(accounts: Accounts, clock: Clock) -> None:
    ann = Identity("Ann", Role.USER, 2000, 900, "s1")
    assert not accounts.is_revoked(ann)
    accounts.end_login("s1", until=2000)
    assert accounts.is_revoked(ann)
    assert not accounts.is_revoked(Identity("Ann", Role.USER, 2000, 900, "s2"))
    # What has expired need not be remembered.
    clock.now = 2001
    accounts.end_login("s3", until=3000)
    assert not accounts.is_revoked(ann)


def test_a_user_can_be_locked_out_until_the_next_login(accounts: Accounts, clock: Clock) -> None:
    before = Identity("Ann", Role.USER, 2000, issued=1000)
    accounts.lock_out("ANN")
    assert accounts.is_revoked(before)
    assert not accounts.is_revoked(Identity("Ann", Role.USER, 2000, issued=1000.001))
    assert not accounts.is_revoked(Identity("Bob", Role.USER, 2000, issued=1000))


def test_a_file_is_for_its_owner_and_lasts(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    with Accounts(str(path)) as first:
        first.add("Ann", PASSWORD)
        secret = first.secret
        assert first.secret == secret
        assert len(secret) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Accounts(str(path)) as second:
        assert second.all() == [User("Ann", Role.USER)]
        assert second.secret == secret


def test_another_process_is_noticed(tmp_path: Path) -> None:
    path = str(tmp_path / "users.db")
    with Accounts(path) as running, Accounts(path) as command:
        before = running.changes
        assert running.changes == before
        command.add("Ann", PASSWORD)
        after = running.changes
        assert after != before
        running.lock_out("Ann")
        assert running.changes not in (before, after)
