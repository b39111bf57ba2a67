"""The WebSocket protocol, RFC 6455: a sans-IO core, and asyncio on top."""
