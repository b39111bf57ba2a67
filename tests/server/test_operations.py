"""Looking after a server: logins over HTTP, health, metrics, the admin's requests, and the end."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import rfc6455
from server.accounts import Accounts
from server.app import App
from server.assembly import check
from server.auth import COOKIE
from server.config import Config, ConfigError
from server.limits import Rate
from server.tokens import Role, Tokens, secret_key
from tests.helpers import ROOT, async_test

from .certificates import make_certificate
from .support import Client, client, running

SECRET = "a secret of more than thirty-two bytes"
ORIGIN = "https://good.example"
PASSWORD = "correct horse"
OURS = Tokens([secret_key(SECRET)])


@pytest.fixture
def users(tmp_path: Path) -> str:
    path = tmp_path / "users.db"
    with Accounts(str(path)) as accounts:
        accounts.add("Ann", PASSWORD, Role.ADMIN)
        accounts.add("Bob", PASSWORD)
    return str(path)


class Site:
    """A browser or a program that makes plain requests."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.token = ""

    async def ask(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        headers = options.pop("headers", {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        async with self._http.request(
            method, path, json=body, headers=headers, **options
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text, response

    async def log_in(self, name: str = "Ann", password: str = PASSWORD) -> int:
        status, answer, _ = await self.ask("POST", "/login", {"name": name, "password": password})
        self.token = answer.get("token", self.token)
        return status


@asynccontextmanager
async def site(address: str) -> AsyncIterator[Site]:
    async with aiohttp.ClientSession(f"http://{address}") as http:
        yield Site(http)


# Logins


@async_test
async def test_a_password_gives_a_token_that_opens_the_chat(users: str) -> None:
    async with running(users=users, auth="token") as address, site(address) as page:
        status, answer, response = await page.ask(
            "POST", "/login", {"name": "ann", "password": PASSWORD}
        )
        assert status == 200
        assert (answer["name"], answer["role"]) == ("Ann", "admin")
        assert 600 < answer["expires_in"] <= 900
        assert response.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in response.headers
        async with client(address) as ann:
            assert (await ann.ask("hello", token=answer["token"]))["name"] == "Ann"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "Ann", "password": "wrong horse"}, 401),
        ({"name": "Nobody", "password": PASSWORD}, 401),
        ({"name": "Ann"}, 400),
        ({"name": "Ann", "password": PASSWORD, "role": "admin"}, 400),
        ({"name": "Ann", "password": 5}, 400),
        (None, 415),
    ],
)
@async_test
async def test_a_wrong_login_gives_nothing(users: str, body: Any, status: int) -> None:
    async with running(users=users) as address, site(address) as page:
        found, answer, _ = await page.ask("POST", "/login", body)
        assert found == status
        assert "token" not in answer


@async_test
async def test_a_page_of_a_stranger_cannot_log_in(users: str) -> None:
    async with running(users=users) as address, site(address) as page:
        data = json.dumps({"name": "Ann", "password": PASSWORD})
        headers = {"Content-Type": "text/plain"}
        status, _, _ = await page.ask("POST", "/login", data=data, headers=headers)
        assert status == 415
        status, _, _ = await page.ask("OPTIONS", "/login")
        assert status == 405


@async_test
async def test_passwords_are_not_guessed_quickly(
    users: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So rarely that however long ten passwords take, none is allowed meanwhile.
    monkeypatch.setattr("server.api.LOGIN_RATE", Rate(per_second=0.001, burst=10))
    async with running(users=users) as address, site(address) as page:
        for _ in range(10):
            assert await page.log_in("Ann", "wrong horse") == 401
        status, answer, response = await page.ask(
            "POST", "/login", {"name": "Ann", "password": PASSWORD}
        )
        assert (status, answer["error"]) == (429, "rate_limited")
        assert 0 < int(response.headers["Retry-After"]) <= 1000


@async_test
async def test_a_login_is_refreshed_and_ended(users: str) -> None:
    async with running(users=users) as address, site(address) as page:
        assert await page.log_in() == 200
        old = page.token
        status, answer, _ = await page.ask("POST", "/token/refresh", {})
        assert status == 200
        page.token = answer["token"]
        async with client(address) as ann:
            await ann.ask("hello", token=old)
            assert (await page.ask("POST", "/logout", {}))[0] == 200
            with pytest.raises(rfc6455.ConnectionClosed) as caught:
                await ann.receive()
            assert caught.value.code == 4401
        for token in (old, page.token):
            page.token = token
            assert (await page.ask("POST", "/token/refresh", {}))[0] == 401


@pytest.mark.parametrize("path", ["/token/refresh", "/logout", "/api/admin/drain"])
@async_test
async def test_without_a_token_there_is_nothing(path: str, users: str) -> None:
    async with running(users=users) as address, site(address) as page:
        status, _, response = await page.ask("POST", path, {})
        assert status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        page.token = "a.b.c"
        assert (await page.ask("POST", path, {}))[0] == 401


@async_test
async def test_tokens_of_others_are_not_refreshed_here(users: str) -> None:
    other = Tokens([secret_key(SECRET)]).issue("Stranger", Role.ADMIN)
    async with running(users=users, jwt_secret=SECRET) as address, site(address) as page:
        page.token = other
        assert (await page.ask("POST", "/token/refresh", {}))[0] == 401


@async_test
async def test_a_cookie_is_out_of_reach(users: str) -> None:
    settings: dict[str, Any] = {"cookies": True, "allowed_origins": (ORIGIN,)}
    async with running(users=users, **settings) as address, site(address) as page:
        body = {"name": "Ann", "password": PASSWORD}
        _, answer, response = await page.ask("POST", "/login", body)
        value, *attributes = response.headers["Set-Cookie"].split("; ")
        assert value == f"{COOKIE}={answer['token']}"
        assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} < set(attributes)
        # It counts on a page that was named, and on no other.
        for origin, status in ((ORIGIN, 200), (f"http://{address}", 401), (None, 401)):
            headers = {"Cookie": value} | ({"Origin": origin} if origin else {})
            found, _, response = await page.ask("POST", "/token/refresh", {}, headers=headers)
            assert found == status
        headers = {"Cookie": value, "Origin": ORIGIN}
        _, _, response = await page.ask("POST", "/logout", {}, headers=headers)
        assert response.headers["Set-Cookie"].startswith(f"{COOKIE}=; Max-Age=0;")


@pytest.mark.parametrize("path", ["/login", "/admin", "/session.js", "/css/admin.css"])
@async_test
async def test_pages_are_there_and_safe(path: str) -> None:
    async with running() as address, site(address) as page:
        status, text, response = await page.ask("GET", path)
        assert status == 200
        assert "<script>" not in text
        assert "script-src 'self';" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/login", "/token/refresh", "/logout", "/events"])
@async_test
async def test_pages_of_allowed_origins_may_read_the_answers(path: str) -> None:
    settings: dict[str, Any] = {"allowed_origins": (ORIGIN,)}
    async with running(**settings) as address, site(address) as page:
        for origin, is_allowed in ((ORIGIN, True), ("https://evil.example", False)):
            for method, status in (("OPTIONS", 204), ("POST", 415)):
                headers = {"Origin": origin}
                found, _, response = await page.ask(method, path, headers=headers)
                shared = response.headers.get("Access-Control-Allow-Origin")
                assert shared == (ORIGIN if is_allowed else None)
                if is_allowed:
                    assert found == status
                    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/api/admin/overview", "/metrics", "/api/stats", "/"])
@async_test
async def test_other_answers_are_for_the_own_pages(path: str) -> None:
    async with running(allowed_origins=(ORIGIN,)) as address, site(address) as page:
        _, _, response = await page.ask("GET", path, headers={"Origin": ORIGIN})
        assert "Access-Control-Allow-Origin" not in response.headers


# Health and numbers


@async_test
async def test_health_and_readiness() -> None:
    async with running() as address, site(address) as page:
        assert (await page.ask("GET", "/healthz"))[:2] == (200, {"status": "ok"})
        assert (await page.ask("GET", "/readyz"))[:2] == (200, {"status": "ready"})


@async_test
async def test_metrics_tell_numbers_and_nobodys_name() -> None:
    settings = {"auth": "token", "jwt_secret": SECRET}
    token = OURS.issue("Annabel", Role.USER)
    async with running(**settings) as address, site(address) as page:
        async with client(address) as ann:
            await ann.ask("hello", token=token)
            await ann.ask("create_room", room="secret-plans")
            await ann.ask("join", room="secret-plans")
            await ann.ask("send", room="nowhere", text="hi")
            await ann.websocket.send("{")
            await ann.receive()
            _, text, response = await page.ask("GET", "/metrics")
        with pytest.raises(rfc6455.HandshakeError):
            await rfc6455.connect(f"ws://{address}/ws?token={token}x")
        _, later, _ = await page.ask("GET", "/metrics")
    assert response.content_type == "text/plain"
    for line in (
        "rfc6455_chat_connections 1.0",
        "rfc6455_chat_users 1.0",
        "rfc6455_chat_rooms 2.0",
        "rfc6455_chat_connections_opened_total 1.0",
        'rfc6455_chat_commands_total{type="send"} 1.0',
        'rfc6455_chat_commands_total{type="none"} 1.0',
        'rfc6455_chat_refused_commands_total{code="no_such_room"} 1.0',
        'rfc6455_chat_refused_commands_total{code="bad_json"} 1.0',
        "rfc6455_chat_command_seconds_count 5.0",
    ):
        assert line in text.splitlines()
    assert "rfc6455_chat_connections 0.0" in later.splitlines()
    assert 'rfc6455_chat_unauthenticated_total{reason="signature"} 1.0' in later.splitlines()
    for secret in ("Annabel", "secret-plans", "127.0.0.1", token):
        assert secret not in later


@async_test
async def test_who_may_not_see_the_rooms_does_not_see_them_in_the_numbers() -> None:
    async with running(auth="token", jwt_secret=SECRET) as address, site(address) as page:
        _, stats, _ = await page.ask("GET", "/api/stats")
        assert stats.keys() == {"connections", "users", "uptime", "draining"}


@async_test
async def test_metrics_may_take_a_token() -> None:
    async with running(metrics_token="opensesame") as address, site(address) as page:
        assert (await page.ask("GET", "/metrics"))[0] == 401
        page.token = "opensesam"
        assert (await page.ask("GET", "/metrics"))[0] == 401
        page.token = "opensesame"
        assert (await page.ask("GET", "/metrics"))[0] == 200


# Administrators


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/admin/overview"),
        ("POST", "/api/admin/kick"),
        ("POST", "/api/admin/lock-out"),
        ("POST", "/api/admin/drain"),
    ],
)
@pytest.mark.parametrize("role", [Role.GUEST, Role.USER, Role.MODERATOR])
@async_test
async def test_the_admins_requests_are_for_admins(method: str, path: str, role: Role) -> None:
    async with running(jwt_secret=SECRET) as address, site(address) as page:
        page.token = OURS.issue("Mallory", role)
        status, _, _ = await page.ask(method, path, {"user": "Ann"} if method == "POST" else None)
        assert status == 403


@async_test
async def test_an_admin_sees_and_puts_out_whom_they_want() -> None:
    async with (
        running(jwt_secret=SECRET) as address,
        site(address) as page,
        client(address, "Guest", "lobby") as guest,
        client(address) as bob,
    ):
        page.token = OURS.issue("Ann", Role.ADMIN)
        await bob.ask("hello", token=OURS.issue("Bob", Role.USER))
        _, overview, _ = await page.ask("GET", "/api/admin/overview")
        assert overview["rooms"] == [{"room": "lobby", "members": 1}]
        assert [(v["user"], v["role"]) for v in overview["visitors"]] == [
            ("Guest", "guest"),
            ("Bob", "user"),
        ]
        assert overview["visitors"][0]["commands"] == 2
        body = {"user": "guest", "reason": "spam"}
        assert (await page.ask("POST", "/api/admin/kick", body))[1] == {"connections": 1}
        assert (await page.ask("POST", "/api/admin/lock-out", {"user": "BOB"}))[1] == {
            "connections": 1
        }
        for member, expected in ((guest, (4403, "spam")), (bob, (4401, "the token has ended"))):
            await member.websocket.wait_closed()
            assert (member.websocket.close_code, member.websocket.close_reason) == expected
        assert (await page.ask("POST", "/api/admin/kick", {"user": "Cat"}))[1] == {"connections": 0}


# The end


@async_test
async def test_a_drain_takes_turns_and_tells_when_to_come_back() -> None:
    config = Config(
        host="127.0.0.1", port=0, jwt_secret=SECRET, drain_seconds=0.2, reconnect_within=8
    )
    async with App(config) as app:
        address = f"127.0.0.1:{app.port}"
        async with site(address) as page:
            page.token = OURS.issue("Ann", Role.ADMIN)
            members = [await rfc6455.connect(f"ws://{address}/ws") for _ in range(5)]
            assert (await page.ask("POST", "/api/admin/drain", {}))[0] == 202
            await app.serve_forever()
        for member in members:
            await member.wait_closed()
            assert member.close_code == 1012
            close = rfc6455.Close(member.close_code, member.close_reason)
            assert close.retry_after is not None
            assert 0 <= close.retry_after <= 8


@async_test
async def test_before_a_drain_begins_the_server_is_not_ready() -> None:
    config = Config(host="127.0.0.1", port=0, drain_delay=3600)
    async with App(config) as app, site(f"127.0.0.1:{app.port}") as page:
        app.drain()
        assert (await page.ask("GET", "/readyz"))[:2] == (503, {"status": "draining"})
        assert (await page.ask("GET", "/healthz"))[0] == 200
        async with client(f"127.0.0.1:{app.port}", "Ann") as ann:
            # The second time there is no waiting any more.
            app.drain()
            with pytest.raises(rfc6455.ConnectionClosed) as caught:
                await ann.receive()
            assert caught.value.code == 1001
        await app.serve_forever()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at another's limits")
@pytest.mark.parametrize(
    ("limits", "files", "told"),
    [
        ("ulimit -Sn 200", 600, ""),
        ("ulimit -n 300", 300, "at most 200 connections, not 500"),
        ("ulimit -n 1000", 1000, ""),
    ],
    ids=["raised", "too few", "enough"],
)
@async_test
async def test_files_for_all_connections(limits: str, files: int, told: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'{limits}; exec "$@"', "bash"),
        *(sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", "0"),
        *("--max-connections", "500"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] == files
    process.send_signal(signal.SIGINT)
    log = (await process.stderr.read()).decode()
    assert told in log
    assert bool(told) == bool(log)
    await process.wait()


@pytest.mark.parametrize("event_loop", ["asyncio", "uvloop"])
@async_test
async def test_sigterm_drains_the_process(event_loop: str, tmp_path: Path) -> None:
    pytest.importorskip(event_loop)
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", "0"),
            *("--event-loop", event_loop, "--log-format", "json"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    async with client(line.rpartition("/")[2].strip(), "Ann", "lobby") as ann:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(rfc6455.ConnectionClosed) as caught:
            await ann.receive()
        assert caught.value.code == 1012
    assert await process.wait() == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["message"] for record in records] == [
        "draining 1 connections",
        "drained: 1 closed, 0 dropped",
    ]


# TLS and sockets


async def shown_serial(port: int) -> int:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(encoded).serial_number


@async_test
async def test_a_certificate_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(host="127.0.0.1", port=0, **make_certificate(tmp_path, 1))
    async with App(config) as app:
        assert app.address == f"https://127.0.0.1:{app.port}"
        assert await shown_serial(app.port) == 1
        make_certificate(tmp_path, 2)
        app.reload()
        assert await shown_serial(app.port) == 2
        (tmp_path / "tls_certificate.pem").write_text("no certificate")
        app.reload()
        assert "not everything was read again" in caplog.text
        assert await shown_serial(app.port) == 2


@async_test
async def test_keys_for_tokens_are_read_again(tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"

    def write(kid: str) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        import jwt

        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
        jwks.write_text(json.dumps({"keys": [public | {"kid": kid}]}))
        return jwt.encode({"sub": "Ann", "exp": 4e9}, key, "ES256", {"kid": kid})

    old = write("1")
    config = Config(host="127.0.0.1", port=0, auth="token", jwks_file=str(jwks))
    async with App(config) as app:
        new = write("2")
        for token, code in ((old, None), (new, "unauthenticated")):
            async with client(f"127.0.0.1:{app.port}") as ann:
                assert (await ann.ask("hello", token=token)).get("code") == code
        app.reload()
        for token, code in ((old, "unauthenticated"), (new, None)):
            async with client(f"127.0.0.1:{app.port}") as ann:
                assert (await ann.ask("hello", token=token)).get("code") == code


@async_test
async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.sock")
    # A proxy on the same machine tells where clients come from.
    config = Config(unix_socket=path, trusted_proxies=("unix",), jwt_secret=SECRET)
    async with App(config) as app:
        assert (app.address, app.port) == (f"unix:{path}", 0)
        headers = [("X-Forwarded-For", "203.0.113.9, 2001:db8::7")]
        async with rfc6455.unix_connect(
            path, "ws://chat.example/ws", additional_headers=headers
        ) as websocket:
            ann = Client(websocket)
            await ann.receive()
            await ann.ask("hello", name="Ann")
            (visitor,) = app._gate.visitors
            assert visitor.address == "2001:db8::/64"


@async_test
async def test_one_address_has_so_many_connections() -> None:
    async with (
        running(max_connections_per_address=2) as address,
        client(address),
        client(address),
    ):
        with pytest.raises(rfc6455.HandshakeError) as caught:
            await rfc6455.connect(f"ws://{address}/ws")
        assert caught.value.status == 429


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"workers": 2}, "workers: several processes need an engine that they share"),
        ({"tls_key": "key.pem"}, "one without the other"),
        ({"durability": "memory", "database": "x"}, "with memory, nothing goes into a database"),
        ({"durability": "full"}, "full needs a database"),
        ({"unix_socket": "x", "systemd": True}, "one or the other"),
        ({"systemd": True}, "systemd: no socket was handed over"),
        ({"trusted_proxies": ("10.0.0.0/99",)}, "trusted_proxies: not a network"),
        ({"tls_certificate": "/nowhere", "tls_key": "/nowhere"}, "tls_certificate, tls_key: "),
    ],
)
def test_settings_that_cannot_be_put_to_use(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        App(Config(**settings))


@async_test
async def test_a_chat_may_say_that_it_keeps_nothing() -> None:
    async with running(durability="memory") as address, client(address, "Ann", "lobby") as ann:
        assert (await ann.ask("send", room="lobby", text="hi"))["offset"] == 1


def test_to_check_makes_no_file(tmp_path: Path) -> None:
    check(Config(users=str(tmp_path / "users.db"), auth="token"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError):
        check(Config(auth="token"))
