"""``python -m server``: parse, serve, and end gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from . import journal, users
from .app import App
from .assembly import check
from .config import Config, ConfigError, parse
from .engines.base import EngineError

logger = logging.getLogger("rfc6455.chat")

OTHER_FILES: Final = 100
"""Files that are open beside connections, and connections that are refused at this moment."""
COLLECT_AFTER: Final = (10_000, 10, 10)
"""Objects more than before, until the youngest are looked at; and every tenth time those above."""


def main() -> int:
    """Runs the chat server until it is interrupted, and returns the exit status."""
    if sys.argv[1:2] == ["user"]:
        return users.main(sys.argv[2:], os.environ)
    config = parse(sys.argv[1:], os.environ, check)
    journal.set_up(config.log_level, config.log_format)
    config = _with_room_for(config)
    try:
        with asyncio.Runner(loop_factory=_loop_factory(config.event_loop)) as runner:
            runner.run(_serve(config))
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        print(f"--event-loop {config.event_loop}: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"wrong configuration: {error}", file=sys.stderr)
        return 2
    except EngineError as error:
        print(f"--database {config.database}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = config.unix_socket or f"{config.host}:{config.port}"
        print(f"cannot listen on {where}: {_strerror(error)}", file=sys.stderr)
        return 1
    return 0


def _strerror(error: OSError) -> str:
    # The library's text repeats where; the last part says what is wrong.
    return str(error.strerror or error).rpartition(": ")[2]


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if name == "auto":
            return None
        raise
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _with_room_for(config: Config) -> Config:
    """Asks for as many files as connections take; promises no more of them than it gets.

    Those above are told so (503). They would wait for a file in vain, and nobody would know.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return config
    wanted = config.max_connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return config
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        # macOS has a limit below the hard one, and does not tell it.
        allowed = soft
    if allowed >= wanted:
        return config
    most = max(1, allowed - OTHER_FILES)
    logger.warning(
        "the system allows %d open files (ulimit -Hn): at most %d connections, not %d",
        *(allowed, most, config.max_connections),
    )
    return replace(config, max_connections=most)


def _spare_collections() -> None:
    """Has Python look for cycles less often: what the chat is done with has none.

    A look at everything that ten thousand connections have keeps all of them waiting, and by
    default there is one whenever they have become a quarter more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _serve(config: Config) -> None:
    async with App(config) as app:
        _spare_collections()
        loop = asyncio.get_running_loop()
        # SIGINT is a person who waits at a terminal; SIGTERM comes from what will start us again.
        for signum, action in (
            ("SIGINT", app.stop),
            ("SIGTERM", app.drain),
            ("SIGHUP", app.reload),
        ):
            # Where the loop has no such thing (Windows), the interrupt cancels this coroutine.
            with contextlib.suppress(NotImplementedError, AttributeError):
                loop.add_signal_handler(getattr(signal, signum), action)
        print(f"Chat at {app.address}", flush=True)
        await app.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
