"""The examples that show servers do what their pages say.

Those of the tutorial are run by ``test_docs.py``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

import rfc6455
from rfc6455 import ConnectionClosed, HandshakeError
from tests.helpers import async_test
from tests.programs import background, free_port, on_port
from tests.transports.conftest import make_certificate

EXAMPLES = Path(__file__).parents[1] / "examples"


def copied(name: str, folder: Path, port: int) -> Path:
    """A copy of an example that serves on another port."""
    path = folder / name
    path.write_text(on_port((EXAMPLES / name).read_text("utf-8"), port), "utf-8")
    return path


def ask(port: int, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost", port)
    connection.request(method, target, body)
    response = connection.getresponse()
    page = response.read()
    connection.close()
    return response.status, page


def test_routes(tmp_path: Path) -> None:
    port = free_port()
    base = f"ws://localhost:{port}"

    @async_test
    async def talk() -> None:
        async with (
            rfc6455.connect(f"{base}/rooms/tea") as one,
            rfc6455.connect(f"{base}/rooms/tea", origin=f"http://localhost:{port}") as two,
        ):
            await one.send("Hello")
            assert await one.recv() == await two.recv() == "Hello"
            assert ask(port, "GET", "/rooms") == (200, b'{"tea":2}\n')
            assert ask(port, "POST", "/rooms/tea", b"Tea is ready") == (200, b'{"receivers":2}\n')
            assert await one.recv() == await two.recv() == "Tea is ready"
        async with rfc6455.connect(f"{base}/countdown/3") as websocket:
            assert [message async for message in websocket] == ["3", "2", "1"]
        with pytest.raises(HandshakeError) as refused:
            await rfc6455.connect(f"{base}/rooms/tea", origin="http://elsewhere.example")
        assert refused.value.status == 403

    with background(copied("routes.py", tmp_path, port)) as first_line:
        assert first_line == f"Rooms at http://localhost:{port}\n"
        talk()
        assert ask(port, "GET", "/")[0] == 200
        assert ask(port, "GET", "/nothing")[0] == 404
        assert ask(port, "GET", "/countdown/3")[0] == 426


def test_basic_auth(tmp_path: Path) -> None:
    port = free_port()

    @async_test
    async def talk() -> None:
        async with rfc6455.connect(f"ws://alice:open%20sesame@localhost:{port}") as websocket:
            assert await websocket.recv() == "Hello, alice!"
        with pytest.raises(HandshakeError) as refused:
            await rfc6455.connect(f"ws://alice:abracadabra@localhost:{port}")
        assert refused.value.status == 401

    with background(copied("basic_auth.py", tmp_path, port)):
        talk()


def connections(port: int, certificate: Path) -> int:
    """How many the server says that it has."""
    asking = http.client.HTTPSConnection(
        "localhost", port, context=ssl.create_default_context(cafile=certificate)
    )
    with contextlib.closing(asking):
        asking.request("GET", "/healthz")
        count: int = json.loads(asking.getresponse().read())["connections"]
        return count


def test_deployed(tmp_path: Path) -> None:
    """A client stays while the certificate is renewed, and is told when to come back."""
    port = free_port()
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = make_certificate(tmp_path / "old"), make_certificate(tmp_path / "new")
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(old.read_bytes())
    process = subprocess.Popen(
        [sys.executable, copied("deployed.py", tmp_path, port), str(certificate)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == f"Echo at port {port}\n"

    @async_test
    async def talk() -> None:
        trusting = ssl.create_default_context(cafile=old)
        uri = f"wss://localhost:{port}"
        async with rfc6455.connect(uri, ssl=trusting) as websocket:
            await websocket.send("Hello")
            assert await websocket.recv() == "Hello"
            certificate.write_text("nonsense")
            process.send_signal(signal.SIGHUP)
            assert process.stderr is not None
            while "SSLError" not in process.stderr.readline():
                pass
            certificate.write_bytes(new.read_bytes())
            process.send_signal(signal.SIGHUP)
            await websocket.send("still here")
            assert await websocket.recv() == "still here"
            trusting.load_verify_locations(new)
            async with rfc6455.connect(uri, ssl=ssl.create_default_context(cafile=new)) as later:
                await later.close()
            # The server learns of that end a moment later.
            while connections(port, new) > 1:
                pass
            process.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
        received = closed.value.received
        assert received is not None
        assert received.code == 1012
        assert received.retry_after is not None
        assert 0 <= received.retry_after <= 5

    try:
        talk()
        printed, logged = process.communicate()
    finally:
        process.kill()
        process.communicate()
    assert printed == "Drained(closed=1, aborted=0)\n"
    assert "Traceback" not in logged
    assert process.returncode == 0


def test_deployed_without_a_certificate_tells_its_health(tmp_path: Path) -> None:
    port = free_port()
    with background(copied("deployed.py", tmp_path, port)):
        status, page = ask(port, "GET", "/healthz")
    assert (status, json.loads(page)) == (200, {"connections": 0})


@pytest.mark.parametrize("page", ["route", "authenticate-clients", "renew-certificates", "deploy"])
def test_pages_include_examples_that_exist(page: str) -> None:
    text = (EXAMPLES.parent / "docs" / "howto" / f"{page}.md").read_text("utf-8")
    included = re.findall(r"literalinclude\} \.\./\.\./(\S+)", text)
    assert included
    assert all((EXAMPLES.parent / path).exists() for path in included)
