"""aiohttp: a WebSocketResponse in its web server."""

import argparse

import aiohttp
from aiohttp import WSMsgType, web

from . import run, serve_forever

everybody: set[web.WebSocketResponse] = set()


async def send(websocket: web.WebSocketResponse, message: aiohttp.WSMessage) -> None:
    """Sends a message as it came."""
    if message.type == WSMsgType.TEXT:
        await websocket.send_str(message.data)
    elif message.type == WSMsgType.BINARY:
        await websocket.send_bytes(message.data)


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Serves one connection."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        await send(websocket, message)
    return websocket


async def broadcast(request: web.Request) -> web.WebSocketResponse:
    """Serves one connection."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    everybody.add(websocket)
    try:
        async for message in websocket:
            for other in list(everybody):
                await send(other, message)
    finally:
        everybody.discard(websocket)
    return websocket


async def main(options: argparse.Namespace) -> None:
    """Runs the server."""
    if options.deflate == "isal":
        from isal import isal_zlib

        aiohttp.set_zlib_backend(isal_zlib)
    elif options.deflate == "zlib-ng":
        from zlib_ng import zlib_ng

        aiohttp.set_zlib_backend(zlib_ng)
    application = web.Application()
    application.router.add_get("/", echo if options.workload == "echo" else broadcast)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    await serve_forever()


if __name__ == "__main__":
    run(main)
