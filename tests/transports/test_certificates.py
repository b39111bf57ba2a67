"""Certificates that are renewed while the server runs.

Knows two certificates that openssl makes for the run.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

import rfc6455
from rfc6455 import Server, UsageError

from .conftest import TLS, make_certificate
from .support import echo, on_each_loop, serving, uri, virtual_time


@pytest.fixture(scope="session")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another certificate for the same names, and its key, in one file."""
    return make_certificate(tmp_path_factory.mktemp("renewed"))


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


async def shown(server: Server, *trusted: Path) -> bytes:
    """The certificate that a new client is shown."""
    context = ssl.create_default_context(cafile=trusted[0])
    for other in trusted[1:]:
        context.load_verify_locations(other)
    async with rfc6455.connect(uri(server, scheme="wss"), ssl=context) as websocket:
        await websocket.send("Hello")
        assert await websocket.recv() == "Hello"
        found: bytes = websocket._transport.get_extra_info("ssl_object").getpeercert(True)
        return found


def der(certificate: Path) -> bytes:
    text = certificate.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


@on_each_loop
async def test_who_comes_later_sees_the_new_certificate_and_who_is_there_stays(
    tls: TLS, certificate: Path, renewed: Path
) -> None:
    async with (
        serving(echo, ssl=tls.server) as server,
        rfc6455.connect(uri(server, scheme="wss"), ssl=tls.client) as old,
    ):
        assert await shown(server, certificate, renewed) == der(certificate)
        server.reload_certificate(renewed)
        assert await shown(server, certificate, renewed) == der(renewed)
        with pytest.raises(ssl.SSLCertVerificationError):
            await rfc6455.connect(uri(server, scheme="wss"), ssl=trusting(certificate))
        await old.send("still here")
        assert await old.recv() == "still here"
        server.reload_certificate(certificate)
        assert await shown(server, certificate, renewed) == der(certificate)


def bad_files(certificate: Path, renewed: Path, folder: Path) -> list[Path]:
    """Files that hold no certificate with its key."""
    old, new = certificate.read_text(), renewed.read_text()
    begin = "-----BEGIN CERTIFICATE"
    texts = [
        "",
        "nonsense",
        # The key of one, the certificate of the other.
        old[: old.index(begin)] + new[new.index(begin) :],
        # A certificate without a key, and half of one.
        new[new.index(begin) :],
        new[:-100],
    ]
    paths = [folder / f"bad{number}.pem" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


@on_each_loop
async def test_a_bad_certificate_leaves_the_old_one_in_force(
    tls: TLS, certificate: Path, renewed: Path, tmp_path: Path
) -> None:
    for bad in bad_files(certificate, renewed, tmp_path):
        async with serving(echo, ssl=tls.server) as server:
            with pytest.raises(ssl.SSLError):
                server.reload_certificate(bad)
            with pytest.raises(FileNotFoundError):
                server.reload_certificate(tmp_path / "missing.pem")
            assert await shown(server, certificate) == der(certificate)


@virtual_time
async def test_a_server_without_tls_has_no_certificate(certificate: Path) -> None:
    async with serving(echo) as server:
        with pytest.raises(UsageError, match="TLS"):
            server.reload_certificate(certificate)
