"""An echo server as one deploys it: drained on SIGTERM, its certificate reloaded on SIGHUP.

Run as ``python deployed.py certificate.pem``, where the file has the key too; without a file it
serves without TLS. systemd may pass it its sockets.
"""

import asyncio
import logging
import signal
import ssl
import sys

import rfc6455
from rfc6455 import Request, Response, Server, WebSocket

DRAIN_OVER = 2.0  # seconds; a minute where there are thousands of clients


async def echo(websocket: WebSocket) -> None:
    """Serves one connection."""
    async for message in websocket:
        await websocket.send(message)


def reload_certificate(server: Server, certificate: str) -> None:
    """Takes the new certificate; a bad one is logged, and the old one stays."""
    try:
        server.reload_certificate(certificate)
    except OSError:
        logging.exception("the certificate was not reloaded")


async def main(certificate: str | None) -> None:
    """Runs the server until SIGTERM or Ctrl-C."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def health(request: Request) -> Response | None:
        if request.path == "/healthz":
            return Response.json({"connections": len(server.connections)})
        return None

    server = rfc6455.serve(
        echo,
        "localhost",
        8765,
        sock=rfc6455.systemd_sockets() or None,
        ssl=context,
        process_request=health,
        max_connections_per_address=100,
        trusted_proxies=["127.0.0.1", "::1"],
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if certificate is not None:
        loop.add_signal_handler(signal.SIGHUP, reload_certificate, server, certificate)
    async with server:
        print("Echo at port 8765", flush=True)
        await stop.wait()
        # Whoever is impatient has the rest closed at once.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.close)
        print(await server.drain(DRAIN_OVER, reconnect_hint=(0, 5), abort_after=10))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
