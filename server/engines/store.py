"""The embedded engine's database: SQLite.

What lives here: the schema, its versions, and one method for each thing to be read or written. This
file knows no threads, no event loop and no subscribers; the caller opens and ends transactions.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .base import (
    MAX_UNREAD,
    Append,
    Appended,
    Conflict,
    EngineError,
    Entry,
    Page,
    Position,
    RoomRecord,
    Unread,
    UserRecord,
)

__all__ = ["DURABILITIES", "Store"]

DURABILITIES: Final = {"normal": "NORMAL", "full": "FULL"}
"""What is committed survives the end of the process, however sudden; or that of the power, too."""

MAX_PAGE_SIZE: Final = 128 * 1024
"""Bytes of data in a page of a log. JSON needs up to six for one: a page fits into a message."""

APPLICATION_ID: Final = 0x52464336  # "RFC6"
# An entry's key is its log's number and its offset in one integer: a log is one run of one B-tree.
OFFSETS: Final = 1 << 40
MIGRATIONS: Final = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
        first INTEGER NOT NULL DEFAULT 1, head INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE entry (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE appended (
        id INTEGER PRIMARY KEY AUTOINCREMENT, log INTEGER NOT NULL, key TEXT NOT NULL,
        offset INTEGER NOT NULL, time INTEGER NOT NULL, uptime REAL NOT NULL, UNIQUE (log, key)
    );
    CREATE TABLE room (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,
        creator TEXT NOT NULL
    );
    CREATE TABLE user (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL, secret BLOB NOT NULL,
        named INTEGER NOT NULL, last_seen INTEGER NOT NULL
    );
    CREATE INDEX user_name ON user (name_key, named);
    CREATE TABLE member (
        id INTEGER PRIMARY KEY, room TEXT NOT NULL, user TEXT NOT NULL, UNIQUE (room, user)
    );
    CREATE INDEX member_user ON member (user);
    CREATE TABLE read_mark (
        user TEXT NOT NULL, log TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (user, log)
    ) WITHOUT ROWID;
    CREATE TABLE pattern (
        user TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (user, pattern)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE room ADD COLUMN rules BLOB NOT NULL DEFAULT x'';
    """,
    # What was said until then counts as read. The author stands before the data: who counts entries
    # reads no further.
    """
    ALTER TABLE entry RENAME TO old_entry;
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY, time INTEGER NOT NULL, author TEXT NOT NULL, data BLOB NOT NULL
    );
    INSERT INTO entry SELECT id, time, '', data FROM old_entry;
    DROP TABLE old_entry;
    CREATE TABLE author_mark (
        user TEXT NOT NULL, log TEXT NOT NULL, author TEXT NOT NULL, offset INTEGER NOT NULL,
        PRIMARY KEY (user, log, author)
    ) WITHOUT ROWID;
    """,
)
MAX_COUNTED: Final = 10_000
"""Entries that are counted by their authors."""


class Store:
    """A connection to the database.

    Args:
        path: of the file; None for a database in memory, of this connection alone.
        durability: one of `DURABILITIES`.
        busy_seconds: how long to wait for another program's lock.

    Raises:
        EngineError: the file is no database of the chat, or of a newer version.
        sqlite3.Error: it cannot be opened or read.
    """

    def __init__(self, path: Path | None, durability: str, busy_seconds: float) -> None:
        self.path = path
        self._database = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._run(f"PRAGMA synchronous = {DURABILITIES[durability]}")
            self._migrate()
            if path is not None:
                self._run("PRAGMA journal_mode = WAL")
        except BaseException:
            self._database.close()
            raise

    def _migrate(self) -> None:
        (version,) = self._one("PRAGMA user_version")
        (application,) = self._one("PRAGMA application_id")
        (tables,) = self._one("SELECT count(*) FROM sqlite_schema")
        if tables and application != APPLICATION_ID:
            raise EngineError("the database is not one of the chat")
        if version > len(MIGRATIONS):
            raise EngineError("the database was made by a newer version of the chat")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._database.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number};"
                f"PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
            )

    def close(self) -> None:
        """Ends the connection; what is not committed is lost."""
        self._database.close()

    def begin(self, *, writing: bool) -> None:
        """Begins a transaction."""
        self._run("BEGIN IMMEDIATE" if writing else "BEGIN")

    def commit(self) -> None:
        """Ends the transaction; what it changed is kept."""
        self._run("COMMIT")

    def rollback(self) -> None:
        """Ends the transaction, if there is one, as if it had never been."""
        if self._database.in_transaction:
            self._run("ROLLBACK")

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._database.execute(sql, values)

    def _one(self, sql: str, *values: Any) -> Any:
        return self._database.execute(sql, values).fetchone()

    # Across restarts

    def start(self, boot: str, time: int) -> float:
        """Notes that the chat runs, and returns the uptime at which appends were last seen.

        Nobody is present; guests count as last seen now, however long the chat did not run.

        Args:
            boot: names the machine's run. When that ended while the chat ran, the latest
                transactions may be lost, and offsets that clients know may be given out again: then
                every log gets a new epoch.
            time: in milliseconds since 1970.
        """
        meta = dict(self._run("SELECT name, value FROM meta"))
        if meta.get("running") not in (None, "", boot) and meta.get("durability") != "2":
            self._run("UPDATE log SET epoch = lower(hex(randomblob(8)))")
        self._run("UPDATE user SET last_seen = ? WHERE secret != x''", time)
        (durability,) = self._one("PRAGMA synchronous")
        self._set_meta(running=boot, durability=str(durability))
        last = self._one("SELECT uptime FROM appended ORDER BY id DESC LIMIT 1")
        return 0.0 if last is None else float(last[0])

    def stop(self) -> None:
        """Notes that the chat has ended, with all it had to write."""
        self._set_meta(running="")

    def _set_meta(self, **values: str) -> None:
        self._database.executemany("REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    # Logs

    def append(
        self, appends: Sequence[Append], *, time: int, uptime: float, kept: int
    ) -> list[Appended]:
        """See `Engine.append`. Each log keeps its latest ``kept`` entries."""
        # What may not be is refused before anything changes: others share the transaction.
        for append in appends:
            if append.replaces is not None and not self._is_appended(append):
                self._check(append)
        return [self._append(append, time, uptime, kept) for append in appends]

    def _is_appended(self, append: Append) -> bool:
        sql = "SELECT 1 FROM appended JOIN log ON log.id = log WHERE name = ? AND key = ?"
        return self._one(sql, append.log, append.key) is not None

    def _check(self, append: Append) -> None:
        assert append.replaces is not None
        log = self._one("SELECT id FROM log WHERE name = ?", append.log)
        entry = log and self._one(
            "SELECT data FROM entry WHERE id = ?", log[0] * OFFSETS + append.replaces.offset
        )
        if not entry or entry[0] != append.replaces.old:
            raise Conflict

    def _append(self, append: Append, time: int, uptime: float, kept: int) -> Appended:
        log, epoch, first, head = self._log(append.log)
        if append.key is not None:
            sql = "SELECT offset, time FROM appended WHERE log = ? AND key = ?"
            found = self._one(sql, log, append.key)
            if found is not None:
                return Appended(Position(epoch, found[0]), found[1], False)
        head += 1
        base = log * OFFSETS
        values = base + head, time, append.author, append.data
        self._run("INSERT INTO entry VALUES (?, ?, ?, ?)", *values)
        if append.key is not None:
            self._run(
                "INSERT INTO appended (log, key, offset, time, uptime) VALUES (?, ?, ?, ?, ?)",
                *(log, append.key, head, time, uptime),
            )
        if (replaces := append.replaces) is not None:
            sql = "UPDATE entry SET author = ?, data = ? WHERE id = ?"
            self._run(sql, replaces.author, replaces.new, base + replaces.offset)
        if head - first >= kept:
            self._run(
                "DELETE FROM entry WHERE id BETWEEN ? AND ?", base + first, base + head - kept
            )
            first = head - kept + 1
        self._run("UPDATE log SET first = ?, head = ? WHERE id = ?", first, head, log)
        return Appended(Position(epoch, head), time, True)

    def _log(self, name: str) -> tuple[int, str, int, int]:
        sql = "SELECT id, epoch, first, head FROM log WHERE name = ?"
        log: tuple[int, str, int, int] | None = self._one(sql, name)
        if log is None:
            self.create_log(name)
            log = self._one(sql, name)
            assert log is not None
        return log

    def create_log(self, name: str) -> None:
        """See `Engine.create_log`."""
        epoch = secrets.token_hex(8)
        self._run("INSERT OR IGNORE INTO log (name, epoch) VALUES (?, ?)", name, epoch)

    def _remove_log(self, name: str) -> None:
        log = self._one("SELECT id FROM log WHERE name = ?", name)
        if log is not None:
            base = log[0] * OFFSETS
            self._run("DELETE FROM entry WHERE id BETWEEN ? AND ?", base, base + OFFSETS - 1)
            self._run("DELETE FROM appended WHERE log = ?", log[0])
            self._run("DELETE FROM log WHERE id = ?", log[0])
            self._run("DELETE FROM read_mark WHERE log = ?", name)
            self._run("DELETE FROM author_mark WHERE log = ?", name)

    def read(self, log: str, *, after: int, limit: int) -> Page:
        """See `Engine.read`."""
        return self._page(log, after + 1, OFFSETS - 1, limit, "ASC")

    def read_back(self, log: str, *, before: int | None, limit: int) -> Page:
        """See `Engine.read_back`."""
        return self._page(log, 1, OFFSETS - 1 if before is None else before - 1, limit, "DESC")

    def _page(self, name: str, least: int, most: int, limit: int, order: str) -> Page:
        log = self._one("SELECT id, epoch, first, head FROM log WHERE name = ?", name)
        if log is None:
            return Page("", 1, 0, ())
        id_, epoch, first, head = log
        base = id_ * OFFSETS
        # Whatever a client asks for stays within the log's own run of keys.
        bounds = base + max(least, 1), base + min(most, OFFSETS - 1)
        sql = "SELECT id, time, data FROM entry WHERE id BETWEEN ? AND ?"
        rows = self._run(f"{sql} ORDER BY id {order} LIMIT ?", *bounds, limit)
        entries: list[Entry] = []
        size = 0
        for key, time, data in rows:
            size += len(data)
            if entries and size > MAX_PAGE_SIZE:
                break
            entries.append(Entry(Position(epoch, key - base), time, data))
        return Page(epoch, first, head, entries if order == "ASC" else entries[::-1])

    def heads(self, logs: Iterable[str]) -> dict[str, Position]:
        """See `Engine.heads`."""
        found = {}
        for log in logs:
            row = self._one("SELECT epoch, head FROM log WHERE name = ?", log)
            if row is not None:
                found[log] = Position(*row)
        return found

    def trim(self, *, before: int, uptime: float) -> None:
        """Forgets entries from before a time, and the keys of appends from before an uptime."""
        for log, first, head in self._run("SELECT id, first, head FROM log").fetchall():
            base = log * OFFSETS
            sql = "SELECT id FROM entry WHERE id BETWEEN ? AND ? AND time >= ? ORDER BY id LIMIT 1"
            kept = self._one(sql, base + first, base + head, before)
            new_first = kept[0] - base if kept is not None else head + 1
            if new_first > first:
                sql = "DELETE FROM entry WHERE id BETWEEN ? AND ?"
                self._run(sql, base + first, base + new_first - 1)
                self._run("UPDATE log SET first = ? WHERE id = ?", new_first, log)
        kept = self._one("SELECT id FROM appended WHERE uptime >= ? ORDER BY id LIMIT 1", uptime)
        if kept is not None:
            self._run("DELETE FROM appended WHERE id < ?", kept[0])

    # Rooms and their members

    def create_room(self, room: RoomRecord, log: str) -> bool:
        """See `Engine.create_room`."""
        created = self._run(
            "INSERT OR IGNORE INTO room (name, topic, creator, rules) VALUES (?, ?, ?, ?)",
            *(room.name, room.topic, room.creator, room.rules),
        )
        self.create_log(log)
        return created.rowcount > 0

    def describe_room(self, name: str, topic: str) -> None:
        """See `Engine.describe_room`."""
        self._run("UPDATE room SET topic = ? WHERE name = ?", topic, name)

    def set_rules(self, name: str, rules: bytes) -> None:
        """See `Engine.set_rules`."""
        self._run("UPDATE room SET rules = ? WHERE name = ?", rules, name)

    def remove_room(self, name: str, log: str) -> bool:
        """See `Engine.remove_room`."""
        if self._has_members(name):
            return False
        self._run("DELETE FROM room WHERE name = ?", name)
        self._remove_log(log)
        return True

    def rooms(self) -> list[RoomRecord]:
        """See `Engine.rooms`."""
        rows = self._run("SELECT name, topic, creator, rules FROM room ORDER BY id")
        return [RoomRecord(*row) for row in rows]

    def add_member(self, room: str, user: str) -> bool:
        """See `Engine.add_member`."""
        if self._one("SELECT 1 FROM room WHERE name = ?", room) is None:
            return False
        self._run("INSERT OR IGNORE INTO member (room, user) VALUES (?, ?)", room, user)
        return True

    def remove_member(self, room: str, user: str) -> bool:
        """See `Engine.remove_member`."""
        self._run("DELETE FROM member WHERE room = ? AND user = ?", room, user)
        return self._has_members(room)

    def _has_members(self, room: str) -> bool:
        return self._one("SELECT 1 FROM member WHERE room = ? LIMIT 1", room) is not None

    def members(self, room: str, *, after: str, limit: int) -> list[UserRecord]:
        """See `Engine.members`."""
        rows = self._run(
            f"SELECT {USER} FROM member JOIN user ON user.id = member.user"
            " WHERE room = ? AND member.user > ? ORDER BY member.user LIMIT ?",
            *(room, after, limit),
        )
        return [_user(row) for row in rows]

    def member_count(self, room: str) -> int:
        """See `Engine.member_count`."""
        return int(self._one("SELECT count(*) FROM member WHERE room = ?", room)[0])

    def rooms_of(self, user: str) -> list[str]:
        """See `Engine.rooms_of`."""
        return [
            room
            for (room,) in self._run("SELECT room FROM member WHERE user = ? ORDER BY id", user)
        ]

    # Users

    def save_user(self, user: UserRecord, inbox: str, time: int) -> None:
        """Remembers a user, who takes their name now."""
        # After all who took it before, also when the clock has been put back since.
        sql = "SELECT max(named) FROM user WHERE name_key = ?"
        (latest,) = self._one(sql, user.name_key)
        named = time if latest is None else max(time, latest + 1)
        self._run(
            "REPLACE INTO user VALUES (?, ?, ?, ?, ?, ?)",
            *(user.id, user.name, user.name_key, user.secret, named, time),
        )
        self.create_log(inbox)

    def user(self, id: str) -> UserRecord | None:
        """See `Engine.user`."""
        row = self._one(f"SELECT {USER} FROM user WHERE id = ?", id)
        return row and _user(row)

    def find_user(self, name_key: str) -> UserRecord | None:
        """See `Engine.find_user`."""
        sql = f"SELECT {USER} FROM user WHERE name_key = ? ORDER BY named DESC, rowid DESC LIMIT 1"
        row = self._one(sql, name_key)
        return row and _user(row)

    def forget_user(self, id: str, inbox: str) -> None:
        """See `Engine.forget_user`."""
        self._run("DELETE FROM user WHERE id = ?", id)
        for table in ("member", "read_mark", "author_mark", "pattern"):
            self._run(f"DELETE FROM {table} WHERE user = ?", id)
        self._remove_log(inbox)

    def set_last_seen(self, user: str, time: int) -> None:
        """Remembers when a user was here."""
        self._run("UPDATE user SET last_seen = ? WHERE id = ?", time, user)

    def guests_before(self, last_seen: int) -> list[UserRecord]:
        """Returns the users with a secret who were last seen before a time."""
        sql = f"SELECT {USER} FROM user WHERE secret != x'' AND last_seen < ?"
        return [_user(row) for row in self._run(sql, last_seen)]

    # What users have read and subscribed to

    def mark_read(self, user: str, log: str, offset: int, *, author: str = "") -> int:
        """See `Engine.mark_read`."""
        if author:
            return self._mark_author_read(user, log, offset, author)
        row = self._one(
            "INSERT INTO read_mark VALUES (?, ?, ?) ON CONFLICT DO"
            " UPDATE SET offset = max(offset, excluded.offset) RETURNING offset",
            *(user, log, offset),
        )
        return int(row[0])

    def _mark_author_read(self, user: str, log: str, offset: int, author: str) -> int:
        (offset,) = self._one(
            "INSERT INTO author_mark VALUES (?, ?, ?, ?) ON CONFLICT DO"
            " UPDATE SET offset = max(offset, excluded.offset) RETURNING offset",
            *(user, log, author, offset),
        )
        # Marks in what all of it was read of, or is kept no longer, mean nothing.
        whole = self._mark(user, log)
        self._run(
            "DELETE FROM author_mark WHERE user = ? AND log = ? AND"
            " (offset <= ? OR offset < (SELECT first FROM log WHERE name = ?))",
            *(user, log, whole, log),
        )
        return max(whole, offset)

    def _mark(self, user: str, log: str) -> int:
        row = self._one("SELECT offset FROM read_mark WHERE user = ? AND log = ?", user, log)
        return 0 if row is None else int(row[0])

    def read_marks(self, user: str) -> dict[str, int]:
        """See `Engine.read_marks`."""
        return dict(self._run("SELECT log, offset FROM read_mark WHERE user = ?", user))

    def count_unread(self, user: str, heads: Mapping[str, int]) -> dict[str, int]:
        """See `Engine.count_unread`."""
        found = {}
        for log, head in heads.items():
            id_ = self._one("SELECT id FROM log WHERE name = ?", log)
            if id_ is not None:
                base = id_[0] * OFFSETS
                (found[log],) = self._one(
                    "SELECT count(*) FROM (SELECT 1 FROM entry WHERE id BETWEEN ? AND ?"
                    " AND author NOT IN ('', ?) LIMIT ?)",
                    *(base + self._mark(user, log) + 1, base + head, user, MAX_UNREAD),
                )
        return found

    def unread_by_author(self, user: str, log: str, *, until: int) -> list[Unread]:
        """See `Engine.unread_by_author`."""
        row = self._one("SELECT id, epoch FROM log WHERE name = ?", log)
        if row is None:
            return []
        base, epoch = row[0] * OFFSETS, row[1]
        whole = self._mark(user, log)
        sql = "SELECT author, offset FROM author_mark WHERE user = ? AND log = ? AND offset > ?"
        marks: dict[str, int] = dict(self._run(sql, user, log, whole))
        rows = self._run(
            "SELECT author, count(*), max(id) FROM (SELECT id, entry.author FROM entry"
            " LEFT JOIN author_mark AS mark"
            " ON mark.author = entry.author AND mark.user = ? AND mark.log = ?"
            " WHERE id BETWEEN ? AND ? AND entry.author NOT IN ('', ?)"
            " AND id > ? + ifnull(mark.offset, 0) ORDER BY id DESC LIMIT ?) GROUP BY author",
            *(user, log, base + whole + 1, base + until, user, base, MAX_COUNTED),
        )
        latest = {author: (0, base + offset) for author, offset in marks.items()}
        latest |= {author: (count, id_) for author, count, id_ in rows}
        found = []
        for author, (count, id_) in latest.items():
            entry = self._one("SELECT time, data FROM entry WHERE id = ?", id_)
            if entry is not None:
                position = Position(epoch, id_ - base)
                read = marks.get(author, whole)
                found.append(Unread(read, min(count, MAX_UNREAD), Entry(position, *entry)))
        return found

    def marks_of(self, log: str, users: Sequence[str]) -> dict[str, int]:
        """See `Engine.marks_of`."""
        places = ", ".join("?" * len(users))
        sql = f"SELECT user, offset FROM read_mark WHERE log = ? AND user IN ({places})"
        return dict(self._run(sql, log, *users))

    def add_pattern(self, user: str, pattern: str) -> None:
        """See `Engine.add_pattern`."""
        self._run("INSERT OR IGNORE INTO pattern VALUES (?, ?)", user, pattern)

    def remove_pattern(self, user: str, pattern: str) -> None:
        """See `Engine.remove_pattern`."""
        self._run("DELETE FROM pattern WHERE user = ? AND pattern = ?", user, pattern)

    def patterns(self, user: str) -> list[str]:
        """See `Engine.patterns`."""
        rows: Iterable[tuple[str]] = self._run("SELECT pattern FROM pattern WHERE user = ?", user)
        return [pattern for (pattern,) in rows]


USER: Final = "user.id, name, name_key, secret, last_seen"


def _user(row: Any) -> UserRecord:
    id_, name, name_key, secret, last_seen = row
    return UserRecord(id=id_, name=name, name_key=name_key, secret=secret, last_seen=last_seen)
