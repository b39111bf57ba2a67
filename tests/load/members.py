"""Members of the chat's rooms, thousands in one process.

What lives here: clients that speak the chat's protocol, come back by themselves as it asks for, and
hold what they are told against its promise: each message once, in order, without a gap. They use no
client of the chat's, since these do more than a measurement can afford. This file does not know
what happens to the server.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any, Final

import msgspec

from rfc6455 import CallbackWebSocket, Close, Listener, Message, backoff_delays, connect_listener
from rfc6455 import Limits as ConnectionLimits

from .crowd import addresses
from .programs import Answer, obey, raise_file_limit, run

CALM: Final = ConnectionLimits(ping_interval=None, open_timeout=60.0)
HELLO: Final = 0
"""The id of that command; a join has the number of its room, from 1 on."""


class Told(msgspec.Struct):
    """What a member looks at of an event or an answer."""

    type: str
    id: int | None = None
    room: str = ""
    offset: int = 0
    text: str = ""
    epoch: str = ""
    recovered: bool = False
    more: bool = False
    secret: str | None = None
    history: list[Told] = []
    message: str = ""


decode = msgspec.json.Decoder(list[Told] | Told).decode


class Member(Listener):
    """A guest, over all connections."""

    def __init__(self, crowd: Members, name: str, address: str) -> None:
        self.crowd = crowd
        self.name = name
        self.address = address
        self.secret: str | None = None
        self.since: dict[str, tuple[str, int]] = {}
        self.entered = 0
        self.delays = backoff_delays()

    async def connect(self) -> None:
        """Connects, now and again until it succeeds."""
        while True:
            try:
                await connect_listener(
                    self,
                    f"ws://127.0.0.1:{self.crowd.port}/ws",
                    local_addr=(self.address, 0),
                    limits=CALM,
                    extensions=(),
                    proxy=None,
                    one_at_a_time=False,
                )
                return
            except Exception as error:
                self.crowd.failures[f"{type(error).__name__}: {error}"] += 1
                await asyncio.sleep(next(self.delays))

    def on_open(self, websocket: CallbackWebSocket) -> None:
        """Says hello, and joins the rooms without waiting for the answer."""
        self.entered = 0
        hello = {"type": "hello", "id": HELLO, "name": self.name, "batch": True}
        websocket.push(json.dumps(hello | ({"secret": self.secret} if self.secret else {})))
        for number, room in enumerate(self.crowd.rooms, 1):
            join: dict[str, Any] = {"type": "join", "id": number, "room": room}
            if room in self.since:
                epoch, offset = self.since[room]
                join["since"] = {"epoch": epoch, "offset": offset}
            websocket.push(json.dumps(join))

    def on_message(self, websocket: CallbackWebSocket, message: Message) -> None:
        """Takes events and answers."""
        told = decode(message)
        for event in told if isinstance(told, list) else [told]:
            if event.type == "message":
                self._hear(event)
            elif event.type == "ack":
                self._answered(event)
            elif event.type == "error":
                self.crowd.faults[f"error: {event.message}"] += 1

    def on_close(self, websocket: CallbackWebSocket) -> None:
        """Comes back after a while: the one that the server has asked for, or one at random."""
        code = websocket.close_code
        hint = None if code is None else Close(code, websocket.close_reason or "").retry_after
        self.crowd.lost(self, next(self.delays) if hint is None else hint)

    def _answered(self, answer: Told) -> None:
        if answer.id == HELLO:
            self.secret = answer.secret
            return
        if answer.more:
            self.crowd.faults["more was missed than one answer holds"] += 1
        if answer.room not in self.since:
            self.since[answer.room] = answer.epoch, answer.offset
        elif not answer.recovered:
            self.crowd.faults["not recovered"] += 1
        else:
            for event in answer.history:
                self._hear(event)
            if self.since[answer.room] != (answer.epoch, answer.offset):
                self.crowd.faults["the history does not end where it says"] += 1
        self.entered += 1
        if self.entered == len(self.crowd.rooms):
            self.delays = backoff_delays()
            self.crowd.came_in()

    def _hear(self, event: Told) -> None:
        epoch, offset = self.since[event.room]
        if event.offset != offset + 1:
            self.crowd.faults[f"{event.offset} after {offset}"] += 1
        self.since[event.room] = epoch, event.offset
        self.crowd.heard(event)


class Members:
    """All members of the process, and the answers to a scenario's questions."""

    def __init__(self, number: int, port: int, rooms: list[str]) -> None:
        self.number = number
        self.port = port
        self.rooms = rooms
        self.addresses = addresses(number)
        self.members: list[Member] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.faults: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.latencies: list[int] = []
        self.present = self.losses = self.awaited = self.wanted = 0
        self.times: list[float] = []
        self.end = 0.0
        self.all_in = asyncio.Event()
        self.complete = asyncio.Event()

    async def enter(self, count: int, at_once: int) -> Answer:
        """Has so many come in."""
        numbers = iter(range(count))
        self.expect_in(count)

        async def some() -> None:
            for number in numbers:
                name = f"member-{self.number}-{number}"
                self.members.append(Member(self, name, next(self.addresses)))
                await self.members[-1].connect()

        await asyncio.gather(*(some() for _ in range(at_once)))
        await self.all_in.wait()
        return await self.state()

    async def state(self) -> Answer:
        """Tells what there is at this moment."""
        return {
            "present": self.present,
            "losses": self.losses,
            "faults": dict(self.faults),
            "failures": dict(self.failures),
        }

    # Coming and going

    def expect_in(self, count: int) -> None:
        """Waits from now on for so many to come in."""
        self.awaited = count
        self.times = []
        self.all_in.clear()

    def came_in(self) -> None:
        """Takes note of a member who is in all rooms."""
        self.present += 1
        self.times.append(time.monotonic())
        if len(self.times) == self.awaited:
            self.all_in.set()

    def lost(self, member: Member, delay: float) -> None:
        """Takes note of one who has lost the connection, and lets them come back."""
        self.losses += 1
        if member.entered == len(self.rooms):
            self.present -= 1
        member.entered = 0

        async def come_back() -> None:
            await asyncio.sleep(delay)
            await member.connect()

        task = asyncio.create_task(come_back())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def expect_back(self) -> Answer:
        """Begins to wait for all to come back."""
        self.expect_in(len(self.members))
        return {}

    async def back(self) -> Answer:
        """Tells when each came back, once all have."""
        await self.all_in.wait()
        return {**await self.state(), "times": self.times}

    # Messages

    def heard(self, event: Told) -> None:
        """Takes note of a message that one of them got."""
        sent = int(event.text.partition(" ")[0])
        self.latencies.append((time.monotonic_ns() - sent) // 1000)
        if len(self.latencies) == self.wanted:
            self.end = time.monotonic()
            self.complete.set()

    async def expect(self, messages: int) -> Answer:
        """Forgets the messages so far; `collect` will wait until all members have so many."""
        self.latencies = []
        self.wanted = messages * len(self.members)
        self.complete.clear()
        return {}

    async def collect(self) -> Answer:
        """Tells how long each message was on its way, in microseconds, once all have come."""
        await self.complete.wait()
        return {"latencies": self.latencies, "end": self.end}


async def main(options: Answer) -> None:
    """Obeys the scenario."""
    raise_file_limit()
    members = Members(options["number"], options["port"], options["rooms"])
    names = ("enter", "state", "expect_back", "back", "expect", "collect")
    await obey({name: getattr(members, name) for name in names})


if __name__ == "__main__":
    run(main)
