"""``rfc6455-chat user``: adds users, changes and removes them.

What lives here: the command line of the accounts. This file does not know about the server.
"""

from __future__ import annotations

import argparse
import getpass
import sqlite3
import sys
from collections.abc import Mapping, Sequence

from .accounts import AccountError, Accounts
from .config import ConfigError, load
from .tokens import Role

__all__ = ["main"]

ROLES = [role.name.lower() for role in Role if role is not Role.GUEST]


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Carries out a command, and returns the exit status.

    Passwords are asked for; where standard input is no terminal, its first line is one.
    """
    options = _make_parser().parse_args(arguments)
    try:
        path = load(
            {key: value for key, value in vars(options).items() if key in ("config", "users")},
            environment,
        ).users
        if not path:
            raise ConfigError("no file of users: --users, RFC6455_CHAT_USERS or users in the file")
        with Accounts(path) as accounts:
            _run(options, accounts)
    except (AccountError, ConfigError, OSError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rfc6455-chat user", description="Users of the chat, who can log in."
    )
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--users", metavar="FILE", help="the SQLite file with users")
    common.add_argument("--config", metavar="FILE", help="a TOML file with settings")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help in [
        ("add", "add a user"),
        ("passwd", "give a user another password; ends all logins"),
        ("role", "give a user another role; ends all logins"),
        ("remove", "remove a user; ends all logins"),
    ]:
        command = commands.add_parser(name, help=help, parents=[common])
        command.add_argument("name", help="of the user")
        if name == "add":
            command.add_argument("--role", choices=ROLES, default="user", help="(default: user)")
        elif name == "role":
            command.add_argument("role", choices=ROLES)
    commands.add_parser("list", help="list all users", parents=[common])
    return parser


def _run(options: argparse.Namespace, accounts: Accounts) -> None:
    match options.command:
        case "add":
            accounts.add(options.name, _ask_password(), Role.named(options.role))
        case "passwd":
            accounts.set_password(options.name, _ask_password())
        case "role":
            accounts.set_role(options.name, Role.named(options.role))
        case "remove":
            accounts.remove(options.name)
        case _:
            for user in accounts.all():
                print(f"{user.role.name.lower():9} {user.name}")


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass()
    if getpass.getpass("Again: ") != password:
        raise AccountError("the passwords differ")
    return password
