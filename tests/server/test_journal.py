"""The log: two forms, one line each, and no secrets (hazards C9 and D4)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from server.journal import connection_id, set_up

logger = logging.getLogger("test.journal")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBbm4ifQ.c2lnbmF0dXJl"


class Log(io.StringIO):
    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    stream = Log()
    root = logging.getLogger()
    level = root.level
    handler = set_up("info", request.param, stream)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("rfc6455").setLevel(logging.NOTSET)


console = pytest.mark.parametrize("log", ["console"], indirect=True)
as_json = pytest.mark.parametrize("log", ["json"], indirect=True)
both = pytest.mark.parametrize("log", ["console", "json"], indirect=True)


@console
def test_a_line_for_people(log: Log) -> None:
    logger.info("hello %s", "Ann")
    token = connection_id.set("1f")
    logger.warning("bye")
    connection_id.reset(token)
    logger.debug("not this")
    first, second = log.lines
    assert first.endswith(" INFO test.journal: hello Ann")
    assert second.endswith(" WARNING test.journal [1f]: bye")


@as_json
def test_an_object_for_programs(log: Log) -> None:
    token = connection_id.set("1f")
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("it failed")
    connection_id.reset(token)
    (line,) = log.lines
    record = json.loads(line)
    assert record["time"].endswith("+00:00")
    assert "ValueError: boom" in record.pop("trace")
    del record["time"]
    assert record == {
        "level": "error",
        "logger": "test.journal",
        "message": "it failed",
        "connection": "1f",
    }


@both
@pytest.mark.parametrize("text", ["a\r\nb", "\x1b[2J", "\u202egnp.exe", "a\u2028b", "\x85", "\0"])
def test_one_record_is_one_line(log: Log, text: str) -> None:
    logger.info("%s", text)
    assert len(log.lines) == 1
    assert text not in log.getvalue()


@both
@pytest.mark.parametrize(
    "text",
    [
        f"GET /ws?token={JWT} HTTP/1.1",
        f"Sec-WebSocket-Protocol: bearer, {JWT}",
        f"Authorization: Bearer {JWT}",
        "GET /ws?a=b&token=opaque-secret&c=d",
        "bearer opaque-secret",
        JWT[:40],
    ],
)
def test_tokens_are_caught(log: Log, text: str) -> None:
    logger.info("request: %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")
    assert "eyJ" not in log.getvalue()
    assert "opaque" not in log.getvalue()
    assert "(secret)" in log.getvalue()
