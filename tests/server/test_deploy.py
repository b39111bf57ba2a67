"""What is under deploy/: it names what there is, and real proxies run with it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

import rfc6455
from server.app import App
from server.config import Config, load
from tests.helpers import ROOT, async_test
from tests.programs import free_port

from .certificates import make_certificate
from .support import Client, client

DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\b(?:rfc6455_chat|process)_[a-z_]+")


# Names


def known_metrics() -> set[str]:
    """The names of all metrics that the server may show."""
    app = App(Config())
    metrics = app._metrics
    for counter in (metrics.closed, metrics.commands, metrics.refused):
        counter.count("x")
    for counter in (metrics.unauthenticated, metrics.requests):
        counter.count("x")
    app._gate.authority.close()
    return {
        line.partition(" ")[0].partition("{")[0]
        for line in metrics.text().decode().splitlines()
        if not line.startswith("#")
    }


@pytest.mark.parametrize("name", ["prometheus/alerts.yml", "grafana/chat.json"])
def test_every_metric_that_is_asked_for_is_there(name: str) -> None:
    asked = set(METRIC.findall((DEPLOY / name).read_text("utf-8")))
    assert len(asked) > 5
    assert asked - known_metrics() == set()


def test_alerts_and_scraping_are_well_formed() -> None:
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
    for rule in alerts["groups"][0]["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")")
    scraping = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert scraping["rule_files"] == ["alerts.yml"]


def judge(*command: str) -> None:
    """Runs a program that judges files, and shows what it has against them."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@pytest.mark.prometheus
def test_prometheus_takes_the_rules_and_alerts_fire_when_they_should(tmp_path: Path) -> None:
    judge("promtool", "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))
    tests = (ROOT / "tests" / "server" / "alerts.yml").read_text("utf-8")
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
    # Each of them is tested.
    assert {rule["alert"] for rule in alerts["groups"][0]["rules"]} == {
        told["alertname"]
        for test in yaml.safe_load(tests)["tests"]
        for told in test["alert_rule_test"]
    }
    path = tmp_path / "tests.yml"
    path.write_text(tests.replace("deploy/prometheus", str(DEPLOY / "prometheus")), "utf-8")
    judge("promtool", "test", "rules", str(path))


@pytest.mark.prometheus
def test_what_the_dashboard_asks_prometheus_for_can_be_asked(tmp_path: Path) -> None:
    board = json.loads((DEPLOY / "grafana" / "chat.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = [
        # What Grafana puts in the place of its own variables.
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(asked)
    ]
    path = tmp_path / "board.yml"
    path.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    judge("promtool", "check", "rules", str(path))


@pytest.mark.prometheus
@pytest.mark.slow
@async_test
async def test_prometheus_reads_what_the_chat_measures(tmp_path: Path) -> None:
    async with App(Config(host="127.0.0.1", port=0)) as app:
        text = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
        for old, new in [
            ("127.0.0.1:8765", f"127.0.0.1:{app.port}"),
            ("scrape_interval: 15s", "scrape_interval: 1s\n    scrape_timeout: 1s"),
            ("- alerts.yml", f"- {DEPLOY / 'prometheus' / 'alerts.yml'}"),
        ]:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (tmp_path / "prometheus.yml").write_text(text)
        port = free_port()
        async with (
            process(
                *("prometheus", f"--config.file={tmp_path}/prometheus.yml"),
                *(f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"),
                stderr=asyncio.subprocess.DEVNULL,
            ),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
            client(f"127.0.0.1:{app.port}", "Ann"),
        ):
            await answers(port)
            found: list[Any] = []
            # It reads when its time has come, and tells nobody.
            while not found:
                query = {"query": "rfc6455_chat_users == 1"}
                async with http.get("/api/v1/query", params=query) as response:
                    if response.status == 200:
                        found = (await response.json())["data"]["result"]
                await asyncio.sleep(0.05)
            assert found[0]["metric"]["job"] == "rfc6455-chat"


def test_the_dashboard_is_one() -> None:
    board = json.loads((DEPLOY / "grafana" / "chat.json").read_text("utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 10
    for panel in board["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert all(target["expr"] for target in panel["targets"])


def assert_kept(config: Config) -> None:
    """Users and messages outlive the process, where the service may write."""
    folder = Path("/var/lib/rfc6455-chat")
    assert Path(config.users).parent == Path(config.database).parent == folder


def test_the_settings_are_such() -> None:
    config = load({"config": str(DEPLOY / "chat.toml")}, {})
    assert config.auth == "token"
    assert config.trusted_proxies == ("127.0.0.1", "::1")
    assert_kept(config)


def test_what_the_container_copies_is_there_and_set() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists()
    environment = dict(re.findall(r"(RFC6455_CHAT_\w+)=(\S+)", text.partition("USER chat")[0]))
    environment.pop("RFC6455_CHAT_JWT_SECRET_FILE")
    assert_kept(load({}, environment))


# Processes


@asynccontextmanager
async def process(*arguments: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(*arguments, **options)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
            await asyncio.wait_for(started.wait(), 30)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="systemd is Linux's")
@async_test
async def test_the_socket_that_systemd_hands_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # As systemd does it: the socket is descriptor 3, and the variables are for this process.
        script = (
            f"exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$"
            f" exec {sys.executable} -m server --systemd"
        )
        async with process(
            *("bash", "-c", script),
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        ) as server:
            # The socket listens already, so who comes early is not refused.
            async with client(f"127.0.0.1:{port}", "Ann", "lobby"):
                pass
            assert server.stdout is not None
            line = await server.stdout.readline()
            assert line.decode() == f"Chat at http://127.0.0.1:{port}\n"


@pytest.mark.systemd
@async_test
async def test_a_socket_from_systemd_itself() -> None:
    port = free_port()
    # It starts the server when the first client comes, who waits meanwhile.
    async with process(
        *("systemd-socket-activate", "--listen", f"127.0.0.1:{port}"),
        # It hands on no environment but this.
        *(f"--setenv=PYTHONPATH={ROOT}", "--setenv=PATH"),
        *(sys.executable, "-m", "server", "--systemd"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    ) as server:
        await answers(port)
        async with client(f"127.0.0.1:{port}", "Ann", "lobby"):
            assert server.stdout is not None
            line = await server.stdout.readline()
            assert line.decode() == f"Chat at http://127.0.0.1:{port}\n"


@pytest.mark.systemd
def test_the_units_are_well_formed(tmp_path: Path) -> None:
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text("utf-8")
        (tmp_path / unit.name).write_text(
            text.replace("/opt/rfc6455-chat/bin/rfc6455-chat", "/bin/true")
        )
    service = str(tmp_path / "rfc6455-chat.service")
    judge("systemd-analyze", "verify", "--man=no", service)
    # An exposure of at most 2 of 10: what the service may do is little more than it has to.
    judge("systemd-analyze", "security", "--offline=true", "--threshold=20", service)


# Proxies


async def answers(port: int) -> None:
    """Waits until somebody listens."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                # The proxies tell nobody when they are ready.
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


@asynccontextmanager
async def nginx(folder: Path, port: int, chat: int) -> AsyncIterator[None]:
    certificate = make_certificate(folder, 1)
    site = (DEPLOY / "nginx" / "chat.conf").read_text("utf-8")
    for old, new in [
        ("server 127.0.0.1:8765;", f"server 127.0.0.1:{chat};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/ssl/chat/fullchain.pem", certificate["tls_certificate"]),
        ("/etc/ssl/chat/privkey.pem", certificate["tls_key"]),
        ("/var/log/nginx/chat.log", str(folder / "access.log")),
    ]:
        assert site.count(old) == 1
        site = site.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/nginx.pid;\ndaemon off;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{temporary}{site}}}\n"
    )
    arguments = ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr")
    async with process(*arguments, stderr=asyncio.subprocess.DEVNULL):
        await answers(port)
        yield


@asynccontextmanager
async def haproxy(folder: Path, port: int, chat: int) -> AsyncIterator[None]:
    paths = make_certificate(folder, 1)
    pem = folder / "both.pem"
    parts = [(folder / f"{option}.pem").read_bytes() for option in paths]
    pem.write_bytes(b"".join(parts))
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
    for old, new in [
        ("server chat1 127.0.0.1:8765", f"server chat1 127.0.0.1:{chat}"),
        ("bind :443 ssl crt /etc/ssl/chat/chat.pem", f"bind 127.0.0.1:{port} ssl crt {pem}"),
        ("maxconn 50000", "maxconn 1000"),
    ]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "haproxy.cfg").write_text(text)
    with (folder / "access.log").open("wb") as log:
        async with process("haproxy", "-db", "-f", str(folder / "haproxy.cfg"), stdout=log):
            await answers(port)
            yield


CLIENT = "127.0.0.2"
"""Where a client comes from that is not the proxy, on Linux's loopback."""
PROXIES: dict[str, Callable[[Path, int, int], Any]] = {"nginx": nginx, "haproxy": haproxy}


@pytest.mark.reverse_proxies
@pytest.mark.parametrize("name", PROXIES)
@async_test
async def test_the_chat_behind_a_proxy(name: str, tmp_path: Path) -> None:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    config = Config(host="127.0.0.1", port=0, trusted_proxies=("127.0.0.1",))
    port = free_port()
    os.chmod(tmp_path, 0o755)
    async with App(config) as app, PROXIES[name](tmp_path, port, app.port):
        # What a client claims stands before what the proxy appends, and is not believed.
        headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Real-IP", "203.0.113.9")]
        uri = f"wss://localhost:{port}/ws"
        async with rfc6455.connect(
            f"{uri}?ticket=secret",
            ssl=tls,
            additional_headers=headers,
            origin=f"https://localhost:{port}",
            host="127.0.0.1",
            local_addr=(CLIENT, 0),
        ) as websocket:
            ann = Client(websocket)
            assert (await ann.receive())["type"] == "welcome"
            assert (await ann.ask("hello", name="Ann"))["name"] == "Ann"
            await websocket.ping()
            assert [visitor.address for visitor in app._gate.visitors] == [CLIENT]
            big = "x" * 4000
            await ann.ask("join", room="lobby")
            assert (await ann.ask("send", room="lobby", text=big))["type"] == "ack"
            assert (await ann.event("message"))["text"] == big
        with pytest.raises(rfc6455.HandshakeError) as caught:
            await rfc6455.connect(uri, ssl=tls, origin="https://evil.example")
        assert caught.value.status == 403
        async with aiohttp.ClientSession(f"https://localhost:{port}") as http:
            for path, status in [("/", 200), ("/readyz", 200), ("/metrics", 404)]:
                async with http.get(path, ssl=tls) as response:
                    assert response.status == status
            # Events pass while they come, not when the answer ends.
            async with http.get("/events", ssl=tls) as response:
                assert await response.content.readline() == b"event: open\n"
            async with http.post(
                "/login", ssl=tls, json={"name": "x", "password": "y"}
            ) as response:
                assert response.status == 401
    log = (tmp_path / "access.log").read_text("utf-8")
    assert "/ws" in log
    assert "secret" not in log
