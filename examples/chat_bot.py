"""A guest of the chat who answers whoever says its name."""

from __future__ import annotations

import asyncio
import sys

from server.client import ChatClient


async def answer(uri: str) -> None:
    """Stays in the lobby until it is interrupted."""
    async with ChatClient(uri, "Echo") as chat:
        await chat.join("lobby")
        async for event in chat:
            if event["type"] != "message" or event["user"] == chat.user:
                continue
            if "echo" in event["text"].lower():
                await chat.send("lobby", f"{event['from']}: {event['text']}")


if __name__ == "__main__":
    asyncio.run(answer(sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:8765/ws"))
