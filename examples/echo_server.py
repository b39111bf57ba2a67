"""The smallest server: every message goes back to where it came from."""

import contextlib

import rfc6455


async def echo(websocket: rfc6455.WebSocket) -> None:
    """Serves one connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Runs the server until Ctrl-C."""
    async with rfc6455.serve(echo, "localhost", 8765) as server:
        print("Echo at ws://localhost:8765", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        rfc6455.run(main())
