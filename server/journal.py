"""What the server writes into its log, and how: for people, or as JSON for programs.

What lives here: the two forms of a record, the connection that it belongs to, and a last net that
catches tokens. This file does not know what is logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, TextIO

__all__ = ["connection_id", "set_up"]

connection_id: ContextVar[str] = ContextVar("connection_id", default="")
"""The connection that the running task serves; empty where it serves none."""

# A JSON Web Token begins with the base64 of `{"`; a token in a URL may be of any kind.
SECRETS: Final = re.compile(
    r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*"
    r"|(?<=token=)[^\s&\"'#]+|(?<=[Bb]earer )[^\s,\"']+"
)
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Form(logging.Formatter):
    """Turns a record into one line."""

    def line(self, record: logging.LogRecord) -> str:
        return SECRETS.sub("(secret)", record.getMessage())

    def trace(self, record: logging.LogRecord) -> str:
        if record.exc_info and record.exc_info[0] is not None:
            return SECRETS.sub("(secret)", self.formatException(record.exc_info))
        return ""


class ConsoleForm(_Form):
    """For people: the time, the level, the connection, and what happened."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line; control characters are escaped, so that it stays one."""
        connection = connection_id.get()
        where = f" [{connection}]" if connection else ""
        text = _escape(self.line(record))
        line = f"{self.formatTime(record)} {record.levelname} {record.name}{where}: {text}"
        trace = [_escape(step) for step in self.trace(record).split("\n") if step]
        return "\n".join([line, *trace])


class JsonForm(_Form):
    """For programs: one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the object."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.line(record),
        }
        if connection := connection_id.get():
            fields["connection"] = connection
        if trace := self.trace(record):
            fields["trace"] = trace
        return json.dumps(fields)


def _escape(text: str) -> str:
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def set_up(level: str, form: str, stream: TextIO | None = None) -> logging.Handler:
    """Has everything logged that is at least of a level.

    Args:
        level: debug, info, warning or error.
        form: console or json.
        stream: where to; by default standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonForm() if form == "json" else ConsoleForm())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    # At DEBUG the library logs frames, and the first of each connection holds a token.
    logging.getLogger("rfc6455").setLevel(max(root.level, logging.INFO))
    return handler
