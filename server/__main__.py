"""``python -m server``: parse, serve, and end gracefully."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from .app import App
from .config import Config, parse


def main() -> int:
    """Runs the chat server until it is interrupted, and returns the exit status."""
    config = parse(sys.argv[1:], os.environ)
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        asyncio.run(_serve(config))
    except OSError as error:
        print(f"cannot listen on {config.host}:{config.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: Config) -> None:
    async with App(config).serve() as server:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, server.close)
        port = server.sockets[0].getsockname()[1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        print(f"Chat at http://{host}:{port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
