"""The gate between connections and the chat: who comes in, how often they act, until when.

What lives here: the visitors who are connected, the first message of those who have to say who they
are, the rates, and the end of those who may no longer stay. This file does not know what commands
do, nor where tokens and passwords are judged.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import rfc6455

from . import names, protocol
from .auth import Authority
from .limits import Limiter, Rate, publish_cost
from .metrics import Metrics
from .protocol import CommandError
from .tokens import Identity, TokenError
from .wire import Wire

__all__ = ["FORBIDDEN", "UNAUTHENTICATED", "Gate", "Visitor"]

UNAUTHENTICATED: Final = 4401
"""Close code: no token, or one that is not or no longer accepted. Come back with another."""
FORBIDDEN: Final = 4403
"""Close code: put out by a moderator. Do not come back by yourself."""
RATE_LIMITED: Final = 4429
"""Close code: commands went on after many refusals."""

HELLO_TIMEOUT: Final = 10.0
MAX_HELLO_SIZE: Final = 4096
MAX_REFUSALS: Final = 100
"""Commands in a row that are refused for their rate, until the connection is closed."""

COMMAND_COST: Final = 1.0
NO_RATE: Final = Rate(0, 0)

logger = logging.getLogger("rfc6455.chat")


@dataclass(eq=False, slots=True)
class Visitor:
    """A connection, and who has come in over it.

    Attributes:
        websocket: the connection; None in tests without one.
        id: names the connection in the log.
        address: what counts as one address.
        identity: who it is; None before ``hello``, for a guest.
        commands: how many have come.
        refusals: how many commands in a row were refused for their rate.
        leaving: closes the connection, once somebody has to go.
    """

    websocket: Wire | None = None
    id: str = ""
    address: str = ""
    identity: Identity | None = None
    commands: int = 0
    refusals: int = 0
    leaving: asyncio.Task[None] | None = field(default=None, repr=False)


class Gate:
    """Everybody who is connected, and what holds for them.

    Args:
        authority: judges who somebody is.
        limiter: the rates of commands.
        max_message_size: of those who have come in, in bytes.
        hello_timeout: seconds for the first message where a token is required.
        metrics: counts what comes and what is refused.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        authority: Authority | None = None,
        limiter: Limiter | None = None,
        *,
        max_message_size: int = 64 * 1024,
        hello_timeout: float = HELLO_TIMEOUT,
        metrics: Metrics | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.authority = Authority() if authority is None else authority
        self._limiter = limiter or Limiter(connection=NO_RATE, user=NO_RATE, address=NO_RATE)
        self._max_message_size = max_message_size
        self._hello_timeout = hello_timeout
        self._metrics = Metrics({}) if metrics is None else metrics
        self._now = now
        self._ids = itertools.count(1)
        self._visitors: set[Visitor] = set()
        self._changes = self.authority.accounts.changes

    def __len__(self) -> int:
        return len(self._visitors)

    @property
    def visitors(self) -> Iterable[Visitor]:
        """Everybody who is connected."""
        return tuple(self._visitors)

    @property
    def first_message_size(self) -> int:
        """How large a message may be before somebody has come in, in bytes."""
        return MAX_HELLO_SIZE if self.authority.required else self._max_message_size

    # Coming and going

    def receive(self, websocket: Wire, address: str) -> Visitor:
        """Takes note of a connection; to be called before anything is received from it.

        Raises:
            TokenError: the request had a token that is no longer accepted.
        """
        request = websocket.request
        assert request is not None
        visitor = Visitor(websocket, f"{next(self._ids):x}", address)
        visitor.identity = self.authority.from_request(request)
        if visitor.identity is not None:
            websocket.set_max_message_size(self._max_message_size)
        self._visitors.add(visitor)
        return visitor

    def leave(self, visitor: Visitor) -> None:
        """Forgets a connection that has ended."""
        self._visitors.discard(visitor)

    async def first_message(self, visitor: Visitor) -> rfc6455.Message | None:
        """Waits for somebody who has to say who it is, and does.

        Returns:
            The first message, a ``hello`` with a token that is accepted; None when nobody has to.

        Raises:
            CommandError: it was something else. Nothing more is to be received.
        """
        if visitor.identity is not None or not self.authority.required:
            return None
        assert visitor.websocket is not None
        try:
            async with asyncio.timeout(self._hello_timeout):
                message = await visitor.websocket.recv()
        except TimeoutError:
            raise CommandError("unauthenticated", "no token in time") from None
        command = protocol.decode(message)
        if not isinstance(command, protocol.Hello) or not command.token:
            raise CommandError("unauthenticated", "say hello with a token first", command.id)
        visitor.identity = self._identify(command.token, command.id)
        visitor.websocket.set_max_message_size(self._max_message_size)
        return message

    # What the chat asks

    def enter(self, visitor: Visitor, hello: protocol.Hello) -> Identity:
        """Returns who says hello; where the chat lets them in, that is the visitor's identity.

        Raises:
            CommandError: ``unauthenticated``, ``name_taken`` or ``invalid_name``.
        """
        name = hello.name or ""
        if hello.token:
            identity = self._identify(hello.token)
            self._check_same(visitor, identity)
        elif visitor.identity is not None:
            identity = visitor.identity
        elif self.authority.required:
            raise CommandError("unauthenticated", "this server asks for a token")
        else:
            identity = self.authority.guest(name)
        if name and names.name_key(name) != identity.key:
            raise CommandError("invalid_name", "the token is for another name")
        return identity

    def refresh(self, visitor: Visitor, token: str) -> float:
        """Lets somebody stay with a new token; returns for how many seconds.

        Raises:
            CommandError: ``unauthenticated``: it is not accepted, or somebody else's.
        """
        identity = self._identify(token)
        self._check_same(visitor, identity)
        visitor.identity = identity
        return self.expires_in(identity) or 0.0

    def expires_in(self, identity: Identity) -> float | None:
        """Returns for how many seconds somebody may stay; None for ever."""
        if identity.expires is None:
            return None
        return max(0.0, round(identity.expires - self.authority.clock(), 3))

    def count(self, visitor: Visitor, command: protocol.AnyCommand | None) -> None:
        """Counts a command that has come; None stands for what is none, and costs as much.

        Raises:
            CommandError: ``rate_limited``, with ``retry_after``.
        """
        visitor.commands += 1
        kind = "none" if command is None else command.__struct_config__.tag
        self._metrics.commands.count(str(kind))
        self.pay(visitor, COMMAND_COST)

    def count_refused(self, visitor: Visitor, error: CommandError) -> None:
        """Counts a command that was refused."""
        self._metrics.refused.count(error.code)

    def pay(self, visitor: Visitor, cost: float) -> None:
        """Has somebody pay for what they do.

        Raises:
            CommandError: ``rate_limited``, with ``retry_after``.
        """
        held = self._limiter.pay(
            cost,
            self._now() if self._now else asyncio.get_running_loop().time(),
            connection=visitor.id,
            user=visitor.identity.key if visitor.identity else "",
            address=visitor.address,
        )
        if held is None:
            visitor.refusals = 0
            return
        scope, seconds = held
        visitor.refusals += 1
        if visitor.refusals >= MAX_REFUSALS:
            self.dismiss(visitor, RATE_LIMITED, "too many commands")
        raise CommandError(
            "rate_limited",
            f"too much from this {scope}; wait {seconds:.1f} seconds",
            retry_after=round(seconds, 3),
        )

    def pay_for_publishing(self, visitor: Visitor, receivers: int) -> None:
        """Has somebody pay for handing a message to so many.

        Raises:
            CommandError: ``rate_limited``, with ``retry_after``.
        """
        self.pay(visitor, publish_cost(receivers))

    # The end

    def sweep(self) -> None:
        """Puts out those whose token has expired or is revoked; to be called every few seconds."""
        now = self.authority.clock()
        # To ask about each of thousands would hold everybody up, and mostly nothing has changed.
        changes = self.authority.accounts.changes
        is_news, self._changes = changes != self._changes, changes
        for visitor in tuple(self._visitors):
            identity = visitor.identity
            if identity is None or identity.expires is None:
                continue
            if identity.expires <= now or (is_news and not self.authority.holds(identity)):
                self.dismiss(visitor, UNAUTHENTICATED, "the token has ended")

    def dismiss_user(self, name: str, code: int, reason: str) -> int:
        """Puts out all connections of a user; returns how many there were."""
        key = names.name_key(name)
        found = [
            visitor
            for visitor in self._visitors
            if visitor.identity is not None and visitor.identity.key == key
        ]
        for visitor in found:
            self.dismiss(visitor, code, reason)
        return len(found)

    def dismiss_login(self, session: str, code: int, reason: str) -> None:
        """Puts out all connections of a login."""
        for visitor in tuple(self._visitors):
            if session and visitor.identity is not None and visitor.identity.session == session:
                self.dismiss(visitor, code, reason)

    def dismiss(self, visitor: Visitor, code: int, reason: str) -> None:
        """Begins to close a connection; what it sends from here on is not looked at."""
        if visitor.websocket is None or visitor.leaving is not None:
            return
        logger.info("connection %s is put out: %s", visitor.id, reason)
        visitor.leaving = asyncio.create_task(visitor.websocket.close(code, reason))

    def _identify(self, token: str, id: protocol.RequestId | None = None) -> Identity:
        try:
            return self.authority.verify(token)
        except TokenError as error:
            self._metrics.unauthenticated.count(error.reason)
            raise CommandError(
                "unauthenticated", f"the token is not accepted: {error.reason}", id
            ) from error

    def _check_same(self, visitor: Visitor, identity: Identity) -> None:
        known = visitor.identity
        if known is not None and known.key != identity.key:
            raise CommandError("unauthenticated", "the token is for somebody else")
