"""The receiving half of an open WebSocket on asyncio.

What lives here: from a read to whoever takes its messages, how many at a time, and when the next
read may come. This file does not know about sending, closing or time, nor who takes the messages.
"""

from __future__ import annotations

import asyncio
import sys
from abc import abstractmethod
from contextlib import suppress
from typing import Final

from ..budget import MemoryBudget
from ..close import Close
from ..connection import SERVER, Connection
from ..events import Closed, Event, Fault, Fragment, Message, Pong
from ..extensions.base import SHARE
from ..observer import Observer
from ..state import OPEN
from .channel import BATCH, LARGE_READ, depart
from .outgoing import Outgoing
from .turns import take_turn

__all__ = ["Receiving"]

PIECE: Final = 4 * 1024
"""Bytes that are taken at a time where an extension may make much more of them."""


class Receiving(Outgoing):
    """What receives, on a transport."""

    __slots__ = (
        "_backlog",
        "_budget",
        "_closing",
        "_ended",
        "_expands",
        "_held",
        "_reading_paused",
        "_turn_over",
    )

    def __init__(
        self,
        core: Connection,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        budget: MemoryBudget,
        observer: Observer | None,
    ) -> None:
        super().__init__(core, transport, loop, observer)
        self._expands = bool(core.extensions)
        self._budget = budget
        self._charged = 0
        self._held = b""
        self._backlog: list[Message | Fragment] = []
        self._ended = False
        self._reading_paused = False
        self._turn_over = False
        self._closing = False

    # Who takes the messages

    @abstractmethod
    def _deliver(self, messages: list[Message | Fragment], size: int) -> None:
        """Takes messages, ``size`` bytes in all."""

    @abstractmethod
    def _deliver_end(self) -> None:
        """Takes that nothing more will come; answers it, where nothing can be under way."""

    def _may_read(self) -> bool:
        """Tells whether reading may go on."""
        return not self._backlog and not self._turn_over

    # Who deals with all else

    @abstractmethod
    def _accept_pong(self, payload: bytes) -> None:
        """Takes a Pong."""

    @abstractmethod
    def _fail_pings(self) -> None:
        """Takes that no Pong comes any more."""

    @abstractmethod
    def _after_closing_step(self) -> None:
        """Takes that the connection has come nearer to its end."""

    @abstractmethod
    def _set_timer(self) -> None:
        """Takes that something may be due earlier than before."""

    # Receiving

    def _receive_read(
        self, data: bytes, position: int = 0, events: list[Event] | None = None
    ) -> None:
        if self._flush_scheduled:
            self._flush()
        self._batching = True
        try:
            # A shortcut has taken nothing of it: it leaves such reads alone.
            if self._expands and len(data) > PIECE:
                self._receive_in_pieces(data)
            else:
                self._receive(data, position, events)
        except BaseException:
            # The loop may not come to its next turn.
            self._end_batch()
            raise
        self._batching = False
        if self._expands and len(data) > PIECE:
            # It took longer than to wake the peer does.
            self._flush()
        elif self._core.frames_to_send:
            self._schedule_flush()
        self._after_read()
        if len(data) >= LARGE_READ:
            self._yield_turn()

    def _after_read(self) -> None:
        if self._core.state is not OPEN:
            # A reader that has answered a Close at once has done it all.
            if not self._transport.is_closing():
                self._after_closing_step()
        else:
            self._settle()

    def _receive_in_pieces(self, data: bytes) -> None:
        # A kilobyte can become a megabyte: one read must not fill the queue many times over.
        position = 0
        while position < len(data) and not self._reading_paused:
            events: list[Event] = []
            start, position = position, self._core.take_run(data, position, events)
            if position > start:
                self._receive(data[start:position], position - start, events)
                if len(events) >= BATCH:
                    self._rest()
            else:
                position += PIECE
                self._receive(data[start:position])
        self._held += data[position:]

    def _receive(self, data: bytes, position: int = 0, events: list[Event] | None = None) -> None:
        core = self._core
        now = self._loop.time()
        if events is None:
            events = core.receive_data(data, now)
        else:
            events = core.receive_rest(data, position, events, now)
        if self._observer is not None:
            self._observer.received(self, data, events, core.count_frames(events))
        # What earlier reads have brought counts, too.
        counted = self._expands or self._charged
        if core.incomplete_size != self._charged:
            self._charge(core.incomplete_size)
        if not core.only_messages:
            self._sort(events)
        # Once closing has begun nothing more is kept.
        elif events and not self._closing:
            self._hand_out(
                events,  # type: ignore[arg-type]
                sum(map(len, events)) if counted else len(data),  # type: ignore[arg-type]
            )

    def _charge(self, size: int) -> None:
        self._charged = size
        self._budget.charge(self, size)

    def give_way(self) -> None:
        """Ends the connection with 1013, so that others have room; see `MemoryBudget`."""
        # Not in the middle of what brought this about, which may be somebody else's read, in
        # another thread. A loop that was closed has left its connections as they were.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._give_way)

    def _give_way(self) -> None:
        self._sort(self._core.give_way(self._loop.time()))
        self._after_closing_step()

    def _sort(self, events: list[Event]) -> None:
        """Deals with events other than messages; hands out the messages, in their order."""
        messages: list[Message | Fragment] = []
        size = 0
        for event in events:
            if isinstance(event, (str, bytes)):
                messages.append(event)
                size += len(event)
            elif isinstance(event, Fragment):
                messages.append(event)
                size += len(event.data)
            elif isinstance(event, Pong):
                self._accept_pong(event.payload)
            elif isinstance(event, (Close, Fault, Closed)):
                self._ended = True
                if self._observer is not None:
                    self._observe_end(event)
        if len(events) - len(messages) > BATCH:
            self._rest()
        if messages and not self._closing:
            self._hand_out(messages, size)
        if self._ended:
            self._fail_pings()
            if not self._backlog:
                self._deliver_end()

    def _hand_out(self, messages: list[Message | Fragment], size: int) -> None:
        if self._expands and size >= SHARE:
            self._rest()
        if len(messages) <= BATCH and not self._backlog:
            self._deliver(messages, size)
            return
        # A flood of tiny messages must not keep other connections waiting: some now, and the rest
        # in later turns of the loop.
        if not self._backlog:
            self._loop.call_soon(self._hand_out_more)
            self._deliver(messages[:BATCH], size)
            messages = messages[BATCH:]
        self._backlog += messages
        self._settle()
        self._pause_reading()

    def _hand_out_more(self) -> None:
        # Whoever said one thing in this turn is answered before the rest of a flood.
        depart(self._leaving)
        messages = self._backlog[:BATCH]
        del self._backlog[:BATCH]
        self._batching = True
        try:
            self._deliver(messages, 0)
        finally:
            self._end_batch()
        if self._backlog:
            self._loop.call_soon(self._hand_out_more)
        elif self._ended:
            self._deliver_end()
            self._after_closing_step()
        else:
            self._settle()
            self._read_again()

    def _end_batch(self) -> None:
        self._batching = False
        self._flush()

    def _observe_end(self, event: Close | Fault | Closed) -> None:
        assert self._observer is not None
        if isinstance(event, Fault):
            self._observer.fault(self, event.error)
        elif isinstance(event, Closed):
            self._observer.closed(self, event.code)

    def _pause_reading(self) -> None:
        # Once closing has begun the end must not wait to be read.
        if not self._reading_paused and self._core.state is OPEN:
            self._reading_paused = True
            self._core.pause_reading()
            self._transport.pause_reading()

    def _yield_turn(self) -> None:
        # An event loop may go on reading as long as a peer goes on sending: libuv does, 32 times.
        if not self._reading_paused and self._core.state is OPEN:
            self._turn_over = True
            self._pause_reading()
            self._loop.call_soon(self._begin_turn)

    def _rest(self) -> None:
        # Work that takes long, and that a peer has made: of all such peers, one at a time.
        if not self._turn_over and self._core.state is OPEN:
            self._turn_over = True
            self._pause_reading()
            take_turn(self._loop, self._begin_turn)

    def _begin_turn(self) -> None:
        self._turn_over = False
        self._read_again()

    def _read_again(self) -> None:
        if self._reading_paused and self._may_read():
            self._resume_reading()

    def _resume_reading(self) -> None:
        self._reading_paused = False
        self._core.resume_reading(self._loop.time())
        if self._held:
            data, self._held = self._held, b""
            self._receive_in_pieces(data)
            if self._core.state is OPEN and not self._batching:
                self._schedule_flush()
            self._after_read()
            if self._reading_paused:
                return
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._set_timer()

    # The short way

    def _settle(self) -> None:
        """Says anew which messages may take the short way."""
        core = self._core
        if core.state is not OPEN:
            self._allow_shortcuts(False, 0, core.role is SERVER, 0, 0, 0, None)
            return
        observed = self._observer is not None
        self._allow_shortcuts(
            core.at_boundary and not observed and not self._backlog and not self._closing,
            PIECE if self._expands else sys.maxsize,
            core.role is SERVER,
            core.whole_limit,
            0 if observed else core.plain_below,
            0 if observed else core.mark,
            core.unwrap,
        )
