"""A client that sends three messages and prints what comes back."""

import asyncio

import rfc6455


async def main() -> None:
    """Talks to echo_server.py."""
    async with rfc6455.connect("ws://localhost:8765") as websocket:
        for message in ("Hello", "Grüße", b"\x00\x01"):
            await websocket.send(message)
            print(repr(await websocket.recv()))
        print(f"one round trip: {await websocket.ping() * 1000:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
