"""A server that asks for a name and a password, and greets whoever knows them."""

import contextlib

import rfc6455
from rfc6455 import WebSocket

PASSWORDS = {"alice": "open sesame"}


async def greet(websocket: WebSocket) -> None:
    """Serves one connection."""
    assert websocket.request is not None
    await websocket.send(f"Hello, {websocket.request.context['user']}!")


async def main() -> None:
    """Runs the server until Ctrl-C."""
    hook = rfc6455.basic_auth("greetings", PASSWORDS)
    async with rfc6455.serve(greet, "localhost", 8765, process_request=hook) as server:
        print("Greetings at ws://alice:open%20sesame@localhost:8765", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        rfc6455.run(main())
