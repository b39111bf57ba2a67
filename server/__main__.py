"""``python -m server``: parse, serve, and end gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable

from . import users
from .app import App
from .config import Config, ConfigError, parse


def main() -> int:
    """Runs the chat server until it is interrupted, and returns the exit status."""
    if sys.argv[1:2] == ["user"]:
        return users.main(sys.argv[2:], os.environ)
    config = parse(sys.argv[1:], os.environ)
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
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
    except OSError as error:
        print(f"cannot listen on {config.host}:{config.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "asyncio":
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(name).new_event_loop
    return factory


async def _serve(config: Config) -> None:
    async with App(config) as app:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            # Where the loop has no such thing (Windows), the interrupt cancels this coroutine.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(signum, app.stop)
        host = f"[{config.host}]" if ":" in config.host else config.host
        print(f"Chat at http://{host}:{app.port}", flush=True)
        await app.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
