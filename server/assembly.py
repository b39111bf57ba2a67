"""What becomes of the settings: an engine, rates, feeds, sockets, TLS.

What lives here: the parts that the settings describe, and what is wrong where they do not go
together. This file does not know how the parts work with each other.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

import rfc6455

from .auth import open_authority
from .config import Config, ConfigError
from .engines.embedded import EmbeddedEngine
from .feeds import Feed
from .limits import Limiter, Rate
from .names import check_topic
from .protocol import CommandError

__all__ = [
    "check",
    "check_whole",
    "make_engine",
    "make_feeds",
    "make_limiter",
    "tls_context",
    "where_to_listen",
]

TICKER_INTERVAL: Final = 1.0
"""Seconds between two prices of the same share."""


def check(config: Config) -> None:
    """Judges the settings as a whole, without putting them to use.

    Raises:
        ConfigError: they cannot be put to use.
    """
    check_whole(config)
    tls_context(config)
    open_authority(config, only_check=True).close()


def check_whole(config: Config) -> None:
    """Refuses what no single option can tell.

    Raises:
        ConfigError: two options do not go together, or a file is not what it should be.
    """
    if config.workers > 1:
        raise ConfigError(
            "workers: several processes need an engine that they share, and there is none yet: each"
            " would have rooms of its own. Run one, and let event_loop be uvloop"
        )
    if config.durability == "memory" and config.database:
        raise ConfigError("durability: with memory, nothing goes into a database")
    if config.durability == "full" and not config.database:
        raise ConfigError("durability: full needs a database")
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise ConfigError("tls_certificate and tls_key: one without the other")
    if config.unix_socket and config.systemd:
        raise ConfigError("unix_socket and systemd: one or the other")


def where_to_listen(config: Config) -> dict[str, Any]:
    """Returns the arguments of `rfc6455.serve` that say where it listens.

    Raises:
        ConfigError: systemd has handed nothing over.
    """
    if config.systemd:
        sockets = rfc6455.systemd_sockets()
        if not sockets:
            raise ConfigError("systemd: no socket was handed over")
        return {"sock": sockets}
    if config.unix_socket:
        return {"path": config.unix_socket}
    return {"host": config.host, "port": config.port}


def tls_context(config: Config) -> ssl.SSLContext | None:
    """Returns what TLS needs, or None where it is not spoken.

    Raises:
        ConfigError: a file cannot be used.
    """
    if not config.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls_certificate, config.tls_key)
    except OSError as error:
        raise ConfigError(f"tls_certificate, tls_key: {error}") from error
    return context


def make_feeds(config: Config) -> dict[str, Feed]:
    """Returns the live feeds by name.

    Raises:
        ConfigError: one of them has no name, or no interval.
    """
    feeds = {"ticker": Feed("ticker", TICKER_INTERVAL)} if config.ticker else {}
    for entry in config.feeds:
        name, _, interval = entry.partition("=")
        try:
            seconds = float(interval)
            check_topic(name)
        except (ValueError, CommandError) as error:
            raise ConfigError(f"feeds: {entry!r} is not name=seconds") from error
        if name in feeds or not 0.1 <= seconds <= 3600:
            raise ConfigError(f"feeds: {entry!r}: a new name, and 0.1 to 3600 seconds")
        feeds[name] = Feed(name, seconds)
    return feeds


def make_engine(config: Config) -> EmbeddedEngine:
    """Returns the engine, which has yet to be started."""
    return EmbeddedEngine(
        Path(config.database) if config.database else None,
        # In memory there is nothing to wait for.
        durability="normal" if config.durability == "memory" else config.durability,
        kept=config.history,
        kept_seconds=config.history_days * 86400,
    )


def make_limiter(config: Config) -> Limiter:
    """Returns the rates of commands."""
    return Limiter(
        connection=Rate(config.connection_rate, config.connection_burst),
        user=Rate(config.user_rate, config.user_burst),
        address=Rate(config.address_rate, config.address_burst),
    )
