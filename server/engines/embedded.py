"""The engine for one process: SQLite, and subscribers in the same process.

What lives here: what is kept where, who is present, and who hears of what was appended. The SQL is
in `store`. The threads that work with the database are in `worker`: one writes, and commits
together what has queued up, so that a disk that takes a millisecond for each commit still takes
many thousand messages in a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from .base import (
    EVERYWHERE,
    Append,
    Appended,
    Engine,
    EngineError,
    Entry,
    Page,
    Position,
    Presence,
    RoomRecord,
    Subscriber,
    Unread,
    UserRecord,
)
from .store import Store
from .worker import Worker, explain

__all__ = ["EmbeddedEngine"]


class EmbeddedEngine(Engine):
    """Keeps everything in SQLite, and tells subscribers in this process.

    Args:
        path: of the database; None for one in memory, which ends with the process.
        durability: what is acknowledged survives the end of the process, however sudden
            (``normal``), or that of the machine's power, too (``full``), which costs a wait for the
            disk.
        kept: how many entries of each log are kept.
        kept_seconds: how long entries are kept: by the clock, but for no less time than has passed.
            A clock that is put ahead while the chat runs makes nothing old.
        key_seconds: for how long the key of an append keeps another append with the same key from
            taking effect. It counts while the chat runs: the machine's clock may be set, and the
            chat may be stopped for a week.
        busy_seconds: how long to wait while another program has locked the database.
        clock: the time, in seconds since 1970.
        monotonic: seconds that nobody sets.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        durability: str = "normal",
        kept: int = 10_000,
        kept_seconds: float = 30 * 86400,
        key_seconds: float = 86400,
        busy_seconds: float = 1.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._durability = durability
        self._kept = kept
        self._kept_seconds = kept_seconds
        self._key_seconds = key_seconds
        self._busy_seconds = busy_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._started = 0.0
        self._began = clock(), monotonic()
        self._subscribers: dict[str, list[Subscriber]] = {}
        self._present: dict[str, dict[str, tuple[str, int]]] = {}
        # By name: after a restart thousands take theirs at the same time.
        self._claiming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._owner: sqlite3.Connection | None = None

    @property
    def fault(self) -> str | None:
        """See `Engine.fault`."""
        return self._writer.fault or self._reader.fault

    async def start(self) -> None:
        """See `Engine.start`."""
        try:
            self._owner = self._own()
            self._writer = Worker("chat-writer", self._open, writing=True)
            # Readers do not wait for the writer. In memory there is but one connection.
            self._reader = (
                self._writer
                if self._path is None
                else Worker("chat-reader", self._open, writing=False)
            )
        except sqlite3.Error as error:
            raise EngineError(explain(error)) from error
        now = self._milliseconds()
        uptime = await self._writer.call(lambda store: store.start(_boot(), now))
        self._started = self._monotonic() - uptime

    async def close(self) -> None:
        """See `Engine.close`."""
        with contextlib.suppress(EngineError):
            await self._writer.call(Store.stop)
        if self._reader is not self._writer:
            await self._reader.close()
        await self._writer.close()
        if self._owner is not None:
            self._owner.close()

    def _open(self) -> Store:
        return Store(self._path, self._durability, self._busy_seconds)

    def _own(self) -> sqlite3.Connection | None:
        """Keeps other processes from the same database: they would not hear of each other's."""
        if self._path is None:
            return None
        owner = sqlite3.connect(f"{self._path}-owner", timeout=0, isolation_level=None)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error:
            owner.close()
            raise
        return owner

    # Logs

    async def create_log(self, log: str) -> None:
        """See `Engine.create_log`."""
        await self._writer.call(lambda store: store.create_log(log))

    async def append(self, *appends: Append) -> Sequence[Appended]:
        """See `Engine.append`."""

        def operation(store: Store) -> Sequence[Appended]:
            return store.append(
                appends, time=self._milliseconds(), uptime=self._uptime(), kept=self._kept
            )

        return await self._writer.call(operation, functools.partial(self._tell, appends))

    def _tell(self, appends: Sequence[Append], appended: Sequence[Appended]) -> None:
        for append, where in zip(appends, appended, strict=True):
            if where.is_new:
                entry = Entry(where.position, where.time, append.data)
                for subscriber in list(self._subscribers.get(append.log, ())):
                    subscriber.appended(append.log, entry)

    async def read(self, log: str, *, after: int, limit: int) -> Page:
        """See `Engine.read`."""
        return await self._reader.call(lambda store: store.read(log, after=after, limit=limit))

    async def read_back(self, log: str, *, before: int | None, limit: int) -> Page:
        """See `Engine.read_back`."""
        return await self._reader.call(
            lambda store: store.read_back(log, before=before, limit=limit)
        )

    async def heads(self, logs: Iterable[str]) -> dict[str, Position]:
        """See `Engine.heads`."""
        return await self._reader.call(lambda store: store.heads(logs))

    async def trim(self) -> None:
        """See `Engine.trim`."""
        clock, monotonic = self._began
        now = min(self._clock(), clock + self._monotonic() - monotonic)
        before = int((now - self._kept_seconds) * 1000)
        uptime = self._uptime() - self._key_seconds
        await self._writer.call(lambda store: store.trim(before=before, uptime=uptime))

    def subscribe(self, log: str, subscriber: Subscriber) -> None:
        """See `Engine.subscribe`."""
        self._subscribers.setdefault(log, []).append(subscriber)

    def unsubscribe(self, log: str, subscriber: Subscriber) -> None:
        """See `Engine.unsubscribe`."""
        subscribers = self._subscribers.get(log, [])
        if subscriber in subscribers:
            subscribers.remove(subscriber)
        if not subscribers:
            self._subscribers.pop(log, None)

    def signal(self, log: str, data: bytes) -> None:
        """See `Engine.signal`."""
        for subscriber in list(self._subscribers.get(log, ())):
            subscriber.signalled(log, data)

    # Rooms and their members

    async def create_room(self, room: RoomRecord, log: str) -> bool:
        """See `Engine.create_room`."""
        return await self._writer.call(lambda store: store.create_room(room, log))

    async def describe_room(self, name: str, topic: str) -> None:
        """See `Engine.describe_room`."""
        await self._writer.call(lambda store: store.describe_room(name, topic))

    async def set_rules(self, name: str, rules: bytes) -> None:
        """See `Engine.set_rules`."""
        await self._writer.call(lambda store: store.set_rules(name, rules))

    async def remove_room(self, name: str, log: str) -> bool:
        """See `Engine.remove_room`."""
        return await self._writer.call(lambda store: store.remove_room(name, log))

    async def rooms(self) -> Sequence[RoomRecord]:
        """See `Engine.rooms`."""
        return await self._reader.call(Store.rooms)

    async def add_member(self, room: str, user: str) -> bool:
        """See `Engine.add_member`."""
        return await self._writer.call(lambda store: store.add_member(room, user))

    async def remove_member(self, room: str, user: str) -> bool:
        """See `Engine.remove_member`."""
        return await self._writer.call(lambda store: store.remove_member(room, user))

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[UserRecord]:
        """See `Engine.members`."""
        return await self._reader.call(lambda store: store.members(room, after=after, limit=limit))

    async def member_count(self, room: str) -> int:
        """See `Engine.member_count`."""
        return await self._reader.call(lambda store: store.member_count(room))

    async def rooms_of(self, user: str) -> Sequence[str]:
        """See `Engine.rooms_of`."""
        return await self._reader.call(lambda store: store.rooms_of(user))

    # Users

    async def claim(self, user: UserRecord, inbox: str) -> bool:
        """See `Engine.claim`."""
        async with self._claiming.setdefault(user.name_key, asyncio.Lock()):
            holder = await self._writer.call(lambda store: store.find_user(user.name_key))
            if holder is not None and holder.id != user.id and self._is_at(EVERYWHERE, holder.id):
                return False
            # Who comes back under the same name needs nothing to be written, also on a full disk.
            if holder is None or replace(holder, last_seen=user.last_seen) != user:
                now = self._milliseconds()
                await self._writer.call(lambda store: store.save_user(user, inbox, now))
            await self.arrive(EVERYWHERE, user)
            return True

    async def user(self, id: str) -> UserRecord | None:
        """See `Engine.user`."""
        return await self._reader.call(lambda store: store.user(id))

    async def find_user(self, name_key: str) -> UserRecord | None:
        """See `Engine.find_user`."""
        return await self._reader.call(lambda store: store.find_user(name_key))

    async def forget_user(self, id: str, inbox: str) -> None:
        """See `Engine.forget_user`."""
        await self._writer.call(lambda store: store.forget_user(id, inbox))

    async def guests_before(self, last_seen: int) -> Sequence[UserRecord]:
        """See `Engine.guests_before`."""
        guests = await self._reader.call(lambda store: store.guests_before(last_seen))
        return [guest for guest in guests if not self._is_at(EVERYWHERE, guest.id)]

    # Presence

    async def arrive(self, place: str, user: UserRecord) -> Presence:
        """See `Engine.arrive`."""
        here = self._present.setdefault(place, {})
        name, connections = here.get(user.id, (user.name, 0))
        here[user.id] = name, connections + 1
        return Presence(len(here), not connections)

    async def depart(self, place: str, user: UserRecord) -> Presence:
        """See `Engine.depart`."""
        here = self._present.get(place, {})
        name, connections = here.get(user.id, (user.name, 0))
        if connections > 1:
            here[user.id] = name, connections - 1
            return Presence(len(here), False)
        here.pop(user.id, None)
        if not here:
            self._present.pop(place, None)
        if place == EVERYWHERE:
            now = self._milliseconds()
            await self._writer.call(lambda store: store.set_last_seen(user.id, now))
        return Presence(len(here), bool(connections))

    async def present(self, place: str, users: Iterable[str]) -> set[str]:
        """See `Engine.present`."""
        return self._present.get(place, {}).keys() & set(users)

    async def names_at(self, place: str, limit: int) -> Sequence[str]:
        """See `Engine.names_at`."""
        here = self._present.get(place, {})
        return [name for name, _ in itertools.islice(here.values(), limit)]

    def _is_at(self, place: str, user: str) -> bool:
        return user in self._present.get(place, ())

    # What users have read and subscribed to

    async def mark_read(self, user: str, log: str, offset: int, *, author: str = "") -> int:
        """See `Engine.mark_read`."""
        return await self._writer.call(
            lambda store: store.mark_read(user, log, offset, author=author)
        )

    async def read_marks(self, user: str) -> dict[str, int]:
        """See `Engine.read_marks`."""
        return await self._reader.call(lambda store: store.read_marks(user))

    async def count_unread(self, user: str, heads: Mapping[str, int]) -> dict[str, int]:
        """See `Engine.count_unread`."""
        return await self._reader.call(lambda store: store.count_unread(user, heads))

    async def unread_by_author(self, user: str, log: str, *, until: int) -> Sequence[Unread]:
        """See `Engine.unread_by_author`."""
        return await self._reader.call(lambda store: store.unread_by_author(user, log, until=until))

    async def marks_of(self, log: str, users: Iterable[str]) -> dict[str, int]:
        """See `Engine.marks_of`."""
        return await self._reader.call(lambda store: store.marks_of(log, list(users)))

    async def add_pattern(self, user: str, pattern: str) -> None:
        """See `Engine.add_pattern`."""
        await self._writer.call(lambda store: store.add_pattern(user, pattern))

    async def remove_pattern(self, user: str, pattern: str) -> None:
        """See `Engine.remove_pattern`."""
        await self._writer.call(lambda store: store.remove_pattern(user, pattern))

    async def patterns(self, user: str) -> Sequence[str]:
        """See `Engine.patterns`."""
        return await self._reader.call(lambda store: store.patterns(user))

    def _milliseconds(self) -> int:
        return int(self._clock() * 1000)

    def _uptime(self) -> float:
        return self._monotonic() - self._started


def _boot() -> str:
    """Names this run of the machine; where it cannot be told, every start counts as another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{time.time():.0f}"
