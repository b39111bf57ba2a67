"""A client of the chat: one connection that comes back by itself, and loses nothing.

What lives here: what an application sees, and going on in each log where it was. The connection is
in `line`, what does for one where WebSocket is blocked in `eventsocket`, and what waits to be
confirmed in `deliveries`. None of them imports anything of the server; the two sides share the
protocol's page alone.

    async with ChatClient("ws://localhost:8765/ws", "Ann") as chat:
        await chat.join("lobby")
        await chat.send("lobby", "Good morning")
        async for event in chat:
            ...
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import rfc6455

from .deliveries import ChatError, Deliveries, Delivery, Receiver
from .line import RETRYABLE, Event, Line, Owner, retry_delay

__all__ = ["ChatClient", "ChatError", "Delivery", "Event"]

REFRESH_BEFORE: Final = 30.0
"""Seconds before the end of a token in which another is asked for."""
MAX_EVENTS: Final = 1024
"""Events that may wait for the application. Then those from logs are left out, and read later."""


@dataclass(slots=True)
class _Log:
    """What we have of a log: a position, or nothing; whether its events come, and are taken."""

    since: Event | None = None
    is_live: bool = False
    is_behind: bool = False
    entered: asyncio.Future[None] | None = None


class ChatClient:
    """A client that stays connected while an ``async with`` block runs.

    Events come by ``async for``: those of the protocol, where events from a log come each once and
    in order; and these:

    - ``connected``: with the answer to ``hello``; again each time that the connection was lost.
    - ``entered``: a room can be heard from here on: ``room``, and ``recovered``: whether the room's
      next event goes on where its last one was, without a gap. Its history follows as events.
    - ``gap``: of the ``inbox`` or the ``notifications`` (``log``), something may be missing here.
    - ``expelled``: we are in a room no longer: ``room``, and as ``code`` why it could not be
      entered again, ``expelled`` for who was put out, or ``left`` for who left it elsewhere.
    - ``disconnected``: ``reason``.

    Args:
        uri: of the server's WebSocket.
        name: of a guest; None for who comes with a token.
        token: gives a token, before each connection and before one ends.
        secret: of a guest who was here before.
        delays: makes the delays between attempts to connect, in seconds.
        max_queued: how many messages may wait to be confirmed.
        is_listening: whether the application takes events. Where it is slow and 1024 wait for it,
            those that are in no log are left out, and the others are read from their logs later.
        has_fallback: whether Server-Sent Events and requests are tried in turn with WebSocket where
            that does not get through. What works is kept to.
        is_coming_back: whether the server is told, at the end, that we will be back: then it keeps
            a guest and the rooms for an hour, for who comes with the ``secret``.
        options: further arguments for `rfc6455.connect`.
    """

    def __init__(
        self,
        uri: str,
        name: str | None = None,
        *,
        token: Callable[[], Awaitable[str]] | None = None,
        secret: str | None = None,
        delays: Callable[[], Iterator[float]] = rfc6455.backoff_delays,
        max_queued: int = 1000,
        is_listening: bool = True,
        has_fallback: bool = True,
        is_coming_back: bool = False,
        options: Event | None = None,
    ) -> None:
        self.name = name
        """The name as the others see it."""
        self.user = ""
        """The user's id."""
        self.secret = secret
        """What a guest has to keep, to be the same one again."""
        owner = Owner(
            self._introduce, self._welcome, self._receive, self._lost, renews=token is not None
        )
        self._line = Line(
            uri,
            owner,
            delays,
            options or {},
            has_fallback=has_fallback,
            is_coming_back=is_coming_back,
        )
        self._token = token
        self._deliveries = Deliveries(max_queued)
        self._is_listening = is_listening
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._rooms: dict[str, _Log] = {}
        self._inbox = _Log()
        self._notifications = _Log()
        self._entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        """Connects, however often that takes.

        Raises:
            ChatError: the server refuses us.
        """
        self._task = asyncio.create_task(self._run())
        try:
            await asyncio.shield(self._entered)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Iterates over events until the client has ended."""
        while (event := await self._events.get()) is not None:
            if self._events.qsize() == MAX_EVENTS // 2:
                self._catch_up()
            yield event

    @property
    def is_online(self) -> bool:
        """Whether there is a connection now."""
        return self._line.is_online

    @property
    def is_fallback(self) -> bool:
        """Whether the latest connection is not a WebSocket, but what does for one."""
        return self._line.is_fallback

    def position(self, room: str) -> Event | None:
        """Returns what we have of a room, to be given to `join` some other day."""
        log = self._rooms.get(room)
        return log.since if log is not None else None

    # What the application asks for

    async def join(self, room: str, since: Event | None = None) -> None:
        """Enters a room, now and after each time that the connection was lost.

        Args:
            room: which one.
            since: what we have of it: see `position`.

        Raises:
            ChatError: it cannot be entered.
        """
        log = self._rooms.setdefault(room, _Log(since))
        if log.entered is None or log.entered.done():
            log.entered = asyncio.get_running_loop().create_future()
        if self._line.is_online:
            self._enter(room, log)
        await asyncio.shield(log.entered)

    async def leave(self, room: str) -> None:
        """Leaves a room for good.

        Raises:
            ChatError: it cannot be left.
        """
        await self.request("leave", room=room)
        self._rooms.pop(room, None)

    def send(self, room: str, text: str) -> Delivery:
        """Says something in a room, as soon as there is a connection, and once.

        Raises:
            ChatError: ``queue_full``.
        """
        return self._deliver(("room", room), {"type": "send", "room": room, "text": text})

    def send_private(self, to: str, text: str) -> Delivery:
        """Says something to one user, as soon as there is a connection, and once.

        Raises:
            ChatError: ``queue_full``.
        """
        return self._deliver(("user", to), {"type": "private", "to": to, "text": text})

    async def request(self, type: str, **fields: Any) -> Event:
        """Sends any command, and returns the answer.

        Raises:
            ChatError: it is refused, or the connection is lost before the answer has come, so that
                    nobody knows whether it was carried out.
        """
        return await self._line.request(type, **fields)

    # The connection

    async def _run(self) -> None:
        self._end(await self._line.run())

    async def _introduce(self) -> Event:
        hello: Event = {"type": "hello", "id": 0, "batch": True}
        if self._token is not None:
            hello["token"] = await self._token()
        elif self.name is not None:
            hello["name"] = self.name
        if self.secret is not None:
            hello["secret"] = self.secret
        if self._inbox.since is not None:
            hello["inbox"] = self._inbox.since
        if self._notifications.since is not None:
            hello["notifications"] = self._notifications.since
        return hello

    async def _welcome(self, answer: Event) -> None:
        """Takes the answer to our hello."""
        self.name, self.user, self.secret = answer["name"], answer["user"], answer["secret"]
        if "expires_in" in answer:
            self._plan_refresh(answer["expires_in"])
        self._tell({**answer, "type": "connected"})
        await self._take_log("inbox", self._inbox, answer["inbox"])
        await self._take_log("notifications", self._notifications, answer["notifications"])
        for room, log in self._rooms.items():
            self._enter(room, log)
        for receiver in self._deliveries.receivers:
            self._transmit(receiver)
        if not self._entered.done():
            self._entered.set_result(None)

    def _lost(self, reason: str) -> None:
        self._tell({"type": "disconnected", "reason": reason})
        for log in self._rooms.values():
            log.is_live = False
        self._deliveries.put_all_back()

    async def _stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._line.hang_up()
        self._end(ChatError("closed", "the client was closed"))

    def _end(self, error: ChatError) -> None:
        for receiver in self._deliveries.receivers:
            self._deliveries.fail(receiver, error)
        for log in self._rooms.values():
            if log.entered is not None and not log.entered.done():
                log.entered.set_exception(error)
        if not self._entered.done():
            self._entered.set_exception(error)
        self._entered.exception()
        self._events.put_nowait(None)

    def _plan_refresh(self, expires_in: float) -> None:
        if self._token is None:
            return
        token = self._token

        async def refresh() -> None:
            with contextlib.suppress(ChatError):
                answer = await self.request("refresh", token=await token())
                self._plan_refresh(answer["expires_in"])

        self._line.later(max(0.0, expires_in - REFRESH_BEFORE), lambda: self._spawn(refresh()))

    def _spawn(self, work: Any) -> None:
        self._refreshing = asyncio.ensure_future(work)

    # Events

    async def _receive(self, event: Event) -> None:
        if event["type"] == "expelled":
            await self._expelled(event)
            return
        log = self._log_of(event)
        is_full = self._events.qsize() >= MAX_EVENTS
        if log is not None and (is_full or log.is_behind):
            # Whoever takes no events may be waiting for an answer, so that reading must go on.
            log.is_behind = True
        elif not is_full and (log is None or self._is_news(log, event)):
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if self._is_listening:
            self._events.put_nowait(event)

    def _catch_up(self) -> None:
        """Reads what was left out, now that there is room for it."""
        for room, log in self._rooms.items():
            if log.is_behind and self._line.is_online:
                self._enter(room, log, is_rest=True)
        for type_, log in (("inbox", self._inbox), ("notifications", self._notifications)):
            if log.is_behind and self._line.is_online:
                self._read_on(type_, log)

    def _log_of(self, event: Event) -> _Log | None:
        if event["type"] in ("message", "edited", "deleted"):
            return self._rooms.get(event["room"])
        return {
            "private": self._inbox,
            "private_edited": self._inbox,
            "private_deleted": self._inbox,
            "notification": self._notifications,
        }.get(event["type"])

    def _is_news(self, log: _Log, event: Event) -> bool:
        """Moves our position in a log; whether the event was not there yet."""
        if log.since is None or event["offset"] <= log.since["offset"]:
            return False
        log.since = {"epoch": log.since["epoch"], "offset": event["offset"]}
        return True

    async def _take_log(self, type: str, log: _Log, part: Event) -> None:
        """Takes a part of the private messages or notifications, and asks for the rest."""
        if log.since is not None and not part["recovered"]:
            self._tell({"type": "gap", "log": type})
        first = log.since is None
        for event in part["history"]:
            if not first or type == "inbox":
                self._tell(event)
        log.since = {"epoch": part["epoch"], "offset": part["offset"]}
        log.is_behind = part["more"] and self._events.qsize() >= MAX_EVENTS
        if part["more"] and not log.is_behind:
            self._read_on(type, log)

    def _read_on(self, type: str, log: _Log) -> None:
        async def take(outcome: Event | ChatError) -> None:
            if not isinstance(outcome, ChatError):
                await self._take_log(type, log, outcome["log"])
            elif outcome.code in RETRYABLE and outcome.code != "connection_lost":
                self._line.later(retry_delay(outcome), lambda: self._read_on(type, log))

        self._line.post({"type": type, "since": log.since}, take)

    # Rooms

    def _enter(self, room: str, log: _Log, *, create: bool = True, is_rest: bool = False) -> None:
        command: Event = {"type": "join", "room": room}
        if log.since is not None:
            command["since"] = log.since

        async def take(outcome: Event | ChatError) -> None:
            if self._rooms.get(room) is not log:
                return
            if not isinstance(outcome, ChatError):
                await self._take_room(room, log, outcome, is_rest=is_rest)
            elif outcome.code == "connection_lost":
                pass
            elif outcome.code in RETRYABLE:
                self._line.later(retry_delay(outcome), lambda: self._enter(room, log))
            elif outcome.code == "no_such_room" and create and log.since is not None:
                # A server without a database has begun anew: whoever comes first makes it again.
                self._line.post({"type": "create_room", "room": room}, enter_again)
            else:
                del self._rooms[room]
                await self._expel(room, log, outcome)

        async def enter_again(outcome: Event | ChatError) -> None:
            if not isinstance(outcome, ChatError) or outcome.code == "room_exists":
                self._enter(room, log, create=False)
            else:
                await take(outcome)

        self._line.post(command, take)

    async def _take_room(self, room: str, log: _Log, answer: Event, *, is_rest: bool) -> None:
        history = answer["history"]
        if not is_rest or not answer["recovered"]:
            about = {key: answer[key] for key in ("recovered", "members", "count", "topic", "read")}
            self._tell({"type": "entered", "room": room, **about})
        if not answer["recovered"]:
            begin = history[0]["offset"] - 1 if history else answer["offset"]
            log.since = {"epoch": answer["epoch"], "offset": begin}
        for event in history:
            if self._is_news(log, event):
                self._tell(event)
        log.since = {"epoch": answer["epoch"], "offset": answer["offset"]}
        log.is_behind = answer["more"] and self._events.qsize() >= MAX_EVENTS
        if log.is_behind:
            return
        if answer["more"]:
            self._enter(room, log, is_rest=True)
            return
        log.is_live = True
        if log.entered is not None and not log.entered.done():
            log.entered.set_result(None)
        self._transmit(("room", room))

    async def _expelled(self, event: Event) -> None:
        """Somebody has put us out, or we have left on another connection: we stay out."""
        log = self._rooms.pop(event["room"], None)
        if log is not None:
            code = "left" if event["by"] == self.name else "expelled"
            await self._expel(event["room"], log, ChatError(code, f"by {event['by']}"))

    async def _expel(self, room: str, log: _Log, error: ChatError) -> None:
        if log.entered is not None and not log.entered.done():
            log.entered.set_exception(error)
        self._deliveries.fail(("room", room), error)
        self._tell({"type": "expelled", "room": room, "code": error.code})

    # Deliveries

    def _deliver(self, receiver: Receiver, command: Event) -> Delivery:
        delivery = self._deliveries.add(receiver, command)
        self._transmit(receiver)
        return delivery

    def _transmit(self, receiver: Receiver) -> None:
        """Sends the next message to a receiver, if it can be sent and none is under way."""
        kind, name = receiver
        is_ready = kind == "user" or (name in self._rooms and self._rooms[name].is_live)
        if not self._line.is_online or not is_ready:
            return
        delivery = self._deliveries.begin(receiver)
        if delivery is None:
            return

        async def settle(outcome: Event | ChatError) -> None:
            if not isinstance(outcome, ChatError):
                self._deliveries.settle(receiver, outcome["offset"])
            elif outcome.code == "connection_lost":
                return
            elif outcome.code in RETRYABLE:
                self._deliveries.put_back(receiver)
                self._line.later(retry_delay(outcome), lambda: self._transmit(receiver))
                return
            else:
                self._deliveries.settle(receiver, outcome)
            self._transmit(receiver)

        self._line.post(delivery.command, settle)
