"""Fixtures of the transports' tests."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import CI


class TLS(NamedTuple):
    """Contexts for both sides of TLS; the client trusts this server and no other."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        remedy = "needs openssl: apt-get install openssl"
        pytest.fail(remedy) if CI else pytest.skip(remedy)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        f"{openssl} req -x509 -nodes -days 2 -subj /CN=localhost"
        " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
        f" -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make_certificate` makes, once for all tests."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate: Path) -> TLS:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    return TLS(server, ssl.create_default_context(cafile=certificate))
