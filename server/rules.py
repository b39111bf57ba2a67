"""Who may do what in a room.

What lives here: the rules of one room, what follows from them for somebody, and how they are kept.
Pure and synchronous. This file does not know who is connected.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from .protocol import CommandError
from .tokens import Role

__all__ = ["RULES", "Access", "Change", "Rules", "person"]

RULES: Final = "rules"
"""Where nodes tell each other about the rules of rooms."""
MAX_PEOPLE: Final = 1000
"""People whom one list of a room's rules names."""


class Access(StrEnum):
    """To whom a room is open.

    ``public``: everybody. ``members``: those who were invited, and those who are members already.
    ``read_only``: everybody may listen, and its moderators speak.
    """

    PUBLIC = "public"
    MEMBERS = "members"
    READ_ONLY = "read_only"


class Rules(msgspec.Struct, omit_defaults=True):
    """The rules of a room. People are named by what `person` returns.

    Attributes:
        owner: who made it; always a moderator.
        access: to whom it is open.
        moderators: who else looks after it.
        invited: who may come in while it is not open to everybody.
        banned: who may not come in at all.
    """

    owner: str = ""
    access: Access = Access.PUBLIC
    moderators: set[str] = msgspec.field(default_factory=set)
    invited: set[str] = msgspec.field(default_factory=set)
    banned: set[str] = msgspec.field(default_factory=set)

    @classmethod
    def read(cls, data: bytes) -> Rules:
        """Returns the rules that were kept; of nothing, those of a room that is open to all."""
        return msgspec.json.decode(data, type=cls) if data else cls()

    def kept(self) -> bytes:
        """Returns what is to be kept."""
        return msgspec.json.encode(self)

    def is_moderator(self, who: str, role: Role) -> bool:
        """Tells whether somebody looks after the room: here, or everywhere."""
        return role >= Role.MODERATOR or who == self.owner or who in self.moderators

    def standing(self, who: str) -> str:
        """Returns what somebody is in the room: ``owner``, ``moderator``, or nothing."""
        return "owner" if who == self.owner else "moderator" if who in self.moderators else ""

    def check_join(self, who: str, role: Role, *, is_member: bool) -> None:
        """Sees that somebody may come in.

        Raises:
            CommandError: ``forbidden``.
        """
        if self.is_moderator(who, role):
            return
        if who in self.banned:
            raise CommandError("forbidden", "you are banned from this room")
        if self.access is Access.MEMBERS and not is_member and who not in self.invited:
            raise CommandError("forbidden", "this room is for those who were invited")

    def check_say(self, who: str, role: Role) -> None:
        """Sees that somebody may say something.

        Raises:
            CommandError: ``forbidden``.
        """
        if self.is_moderator(who, role):
            return
        if who in self.banned:
            raise CommandError("forbidden", "you are banned from this room")
        if self.access is Access.READ_ONLY:
            raise CommandError("forbidden", "in this room its moderators speak")

    def check_moderate(self, who: str, role: Role, *, whom: str = "") -> None:
        """Sees that somebody may change the rules, or do something about somebody.

        Raises:
            CommandError: ``forbidden``.
        """
        if not self.is_moderator(who, role):
            raise CommandError("forbidden", "this is for the moderators of the room")
        # Moderators do not put each other out; whoever made the room, or looks after all, may.
        is_above = role >= Role.MODERATOR or who == self.owner
        if not is_above and (whom == self.owner or whom in self.moderators):
            raise CommandError("forbidden", "this is for the owner of the room")

    def apply(self, action: str, whom: str) -> None:
        """Changes what the rules say of somebody: one of the actions of `protocol.Moderate`.

        Raises:
            CommandError: ``too_many``.
        """
        self.banned.discard(whom)
        if action == "ban":
            self.invited.discard(whom)
            self.moderators.discard(whom)
            _add(self.banned, whom)
        elif action == "invite":
            _add(self.invited, whom)
        elif action == "promote":
            _add(self.moderators, whom)
        elif action == "demote":
            self.moderators.discard(whom)
        elif action in ("kick", "uninvite"):
            self.invited.discard(whom)


class Change(msgspec.Struct):
    """What nodes tell each other: a room's rules, and who has to leave it at once.

    Attributes:
        room: its name.
        rules: as they are kept.
        expelled: the id of who has to leave; empty for nobody.
        by: the name of who wants that.
        reason: why, in words.
        is_banned: whether they may not come back.
    """

    room: str
    rules: bytes
    expelled: str = ""
    by: str = ""
    reason: str = ""
    is_banned: bool = False


def _add(people: set[str], whom: str) -> None:
    if len(people) >= MAX_PEOPLE:
        raise CommandError("too_many", f"a room's rules name at most {MAX_PEOPLE} people so")
    people.add(whom)


def person(user_id: str, name_key: str, *, is_guest: bool) -> str:
    """Returns what rules name somebody by: users by their id, guests by the name they go by.

    A guest's id ends with the visit, and another could be had at once; so could another name, but
    then the others see that. Who has to be kept out for certain is kept out by asking for tokens.
    """
    return f"guest:{name_key}" if is_guest else user_id
