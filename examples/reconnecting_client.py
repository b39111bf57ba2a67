"""A client that comes back: it says hello again whenever the server was restarted."""

import asyncio
import contextlib
import functools

import rfc6455

# The server is on this machine: no need to spread the clients over five seconds.
soon = functools.partial(rfc6455.backoff_delays, initial=0.5, maximum=5)


async def main() -> None:
    """Talks to echo_server.py until Ctrl-C."""
    async for websocket in rfc6455.connect("ws://localhost:8765", backoff=soon):
        try:
            await websocket.send("Hello")
            async for message in websocket:
                print(f"received {message!r}", flush=True)
        except rfc6455.ConnectionClosedError:
            pass
        print(f"closed with {websocket.close_code}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
