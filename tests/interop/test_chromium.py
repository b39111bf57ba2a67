"""Chromium as a client of our server, plain and compressed with each window size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import rfc6455
from tests.browser.chromium import chromium
from tests.helpers import async_test
from tests.transports.support import serving, uri

from .support import answer

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser

# A fixed conversation, which one of the two ends; what came of it goes to `done`.
CONVERSE = """
const [uri, closer, done] = arguments;
const socket = new WebSocket(uri);
socket.binaryType = "arraybuffer";
const result = { extensions: null, echoed: [], close: null };
const long = Array.from({ length: 9000 }, (_, i) => i % 600).join();
const messages = ["", "hé€😀", "x".repeat(70000), long, long, new Uint8Array(0),
                  new Uint8Array(70000).fill(7), "in fragments"];
const same = (sent, got) =>
  typeof sent === "string"
    ? sent === got
    : sent.length === got.byteLength && new Uint8Array(got).every((octet, i) => octet === sent[i]);
socket.onopen = () => {
  result.extensions = socket.extensions;
  for (const message of messages) socket.send(message);
};
socket.onmessage = ({ data }) => {
  result.echoed.push(same(messages[result.echoed.length], data));
  if (result.echoed.length < messages.length) return;
  if (closer === "client") socket.close(4000, "done");
  else socket.send("close me");
};
socket.onclose = ({ code, reason, wasClean }) => {
  result.close = [code, reason, wasClean];
  done(result);
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


def page(request: rfc6455.Request) -> rfc6455.Response | None:
    return None if request.wants_websocket else rfc6455.Response(body=b"a page")


async def converse(browser: Chrome, closer: str, extension: rfc6455.PermessageDeflate) -> str:
    """Returns what the browser says of the extensions in use."""
    ended: asyncio.Future[tuple[int | None, str]] = asyncio.get_running_loop().create_future()

    async def handler(websocket: rfc6455.WebSocket) -> None:
        try:
            await answer(websocket)
        finally:
            ended.set_result((websocket.close_code, websocket.close_reason))

    # Chromium keeps connections to spare, for whose end a server waits that goes away.
    limits = rfc6455.Limits(close_timeout=1)
    async with serving(
        handler, extensions=[extension], process_request=page, limits=limits
    ) as server:
        # From anywhere else a page would need a permission to talk to this machine.
        await asyncio.to_thread(browser.get, uri(server, scheme="http"))
        result: dict[str, Any] = await asyncio.to_thread(
            browser.execute_async_script, CONVERSE, uri(server), closer
        )
        code, reason = await ended
    assert result["echoed"] == [True] * 8
    if closer == "client":
        assert (code, reason) == (4000, "done")
        # Our Close repeats the code, not the reason.
        assert result["close"] == [4000, "", True]
    else:
        assert code == 4321
        assert result["close"] == [4321, "as you wish", True]
    return str(result["extensions"])


@pytest.mark.parametrize("closer", ["client", "server"])
@async_test
async def test_chromium(browser: Chrome, closer: str) -> None:
    never = rfc6455.PermessageDeflate(threshold=1 << 30)
    assert "permessage-deflate" in await converse(browser, closer, never)


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize(("takeover", "closer"), [(True, "client"), (False, "server")])
@async_test
async def test_chromium_with_compression(
    browser: Chrome, bits: int, takeover: bool, closer: str
) -> None:
    extension = rfc6455.PermessageDeflate(
        threshold=0,
        window_bits=bits,
        peer_window_bits=bits,
        context_takeover=takeover,
        peer_context_takeover=takeover,
    )
    agreed = await converse(browser, closer, extension)
    if bits < 15:
        assert f"server_max_window_bits={bits}" in agreed
        assert f"client_max_window_bits={bits}" in agreed
    assert ("server_no_context_takeover" in agreed) is not takeover
    assert ("client_no_context_takeover" in agreed) is not takeover
