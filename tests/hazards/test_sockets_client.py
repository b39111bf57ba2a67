"""Attacks on a client that connects: by its own arguments, by redirects, TLS, and by proxies.

Each test is a bug that some implementation had. What the sans-IO parts alone can prove is in
``tests/unit/test_redirect.py`` and ``test_proxy.py``; endless answers of servers are in
``test_sockets_handshake.py``.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rfc6455 import HandshakeError, Limits, ProxyError, connect
from tests.conftest import CI
from tests.transports.support import (
    RawPeer,
    accepting,
    echo,
    now,
    real_time,
    scripted_server,
    serving,
    settle,
    uri,
    virtual_time,
)

from .test_sockets_lifecycle import descriptors

# Injection through our own arguments (CVE-2026-34520, CVE-2020-35678 and their kin)

SPLITS = ["\r\nX: y", "\n", "\r", "\0", "\x85", "\u010a", "\u2028", "\ud800", " \t"]


@pytest.mark.parametrize("split", SPLITS, ids=repr)
@pytest.mark.parametrize(
    "place",
    [
        "ws://h{}/",
        "ws://h/{}",
        "ws://h/?{}",
        "ws://user{}:pass@h/",
        "ws://user:pass{}@h/",
        "origin",
        "user_agent",
        "subprotocols",
        "name",
        "value",
        "proxy",
        "proxy user",
    ],
)
def test_no_argument_splits_the_request(place: str, split: str) -> None:
    address, options = "ws://h/", dict[str, Any]()
    if "{}" in place:
        address = place.format(split)
    elif place == "subprotocols":
        options[place] = [f"a{split}"]
    elif place in ("name", "value"):
        name, value = ("X" + split, "a") if place == "name" else ("X", f"a{split}a")
        options["additional_headers"] = [(name, value)]
    elif place.startswith("proxy"):
        options["proxy"] = f"http://a{split}:b@p" if "user" in place else f"http://p{split}"
    else:
        options[place] = f"a{split}a"
    try:
        attempt = connect(address, **options)
    except ValueError:
        # Nothing was even looked up.
        return
    # What is let through is let through as one value, without anything that ends a line.
    head = attempt._handshake(attempt._destination).request_data()
    assert not set(head.replace(b"\r\n", b"")) & set(b"\r\n\0")
    assert head.count(b"\r\n") <= 11
    assert b"\r\nX: y" not in head


@virtual_time
async def test_a_host_that_splits_the_request_to_a_proxy() -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        raise AssertionError(request)

    async with scripted_server(script) as address:
        for host in ("a\r\nX: y", "a b", "a\0", "\u010a"):
            with pytest.raises(ValueError, match=r"."):
                await connect("ws://h/", host=host, proxy=address.replace("ws:", "http:"))


# Redirects (websockets 16.1, CVE-2026-49853)


@pytest.mark.parametrize(
    "location",
    [
        b"file:///etc/passwd",
        b"gopher://127.0.0.1/",
        b"javascript:alert(1)",
        b"http://127.0.0.1:0/",
        b"http://127.0.0.1:99999/",
        b"http://[::1/",
        b"http://",
        b"//",
        b"http://a b/",
        b"http://\xff/",
        b"ws://127.0.0.1:80:80/",
        b"ws://a@b@c/",
    ],
)
@virtual_time
async def test_a_redirect_to_nowhere_is_a_refusal(location: bytes) -> None:
    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(b"HTTP/1.1 302 X\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")

    async with scripted_server(script) as address:
        with pytest.raises(HandshakeError, match="302") as caught:
            await connect(address)
    assert caught.value.status == 302
    assert now() < 1


@virtual_time
async def test_redirects_between_two_servers_end_and_leak_nothing() -> None:
    """Twenty hops are offered; the credentials do not come back to where they came from."""
    addresses: list[str] = []
    requests: list[bytes] = []

    async def script(peer: RawPeer, request: bytes) -> None:
        requests.append(request)
        if len(requests) <= 20:
            location = addresses[len(requests) % 2].encode()
            peer.send(b"HTTP/1.1 307 X\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")
        else:
            peer.send(accepting(request))

    async with scripted_server(script) as first, scripted_server(script) as second:
        addresses += [first, second]
        before = descriptors()
        with pytest.raises(HandshakeError, match="more than 5 redirects"):
            await connect(
                first.replace("//", "//user:pass@"),
                additional_headers=[("Cookie", "secret"), ("COOKIE", "secret")],
            )
        await settle()
        assert descriptors() == before
    assert len(requests) == 6
    secrets = [b"Authorization" in request or b"secret" in request for request in requests]
    assert secrets == [True, False, False, False, False, False]


# TLS (CVE-2020-15133, CVE-2018-8034, CVE-2023-40217)


def make_certificate(folder: Path, names: str, days: int) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        remedy = "needs openssl: apt-get install openssl"
        pytest.fail(remedy) if CI else pytest.skip(remedy)
    assert openssl is not None
    key, request, certificate = (folder / f"{name}.pem" for name in ("key", "request", "cert"))
    for command in (
        f"req -new -nodes -subj /CN=127.0.0.1 -addext subjectAltName={names}"
        f" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout {key} -out {request}",
        f"x509 -req -days {days} -copy_extensions copy"
        f" -in {request} -signkey {key} -out {certificate}",
    ):
        subprocess.run([openssl, *command.split()], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


@pytest.mark.parametrize(
    ("names", "days", "trusted", "why"),
    [
        ("IP:127.0.0.1", 2, True, ""),
        ("IP:127.0.0.1", 2, False, "self.signed"),
        ("IP:127.0.0.1", -1, True, "expired"),
        ("IP:127.0.0.2", 2, True, "mismatch"),
        ("DNS:example.com", 2, True, "mismatch"),
        # A name that looks like the address, and a common name that is it, are not the address.
        ("DNS:127.0.0.1", 2, True, "mismatch"),
    ],
)
@real_time
async def test_certificates_are_verified(
    names: str, days: int, trusted: bool, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path, names, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if trusted:
        # What the machine trusts, without any argument.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(echo, ssl=context) as server:
        attempt = connect(uri(server, scheme="wss"))
        if why:
            with pytest.raises(ssl.SSLCertVerificationError, match=why):
                await attempt
        else:
            async with attempt as websocket:
                await websocket.send("hello")
                assert await websocket.recv() == "hello"


@virtual_time
async def test_what_comes_before_tls_is_no_answer() -> None:
    sent: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with RawPeer(reader, writer) as peer:
            peer.send(accepting(b"\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n\r\n"))
            sent.append(await peer.rest())

    async with await asyncio.start_server(script, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLError):
            await connect(f"wss://127.0.0.1:{port}/")
        await settle()
    assert b"GET" not in sent[0]


# Proxies: whatever one says, an error comes in time, and nothing grows


async def through(answer: bytes, repeat: bytes = b"") -> Exception:
    """Connects through a proxy that answers, then repeats something; returns what is raised."""

    async def script(peer: RawPeer, request: bytes) -> None:
        peer.send(answer)
        while repeat:
            peer.send(repeat * (1 + 65536 // len(repeat)))
            await peer.writer.drain()

    before = descriptors()
    async with scripted_server(script) as address:
        try:
            await connect(
                "wss://h/", proxy=address.replace("ws:", "http:"), limits=Limits(open_timeout=10)
            )
        except (HandshakeError, OSError) as error:
            assert now() < 1
            result = error
        else:
            raise AssertionError("connected")
    await settle()
    assert descriptors() <= before
    return result


@pytest.mark.parametrize(
    ("answer", "repeat", "status"),
    [
        pytest.param(b"HTTP/1.1 407 X\r\n\r\n", b"x" * 1000, 407, id="body"),
        pytest.param(
            b"HTTP/1.1 403 X\r\nContent-Length: 999999999\r\n\r\n", b"x" * 1000, 403, id="length"
        ),
        pytest.param(
            b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3e8\r\n" + b"x" * 1000 + b"\r\n",
            503,
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n", b"x", 200, id="tunnel"),
        pytest.param(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0, id="interim"),
        pytest.param(b"HTTP/1.1 200 X\r\n", b"X: y\r\n", 0, id="fields"),
        pytest.param(b"HTTP/1.1 200 X\r\nX: ", b"x" * 1000, 0, id="one field"),
        pytest.param(b"HTTP/1.1 200 ", b"x" * 1000, 0, id="reason"),
        pytest.param(b"", b"\0", 0, id="zeroes"),
    ],
)
@virtual_time
async def test_an_endless_answer_of_a_proxy_is_given_up(
    answer: bytes, repeat: bytes, status: int
) -> None:
    error = await through(answer, repeat)
    assert isinstance(error, ProxyError)
    assert error.status == status
    assert len(error.body) <= 64 * 1024


@pytest.mark.parametrize("seed", range(12))
@virtual_time
async def test_a_proxy_that_says_anything(seed: int) -> None:
    """Mutations of good answers, and of the TLS that might follow."""
    chance = random.Random(seed)
    good = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n\x16\x03\x03\x00\x10" + bytes(
        16
    )
    for _ in range(10):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        await through(bytes(data[: chance.randrange(len(data) + 1)]))


@real_time
async def test_what_a_socks_proxy_says_is_bounded() -> None:
    """Endless bytes where a reply of a few is due."""

    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with RawPeer(reader, writer) as peer:
                await reader.readexactly(3)
                while not writer.is_closing():
                    peer.send(b"\x05\xff" * 32768)
                    await writer.drain()
        except ConnectionError:
            ended.set()

    async with await asyncio.start_server(script, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProxyError):
            await connect("ws://h/", proxy=f"socks5h://127.0.0.1:{port}")
        await ended.wait()
